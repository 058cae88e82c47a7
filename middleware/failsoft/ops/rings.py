"""Counters of every route over sliding windows, kept by adding and subtracting.

A second of the fleet enters each window once and leaves it once; nothing is merged
again.  Seconds are those of the store's clock.  Histograms are added bucket by
bucket, so percentiles are those of all requests of all nodes.  Pure.
"""

from __future__ import annotations

from bisect import bisect_left
from collections import deque
from itertools import accumulate

import msgspec

from failsoft.telemetry import RouteTick, Tick, bucket_value_us

__all__ = ["MINUTE_S", "WINDOW_S", "Cell", "FleetRings", "NodeWindow", "Ring", "Sums"]

WINDOW_S = 10
MINUTE_S = 60
_PAST_S = MINUTE_S + WINDOW_S  # the window that ended a minute ago
_GROUPS_KEPT = 2000
_PACK = 32
_COUNT = (1 << _PACK) - 1

_VALUES_MS = [bucket_value_us(bucket) / 1000 for bucket in range(512)]


# Without gc: a hundred thousand cells live for a minute, none of them in a cycle, and
# walking them cost more than all the adding (measured).
class Sums(msgspec.Struct, gc=False):
    """What a window adds up.

    hist: bucket -> count.  nodes: node -> n + errors * 2**32, so that adding packed
    counts adds both.
    """

    n: int = 0
    errors: int = 0
    gone: int = 0
    refused: int = 0
    shed: int = 0
    hist: dict[int, int] = msgspec.field(default_factory=dict)
    nodes: dict[str, int] = msgspec.field(default_factory=dict)

    def add(self, other: Sums) -> None:
        """Add another window's counts."""
        self.n += other.n
        if other.errors or other.gone or other.refused:
            self._add_rare(other, 1)
        hist = self.hist
        get = hist.get
        for bucket, count in other.hist.items():
            hist[bucket] = get(bucket, 0) + count

    def subtract(self, other: Sums) -> None:
        """Take out what `add` put in."""
        self.n -= other.n
        if other.errors or other.gone or other.refused:
            self._add_rare(other, -1)
        hist = self.hist
        for bucket, count in other.hist.items():
            left = hist[bucket] - count
            if left:
                hist[bucket] = left
            else:
                del hist[bucket]

    def add_nodes(self, other: Sums) -> None:
        """Add another window's counts by node."""
        nodes = self.nodes
        for node, packed in other.nodes.items():
            nodes[node] = nodes.get(node, 0) + packed

    def subtract_nodes(self, other: Sums) -> None:
        """Take out what `add_nodes` put in."""
        nodes = self.nodes
        for node, packed in other.nodes.items():
            nodes[node] -= packed
            if not nodes[node]:
                del nodes[node]

    def err_rates(self) -> tuple[tuple[str, float | None], ...]:
        """Return (node, error ratio) by node, None for a node without a call."""
        return tuple(
            (node, (packed >> _PACK) / n if (n := packed & _COUNT) else None)
            for node, packed in sorted(self.nodes.items())
        )

    def _add_rare(self, other: Sums, sign: int) -> None:
        self.errors += sign * other.errors
        self.gone += sign * other.gone
        self.refused += sign * other.refused
        self.shed += sign * other.shed

    def percentiles_ms(self) -> tuple[float, float, float]:
        """Return p50, p95, p99 in milliseconds; zeros when nothing was timed."""
        buckets = sorted(self.hist)
        if not buckets:
            return (0.0, 0.0, 0.0)
        sums = list(accumulate(map(self.hist.__getitem__, buckets)))
        total = sums[-1]
        return (
            _VALUES_MS[buckets[bisect_left(sums, 0.5 * total)]],
            _VALUES_MS[buckets[bisect_left(sums, 0.95 * total)]],
            _VALUES_MS[buckets[bisect_left(sums, 0.99 * total)]],
        )


