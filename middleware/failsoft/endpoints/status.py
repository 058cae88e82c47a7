"""`/_failsoft/status`: how the API is, in words for those who use it.

Made of what this process holds in memory, at most once a second.  It never says who
or why, no figure, no dependency, nor the name of a mode that is not public.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from hashlib import blake2b
from typing import Any, Protocol

from failsoft.clock import utc_text
from failsoft.controls.alarms import Alarms
from failsoft.controls.snapshot import Snapshot
from failsoft.controls.targets import covers
from failsoft.pipeline import Exchange, Rejection
from failsoft.planning import Planner
from failsoft.routes.table import NO_ROUTE, RouteDef, RouteTable
from failsoft.settings import (
    CRITICALITIES,
    ComponentSettings,
    ModeDefinition,
    Settings,
)

__all__ = ["STATES", "Known", "Scopes", "Status", "StatusBoard", "read_status"]

STATES = ("operational", "degraded_performance", "partial_outage", "major_outage")
UNKNOWN = "unknown"
_INDICATORS = ("none", "minor", "major", "critical")
_LEVELS = {"minor": 1, "major": 2, "critical": 3}
_FRESH_MS = 60_000
_SCOPES_KEPT = 1_000
_TOLD = (
    "All systems operational",
    "Some parts are slower or less complete than usual",
    "Some parts are not available",
    "The API is not available",
)
_NOT_KNOWN = "How the API is cannot be told at the moment"

_HEADERS = (
    (b"content-type", b"application/json"),
    (b"cache-control", b"public, max-age=10, stale-if-error=60"),
    (b"access-control-allow-origin", b"*"),
    (b"x-content-type-options", b"nosniff"),
)


class Scopes:
    """Which routes globs name, of one table; remembered, as both seldom change.

    routes: those of the application that can be refused, by key.
    """

    def __init__(self, routes: Iterable[RouteDef]) -> None:
        self.routes = {r.key: r for r in routes if r.key != NO_ROUTE and not r.bypass}
        self._keys: dict[tuple[str, ...], frozenset[str]] = {}

    def keys(self, globs: tuple[str, ...]) -> frozenset[str]:
        """Return the routes of a scope: `tag:x`, `route:GLOB` or globs."""
        found = self._keys.get(globs)
        if found is None:
            if len(self._keys) >= _SCOPES_KEPT:
                self._keys.clear()
            keys = (key for key, r in self.routes.items() if _is_in(globs, r))
            found = self._keys[globs] = frozenset(keys)
        return found


def _is_in(globs: Iterable[str], route: RouteDef) -> bool:
    return any(
        glob[4:] in route.tags
        if glob.startswith("tag:")
        else covers(glob.removeprefix("route:"), route.key)
        for glob in globs
    )


# modes in force, with the routes they reach
_Touching = Sequence[tuple[Any, set[str]]]


@dataclass(frozen=True, slots=True)
class Known:
    """What one process knows at one instant.

    controls_age_s: since its controls were proven current.  alarms: None where no SLO
    is watched.  now_ms: store time.
    """

    settings: Settings
    scopes: Scopes
    snapshot: Snapshot
    controls_age_s: float
    now_ms: float
    alarms: Alarms | None = None


@dataclass(frozen=True, slots=True)
class Status:
    """document: as served.  tag: the same as long as only its age changes."""

    document: Mapping[str, Any]
    tag: str


class Process(Protocol):
    """What is read of a `Runtime`."""

    settings: Settings
    table: RouteTable
    snapshot: Snapshot
    alarms: Alarms | None
    planner: Planner

    @property
    def control_age_s(self) -> float:
        """Return seconds since the controls were proven current."""
        ...

    def now_ms(self) -> float:
        """Return store time."""
        ...


@dataclass(frozen=True, slots=True)
class _Cause:
    """Why a component is not as usual.  level: index of `STATES`."""

    level: int
    since_ms: float
    mode: str = ""  # its name, where users may know it
    title: str = ""


# --- what is wrong -----------------------------------------------------------


def _modes(known: Known) -> list[Any]:
    """Return the modes that users meet: in force, not counted only, no drill."""
    acting = known.snapshot.acting
    return [
        mode
        for mode in (acting.modes if acting is not None else ())
        if mode.share and not mode.dry_run and not mode.is_drill
    ]


def _touched(mode: Any, known: Known) -> set[str]:
    """Return the routes that a mode reaches."""
    scopes, definition = known.scopes, mode.definition
    found = scopes.keys(mode.routes) - scopes.keys(known.snapshot.acting.never)
    return {key for key in found if _is_meant(definition, scopes.routes[key])}


def _is_meant(definition: ModeDefinition, route: RouteDef) -> bool:
    """Whether a mode that names the route is for its method and criticality, too."""
    method, most = route.key.partition(" ")[0], definition.criticality_at_most
    if definition.methods and method not in ("*", *definition.methods):
        return False
    rank = CRITICALITIES.index
    return not most or rank(route.criticality) >= rank(most)


def _mode_causes(mine: frozenset[str], modes: _Touching) -> list[_Cause]:
    found = []
    for mode, touched in modes:
        if touched & mine:
            definition = mode.definition
            told = (mode.name, definition.title) if definition.public else ("", "")
            level = _LEVELS.get(definition.severity, 1)
            found.append(_Cause(level, mode.since_ms, *told))
    return found


def _shut(known: Known, modes: _Touching) -> dict[str, float]:
    """Return the routes that are killed or in maintenance, and since when."""
    acting = known.snapshot.acting
    shut: dict[str, float] = {}
    for record, doc in acting.kills if acting is not None else ():
        if record.name.startswith(("route:", "tag:")):
            since_ms = doc.since_ms or record.at_ms
            for key in known.scopes.keys((record.name,)):
                shut.setdefault(key, since_ms)
    for mode, touched in modes:
        is_whole = mode.share >= 1 and not mode.probe
        if is_whole and any(name == "maintenance" for name, _ in mode.actions):
            for key in touched:
                shut.setdefault(key, mode.since_ms)
    return shut


def _closed_causes(mine: frozenset[str], shut: Mapping[str, float]) -> list[_Cause]:
    """Return a cause if every route is shut."""
    if not mine or not mine <= shut.keys():
        return []
    return [_Cause(3, max(shut[key] for key in mine))]


def _alarm_causes(mine: frozenset[str], known: Known) -> list[_Cause]:
    return [
        _Cause(2 if alarm.is_failing else 1, alarm.since_ms)
        for alarm in (known.alarms.alarms if known.alarms is not None else ())
        if (alarm.is_failing or alarm.pages) and known.scopes.keys(alarm.routes) & mine
    ]


def _is_fresh(known: Known) -> bool:
    """Whether what was observed can tell that nothing is wrong."""
    state, alarms = known.snapshot.state, known.alarms
    if state == "cold" or (state != "local" and known.controls_age_s > 60):
        return False
    return alarms is None or known.now_ms - alarms.at_ms <= _FRESH_MS


# --- the document ------------------------------------------------------------


def _component(id_: str, name: str, causes: list[_Cause], known: Known) -> Any:
    level = max((cause.level for cause in causes), default=0)
    word = STATES[level] if level or _is_fresh(known) else UNKNOWN
    found: dict[str, Any] = {"id": id_, "name": name, "status": word}
    if causes:
        found["since"] = utc_text(min(cause.since_ms for cause in causes) / 1000)
    modes = [cause.mode for cause in causes if cause.mode]
    return {**found, "modes": sorted(modes)} if modes else found


def _mode_entries(components: list[Any], modes: _Touching) -> list[Any]:
    found = []
    for mode, touched in modes:
        name, definition = mode.name, mode.definition
        if not definition.public or not touched:
            continue
        entry = {
            "id": name,
            "title": definition.title,
            "severity": definition.severity,
            "components": [c["id"] for c in components if name in c.get("modes", ())],
            "since": utc_text(mode.since_ms / 1000),
        }
        if mode.until_ms:
            entry["until"] = utc_text(mode.until_ms / 1000)
        found.append(entry)
    return found


def _summary(levels: list[int], causes: list[_Cause], known: Known) -> dict[str, str]:
    """Return the indicator of the whole, and a sentence."""
    level = max(levels, default=0)
    if not level and not _is_fresh(known):
        return {"indicator": "minor", "description": _NOT_KNOWN}
    titles = [c.title for c in causes if c.title and c.level == level]
    # A whole outage has one word; part of it says more in the mode's own.
    told = titles[0] if level and titles else _TOLD[level]
    return {"indicator": _INDICATORS[level], "description": told}


def read_status(known: Known) -> Status:
    """Return the status of all public components."""
    settings = known.settings
    declared = settings.components or {"api": ComponentSettings("API")}
    modes = [(mode, _touched(mode, known)) for mode in _modes(known)]
    shut = _shut(known, modes)
    components, levels, causes = [], [], []
    for id_, said in declared.items():
        if not said.public:
            continue
        mine = known.scopes.keys(said.routes)
        found = _mode_causes(mine, modes)
        found += _closed_causes(mine, shut) + _alarm_causes(mine, known)
        components.append(_component(id_, said.name, found, known))
        levels.append(max((cause.level for cause in found), default=0))
        causes += found
    parts = {
        "status": _summary(levels, causes, known),
        "components": components,
        "modes": _mode_entries(components, modes),
    }
    state = known.snapshot.state
    tag = blake2b(json.dumps([parts, state]).encode(), digest_size=8).hexdigest()
    name = settings.status.name or settings.telemetry.app or settings.store.env
    page = {"name": name, "env": settings.store.env}
    page["updated_at"] = utc_text(known.now_ms / 1000)
    control = {"state": state, "age_s": int(known.controls_age_s)}
    document = {"schema": 1, "page": page, **parts, "control": control}
    return Status(document, tag)


# --- answers -----------------------------------------------------------------


class StatusBoard:
    """Answers for one process.  process: what is known, see `Process`."""

    def __init__(self, process: Process) -> None:
        self._process = process
        self._made: tuple[object, ...] = ()
        self._status: Status | None = None
        self._scopes: tuple[RouteTable | None, Scopes] = (None, Scopes(()))
        self._bodies: dict[Callable[[Mapping[str, Any]], bytes], bytes] = {}

    def status(self) -> Status:
        """Return the status, at most a second old and of the controls in force."""
        process = self._process
        now_ms = process.now_ms()
        made = (process.snapshot, process.alarms, int(now_ms // 1000))
        if self._status is None or made != self._made:
            known = Known(
                process.settings,
                self._scoped(process.table),
                process.snapshot,
                process.control_age_s,
                now_ms,
                process.alarms,
            )
            self._made, self._status, self._bodies = made, read_status(known), {}
        return self._status

    def _scoped(self, table: RouteTable) -> Scopes:
        if self._scopes[0] is not table:
            own = self._process.planner.answers
            mine = (route for route in table.routes if route.key not in own)
            self._scopes = table, Scopes(mine)
        return self._scopes[1]

    def body(self, write: Callable[[Mapping[str, Any]], bytes]) -> bytes:
        """Return the status as something writes it, kept for its second."""
        status = self.status()
        body = self._bodies.get(write)
        if body is None:
            body = self._bodies[write] = write(status.document)
        return body

    def asked(self, exchange: Exchange) -> Rejection:
        """Answer with the JSON document, or 304 to who has it."""
        # Weak: two that say the same may differ in the age they give.
        tag = f'W/"{self.status().tag}"'.encode()
        headers = (*_HEADERS, (b"etag", tag))
        if _has(exchange, tag):
            return _answer(304, headers[1:], b"")
        return _answer(200, headers, self.body(_dumped))


def _has(exchange: Exchange, tag: bytes) -> bool:
    """Whether the client holds this state (RFC 9110, 13.1.2: weak comparison)."""
    opaque = tag.removeprefix(b"W/")
    for name, value in exchange.scope["headers"]:
        if name == b"if-none-match":
            held = (one.strip().removeprefix(b"W/") for one in value.split(b","))
            return any(one in (opaque, b"*") for one in held)
    return False


def _dumped(document: Mapping[str, Any]) -> bytes:
    return json.dumps(document, separators=(",", ":")).encode()


def _answer(
    status: int, headers: tuple[tuple[bytes, bytes], ...], body: bytes
) -> Rejection:
    return Rejection(
        "status", status, headers, body, is_problem=False, is_refusal=False
    )
