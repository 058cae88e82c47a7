"""Counters of every route over sliding windows, kept by adding and subtracting.

A tick of a node enters each window once and leaves it once; nothing is added up
again.  Seconds are those of the store's clock.  What only a shown row needs stays in
the ticks, see `ticks`.  Pure.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Mapping
from operator import attrgetter

from failsoft.ops.ticks import Part, Span
from failsoft.telemetry import ReadRoute, ReadTick, decode_hist, merge_into

__all__ = ["MINUTE_S", "WINDOW_S", "Counts", "FleetRings", "NodeWindow", "Ring", "Sums"]

WINDOW_S = 10
MINUTE_S = 60
_PAST_S = MINUTE_S + WINDOW_S  # the window that ended a minute ago
_GROUPS_KEPT = 2000
_FLAT = (0.0,) * MINUTE_S

_key_of = attrgetter("route")
_calls_of = attrgetter("n")
_inflight_of = attrgetter("inflight_max")
_hist_of = attrgetter("hist")


class Counts:
    """What a window adds up of a route."""

    __slots__ = ("errors", "gone", "n", "refused", "shed")

    def __init__(self) -> None:
        self.n = self.errors = self.gone = self.refused = self.shed = 0

    def add(self, other: Counts, sign: int = 1) -> None:
        """Add another window's counts, or take them out with a sign of -1."""
        self.n += sign * other.n
        self.errors += sign * other.errors
        self.gone += sign * other.gone
        self.refused += sign * other.refused
        self.shed += sign * other.shed


class Sums(Counts):
    """What a window adds up of the fleet.  hist: bucket -> count."""

    __slots__ = ("hist",)

    def __init__(self) -> None:
        super().__init__()
        self.hist: dict[int, int] = {}

    def add_hist(self, hist: Mapping[int, int]) -> None:
        """Add a histogram."""
        merge_into(self.hist, (hist,))

    def subtract_hist(self, hist: Mapping[int, int]) -> None:
        """Take out what `add_hist` put in."""
        mine = self.hist
        for bucket, count in hist.items():
            mine[bucket] -= count
            if not mine[bucket]:
                del mine[bucket]


class Ring:
    """One route: 10 s and 60 s windows, and the 10 s that ended a minute ago."""

    __slots__ = (
        "errors_at",
        "key",
        "lost",
        "minute",
        "now",
        "past_errors",
        "past_n",
        "seen",
    )

    def __init__(self, key: str) -> None:
        self.key = key
        self.now = Counts()
        self.minute = Counts()
        self.past_n = self.past_errors = 0
        self.errors_at: dict[int, int] = {}
        self.lost = 0  # ticks of the minute that follow lost ones
        self.seen = 0  # newest second with a tick

    def spark(self, second: int) -> tuple[float, ...]:
        """Return errors of each of the 60 complete seconds before `second`."""
        if not self.errors_at:
            return _FLAT
        at = self.errors_at.get
        return tuple([float(at(s, 0)) for s in range(second - MINUTE_S, second)])


class Total:
    """The fleet: both windows with their histograms."""

    def __init__(self) -> None:
        self.now = Sums()
        self.minute = Sums()


class NodeWindow:
    """One node's totals by second, for rates that follow its own intervals."""

    def __init__(self) -> None:
        self.seconds: deque[tuple[int, int, Counts]] = deque(maxlen=128)
        self.lost_ticks = 0
        self.seq = 0

    def take(self, second: int, tick: ReadTick) -> bool:
        """Take a tick's time; whether ticks were lost before it."""
        gap = self.seq > 0 and tick.seq > self.seq + 1
        lost = gap or tick.lost_ticks > self.lost_ticks
        self.seq, self.lost_ticks = tick.seq, tick.lost_ticks
        return lost

    def since(self, first: int) -> tuple[float, Counts]:
        """Return (seconds covered, counts) of the ticks at or after second `first`."""
        total = Counts()
        interval_ms = 0
        for second, ms, counts in self.seconds:
            if second >= first:
                interval_ms += ms
                total.add(counts)
        return interval_ms / 1000, total


class _Shape:
    """Routes of a node's tick: mostly the same ones as a second before."""

    __slots__ = ("keys", "places", "rings")

    def __init__(self, keys: list[str], rings: list[Ring]) -> None:
        self.keys = keys
        self.rings = rings
        self.places = {key: place for place, key in enumerate(keys)}