class Cell(Sums, gc=False):
    """One route in one second."""

    inflight: int = 0
    lost: bool = False

    def take(self, node: str, tick: RouteTick) -> None:
        """Add one node's counters of this second."""
        self.n += tick.n
        self.inflight += tick.inflight_max
        if tick.errors or tick.gone:
            self.errors += tick.errors
            self.gone += tick.gone
        if tick.refused:
            self.refused += sum(tick.refused.values())
            self.shed += tick.refused.get("shed", 0)
        packed = tick.n + (tick.errors << _PACK)
        if packed:
            self.nodes[node] = self.nodes.get(node, 0) + packed
        hist = self.hist
        if hist:
            get = hist.get
            for bucket, count in tick.hist.items():
                hist[bucket] = get(bucket, 0) + count
        else:
            self.hist = tick.hist.copy()

    def join(self, other: Cell) -> None:
        """Add a later part of the same second."""
        self.add(other)
        self.add_nodes(other)
        self.inflight += other.inflight
        self.lost |= other.lost


class Ring:
    """One route: 10 s and 60 s windows, and the 10 s that ended a minute ago."""

    __slots__ = (
        "errors_at",
        "inflight",
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
        self.now = Sums()
        self.minute = Sums()
        self.past_n = self.past_errors = 0
        self.errors_at: dict[int, int] = {}
        self.inflight: dict[int, int] = {}
        self.lost = 0  # cells of the minute in which a node lost ticks
        self.seen = 0  # newest second with a tick

    def enter(self, second: int, cell: Cell) -> None:
        """Count a new cell."""
        self.now.add(cell)
        self.now.add_nodes(cell)
        self.minute.add(cell)
        self.seen = max(self.seen, second)
        self.inflight[second] = self.inflight.get(second, 0) + cell.inflight
        self.lost += cell.lost
        if cell.errors:
            self.errors_at[second] = self.errors_at.get(second, 0) + cell.errors

    def leave(self, phase: int, second: int, cell: Cell) -> None:
        """Move a cell on: out of 10 s (1), out of 60 s (2), out of the past (3)."""
        if phase == 1:
            self.now.subtract(cell)
            self.now.subtract_nodes(cell)
            self.inflight.pop(second, None)
        elif phase == 2:
            self.minute.subtract(cell)
            self.errors_at.pop(second, None)
            self.lost -= cell.lost
            self.past_n += cell.n
            self.past_errors += cell.errors
        else:
            # Moves `err_delta` alone, which the next change of the route shows.
            self.past_n -= cell.n
            self.past_errors -= cell.errors

    def spark(self, second: int) -> tuple[float, ...]:
        """Return errors of each of the 60 complete seconds before `second`."""
        if not self.errors_at:
            return _FLAT
        at = self.errors_at.get
        return tuple([float(at(s, 0)) for s in range(second - MINUTE_S, second)])

    def inflight_now(self, second: int) -> int:
        """Return the sum of the nodes' last high-water marks."""
        at = self.inflight.get
        return max(at(second, 0), at(second - 1, 0))


_FLAT = (0.0,) * MINUTE_S


class NodeWindow:
    """One node's totals by second, for rates that follow its own intervals."""

    def __init__(self) -> None:
        self.seconds: deque[tuple[int, int, Sums]] = deque(maxlen=128)
        self.lost_ticks = 0
        self.seq = 0

    def take(self, second: int, tick: Tick) -> bool:
        """Count a tick; whether ticks were lost before it."""
        sums = Sums()
        for route in tick.routes:
            sums.n += route.n
            sums.errors += route.errors
            sums.gone += route.gone
            if route.refused:
                sums.refused += sum(route.refused.values())
                sums.shed += route.refused.get("shed", 0)
        self.seconds.append((second, tick.interval_ms, sums))
        gap = self.seq > 0 and tick.seq > self.seq + 1
        lost = gap or tick.lost_ticks > self.lost_ticks
        self.seq, self.lost_ticks = tick.seq, tick.lost_ticks
        return lost

    def since(self, first: int) -> tuple[float, Sums]:
        """Return (seconds covered, sums) of the ticks at or after second `first`."""
        total = Sums()
        interval_ms = 0
        for second, ms, sums in self.seconds:
            if second >= first:
                interval_ms += ms
                total.add(sums)
        return interval_ms / 1000, total


class _Slot:
    """All that one second of the store's clock brought."""

    __slots__ = ("cells", "flags", "groups", "phase", "total")

    def __init__(self) -> None:
        self.cells: dict[str, Cell] = {}
        self.total = Cell()
        self.flags: dict[str, int] = {}
        self.groups: dict[str, int] = {}
        self.phase = 0


class FleetRings:
    """Windows of all routes, of the fleet, and of each node."""

    def __init__(self) -> None:
        self.rings: dict[str, Ring] = {}
        self.total = Ring("")
        self.nodes: dict[str, NodeWindow] = {}
        self.changed: set[str] = set()  # routes whose windows moved; caller clears
        self.group_routes: dict[str, str] = {}
        self._slots: dict[int, _Slot] = {}
        self._fresh: dict[int, _Slot] = {}
        self.second = 0

    def take(self, second: int, tick: Tick) -> None:
        """Stage one node's tick; `settle` counts it."""
        slot = self._fresh.get(second)
        if slot is None:
            slot = self._fresh[second] = _Slot()
        lost = self._node(tick.node).take(second, tick)
        cells = slot.cells
        for route in tick.routes:
            cell = cells.get(route.route)
            if cell is None:
                cell = cells[route.route] = Cell()
            cell.take(tick.node, route)
            if lost:
                cell.lost = True
            if route.groups:
                self._take_groups(slot, route)
        for flag, variants in tick.flags.items():
            slot.flags[flag] = slot.flags.get(flag, 0) + sum(variants.values())

    def _node(self, node: str) -> NodeWindow:
        window = self.nodes.get(node)
        if window is None:
            window = self.nodes[node] = NodeWindow()
        return window

    def _take_groups(self, slot: _Slot, route: RouteTick) -> None:
        for group, count in route.groups.items():
            slot.groups[group] = slot.groups.get(group, 0) + count
            self.group_routes[group] = route.route

    def settle(self, second: int) -> None:
        """Count what was staged, and let old seconds leave; `second` is now."""
        for at, fresh in self._fresh.items():
            self._enter(at, fresh)
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

    def _enter(self, at: int, fresh: _Slot) -> None:
        slot = self._slots.get(at)
        if slot is not None and slot.phase:
            return  # a reply this late would be counted into windows it has left
        for key, cell in fresh.cells.items():
            ring = self.rings.get(key)
            if ring is None:
                ring = self.rings[key] = Ring(key)
            ring.enter(at, cell)
            fresh.total.add(cell)
        self.changed.update(fresh.cells)
        self.total.enter(at, fresh.total)
        if slot is None:
            self._slots[at] = fresh
        else:
            self._join(slot, fresh)

    def _join(self, slot: _Slot, fresh: _Slot) -> None:
        slot.total.join(fresh.total)
        for key, cell in fresh.cells.items():
            kept = slot.cells.get(key)
            if kept is None:
                slot.cells[key] = cell
            else:
                kept.join(cell)
        for kept_counts, counts in (
            (slot.flags, fresh.flags),
            (slot.groups, fresh.groups),
        ):
            for name, count in counts.items():
                kept_counts[name] = kept_counts.get(name, 0) + count

    def _leave(self, at: int, slot: _Slot) -> None:
        phase = slot.phase
        self.total.leave(phase, at, slot.total)
        for key, cell in slot.cells.items():
            ring = self.rings[key]
            ring.leave(phase, at, cell)
        if phase < 3:
            self.changed.update(slot.cells)

    def forget(self, keep: frozenset[str]) -> None:
        """Drop routes and nodes without a tick in the windows; `keep` names routes."""
        for key, ring in list(self.rings.items()):
            if self.second - ring.seen > _PAST_S and key not in keep:
                del self.rings[key]
        for node, window in list(self.nodes.items()):
            if self.second - window.seconds[-1][0] > _PAST_S:
                del self.nodes[node]
        if len(self.group_routes) > _GROUPS_KEPT:
            counted = self.group_counts()
            self.group_routes = {
                group: route
                for group, route in self.group_routes.items()
                if group in counted
            }

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
