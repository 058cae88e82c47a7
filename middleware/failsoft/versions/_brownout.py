"""Brownouts: short refusals ahead of an end, so that callers notice in time.

Pure: instants, in Unix seconds, and dice are passed in.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass

import mmh3

from failsoft.controls.records import BrownoutDoc
from failsoft.controls.targets import covers
from failsoft.versions._model import Brownout, Contract
from failsoft.versions._windows import FOREVER_S, Schedule, compile_windows

__all__ = ["BrownoutRule", "Open", "compile_brownouts", "rule_of"]


@dataclass(frozen=True, slots=True, eq=False)
class BrownoutRule:
    """A brownout, compiled.  versions: ids, empty for all.  routes: globs.

    by_consumer: the same callers are refused as long as it lasts.
    """

    name: str
    schedule: Schedule
    routes: tuple[str, ...]
    versions: frozenset[str]
    percent: float
    by_consumer: bool
    only: frozenset[str]
    exempt: frozenset[str]
    status: int

    @property
    def asks_caller(self) -> bool:
        """Whether who calls matters to it."""
        by_share = self.by_consumer and self.percent < 100
        return bool(self.only or self.exempt) or by_share

    def covers(self, route: str) -> bool:
        """Whether it reaches a `METHOD template`."""
        return any(covers(glob, route) for glob in self.routes)

    def hits(self, consumer: str, dice: Callable[[], float]) -> bool:
        """Whether this request is refused while it is open.

        consumer: "" where `asks_caller` is False.  dice: 0..1.
        """
        if consumer in self.exempt or (self.only and consumer not in self.only):
            return False
        if self.percent >= 100:
            return True
        if not self.by_consumer:
            return dice() * 100 < self.percent
        # As bytes: mmh3 cannot take every text.
        named = f"{self.name}:{consumer}".encode(errors="replace")
        return mmh3.hash(named, signed=False) / 4294967296 * 100 < self.percent


def rule_of(declared: Brownout, version: str = "") -> BrownoutRule:
    """Compile a brownout of a contract; ValueError names what cannot be read.

    version: the one it is listed in, "" for none.
    """
    windows = compile_windows(declared.windows, declared.every, declared.times)
    return BrownoutRule(
        declared.name,
        Schedule(windows),
        declared.routes,
        frozenset(declared.versions or ((version,) if version else ())),
        declared.percent,
        declared.by == "consumer",
        frozenset(declared.only),
        frozenset(declared.exempt),
        declared.status,
    )


def compile_brownouts(
    contract: Contract, started: Iterable[tuple[str, BrownoutDoc, float, float]]
) -> tuple[BrownoutRule, ...]:
    """Return all brownouts: those of the contract, and those that operators started.

    started: (name, document, start, end) in Unix seconds, end 0 for none.  One of the
    same name takes the place of the declared one, or stops it.
    """
    rules = {
        op.name: rule_of(op, version.id)
        for version in contract.versions
        for op in version.ops
        if isinstance(op, Brownout)
    }
    rules |= {declared.name: rule_of(declared) for declared in contract.brownouts}
    for name, doc, start_s, end_s in started:
        rules.pop(name, None)
        if not doc.stop:
            rules[name] = _started(name, doc, (start_s, end_s or FOREVER_S))
    return tuple(rules.values())


def _started(name: str, doc: BrownoutDoc, window: tuple[float, float]) -> BrownoutRule:
    return BrownoutRule(
        name,
        Schedule([window]),
        doc.routes,
        frozenset(doc.versions),
        doc.percent,
        doc.by == "consumer",
        frozenset(doc.only),
        frozenset(doc.exempt),
        doc.status if doc.status in (503, 410, 429) else 503,
    )


class Open:
    """The brownouts of one route that are open now: one comparison a request."""

    __slots__ = ("_due_s", "_held", "_rules", "_since_s")

    def __init__(self, rules: Iterable[BrownoutRule]) -> None:
        self._rules = tuple(rules)
        self._held: tuple[tuple[BrownoutRule, float], ...] = ()
        self._since_s = self._due_s = 0.0

    def at(self, now_s: float) -> tuple[tuple[BrownoutRule, float], ...]:
        """Return (rule, end in Unix seconds) of what is open."""
        # From both sides: store time may be put back.
        if not self._since_s <= now_s < self._due_s:
            seen = [(rule, *rule.schedule.at(now_s)) for rule in self._rules]
            self._held = tuple((rule, due) for rule, is_open, due in seen if is_open)
            self._since_s = now_s
            self._due_s = min((due for _, _, due in seen), default=FOREVER_S)
        return self._held
