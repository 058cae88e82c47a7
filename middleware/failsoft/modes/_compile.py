"""Which kills and modes act on which route: one plan per route and revision."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import msgspec

from failsoft.controls.records import KillDoc, Record
from failsoft.controls.targets import covers, literal_weight
from failsoft.errors import DefinitionError
from failsoft.modes._model import BUILT_IN, ActiveMode, activate
from failsoft.modes._refuse import Dice, Now, kill_hook, mode_hook, notice_of
from failsoft.pipeline import Hook, Plan
from failsoft.routes.table import RouteDef
from failsoft.settings import CRITICALITIES, ModeDefinition

__all__ = ["Acting", "compile_plan", "read_acting"]

_STRICTEST_FIRST = ("maintenance", "read_only", "shed", "static")


@dataclass(frozen=True, slots=True)
class Acting:
    """Kills and modes in force.  bad: targets that could not be understood."""

    kills: tuple[tuple[Record, KillDoc], ...] = ()
    modes: tuple[ActiveMode, ...] = ()
    bad: tuple[str, ...] = ()
    never: tuple[str, ...] = ()
    disabled: frozenset[str] = field(default_factory=frozenset)


def read_acting(
    records: Iterable[Record],
    defined: Mapping[str, ModeDefinition],
    never: tuple[str, ...],
) -> Acting:
    """Pick kills and modes out of the records; a bad one is listed, not raised."""
    kills: list[tuple[Record, KillDoc]] = []
    modes: list[ActiveMode] = []
    bad: list[str] = []
    for record in records:
        try:
            if record.kind == "kill":
                kills.append((record, record.doc()))
            elif record.kind == "mode":
                modes.append(_active(record, defined))
        except (msgspec.DecodeError, DefinitionError):
            # Never raised: one bad control would keep all others from taking effect.
            bad.append(_target(record))
    kills.sort(key=lambda kill: literal_weight(kill[0].name), reverse=True)
    modes.sort(key=lambda mode: mode.since_ms)
    off = frozenset(
        key
        for m in modes
        for name, keys in m.actions
        if name == "disable"
        for key in keys
    )
    return Acting(tuple(kills), tuple(modes), tuple(bad), never, off)


def _target(record: Record) -> str:
    return record.name if record.kind == "kill" else f"{record.kind}:{record.name}"


def _active(record: Record, defined: Mapping[str, ModeDefinition]) -> ActiveMode:
    definition = defined.get(record.name) or BUILT_IN.get(record.name)
    if definition is None:
        raise DefinitionError([f"mode {record.name} is not defined here"])
    doc = record.doc()
    since_ms = doc.since_ms or record.at_ms
    return activate(record.name, definition, doc, since_ms, record.until_ms)


def compile_plan(
    route: RouteDef, cell: Any, acting: Acting, now_ms: Now, dice: Dice
) -> Plan:
    """Compile what acts on one route.  Bypass routes are never touched."""
    if route.bypass:
        return Plan(route.key, route.criticality, cell)
    hooks: list[Hook] = []
    for record, doc in acting.kills:
        if _covers_route(record.name, route):
            hooks.append(kill_hook(doc, record.until_ms, now_ms))
            break
    modes = () if _is_spared(route, acting.never) else acting.modes
    covering = [m for m in modes if _in_scope(m.routes, route)]
    hooks += _mode_hooks(covering, route, now_ms, dice)
    return Plan(route.key, route.criticality, cell, tuple(hooks), _notices(covering))


def _mode_hooks(
    modes: Sequence[ActiveMode], route: RouteDef, now_ms: Now, dice: Dice
) -> list[Hook]:
    found: list[Hook] = []
    for wanted in _STRICTEST_FIRST:
        for mode in modes:
            for action, value in mode.actions:
                if action != wanted or not _applies(action, value, route):
                    continue
                hook = mode_hook(mode, action, value, now_ms, dice)
                if hook is not None:
                    found.append(hook)
    return found


def _applies(action: str, value: Any, route: RouteDef) -> bool:
    """A shed by class touches routes of that criticality and below."""
    if action != "shed" or value.criticality is None:
        return True
    rank = CRITICALITIES.index
    return rank(route.criticality) >= rank(value.criticality)


def _notices(modes: Iterable[ActiveMode]) -> tuple[tuple[bytes, bytes], ...]:
    found = []
    for mode in modes:
        banners = [value for action, value in mode.actions if action == "banner"]
        text = banners[0] if banners else ""
        found.append(notice_of(mode, "banner" if banners else "degraded", text))
    return tuple(found)


def _covers_route(target: str, route: RouteDef) -> bool:
    kind, _, name = target.partition(":")
    if kind == "route":
        return covers(name, route.key)
    return kind == "tag" and name in route.tags


def _is_spared(route: RouteDef, never: tuple[str, ...]) -> bool:
    return any(_matches_scope(glob, route) for glob in never)


def _in_scope(globs: tuple[str, ...], route: RouteDef) -> bool:
    return any(_matches_scope(glob, route) for glob in globs)


def _matches_scope(glob: str, route: RouteDef) -> bool:
    """A scope names `tag:x`, or a glob of `METHOD template`."""
    if glob.startswith(("tag:", "route:")):
        return _covers_route(glob, route)
    return covers(glob, route.key)
