"""Counters of one node: plain ints that requests add to, read and cleared each second.

One event loop owns a window, so there is no lock; a request costs a few additions
and one dict update.
"""

from __future__ import annotations

from failsoft.telemetry._histogram import bucket_of, merge_into
from failsoft.telemetry._wire import RouteTick, Tick

__all__ = ["RouteCell", "Window", "slo_increments"]

_MAX_GROUPS = 256
_OTHER = "(other)"
SLO_RESOLUTIONS_S = (10, 60, 900)


class RouteCell:
    """What one route did since the last flush.  `inflight` is never cleared."""

    __slots__ = (
        "client_errors",
        "criticality",
        "errors",
        "exceptions",
        "gone",
        "groups",
        "hist",
        "inflight",
        "inflight_max",
        "is_active",
        "key",
        "n",
        "refused",
        "sent_bytes",
    )

    def __init__(self, key: str, criticality: str) -> None:
        self.key = key
        self.criticality = criticality
        self.inflight = 0
        self.is_active = False
        self.clear()

    def clear(self) -> None:
        """Start a new second."""
        self.n = self.errors = self.exceptions = 0
        self.client_errors = self.gone = self.sent_bytes = 0
        self.inflight_max = self.inflight
        self.hist: dict[int, int] = {}
        self.refused: dict[str, int] = {}
        self.groups: dict[str, int] = {}

    def enter(self) -> None:
        """Count a request that goes to the application."""
        self.inflight += 1
        if self.inflight > self.inflight_max:
            self.inflight_max = self.inflight

    def leave(self, status: int, duration_us: int, sent_bytes: int) -> None:
        """Count an answered request.  status: 499 = the client went first."""
        self.inflight -= 1
        self.is_active = True
        self.n += 1
        self.sent_bytes += sent_bytes
        hist = self.hist
        bucket = bucket_of(duration_us)
        hist[bucket] = hist.get(bucket, 0) + 1
        if status >= 400:
            self._count_status(status)

    def refuse(self, reason: str) -> None:
        """Count a request that we refused."""
        self.is_active = True
        self.refused[reason] = self.refused.get(reason, 0) + 1

    def fail(self, group: str, *, is_exception: bool) -> None:
        """Count a failure in its error group; the status was counted by `leave`."""
        self.exceptions += is_exception
        groups = self.groups
        if group not in groups and len(groups) >= _MAX_GROUPS:
            group = _OTHER
        groups[group] = groups.get(group, 0) + 1

    def _count_status(self, status: int) -> None:
        if status >= 500:
            self.errors += 1
        elif status == 499:
            self.gone += 1
        else:
            self.client_errors += 1

    def tick(self) -> RouteTick:
        """Return this second's counters."""
        return RouteTick(
            self.key,
            self.n,
            self.errors,
            self.exceptions,
            self.client_errors,
            self.gone,
            self.inflight_max,
            self.sent_bytes,
            self.hist,
            self.refused,
            self.groups,
        )


class Window:
    """All counters of a node; `flush` takes them and starts the next second."""

    __slots__ = ("cells", "flags", "lost_ticks", "seq")

    def __init__(self) -> None:
        self.cells: dict[str, RouteCell] = {}
        self.flags: dict[str, dict[str, int]] = {}
        self.seq = 0
        self.lost_ticks = 0

    def cell(self, key: str, criticality: str) -> RouteCell:
        """Return the cell of a route, the same one across plans and tables."""
        cell = self.cells.get(key)
        if cell is None:
            cell = self.cells[key] = RouteCell(key, criticality)
        cell.criticality = criticality
        return cell

    @property
    def inflight(self) -> int:
        """Requests that are with the application now."""
        return sum(cell.inflight for cell in self.cells.values())

    def saw_flag(self, key: str, variant: str) -> None:
        """Count an evaluation; at most 1,000 keys, the rest in `(other)`."""
        if key not in self.flags and len(self.flags) >= 1000:
            key = _OTHER
        counts = self.flags.setdefault(key, {})
        counts[variant] = counts.get(variant, 0) + 1

    def forget(self) -> None:
        """Start anew in a forked child: what was counted is the parent's."""
        self.flush("", 0, 0.0)
        self.lost_ticks = 0
        for cell in self.cells.values():
            cell.inflight = 0

    def flush(
        self, node: str, interval_ms: int, lag_max_ms: float
    ) -> tuple[Tick, list[tuple[int, str, int]]]:
        """Return the second as a Tick with its SLO increments, and start anew."""
        # Also routes on which nothing ended: requests may be hanging there.
        cells = [c for c in self.cells.values() if c.is_active or c.inflight]
        routes = tuple(cell.tick() for cell in cells)
        hist: dict[int, int] = {}
        merge_into(hist, (cell.hist for cell in cells))
        slo = slo_increments(cells)
        for cell in cells:
            cell.clear()
            cell.is_active = False
        flags, self.flags = self.flags, {}
        self.seq += 1
        tick = Tick(
            node=node,
            seq=self.seq,
            interval_ms=interval_ms,
            routes=routes,
            lost_ticks=self.lost_ticks,
            lag_max_ms=lag_max_ms,
            flags=flags,
            hist=hist,
        )
        return tick, slo


def slo_increments(cells: list[RouteCell]) -> list[tuple[int, str, int]]:
    """Return (resolution_s, `criticality:t|b|r`, count) for total, bad, refused.

    Client disconnects are out of count.
    """
    sums: dict[str, int] = {}
    for cell in cells:
        for letter, count in (
            ("t", cell.n - cell.gone),
            ("b", cell.errors),
            ("r", sum(cell.refused.values())),
        ):
            if count:
                field = f"{cell.criticality}:{letter}"
                sums[field] = sums.get(field, 0) + count
    return [(res, f, n) for res in SLO_RESOLUTIONS_S for f, n in sums.items()]
