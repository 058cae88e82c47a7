"""What developers declared in this release, described once for operators' previews.

Routes, flags and modes travel under the digest of their text (see ARCHITECTURE,
D-009); heartbeats carry the digest alone.
"""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
from typing import Any

import msgspec

from failsoft import clock
from failsoft.errors import StoreError
from failsoft.flags._definitions import IN_CODE, NO_FILES
from failsoft.modes import BUILT_IN, outlined, spares, summary_of
from failsoft.modes._words import enter_lines, leave_lines, timing_text
from failsoft.routes.table import RouteTable
from failsoft.settings import ModeDefinition, Settings, ToleranceSettings
from failsoft.slo._scope import watched_slos
from failsoft.telemetry import (
    BrownoutDef,
    Definitions,
    FlagDef,
    GuardDef,
    ModeDef,
    SloDef,
    ToleranceDef,
    VersionDef,
    encode,
)
from failsoft.versions._model import Brownout
from failsoft.versions._stage import VersionStage
from failsoft.versions._windows import compile_windows

__all__ = ["Publisher"]

_PUBLISH_S = 1.0
_KEEP_S = 5.0
_MAX_FLAGS = 1000
_MAX_DOCS_BYTES = 512 * 1024


class Publisher:
    """Describes the definitions of one process and keeps them in its store.

    digest: names the newest description.  seen_flags: key -> default as JSON, of
    flags that were met in code, at most 1,000.  files: the flags files in force.
    versions: the stage of the contract in force, None without one.  own: routes that
    failsoft answers itself, and that are not described.
    """

    def __init__(self, settings: Settings) -> None:
        self.settings = settings
        self.seen_flags: dict[str, str] = {}
        self.files = NO_FILES
        self.versions: VersionStage | None = None
        self.own: frozenset[str] = frozenset()
        self.digest = ""
        self._blob = b""
        self._has_news = False
        self._is_running = False

    def describe(self, table: RouteTable) -> None:
        """Describe this release's routes, flags and modes, under their digest.

        At once before `run`, else in its next second and off the loop: 10,000 flags
        of files take 0.1 s.
        """
        self._table = table
        self._has_news = True
        if not self._is_running:
            self._describe()

    def _describe(self) -> None:
        self._has_news = False
        table = self._table
        flags = self._flags()
        modes = {**BUILT_IN, **self.settings.modes}
        definitions = Definitions(
            routes=tuple(
                (r.key, r.criticality, r.tags)
                for r in table.routes
                if r.key not in self.own
            ),
            spared=tuple(
                route.key
                for route in table.routes
                if route.key not in self.own and spares(route, self.settings.never)
            ),
            flags=tuple((flag.key, flag.default) for flag in flags),
            modes=tuple(
                ModeDef(
                    name,
                    mode.title,
                    mode.routes,
                    summary_of(mode),
                    _disabled(mode),
                    mode.severity,
                    outlined(mode),
                    enter_lines(mode),
                    leave_lines(mode),
                    timing_text(mode),
                    mode.recover,
                    mode.public,
                    mode.drill_every_s,
                )
                for name, mode in sorted(modes.items())
            ),
            flagdefs=flags,
            kill_default_s=self.settings.kill.default_ttl_s,
            kill_most_s=self.settings.kill.max_ttl_s,
            evaluators=tuple(
                (name, json.decode())
                for name, json in sorted(self.files.evaluators.items())
            ),
            dependencies=tuple(sorted(self.settings.dependencies)),
            slos=_slos(self.settings, table),
            guards=_guards(table),
            **_contract_of(self.versions),
            **_tolerance_of(self.settings.tolerance, table),
        )
        self._blob = encode(definitions)
        self.digest = hashlib.sha256(self._blob).hexdigest()[:8]

    def _flags(self) -> tuple[FlagDef, ...]:
        """Return all flags this process knows, by key.

        What code says of one wins over settings.
        """
        found = {
            key: FlagDef(key, "asked", text)
            for key, text in dict(self.seen_flags).items()
        }
        left = _MAX_DOCS_BYTES
        for key, record in self.files.records.items():
            left -= len(record.json)
            doc = record.json.decode() if left >= 0 else ""
            default, digest = self.seen_flags.get(key, ""), self.files.digests[key]
            found[key] = FlagDef(key, "file", default, sha8=digest, doc=doc)
        for key, said in {**self.settings.flags.declare, **IN_CODE}.items():
            origin = "code" if key in IN_CODE else "settings"
            held = found.get(key)
            if held is None or held.origin != "file":
                held = FlagDef(key, origin)
            found[key] = msgspec.structs.replace(
                held,
                default=_as_json(said.default),
                fail=said.fail,
                owner=said.owner,
                expires=said.expires,
            )
        return tuple(found[key] for key in sorted(found))

    def meet(self, key: str, default: Any) -> bool:
        """Take note of a flag first met in code; False when there are too many."""
        if len(self.seen_flags) >= _MAX_FLAGS:
            return False
        key.encode()  # what the wire cannot take fails here, before it is kept
        self.seen_flags[key] = _as_json(default)
        # Described by the next second's task: a handler does not wait for it.
        self._has_news = True
        return True

    async def run(self, store: Any) -> None:
        """Keep the description in the store until cancelled."""
        self._is_running = True
        due_at = 0.0
        while True:
            if self._has_news:
                await asyncio.to_thread(self._describe)
                due_at = 0.0
            if (now := clock.elapsed()) >= due_at:
                # Asked each time, as a store may lose what it was told.
                with contextlib.suppress(StoreError):
                    if not await store.keep_definitions(self.digest):
                        await store.publish_definitions(self.digest, self._blob)
                    due_at = now + _KEEP_S
            await asyncio.sleep(_PUBLISH_S)


