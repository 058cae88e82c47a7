"""`[mode.<name>]` and `[modes]`: what a degraded mode does, where and when."""

from __future__ import annotations

import re
from calendar import monthrange, timegm
from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

from failsoft.settings._readers import (
    At,
    Fault,
    Rate,
    Reader,
    Span,
    one_of,
    read_body,
    read_bool,
    read_fields,
    read_file,
    read_scope,
    read_share,
    read_status,
    read_text,
    read_texts,
    require,
    suggest,
    whole,
)
from failsoft.settings._words import CRITICALITIES

__all__ = [
    "ANSWERING",
    "MODES_FIELDS",
    "RANGES",
    "ModeDefinition",
    "ModeTiming",
    "Shed",
    "StaticAnswer",
    "Trigger",
    "mode_findings",
    "read_mode",
]

# Strictest first: of several that answer for the application the first one does.
ANSWERING = ("maintenance", "read_only", "shed", "static", "stale", "reroute")

# What an operator, or a definition, may give an action that takes a number.
RANGES: Mapping[str, tuple[float, float]] = {
    "timeout_scale": (0.25, 2.0),
    "rate_limit_scale": (0.1, 10.0),
    "concurrency": (1, 100_000),
}

_DAYS = ("Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun")
_WEEKLY = re.compile(
    rf"({'|'.join(_DAYS)}) (\d\d):(\d\d)-(\d\d):(\d\d)", re.ASCII | re.IGNORECASE
)
_INSTANT = re.compile(
    r"(\d{4})-(\d\d)-(\d\d)[T ](\d\d):(\d\d)(?::(\d\d))?(?:Z|\+00:00)", re.ASCII
)
_DAY_S = 86_400
_MOST_NESTED = 4


@dataclass(frozen=True, slots=True)
class StaticAnswer:
    """Value of the action `static`: the answer in place of the application's."""

    body: bytes
    media_type: str = "text/plain; charset=utf-8"
    status: int = 200


@dataclass(frozen=True, slots=True)
class Shed:
    """Value of the action `shed`: refuse `share` (0..1) of a class and those below.

    criticality: None = every class.
    """

    share: float = 1.0
    criticality: str | None = None


@dataclass(frozen=True, slots=True)
class Trigger:
    """A condition of the fleet, or several of them.

    kind: `all` or `any` of the parts; burn (name: SLO), breaker (name: dependency,
    open for `for_s`), shedding (level: share of the nodes, for `for_s`), quota (name:
    dependency, level: share that is left), health (name: check, word: its level),
    schedule (window: start and end in Unix seconds; with `is_weekly` start within the
    week, from Monday 00:00 UTC, and length).
    """

    kind: str
    name: str = ""
    level: float = 0.0
    for_s: float = 0.0
    word: str = ""
    window: tuple[int, int] = (0, 0)
    is_weekly: bool = False
    parts: tuple[Trigger, ...] = ()

    def leaves(self) -> Iterator[Trigger]:
        """Yield the conditions that have no parts."""
        if not self.parts:
            yield self
        for part in self.parts:
            yield from part.leaves()


@dataclass(frozen=True, slots=True)
class ModeTiming:
    """How long the trigger must be true, or gone, and the least time in the mode."""

    hold_s: float = 5.0
    exit_hold_s: float = 300.0
    dwell_s: float = 60.0


