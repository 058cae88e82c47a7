"""How bodies of a route are read for a consumer: which handling, which exceptions.

Control > route and consumer > route > consumer > global.  Pure: what is in force is
asked with the time.
"""

from __future__ import annotations

from calendar import timegm
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any

import msgspec

from failsoft.controls.records import Record
from failsoft.controls.targets import covers, literal_weight
from failsoft.routes.table import RouteDef
from failsoft.settings import (
    FIELD_OF,
    HANDLINGS,
    ToleranceDefinition,
    ToleranceSettings,
)
from failsoft.shapes.repair import Allowed

__all__ = ["Policy", "Reading", "RouteReading", "Tolerance", "compile_policy"]

_ALL_ROUTES = "* *"
_ALL = "*"
_MEMO = 256
_ENDED_KEPT = 200


@dataclass(frozen=True, slots=True)
class Tolerance:
    """A named exception.  is_control: an operator's, else the settings'."""

    allowed: Allowed
    until_ms: int
    route: str = _ALL_ROUTES
    consumer: str = _ALL
    reason: str = ""
    owner: str = ""
    is_control: bool = False

    @property
    def name(self) -> str:
        """What it is counted under."""
        return self.allowed.name

    def is_over(self, now_ms: float) -> bool:
        """Whether its end has passed; it is then no longer applied, but counted."""
        return self.until_ms <= now_ms


@dataclass(frozen=True, slots=True)
class _Rule:
    """A handling somebody asked for.  rank: the greatest that applies wins."""

    handling: str
    route: str
    consumer: str
    rank: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class Reading:
    """How one consumer's bodies are read on one route."""

    handling: str
    tolerances: tuple[Tolerance, ...] = ()

    @property
    def may_repair(self) -> bool:
        """Whether exceptions apply: `off` and `strict` allow none."""
        return bool(self.tolerances) and self.handling not in ("off", "strict")


@dataclass(frozen=True, slots=True)
class Policy:
    """All handlings and tolerances in force.

    bad: names of controls that could not be understood.  ended: operators'
    tolerances whose end came, and that are only counted.
    """

    rules: tuple[_Rule, ...] = ()
    tolerances: tuple[Tolerance, ...] = ()
    bad: tuple[str, ...] = ()
    ended: tuple[Tolerance, ...] = ()
    default: str = "observe"

    def of(self, route: RouteDef) -> RouteReading:
        """Return what is said of a route."""
        rules = [rule for rule in self.rules if covers(rule.route, route.key)]
        if route.handling:
            # The most literal glob of settings, or code, has been chosen already.
            rank = _rank(False, route.key, _ALL)
            rules.append(_Rule(route.handling, route.key, _ALL, rank))
        rules.sort(key=lambda rule: rule.rank, reverse=True)
        every = (*self.tolerances, *self.ended)
        tolerances = [one for one in every if covers(one.route, route.key)]
        return RouteReading(tuple(rules), tuple(tolerances), self.default)


@dataclass(slots=True)
class RouteReading:
    """What is said of one route, for all its consumers."""

    rules: tuple[_Rule, ...] = ()
    tolerances: tuple[Tolerance, ...] = ()
    default: str = "observe"
    _known: dict[str, Reading] = field(default_factory=dict)

    @property
    def asks_consumer(self) -> bool:
        """Whether it matters who calls."""
        named = {rule.consumer for rule in self.rules}
        return bool(named.union(one.consumer for one in self.tolerances) - {_ALL})

    @property
    def handlings(self) -> frozenset[str]:
        """Every handling that some consumer may get."""
        found = set()
        for rule in self.rules:
            found.add(rule.handling)
            if rule.consumer == _ALL:
                return frozenset(found)
        return frozenset({*found, self.default})

    def for_(self, consumer: str) -> Reading:
        """Return how bodies of a consumer are read; "" for nobody in particular."""
        found = self._known.get(consumer)
        if found is None:
            if len(self._known) >= _MEMO:
                self._known.clear()
            found = self._known[consumer] = self._read(consumer)
        return found

    def _read(self, consumer: str) -> Reading:
        rules = (rule for rule in self.rules if covers(rule.consumer, consumer))
        first = next(rules, None)
        handling = first.handling if first is not None else self.default
        mine = tuple(one for one in self.tolerances if covers(one.consumer, consumer))
        return Reading(handling, mine)


