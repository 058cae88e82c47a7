"""Counts of the last seconds, by whole second: what breaker and throttle decide on."""

from __future__ import annotations

from failsoft.outbound._classify import FAIL, LIMITED, OK, SLOW

__all__ = ["REFUSED", "Ring", "Sums"]

REFUSED = "refused"  # never sent
_KINDS = {OK: 0, SLOW: 1, FAIL: 2, LIMITED: 3, REFUSED: 4}


class Sums:
    """Outcomes of one span; refused ones were never sent."""

    __slots__ = ("fail", "limited", "ok", "refused", "slow")

    def __init__(self, counts: list[int]) -> None:
        self.ok, self.slow, self.fail, self.limited, self.refused = counts

    @property
    def sent(self) -> int:
        """Calls that were sent and came to an outcome."""
        return self.ok + self.slow + self.fail + self.limited


class Ring:
    """Counts outcomes by second; sums are O(1), so each outcome may ask for them."""

    __slots__ = ("_at", "_cells", "_seconds", "_totals")

    def __init__(self, seconds: int) -> None:
        self._seconds = seconds
        self.clear()

    def clear(self) -> None:
        """Forget everything."""
        self._at = 0
        self._cells = [[0] * len(_KINDS) for _ in range(self._seconds)]
        self._totals = [0] * len(_KINDS)

    @property
    def is_clean(self) -> bool:
        """Whether all that was sent ended well and in time, which is seen at once."""
        totals = self._totals
        return not (totals[1] or totals[2] or totals[3])

    def add(self, kind: str, now: float) -> None:
        """Count one outcome."""
        if now >= self._at + 1:
            self._advance(int(now))
        index = _KINDS[kind]
        self._cells[self._at % self._seconds][index] += 1
        self._totals[index] += 1

    def sums(self, now: float) -> Sums:
        """Return the sums of the span that ends now; forgets what is older."""
        self._advance(int(now))
        return Sums(self._totals)

    def read(self, now: float) -> Sums:
        """Return the sums of the span that ends now, and change nothing."""
        gone = min(max(int(now) - self._at, 0), self._seconds)
        totals = list(self._totals)
        for second in range(self._at + 1, self._at + 1 + gone):
            cell = self._cells[second % self._seconds]
            totals = [total - count for total, count in zip(totals, cell, strict=True)]
        return Sums(totals)

    def _advance(self, second: int) -> None:
        gone = min(second - self._at, self._seconds)
        if gone <= 0:
            return
        for old in range(second - gone + 1, second + 1):
            cell = self._cells[old % self._seconds]
            for index, count in enumerate(cell):
                self._totals[index] -= count
                cell[index] = 0
        self._at = second