@dataclass(frozen=True, slots=True)
class ModeDefinition:
    """A degraded mode.  routes: globs `METHOD /path*` or `tag:name`.

    actions: (name, value) in the order written, values checked: read_only no_retries
    no_shed quiet True; maintenance, banner and reroute text; static `StaticAnswer`;
    shed `Shed`; disable and mute tuples; stale and timeout seconds; timeout_scale,
    rate_limit_scale and concurrency numbers.  methods, versions, consumers: that it
    is for, empty for all.  criticality_at_most: of the routes.  enter: None = only
    people enter it.  recover: percent of the requests that are back to normal, step
    by step.  probe: share that still reaches the application, 0..0.5.  dry_run: a
    trigger only has it counted.
    """

    title: str
    severity: Literal["minor", "major", "critical"] = "minor"
    routes: tuple[str, ...] = ("* *",)
    actions: tuple[tuple[str, Any], ...] = ()
    public: bool = True
    methods: tuple[str, ...] = ()
    versions: tuple[str, ...] = ()
    consumers: tuple[str, ...] = ()
    criticality_at_most: str = ""
    enter: Trigger | None = None
    timing: ModeTiming = field(default_factory=ModeTiming)
    recover: tuple[int, ...] = (10, 25, 50, 100)
    probe: float = 0.05
    priority: int = 50
    drill_every_s: float = 30 * 86_400.0
    dry_run: bool = False

    @property
    def answers(self) -> bool:
        """Whether an action of it answers in place of the application."""
        return any(name in ANSWERING for name, _ in self.actions)


def read_mode(raw: object, at: At) -> ModeDefinition:
    """Read the table of one mode."""
    found = read_fields(raw, at, _MODE)
    require(raw, title='"Shown to users"', actions="[{ shed = { share = 0.5 } }]")
    mode = ModeDefinition(found.pop("title", ""), **found)
    if mode.enter is not None and mode.answers and not mode.probe:
        leaves = {leaf.kind for leaf in mode.enter.leaves()}
        if leaves != {"schedule"}:
            problem = "has a trigger without exit: probe = 0, and it answers itself"
            raise Fault(problem, "drop probe = 0, or enter", shown=False)
    return mode


def mode_findings(
    modes: Mapping[str, ModeDefinition],
    never: Collection[str],
    known: Mapping[str, Iterable[str]],
) -> list[str]:
    """Return what is wrong between modes and what else is declared.

    never: globs of routes that no mode touches.  known: trigger -> names it may have.
    """
    found = []
    for name, mode in modes.items():
        found += [
            f"settings: mode.{name}.routes names {glob!r}, which modes.never protects; "
            "drop it from one of them"
            for glob in mode.routes
            if glob in never
        ]
        for leaf in mode.enter.leaves() if mode.enter is not None else ():
            names = known.get(leaf.kind)
            if names is not None and leaf.name not in names:
                where = f"settings: mode.{name}.enter: {leaf.kind} = {leaf.name!r}"
                found.append(f"{where} is not declared; {suggest(leaf.name, names)}")
    return found


# --- actions ----------------------------------------------------------------


def _read_actions(raw: object, at: At) -> tuple[tuple[str, Any], ...]:
    if not isinstance(raw, list | tuple) or not raw:
        raise Fault("must be a list of actions", "write [{ read_only = true }]")
    found: list[tuple[str, Any]] = []
    for action in raw:
        found += read_fields(action, at, _ACTIONS).items()
    return tuple(found)


def _read_true(raw: object, at: At) -> bool:
    if not read_bool(raw, at):
        raise Fault("does nothing", "write true, or drop the action")
    return True


def _read_static(raw: object, at: At) -> StaticAnswer:
    readers = {
        "body": read_body,
        "file": read_file,
        "media_type": read_text,
        "status": read_status,
    }
    found = read_fields(raw, at, readers)
    given = [key for key in ("body", "file") if key in raw]  # type: ignore[operator]
    if len(given) != 1:
        raise Fault("must have either body or file", 'write { body = "text" }')
    return StaticAnswer(found.pop(given[0], b""), **found)


def _read_shed(raw: object, at: At) -> Shed:
    readers = {"share": read_share, "class": one_of(*CRITICALITIES)}
    found = read_fields(raw, at, readers)
    if not raw:
        raise Fault("says neither share nor class", "write { share = 0.25 }")
    return Shed(found.get("share", 1.0), found.get("class"))