class _Column:
    """One counted tick, until it has left all windows.

    rare: routes that had more than good answers.  part: gone with the minute.
    """

    __slots__ = ("lost", "n", "part", "rare", "shape", "sums")

    def __init__(self, shape: _Shape, tick: ReadTick, *, lost: bool) -> None:
        routes = tick.routes
        self.shape = shape
        self.lost = lost
        self.n = list(map(_calls_of, routes))
        self.rare = [
            (ring, _rare(route))
            for ring, route in zip(shape.rings, routes, strict=True)
            if route.errors or route.gone or route.refused
        ]
        errors = {r.key: counts.errors for r, counts in self.rare if counts.errors}
        self.sums = Counts()
        for _, counts in self.rare:
            self.sums.add(counts)
        self.sums.n = sum(self.n)
        self.part: Part | None = Part(
            tick.node,
            shape.places,
            self.n,
            list(map(_inflight_of, routes)),
            list(map(_hist_of, routes)),
            errors,
        )

    def enter(self, second: int) -> None:
        """Count into 10 s and 60 s."""
        for ring, n in zip(self.shape.rings, self.n, strict=True):
            ring.now.n += n
            ring.minute.n += n
            if ring.seen < second:
                ring.seen = second
        self._count_lost(1)
        for ring, counts in self.rare:
            ring.now.add(counts)
            ring.minute.add(counts)
            if counts.errors:
                at = ring.errors_at
                at[second] = at.get(second, 0) + counts.errors

    def _count_lost(self, sign: int) -> None:
        for ring in self.shape.rings if self.lost else ():
            ring.lost += sign

    def leave(self, phase: int, second: int) -> None:
        """Move on: out of 10 s (1), out of 60 s (2), out of the past (3)."""
        pairs = zip(self.shape.rings, self.n, strict=True)
        if phase == 1:
            for ring, n in pairs:
                ring.now.n -= n
            for ring, counts in self.rare:
                ring.now.add(counts, -1)
        elif phase == 2:
            for ring, n in pairs:
                ring.minute.n -= n
                ring.past_n += n
            self._count_lost(-1)
            for ring, counts in self.rare:
                ring.minute.add(counts, -1)
                ring.past_errors += counts.errors
                ring.errors_at.pop(second, None)
            self.part = None
        else:
            # Moves `err_delta` alone, which the next change of the route shows.
            for ring, n in pairs:
                ring.past_n -= n
            for ring, counts in self.rare:
                ring.past_errors -= counts.errors


def _rare(route: ReadRoute) -> Counts:
    """Return all counts of a route but `n`, which the column holds."""
    counts = Counts()
    counts.errors, counts.gone = route.errors, route.gone
    if route.refused:
        counts.refused = sum(route.refused.values())
        counts.shed = route.refused.get("shed", 0)
    return counts


class _Slot:
    """All that one second of the store's clock brought."""

    __slots__ = ("columns", "flags", "groups", "phase", "total")

    def __init__(self) -> None:
        self.columns: list[_Column] = []
        self.total = Sums()
        self.flags: dict[str, int] = {}
        self.groups: dict[str, int] = {}
        self.phase = 0

    def parts(self) -> list[Part]:
        """Return the ticks by route, none once the minute is over."""
        return [column.part for column in self.columns if column.part is not None]


