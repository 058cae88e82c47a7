"""Counters of one node: plain ints that requests add to, read and cleared each second.

One event loop owns a window, so there is no lock; a request costs a few additions
and one dict update.
"""

from __future__ import annotations

import math

from failsoft.store.slo import Counts
from failsoft.telemetry._histogram import count_into, merge_into
from failsoft.telemetry._wire import RouteTick, Tick

__all__ = ["RouteCell", "Window"]

_MAX_GROUPS = 256
_COUNT_AT = 1024
_OTHER = "(other)"


class RouteCell:
    """What one route did since the last flush.  `inflight` is never cleared.

    failed, turned_away: refusals with a status of 5xx, and those with 503.  late: by
    SLO, answers that were good but for their time.  unjudged: answers that no SLO
    counts, such as those of drills.
    """

    __slots__ = (
        "client_errors",
        "criticality",
        "degraded",
        "errors",
        "exceptions",
        "failed",
        "gone",
        "groups",
        "hist",
        "inflight",
        "inflight_max",
        "is_active",
        "key",
        "late",
        "n",
        "past",
        "refused",
        "sent_bytes",
        "slos",
        "slow_ns",
        "took_ns",
        "turned_away",
        "unjudged",
    )

    def __init__(self, key: str, criticality: str) -> None:
        self.key = key
        self.criticality = criticality
        self.inflight = 0
        self.is_active = False
        self.past = self.n = 0
        self.refused: dict[str, int] = {}
        self.aim(())
        self.clear()

    def aim(self, slos: tuple[tuple[str, float], ...]) -> None:
        """Judge answers by these SLOs: (name, latest good answer in microseconds)."""
        self.slos = slos
        # Whole nanoseconds: comparing with a float would cost a request more.
        least_us = min((limit_us for _, limit_us in slos), default=math.inf)
        self.slow_ns = int(min(least_us, 2**60 / 1000)) * 1000 + 999

    def clear(self) -> None:
        """Start a new second."""
        self.past = self.asked
        self.n = self.errors = self.exceptions = 0
        self.client_errors = self.gone = self.sent_bytes = self.degraded = 0
        self.inflight_max = self.inflight
        self.took_ns: list[int] = []
        self.hist: dict[int, int] = {}
        self.refused = {}
        self.groups: dict[str, int] = {}
        self.late: dict[str, int] = {}
        self.failed = self.turned_away = self.unjudged = 0

    @property
    def asked(self) -> int:
        """Requests that ended here since the process began, refused ones too."""
        return self.past + self.n + sum(self.refused.values())

    def enter(self) -> None:
        """Count a request that goes to the application."""
        self.inflight += 1
        if self.inflight > self.inflight_max:
            self.inflight_max = self.inflight

    def leave(self, status: int, took_ns: int, sent_bytes: int) -> None:
        """Count an answered request.  status: 499 = the client went first."""
        self.inflight -= 1
        self.is_active = True
        self.n += 1
        self.sent_bytes += sent_bytes
        self.took_ns.append(took_ns)
        if len(self.took_ns) >= _COUNT_AT:  # many at a time are cheaper
            self._count_durations()
        if status >= 400:
            self._count_status(status)
        if self.slos and took_ns > self.slow_ns and status < 499:
            self._count_late(took_ns // 1000)

    def _count_durations(self) -> None:
        count_into(self.hist, [took_ns // 1000 for took_ns in self.took_ns])
        self.took_ns.clear()

    def excuse(self, status: int, duration_us: int, *, is_refusal: bool) -> None:
        """Take an answer that was just counted out of all SLOs, as one of a drill."""
        if status == 499:  # out of count as it is
            return
        self.unjudged += 1
        if is_refusal and status == 503:
            self.turned_away -= 1
        elif status >= 500:
            self.failed -= 1  # which is added to what was counted as an error
        elif not is_refusal:
            for name, limit_us in self.slos:
                if duration_us > limit_us:
                    self.late[name] -= 1

    def refuse(self, reason: str, status: int = 503) -> None:
        """Count a request that we refused, with the status of the answer."""
        self.is_active = True
        if status == 503:
            self.turned_away += 1
        elif status >= 500:
            self.failed += 1
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

    def _count_late(self, duration_us: int) -> None:
        for name, limit_us in self.slos:
            if duration_us > limit_us:
                self.late[name] = self.late.get(name, 0) + 1

    def tick(self) -> RouteTick:
        """Return this second's counters."""
        self._count_durations()
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
            self.degraded,
        )


class Window:
    """All counters of a node; `flush` takes them and starts the next second.

    slos: names that are told of each second, also when nothing happened.
    """

    __slots__ = ("cells", "flags", "lost_ticks", "seq", "slos")

    def __init__(self) -> None:
        self.cells: dict[str, RouteCell] = {}
        self.flags: dict[str, dict[str, int]] = {}
        self.seq = 0
        self.lost_ticks = 0
        self.slos: tuple[str, ...] = ()

    def cell(self, key: str, criticality: str) -> RouteCell:
        """Return the cell of a route, the same one across plans and tables."""
        cell = self.cells.get(key)
        if cell is None:
            cell = self.cells[key] = RouteCell(key, criticality)
        cell.criticality = criticality
        return cell

    def apart(self, key: str, criticality: str) -> RouteCell:
        """Return a cell that nobody reads, for what is no traffic of the API."""
        return RouteCell(key, criticality)

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
    ) -> tuple[Tick, dict[str, Counts]]:
        """Return the second as a Tick with the counts of its SLOs, and start anew."""
        # Also routes on which nothing ended: requests may be hanging there.
        cells = [c for c in self.cells.values() if c.is_active or c.inflight]
        routes = tuple(cell.tick() for cell in cells)
        hist: dict[int, int] = {}
        merge_into(hist, (cell.hist for cell in cells))
        slo = _judged(self.slos, cells)
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


def _judged(names: tuple[str, ...], cells: list[RouteCell]) -> dict[str, Counts]:
    """Return (requests, bad ones, refused by us) by SLO, zeros too.

    Clients that left are out of count.
    """
    sums = dict.fromkeys(names, (0, 0, 0))
    for cell in cells:
        told = cell.n - cell.gone - cell.unjudged + sum(cell.refused.values())
        for name, _ in cell.slos:
            t, b, r = sums.get(name, (0, 0, 0))
            bad = cell.errors + cell.failed + cell.late.get(name, 0)
            sums[name] = (t + told, b + bad, r + cell.turned_away)
    return sums