_ACTIONS: dict[str, Reader] = {
    "read_only": _read_true,
    "maintenance": read_text,
    "static": _read_static,
    "shed": _read_shed,
    "stale": Span("1s", "7d"),
    "reroute": read_text,
    "disable": read_texts,
    "timeout": Span("5ms", "1h"),
    "timeout_scale": Rate(*RANGES["timeout_scale"]),
    "rate_limit_scale": Rate(*RANGES["rate_limit_scale"]),
    "concurrency": whole(*map(int, RANGES["concurrency"])),
    "no_retries": _read_true,
    "no_shed": _read_true,
    "quiet": _read_true,
    "banner": read_text,
    "mute": read_texts,
}


# --- triggers ---------------------------------------------------------------


def _read_trigger(raw: object, at: At, depth: int = 0) -> Trigger:
    if not isinstance(raw, Mapping) or not raw:
        raise Fault("must be a table", 'write { burn = "checkout" }')
    kind = next((key for key in raw if key in _TRIGGERS), None)
    if kind is None:
        raise Fault("names no trigger", suggest(next(iter(raw)), _TRIGGERS))
    extra = [key for key in raw if key != kind and (kind, key) != _OPEN_FOR]
    if extra:
        raise Fault(f"has {extra[0]!r} beside {kind}", "join them with any or all")
    if kind in ("all", "any"):
        return _read_parts(kind, raw[kind], at, depth)
    trigger: Trigger = _TRIGGERS[kind](raw[kind], raw, at)
    return trigger


_OPEN_FOR = ("breaker", "open_for")


def _read_parts(kind: str, raw: object, at: At, depth: int) -> Trigger:
    if depth >= _MOST_NESTED:
        raise Fault("is nested too deep", f"write at most {_MOST_NESTED} levels")
    if not isinstance(raw, list | tuple) or not raw:
        raise Fault(f"has no list for {kind}", f"write {kind} = [{{ burn = ... }}]")
    return Trigger(kind, parts=tuple(_read_trigger(one, at, depth + 1) for one in raw))


def _read_burn(raw: object, _: Mapping[str, Any], at: At) -> Trigger:
    return Trigger("burn", read_text(raw, at))


def _read_breaker(raw: object, whole: Mapping[str, Any], at: At) -> Trigger:
    for_s = Span("0s", "1d")(whole.get("open_for", "0s"), at)
    return Trigger("breaker", read_text(raw, at), for_s=for_s)


def _fields(raw: object, at: At, readers: Mapping[str, Reader], *must: str) -> Any:
    found = read_fields(raw, at, readers)
    missing = [key for key in must if key not in raw]  # type: ignore[operator]
    if missing:
        raise Fault(f"has no {missing[0]}", f"add {missing[0]} = ...")
    return found


def _read_shedding(raw: object, _: Mapping[str, Any], at: At) -> Trigger:
    readers: dict[str, Reader] = {"nodes": read_share, "for": Span("0s", "1d")}
    found = _fields(raw, at, readers)
    level, for_s = found.get("nodes", 0.5), found.get("for", 0.0)
    return Trigger("shedding", level=level, for_s=for_s)


def _read_quota(raw: object, _: Mapping[str, Any], at: At) -> Trigger:
    readers = {"dependency": read_text, "below": read_share}
    found = _fields(raw, at, readers, "dependency", "below")
    return Trigger("quota", found.get("dependency", ""), found.get("below", 0.0))


def _read_health(raw: object, _: Mapping[str, Any], at: At) -> Trigger:
    readers = {"check": read_text, "level": read_text}
    found = _fields(raw, at, readers, "check", "level")
    return Trigger("health", found.get("check", ""), word=found.get("level", ""))


