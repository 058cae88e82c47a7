"""Which kills and modes act on which route: one plan per route and revision."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import chain
from typing import Any

import msgspec

from failsoft.controls.records import KillDoc, Record
from failsoft.controls.targets import covers, literal_weight
from failsoft.errors import DefinitionError
from failsoft.modes._builtin import BUILT_IN
from failsoft.modes._choose import Chooser, Cover, Tallies, class_rank, cover_of
from failsoft.modes._model import ActiveMode, activate
from failsoft.modes._refuse import (
    Dice,
    Now,
    first_of,
    kill_hook,
    mode_hook,
    notice_of,
)
from failsoft.pipeline import (
    AS_DECLARED,
    Exchange,
    Hook,
    InPlace,
    Plan,
    Scalars,
    Settled,
)
from failsoft.routes.table import RouteDef
from failsoft.settings import ANSWERING, ModeDefinition

__all__ = [
    "Acting",
    "compile_plan",
    "matches_scope",
    "read_acting",
    "scalars_of",
    "spares",
]

# Answers of ours that it takes a failing application for.
_OF_THE_APPLICATION = ("deadline", "dependency", "flag")


@dataclass(frozen=True, slots=True)
class Acting:
    """Kills and modes in force.  bad: targets that could not be understood.

    disabled: flags that modes turn off.  muted: globs of alerts that nobody is told.
    """

    kills: tuple[tuple[Record, KillDoc], ...] = ()
    modes: tuple[ActiveMode, ...] = ()
    bad: tuple[str, ...] = ()
    never: tuple[str, ...] = ()
    disabled: frozenset[str] = field(default_factory=frozenset)
    muted: tuple[str, ...] = ()


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
                modes += _active(record, defined)
        except (msgspec.DecodeError, DefinitionError):
            # Never raised: one bad control would keep all others from taking effect.
            bad.append(_target(record))
    kills.sort(key=lambda kill: literal_weight(kill[0].name), reverse=True)
    modes.sort(key=lambda mode: mode.since_ms)
    off = (_values(mode, "disable") for mode in modes if mode.disables_flags)
    muted = (_values(mode, "mute") for mode in modes if not mode.dry_run)
    return Acting(
        tuple(kills),
        tuple(modes),
        tuple(bad),
        never,
        frozenset(chain.from_iterable(off)),
        tuple(chain.from_iterable(muted)),
    )


def _values(mode: ActiveMode, action: str) -> Iterable[str]:
    return (key for name, keys in mode.actions if name == action for key in keys)


def _target(record: Record) -> str:
    return record.name if record.kind == "kill" else f"{record.kind}:{record.name}"


def _active(
    record: Record, defined: Mapping[str, ModeDefinition]
) -> Iterable[ActiveMode]:
    doc = record.doc()
    if doc.want != "on":  # forced off, or left to automation
        return ()
    definition = defined.get(record.name) or BUILT_IN.get(record.name)
    if definition is None:
        raise DefinitionError([f"mode {record.name} is not defined here"])
    since_ms = doc.since_ms or record.at_ms
    return (activate(record.name, definition, doc, since_ms, record.until_ms),)


def compile_plan(
    route: RouteDef,
    cell: Any,
    acting: Acting,
    now_ms: Now,
    dice: Dice,
    tallies: Tallies | None = None,
) -> Plan:
    """Compile what acts on one route.  Bypass routes are never touched.

    The plan is that of the modes that hold for every request; if there are others,
    its `choose` finds them.  Both count into `tallies`.
    """
    kill = None
    for record, doc in () if route.bypass else acting.kills:
        if _covers_route(record.name, route):
            kill = kill_hook(doc, record.until_ms, now_ms)
            break
    covers = () if kill or route.bypass else _covering(acting, route, tallies)
    maker = _Maker(route, cell, now_ms, dice)
    base = maker.plan([cover for cover in covers if cover.is_plain])
    if kill is not None:
        base.admit = (kill,)
    if all(cover.is_plain for cover in covers):
        for cover in covers:
            cover.watch(cell)
    else:
        base.choose = Chooser(covers, base, maker.plan, now_ms, dice)
    return base


def spares(route: RouteDef, never: tuple[str, ...]) -> bool:
    """Whether no mode ever touches a route."""
    return route.bypass or any(matches_scope(glob, route) for glob in never)


def _covering(
    acting: Acting, route: RouteDef, tallies: Tallies | None
) -> tuple[Cover, ...]:
    """Return the modes on a route, higher priority first, then the older ones."""
    if not acting.modes or spares(route, acting.never):
        return ()
    counts = tallies or Tallies()
    method = route.key.partition(" ")[0]
    found = [
        cover_of(mode, counts.of(mode), method, route.criticality)
        for mode in acting.modes
        if _in_scope(mode, route)
    ]
    found.sort(key=lambda cover: -cover.mode.definition.priority)
    return tuple(found)


@dataclass(frozen=True, slots=True)
class _Maker:
    """Makes the plans of one route."""

    route: RouteDef
    cell: Any
    now_ms: Now
    dice: Dice

    def plan(self, holding: Sequence[Cover], probing: Sequence[Cover] = ()) -> Plan:
        """Return the plan under modes that hold, for probes of others."""
        route, modes = self.route, [cover.mode for cover in holding]
        hooks, notices = tuple(self._hooks(modes)), _notices(modes)
        plan = Plan(route.key, route.criticality, self.cell, hooks, notices)
        probed = [cover.mode for cover in probing]
        plan.scalars = scalars_of([*modes, *probed])
        plan.in_place = _in_place(modes, is_probe=False)
        if probed:
            refuse = first_of(self._hooks(probed))
            plan.in_place = _in_place(probed, is_probe=True, refuse=refuse)
        plan.settled = _counting(holding, probing)
        return plan

    def _hooks(self, modes: Sequence[ActiveMode]) -> list[Hook]:
        found: list[Hook] = []
        for wanted in ANSWERING:
            for mode in modes:
                for action, value in mode.actions:
                    if action != wanted or not _applies(action, value, self.route):
                        continue
                    hook = mode_hook(mode, action, value, self.now_ms, self.dice)
                    if hook is not None:
                        found.append(hook)
        return found


def _applies(action: str, value: Any, route: RouteDef) -> bool:
    """A shed by class touches routes of that criticality and below."""
    if action != "shed" or value.criticality is None:
        return True
    return class_rank(route.criticality) >= class_rank(value.criticality)


def _in_place(
    modes: Sequence[ActiveMode], *, is_probe: bool, refuse: Hook | None = None
) -> InPlace | None:
    """Return what a guard answers under these modes, None for nothing."""
    said = [action for mode in modes for action in mode.actions]
    ages = [value for name, value in said if name == "stale"]
    handlers = [value for name, value in said if name == "reroute"]
    if not (ages or handlers or refuse):
        return None
    reroute = handlers[0] if handlers else ""
    return InPlace(min(ages, default=None), reroute, is_probe, refuse)


def scalars_of(modes: Sequence[ActiveMode]) -> Scalars:
    """Return what modes turn: of each number the lowest."""
    if not modes:
        return AS_DECLARED
    said: dict[str, list[Any]] = {}
    for mode in modes:
        for name, value in mode.actions:
            said.setdefault(name, []).append(value)
    return Scalars(
        timeout_s=min(said.get("timeout", ()), default=None),
        timeout_scale=min(said.get("timeout_scale", ()), default=1.0),
        rate_limit_scale=min(said.get("rate_limit_scale", ()), default=1.0),
        concurrency=min(said.get("concurrency", ()), default=None),
        stale_s=min(said.get("stale", ()), default=None),
        no_shed="no_shed" in said,
        no_retries="no_retries" in said,
        quiet="quiet" in said,
        drill=any(mode.is_drill for mode in modes),
    )


def _counting(holding: Sequence[Cover], probing: Sequence[Cover]) -> Settled | None:
    """Return what counts the ends of requests: of probes, and of drills."""
    drilled = [cover for cover in holding if cover.mode.is_drill]
    if not (drilled or probing):
        return None

    def settled(exchange: Exchange, status: int) -> None:
        if status == 499 or not status:
            return
        rejection = exchange.rejection
        done = rejection.reason if rejection is not None else ""
        if rejection is None or exchange.degraded or done in _OF_THE_APPLICATION:
            # A probe that got the mode's answer after all had failed before.
            is_bad = status >= 500 or bool(exchange.degraded)
            for cover in probing:
                cover.tally.probes += 1
                cover.tally.bad += is_bad
        done = done or exchange.degraded
        for cover in drilled:
            names = [name for name, _ in cover.mode.actions]
            acts = [n for n in names if n == done or n not in ANSWERING]
            is_ours = done in names
            cover.tally.act(acts, failed=status >= 500 and not is_ours)

    return settled


def _notices(modes: Iterable[ActiveMode]) -> tuple[tuple[bytes, bytes], ...]:
    found = []
    for mode in modes:
        if not mode.definition.public:
            continue
        banners = [value for action, value in mode.actions if action == "banner"]
        text = banners[0] if banners else ""
        found.append(notice_of(mode, "banner" if banners else "degraded", text))
    return tuple(found)


def _covers_route(target: str, route: RouteDef) -> bool:
    kind, _, name = target.partition(":")
    if kind == "route":
        return covers(name, route.key)
    return kind == "tag" and name in route.tags


def _in_scope(mode: ActiveMode, route: RouteDef) -> bool:
    said = mode.definition
    if all(name == "mute" for name, _ in mode.actions):
        return False  # it is about alerts, no request is touched
    at_most, method = said.criticality_at_most, route.key.partition(" ")[0]
    if at_most and class_rank(route.criticality) < class_rank(at_most):
        return False
    if said.methods and method not in (*said.methods, "*"):
        return False
    return any(matches_scope(glob, route) for glob in mode.routes)


def matches_scope(glob: str, route: RouteDef) -> bool:
    """Whether `tag:x`, or a glob of `METHOD template`, covers a route."""
    if glob.startswith(("tag:", "route:")):
        return _covers_route(glob, route)
    return covers(glob, route.key)
