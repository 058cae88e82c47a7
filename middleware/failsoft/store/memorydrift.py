"""The drift ledger of one process: as on Redis, without it."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from itertools import islice

from failsoft.clock import utc_date
from failsoft.store.drift import (
    DAYS_KEPT,
    ENTRIES_KEPT,
    IDLE_MS,
    OVERFLOW,
    Counted,
    DriftEntry,
    DriftRead,
    DriftRow,
)

__all__ = ["MemoryDrift"]


class MemoryDrift:
    """The `DriftStore` of a process; see `store.drift` for its calls."""

    def __init__(self, now_ms: Callable[[], int]) -> None:
        self._clock_ms = now_ms
        self._entries: dict[str, DriftEntry] = {}
        self._last_ms: dict[str, int] = {}  # who was seen last is the last one
        self._by_day: dict[str, dict[str, int]] = {}  # date -> id or word -> count

    async def drift_add(
        self, counted: Sequence[Counted], tallies: Mapping[str, int]
    ) -> frozenset[str]:
        """Add counts; return ids that were not known."""
        now_ms = self._clock_ms()
        today = self._by_day.setdefault(_day(now_ms), {})
        while len(self._by_day) > DAYS_KEPT:
            del self._by_day[min(self._by_day)]
        made = set()
        for one in counted:
            name = one.id
            if name not in self._entries:
                if not self._has_room(now_ms):
                    today["~" + OVERFLOW] = today.get("~" + OVERFLOW, 0) + one.count
                    continue
                self._entries[name] = one.entry
                made.add(name)
            today[name] = today.get(name, 0) + one.count
            self._last_ms.pop(name, None)
            self._last_ms[name] = now_ms
        for word, count in tallies.items():
            today["~" + word] = today.get("~" + word, 0) + count
        return frozenset(made)

    def _has_room(self, now_ms: int) -> bool:
        if len(self._entries) < ENTRIES_KEPT:
            return True
        oldest = next(iter(self._last_ms))
        if self._last_ms[oldest] > now_ms - IDLE_MS:
            return False
        del self._entries[oldest], self._last_ms[oldest]
        return True

    async def drift(self, *, days: int = 30, limit: int = 1000) -> DriftRead:
        """Return the entries seen last, and their counts."""
        now_ms = self._clock_ms()
        wanted = [_day(now_ms - back * 86_400_000) for back in range(days)]
        held = {day: self._by_day[day] for day in wanted if day in self._by_day}
        newest = islice(reversed(self._last_ms), limit)
        tallies: dict[str, int] = {}
        for counts in held.values():
            for word, count in counts.items():
                if word[0] == "~":
                    tallies[word[1:]] = tallies.get(word[1:], 0) + count
        rows = tuple(self._row(name, held) for name in newest)
        return DriftRead(now_ms, rows, len(self._entries), tallies)

    def _row(self, name: str, held: Mapping[str, Mapping[str, int]]) -> DriftRow:
        by_day = {day: counts[name] for day, counts in held.items() if name in counts}
        total = sum(by_day.values())
        return DriftRow(name, self._entries[name], total, self._last_ms[name], by_day)


def _day(now_ms: int) -> str:
    return utc_date(now_ms / 1000).replace("-", "")