def _read_schedule(raw: object, _: Mapping[str, Any], at: At) -> Trigger:
    readers = dict.fromkeys(("from", "until"), _read_instant)
    found = read_fields(raw, at, {**readers, "weekly": _read_weekly})
    if "weekly" in found and len(found) == 1:
        return Trigger("schedule", window=found["weekly"], is_weekly=True)
    if len(raw) != 2 or "weekly" in raw:  # type: ignore[arg-type, operator]
        problem = "must have from and until, or weekly"
        raise Fault(problem, 'write { weekly = "Fri 06:00-08:00" }')
    window = found.get("from", 0), found.get("until", 1)
    if window[0] >= window[1]:
        raise Fault("ends before it starts", "write from before until")
    return Trigger("schedule", window=window)


def _read_instant(raw: object, at: At) -> int:
    found = _INSTANT.fullmatch(str(raw))
    if found is not None:
        year, month, day, hour, minute, second = (
            int(part or 0) for part in found.groups()
        )
        is_day = 1 <= month <= 12 and 1 <= day <= monthrange(max(year, 1), month)[1]
        if is_day and hour < 24 and minute < 60 and second < 60:
            return timegm((year, month, day, hour, minute, second))
    raise Fault("is no instant", 'write it in UTC, like "2026-12-24T18:00Z"')


def _read_weekly(raw: object, at: At) -> tuple[int, int]:
    found = _WEEKLY.fullmatch(str(raw))
    if found is not None:
        day = [name.lower() for name in _DAYS].index(found[1].lower())
        hours = [int(part) for part in found.groups()[1:]]
        start_s, end_s = (h * 3600 + m * 60 for h, m in (hours[:2], hours[2:]))
        if max(hours[0], hours[2]) <= 24 and max(hours[1], hours[3]) < 60:
            return day * _DAY_S + start_s, (end_s - start_s) % _DAY_S or _DAY_S
    raise Fault("is no window of a week", 'write it in UTC, like "Fri 06:00-08:00"')


_TRIGGERS: dict[str, Any] = {
    "all": None,
    "any": None,
    "burn": _read_burn,
    "breaker": _read_breaker,
    "shedding": _read_shedding,
    "quota": _read_quota,
    "health": _read_health,
    "schedule": _read_schedule,
}


# --- the table --------------------------------------------------------------


def _read_timing(raw: object, at: At) -> ModeTiming:
    span = Span("0s", "1d")
    found = read_fields(raw, at, dict.fromkeys(("hold", "exit_hold", "dwell"), span))
    return ModeTiming(**{f"{key}_s": value for key, value in found.items()})


def _read_recover(raw: object, at: At) -> tuple[int, ...]:
    todo = "write [10, 25, 50, 100]"
    if not isinstance(raw, list | tuple) or not 1 <= len(raw) <= 10:
        raise Fault("must be a list of 1 to 10 percentages", todo)
    steps = tuple(whole(1, 100)(one, at) for one in raw)
    if steps[-1] != 100 or sorted(set(steps)) != [*steps]:
        raise Fault("must rise to 100", todo)
    return steps


def _read_methods(raw: object, at: At) -> tuple[str, ...]:
    methods = read_texts(raw, at)
    for method in methods:
        if not re.fullmatch("[A-Z]{1,20}", method):
            raise Fault(f"holds {method!r}, which is no method", 'write ["POST"]')
    return methods


def _read_drill_every(raw: object, at: At) -> float:
    return Span("1d", "365d")(raw, at)


_MODE: dict[str, Reader] = {
    "title": read_text,
    "severity": one_of("minor", "major", "critical"),
    "routes": read_scope,
    "actions": _read_actions,
    "public": read_bool,
    "methods": _read_methods,
    "versions": read_texts,
    "consumers": read_texts,
    "criticality_at_most": one_of(*CRITICALITIES),
    "enter": _read_trigger,
    "timing": _read_timing,
    "recover": _read_recover,
    "probe": Rate(0, 0.5),
    "priority": whole(0, 100),
    "drill_every": _read_drill_every,
    "dry_run": read_bool,
}

MODES_FIELDS: dict[str, Reader] = {"never": read_scope}