def _guards(table: RouteTable) -> tuple[GuardDef, ...]:
    found = [
        GuardDef(
            route.key,
            route.rules.timeout_s,
            _named(route.rules.fallback),
            route.rules.stale_s,
        )
        for route in table.routes
    ]
    return tuple(one for one in found if one != GuardDef(one.route))


def _named(fallback: Any) -> str:
    if fallback is None or isinstance(fallback, str):
        return fallback or ""
    return str(getattr(fallback, "__name__", type(fallback).__name__))


def _contract_of(stage: VersionStage | None) -> dict[str, Any]:
    """Describe versions, brownouts and pins as declared; nothing without a contract."""
    if stage is None:
        return {}
    contract = stage.contract
    listed = [
        msgspec.structs.replace(_brownout_of(op), versions=op.versions or (version.id,))
        for version in contract.versions
        for op in version.ops
        if isinstance(op, Brownout)
    ]
    return {
        "versions": tuple(
            VersionDef(
                version.id,
                version.deprecated,
                version.sunset,
                version.link,
                stage.chains.touched(version.id),
                version.after,
            )
            for version in contract.versions
        ),
        "brownouts": (*listed, *map(_brownout_of, contract.brownouts)),
        "pins": tuple(sorted(contract.pins.items())),
        "version_default": contract.default,
    }


def _brownout_of(declared: Brownout) -> BrownoutDef:
    windows = compile_windows(declared.windows, declared.every, declared.times)
    return BrownoutDef(
        declared.name,
        declared.routes,
        declared.versions,
        tuple((start_s * 1000, end_s * 1000) for start_s, end_s in windows),
        declared.percent,
        declared.by,
        declared.status,
        declared.only,
        declared.exempt,
    )


def _tolerance_of(settings: ToleranceSettings, table: RouteTable) -> dict[str, Any]:
    """Describe how bodies are read, and the exceptions declared; "" = any consumer."""
    rules = [(settings.handling, "* *", "")]
    rules += [
        (r.handling, r.route, _any_as_none(r.consumer)) for r in settings.handlings
    ]
    rules += [(r.handling, r.key, "") for r in table.routes if r.handling]
    tolerances = tuple(
        ToleranceDef(
            one.name,
            one.route,
            _any_as_none(one.consumer),
            one.path,
            one.kind,
            _plain(one.value),
            one.until,
            one.reason,
            one.owner,
        )
        for one in settings.allow
    )
    return {"tolerances": tolerances, "handlings": tuple(rules)}


def _any_as_none(consumer: str) -> str:
    return "" if consumer == "*" else consumer


def _plain(value: Any) -> Any:
    """Return a value of TOML as the wire can hold it: dates become text."""
    return msgspec.json.decode(msgspec.json.encode(value))


def _slos(settings: Settings, table: RouteTable) -> tuple[SloDef, ...]:
    return tuple(
        SloDef(name, slo.objective, slo.latency_s, slo.routes, slo.runbook)
        for name, slo in watched_slos(settings.slos, table.routes).items()
    )


def _disabled(mode: ModeDefinition) -> tuple[str, ...]:
    return tuple(
        key for name, keys in mode.actions if name == "disable" for key in keys
    )


def _as_json(value: Any) -> str:
    try:
        return msgspec.json.encode(value).decode()[:200]
    except Exception:  # noqa: BLE001 - any object may stand as a default
        return "null"