class FleetRings:
    """Windows of all routes, of the fleet, and of each node."""

    def __init__(self) -> None:
        self.rings: dict[str, Ring] = {}
        self.total = Total()
        self.nodes: dict[str, NodeWindow] = {}
        self.changed: set[str] = set()  # routes whose windows moved; caller clears
        self.group_routes: dict[str, str] = {}
        self._shapes: dict[str, _Shape] = {}  # node -> of its newest tick
        self._slots: dict[int, _Slot] = {}
        self._fresh: list[tuple[int, ReadTick]] = []
        self._span = Span()
        self.second = 0

    def take(self, second: int, tick: ReadTick) -> None:
        """Stage one node's tick; `settle` counts it."""
        self._fresh.append((second, tick))

    def settle(self, second: int) -> None:
        """Count what was staged, and let old seconds leave; `second` is now."""
        for at, tick in self._fresh:
            self._enter(at, tick)
        self._fresh.clear()
        self.second = max(second, self.second)
        for at, slot in list(self._slots.items()):
            age = self.second - at
            due = (age >= WINDOW_S) + (age >= MINUTE_S) + (age >= _PAST_S)
            while slot.phase < due:
                slot.phase += 1
                self._leave(at, slot)
            if slot.phase == 3:
                del self._slots[at]

    def _enter(self, at: int, tick: ReadTick) -> None:
        node = self.nodes.get(tick.node)
        if node is None:
            node = self.nodes[tick.node] = NodeWindow()
        lost = node.take(at, tick)
        slot = self._slots.setdefault(at, _Slot())
        shape = self._shape(tick)
        column = _Column(shape, tick, lost=lost)
        node.seconds.append((at, tick.interval_ms, column.sums))
        if slot.phase:
            return  # a reply this late would be counted into windows it has left
        column.enter(at)
        slot.columns.append(column)
        self.changed.update(shape.places)
        self._enter_total(slot, tick, column.sums)
        for flag, variants in tick.flags.items():
            slot.flags[flag] = slot.flags.get(flag, 0) + sum(variants.values())
        for ring, counts in column.rare:
            if counts.errors:
                self._take_groups(slot, tick.routes[shape.places[ring.key]])

    def _shape(self, tick: ReadTick) -> _Shape:
        keys = list(map(_key_of, tick.routes))
        shape = self._shapes.get(tick.node)
        if shape is None or shape.keys != keys:
            rings = [self._ring(key) for key in keys]
            shape = self._shapes[tick.node] = _Shape(keys, rings)
        return shape

    def _ring(self, key: str) -> Ring:
        ring = self.rings.get(key)
        if ring is None:
            ring = self.rings[key] = Ring(key)
        return ring

    def _enter_total(self, slot: _Slot, tick: ReadTick, counts: Counts) -> None:
        hist = tick.hist
        if not hist:  # a node that leaves the adding up to readers
            merge_into(hist, (decode_hist(route.hist) for route in tick.routes))
        for sums in (slot.total, self.total.now, self.total.minute):
            sums.add(counts)
            sums.add_hist(hist)

    def _take_groups(self, slot: _Slot, route: ReadRoute) -> None:
        for group, count in route.groups.items():
            slot.groups[group] = slot.groups.get(group, 0) + count
            self.group_routes[group] = route.route

    def _leave(self, at: int, slot: _Slot) -> None:
        phase = slot.phase
        if phase < 3:
            window = self.total.now if phase == 1 else self.total.minute
            window.add(slot.total, -1)
            window.subtract_hist(slot.total.hist)
        for column in slot.columns:
            column.leave(phase, at)
            if phase < 3:
                self.changed.update(column.shape.places)

    def forget(self, keep: frozenset[str]) -> None:
        """Drop routes and nodes without a tick in the windows; `keep` names routes."""
        count = len(self.rings)
        for key, ring in list(self.rings.items()):
            if self.second - ring.seen > _PAST_S and key not in keep:
                del self.rings[key]
        if len(self.rings) < count:
            self._shapes.clear()  # they hold the rings that were dropped
        for node, window in list(self.nodes.items()):
            if self.second - window.seconds[-1][0] > _PAST_S:
                del self.nodes[node]
                self._shapes.pop(node, None)
        if len(self.group_routes) > _GROUPS_KEPT:
            counted = self.group_counts()
            self.group_routes = {
                group: route
                for group, route in self.group_routes.items()
                if group in counted
            }

    def span(self) -> Span:
        """Return the ticks behind the windows, for rows made now."""
        now: list[Part] = []
        minute: list[Part] = []
        for slot in self._slots.values():
            parts = slot.parts()
            minute += parts
            if not slot.phase:
                now += parts
        slots = (self._slots.get(s) for s in (self.second, self.second - 1))
        latest = [tuple(slot.parts()) if slot else () for slot in slots]
        self._span = Span(now, minute, latest, earlier=self._span)
        return self._span

    def flag_counts(self) -> dict[str, int]:
        """Return evaluations of each flag over the last 10 s."""
        return self._named("flags", 1)

    def group_counts(self) -> dict[str, int]:
        """Return errors of each group over the last 60 s."""
        return self._named("groups", 2)

    def group_latest(self) -> dict[str, int]:
        """Return the newest second of the minute in which each group was counted."""
        out: dict[str, int] = {}
        for at, slot in self._slots.items():
            if slot.phase < 2:
                for group in slot.groups:
                    out[group] = max(at, out.get(group, 0))
        return out

    def _named(self, field: str, phases: int) -> dict[str, int]:
        out: dict[str, int] = {}
        for slot in self._slots.values():
            if slot.phase < phases:
                for name, count in getattr(slot, field).items():
                    out[name] = out.get(name, 0) + count
        return out

    def span_s(self, window_s: int) -> float:
        """Return the seconds of counting behind a window, mean over nodes; >= 0.5."""
        first = self.second - window_s + 1
        spans = [s for s, _ in (w.since(first) for w in self.nodes.values()) if s]
        return max(0.5, sum(spans) / len(spans)) if spans else float(window_s)
