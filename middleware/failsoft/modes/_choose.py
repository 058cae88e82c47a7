"""Which requests a mode holds for: shares of callers, consumers, versions, probes.

Made once per route and revision; choosing is a few comparisons a request, and a plan
of each combination is made when the first request needs it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from failsoft.consumer import consumer_of, hour_of, rank_in
from failsoft.modes._model import ActiveMode
from failsoft.pipeline import Exchange, Plan
from failsoft.settings import CRITICALITIES
from failsoft.store.fleet import ModeRow

__all__ = ["Chooser", "Cover", "Tallies", "Tally", "class_rank", "cover_of"]

_OUT, _ON, _PROBE = 0, 1, 2
_MOST_CREDIT = 5.0
_MOST_PLANS = 64
_ACTS_KEPT = 32
_SECOND_NS = 1_000_000_000


def class_rank(criticality: str) -> int:
    """Return 0 for the most critical class, 3 for the one that is shed first."""
    return CRITICALITIES.index(criticality)


class Tally:
    """What one mode did on this node since its activation.

    floor: rank of the least critical route that it covers.  credit: probes it may
    still send.  watched: cells of routes of which it touches every request -> what
    they had been asked before; of these the ends are counted.
    """

    __slots__ = (
        "acts",
        "bad",
        "credit",
        "failed",
        "floor",
        "name",
        "probes",
        "since_ms",
        "touched",
        "watched",
    )

    def __init__(self, name: str, since_ms: int) -> None:
        self.name = name
        self.since_ms = since_ms
        self.touched = self.probes = self.bad = self.failed = 0
        self.acts: dict[str, int] = {}
        self.floor = 0
        self.credit = 0.0
        self.watched: dict[Any, int] = {}

    def settle(self) -> None:
        """Stop watching routes: what they were asked so far was touched."""
        for cell, asked in self.watched.items():
            self.touched += cell.asked - asked
        self.watched.clear()

    def may_probe(self, share: float, rank: int) -> bool:
        """Whether this request is one of the probes; the least critical ones first.

        What more critical routes pay above one probe is left for the others.
        """
        self.credit = credit = min(self.credit + share, _MOST_CREDIT)
        if credit < 1 + self.floor - rank:
            return False
        self.credit = credit - 1
        return True

    def act(self, names: Iterable[str], *, failed: bool) -> None:
        """Count what was done to one request of a drill."""
        for name in names:
            if name in self.acts or len(self.acts) < _ACTS_KEPT:
                self.acts[name] = self.acts.get(name, 0) + 1
        self.failed += failed

    def row(self) -> ModeRow:
        """Return the counts as the fleet is told of them."""
        touched = self.touched
        touched += sum(cell.asked - asked for cell, asked in self.watched.items())
        counts = touched, self.probes, self.bad, dict(self.acts), self.failed
        return ModeRow(self.name, self.since_ms, *counts)


class Tallies:
    """The tallies of all modes that hold on this node."""

    def __init__(self) -> None:
        self._held: dict[str, Tally] = {}

    def keep(self, modes: Iterable[ActiveMode]) -> None:
        """Forget what no longer holds; what begins anew is counted anew.

        Before plans are compiled: they say which routes each mode holds for.
        """
        since = {mode.name: mode.since_ms for mode in modes}
        held = self._held.items()
        self._held = {n: t for n, t in held if since.get(n) == t.since_ms}
        for tally in self._held.values():
            tally.settle()

    def of(self, mode: ActiveMode) -> Tally:
        """Return the tally of a mode."""
        held = self._held.get(mode.name)
        if held is None or held.since_ms != mode.since_ms:
            held = self._held[mode.name] = Tally(mode.name, mode.since_ms)
        return held

    def rows(self) -> tuple[ModeRow, ...]:
        """Return what this node tells the fleet each second."""
        return tuple(tally.row() for tally in self._held.values())


@dataclass(frozen=True, slots=True)
class Cover:
    """One mode on one route.  is_counted: it does something to its requests."""

    mode: ActiveMode
    tally: Tally
    rank: int
    is_counted: bool
    methods: tuple[str, ...] = ()

    @property
    def is_plain(self) -> bool:
        """Whether it holds for every request alike."""
        mode, said = self.mode, self.mode.definition
        is_whole = mode.share >= 1 and not mode.probe and not mode.dry_run
        return is_whole and not (said.consumers or said.versions or self.methods)

    def watch(self, cell: Any) -> None:
        """Count what a route is asked from now on, as all of it is touched."""
        if self.is_counted:
            self.tally.watched[cell] = cell.asked

    def part(self, exchange: Exchange, level: float) -> int:
        """Return whether the mode holds for a request, and count it.

        level: 0..1, the same for one caller; read where only a share is met.
        """
        mode = self.mode
        if mode.share < 1 and level < 1 - mode.share:
            return _OUT
        said = mode.definition
        if said.versions and exchange.version not in said.versions:
            return _OUT
        if self.methods and exchange.scope.get("method", "WS") not in self.methods:
            return _OUT
        if said.consumers and consumer_of(exchange) not in said.consumers:
            return _OUT
        if not self.is_counted:
            return _OUT if mode.dry_run else _ON
        if mode.probe and self.tally.may_probe(mode.probe, self.rank):
            return _PROBE
        self.tally.touched += 1
        return _OUT if mode.dry_run else _ON


def cover_of(mode: ActiveMode, tally: Tally, method: str, criticality: str) -> Cover:
    """Return how a mode covers a route; `method` is `*` where it takes any."""
    rank = class_rank(criticality)
    tally.floor = max(tally.floor, rank)
    is_safe = method in ("GET", "HEAD", "OPTIONS", "WS")
    is_counted = any(name != "read_only" or not is_safe for name, _ in mode.actions)
    methods = mode.definition.methods if method == "*" else ()
    return Cover(mode, tally, rank, is_counted, methods)


# Takes the modes that hold, and those of which the request is a probe.
Make = Callable[[Sequence[Cover], Sequence[Cover]], Plan]


class Chooser:
    """Gives each request of a route the plan of the modes that hold for it.

    dress: puts on a new plan what other features add; set by who compiles plans.
    """

    __slots__ = (
        "_again_ns",
        "_base",
        "_covers",
        "_dice",
        "_hour",
        "_least",
        "_made",
        "_make",
        "_now_ms",
        "_outside",
        "dress",
    )

    def __init__(
        self,
        covers: Sequence[Cover],
        base: Plan,
        make: Make,
        now_ms: Callable[[], float],
        dice: Callable[[], float],
    ) -> None:
        self._covers = covers
        self._make = make
        self._now_ms, self._dice = now_ms, dice
        self._hour, self._again_ns = b"", 0
        # Below that no mode holds, if all of them are for a share.
        shares = [cover.mode.share for cover in covers]
        self._least = 1 - max(shares) if min(shares, default=1) < 1 else None
        self._base = sum(_ON << 2 * i for i, c in enumerate(covers) if c.is_plain)
        self._outside = base  # nothing of a mode in it, where it is asked for
        self._made = {self._base: base}
        self.dress: Callable[[Plan], None] = lambda plan: None

    def __call__(self, exchange: Exchange) -> Plan:
        """Return the plan of a request."""
        key = shift = 0
        level = 0.0
        if self._least is not None:
            if exchange.started_ns >= self._again_ns:
                self._hour = hour_of(self._now_ms())  # once a second: it costs 0.5 us
                self._again_ns = exchange.started_ns + _SECOND_NS
            level = rank_in(exchange, self._hour, self._dice)
            if level < self._least:
                return self._outside
        for cover in self._covers:
            key |= cover.part(exchange, level) << shift
            shift += 2
        return self._made.get(key) or self._plan(key)

    def _plan(self, key: int) -> Plan:
        parts = [(key >> 2 * i & 3, cover) for i, cover in enumerate(self._covers)]
        holding = [cover for part, cover in parts if part == _ON]
        plan = self._make(holding, [cover for part, cover in parts if part == _PROBE])
        self.dress(plan)
        if len(self._made) >= _MOST_PLANS:
            self._made = {self._base: self._made[self._base]}
        self._made[key] = plan
        return plan
