"""When a node refuses by priority: a limit on requests in flight, ruled by lag.

Pure: a state machine that is told the time, the lag of the event loop and the
requests in flight.  Without proof of overload there is no limit.
"""

from __future__ import annotations

import math
from collections.abc import Callable

__all__ = ["RANGES", "Shedder"]

# Of the limit, from the sub-level 0 to 1: classes above 1 keep headroom, so that
# traffic of one class alone is bounded too.  (from, width)
RANGES = {
    "critical_plus": (2.0, 1.0),
    "critical": (1.3, 0.7),
    "sheddable_plus": (0.4, 0.4),
    "sheddable": (0.1, 0.3),
}
_FLOOR = 4.0
_LATE_TO_ARM = 3  # one blocking call makes one late beat, and never arms
_MOST_STEPS = 4
_QUIET_S = 30.0


class Shedder:
    """The limit of one node; None while nothing proves that it is overloaded.

    target_s: lag that is fine.  interval_s: between changes.  most: what the limit
    never exceeds.  armed_at_s: since when there is a limit.  safe: by class, fewer in
    flight than that are let in without a question.
    """

    __slots__ = (
        "_above_s",
        "_began_s",
        "_interval_s",
        "_late",
        "_least_s",
        "_limit",
        "_most",
        "_peak",
        "_reached_s",
        "_target_s",
        "_worst_s",
        "armed_at_s",
        "is_armed",
        "is_reached",
        "safe",
    )

    def __init__(self, target_s: float, interval_s: float, most: int) -> None:
        self._target_s, self._interval_s, self._most = target_s, interval_s, most
        self.limit = None
        self.armed_at_s = 0.0
        self._above_s: float | None = None
        self._late, self._least_s = 0, math.inf
        self._reached_s = 0.0
        self._began_s, self._worst_s = -math.inf, 0.0
        self._peak, self.is_reached = 0, False

    @property
    def limit(self) -> float | None:
        """Requests in flight, None while it is not armed."""
        return self._limit

    @limit.setter
    def limit(self, limit: float | None) -> None:
        self._limit, self.is_armed = limit, limit is not None
        most = self._most
        self.safe = dict.fromkeys(RANGES, most)
        if limit is not None:
            for name, (low, _) in RANGES.items():
                self.safe[name] = min(most, math.ceil(limit * low))

    def admits(
        self, criticality: str, inflight: int, rank: Callable[[], float]
    ) -> bool:
        """Whether one more request may come in.

        rank: of its consumer, in [0, 1); asked for only where it decides.
        """
        limit = self.limit
        if limit is None or inflight < 1:
            return True
        low, width = RANGES[criticality]
        if inflight < limit * low:
            return True
        if inflight < limit * (low + width) and (
            inflight < limit * (low + width * rank())
        ):
            return True
        self.is_reached = True
        return False

    def disarm(self) -> None:
        """Forget the limit, and what led to it."""
        self.limit, self._above_s = None, None
        self._late, self._least_s = 0, math.inf
        self._renew(-math.inf, 0)

    def tick(self, now_s: float, lag_s: float, inflight: int) -> None:
        """Take a beat of the loop."""
        self._peak = max(self._peak, inflight)
        self._worst_s = max(self._worst_s, lag_s)
        if lag_s > self._target_s:
            self._tick_late(now_s, lag_s, inflight)
            return
        self._above_s, self._late, self._least_s = None, 0, math.inf
        if now_s - self._began_s >= self._interval_s:
            if self.limit is not None:
                self._recover(now_s, self.limit)
            self._renew(now_s, inflight)

    def _tick_late(self, now_s: float, lag_s: float, inflight: int) -> None:
        if self._above_s is None:
            self._above_s = now_s
        self._late += 1
        self._least_s = min(self._least_s, lag_s)
        wanted = _LATE_TO_ARM if self.limit is None else 1
        if now_s - self._above_s < self._interval_s or self._late < wanted:
            return
        # A loop that takes longer than an interval to come round owes the steps in
        # between; else it would take seconds to find its limit.
        steps = int((now_s - self._above_s) / self._interval_s)
        steps = min(_MOST_STEPS, max(1, steps))
        if self.limit is None:
            self.limit, self.armed_at_s = max(_FLOOR, 0.7**steps * self._peak), now_s
        else:
            factor = 0.7 if self._least_s > 2 * self._target_s else 0.9
            in_use = min(self.limit, max(self._peak, _FLOOR))
            self.limit = max(_FLOOR, in_use * factor**steps)
        self._reached_s = now_s
        self._above_s, self._late, self._least_s = now_s, 0, math.inf
        self._renew(now_s, inflight)

    def _recover(self, now_s: float, limit: float) -> None:
        if self.is_reached or self._peak >= 0.9 * limit:
            is_calm = self._worst_s <= self._target_s / 2
            more = limit * 1.25 if is_calm else limit + max(1.0, 0.05 * limit)
            self.limit = min(float(self._most), more)
            self._reached_s = now_s
        elif now_s - self._reached_s >= _QUIET_S:
            self.limit = None

    def _renew(self, now_s: float, inflight: int) -> None:
        self._began_s = now_s
        self._peak, self._worst_s, self.is_reached = inflight, 0.0, False