def compile_policy(
    settings: ToleranceSettings,
    records: Iterable[Record] = (),
    *,
    before: Policy | None = None,
    now_ms: float = 0.0,
) -> Policy:
    """Put settings and controls together; a bad control is listed, not raised.

    before: the policy so far: what of it has ended by time goes on being counted.
    """
    controls = [record for record in records if record.kind == "tolerance"]
    rules = [_declared_rule(rule) for rule in settings.handlings]
    allowed: dict[str, Tolerance] = {one.name: _declared(one) for one in settings.allow}
    bad: list[str] = []
    for record in sorted(controls, key=lambda record: record.rev):
        try:
            _take(record, rules, allowed)
        except (msgspec.DecodeError, ValueError):
            bad.append(f"tolerance:{record.name}")
    return Policy(
        rules=tuple(rules),
        tolerances=tuple(allowed.values()),
        bad=tuple(bad),
        ended=_ended(before, allowed, controls, now_ms),
        default=settings.handling,
    )


def _take(record: Record, rules: list[_Rule], allowed: dict[str, Tolerance]) -> None:
    doc = record.doc()
    route, consumer = doc.route or _ALL_ROUTES, doc.consumer or _ALL
    if doc.stop:
        allowed.pop(record.name, None)
    elif doc.handling:
        if doc.handling not in HANDLINGS:
            raise ValueError(f"handling {doc.handling!r}")
        rank = (*_rank(True, route, consumer), record.rev)
        rules.append(_Rule(doc.handling, route, consumer, rank))
    else:
        if doc.kind not in FIELD_OF or not record.until_ms:
            raise ValueError(f"kind {doc.kind!r} until {record.until_ms}")
        if doc.path and not doc.path.startswith("/"):
            raise ValueError(f"path {doc.path!r}")
        one = Allowed(record.name, doc.path, doc.kind, _value(doc.kind, doc.value))
        allowed[record.name] = Tolerance(
            allowed=one,
            until_ms=record.until_ms,
            route=route,
            consumer=consumer,
            reason=doc.why,
            owner=doc.owner or doc.who,
            is_control=True,
        )


def _value(kind: str, value: Any) -> Any:
    """Return what a kind needs: given as such, or in a table as settings say it."""
    needed = FIELD_OF[kind]
    if needed and isinstance(value, dict) and value.keys() == {needed}:
        value = value[needed]
    if kind == "alias" and not (isinstance(value, str) and value):
        raise ValueError("alias has no name")
    return value


def _declared_rule(rule: Any) -> _Rule:
    rank = _rank(False, rule.route, rule.consumer)
    return _Rule(rule.handling, rule.route, rule.consumer, rank)


def _declared(one: ToleranceDefinition) -> Tolerance:
    return Tolerance(
        allowed=Allowed(one.name, one.path, one.kind, one.value),
        until_ms=_midnight_ms(one.until),
        route=one.route,
        consumer=one.consumer,
        reason=one.reason,
        owner=one.owner,
    )


def _midnight_ms(date: str) -> int:
    year, month, day = (int(part) for part in date.split("-"))
    return timegm((year, month, day, 0, 0, 0)) * 1000


def _rank(is_control: bool, route: str, consumer: str) -> tuple[int, ...]:
    """Order rules: controls, then both named, then the route, then the consumer."""
    names_route, names_consumer = route != _ALL_ROUTES, consumer != _ALL
    literal = literal_weight(route) + literal_weight(consumer)
    return (is_control, names_route, names_consumer, literal)


def _ended(
    before: Policy | None,
    allowed: dict[str, Tolerance],
    controls: Sequence[Record],
    now_ms: float,
) -> tuple[Tolerance, ...]:
    if before is None:
        return ()
    present = {*allowed, *(record.name for record in controls)}
    held = (*before.ended, *(one for one in before.tolerances if one.is_control))
    kept = {o.name: o for o in held if o.name not in present and o.is_over(now_ms)}
    return tuple(kept.values())[-_ENDED_KEPT:]
