"""Usage of versions within one process: as on Redis, without it."""

from __future__ import annotations

import secrets
from collections.abc import Callable, Mapping

from failsoft.clock import utc_date
from failsoft.store.usage import DAY_MS, DAYS_KEPT, FIELDS_KEPT, Called, capped_usage

__all__ = ["MemoryUsage"]


class MemoryUsage:
    """The `UsageStore` of a process; see `store.usage` for its calls."""

    def __init__(self, now_ms: Callable[[], int]) -> None:
        self._used_ms = now_ms
        self._days: dict[str, dict[Called, int]] = {}
        self._salt = secrets.token_bytes(16)

    async def usage_add(self, counts: Mapping[Called, int]) -> None:
        """Add to today's counts; drops the days past their time."""
        if not counts:
            return
        today = self._days.setdefault(utc_date(self._used_ms() / 1000), {})
        room = FIELDS_KEPT - len(today)
        for called, more in capped_usage(counts, today, room).items():
            today[called] = today.get(called, 0) + more
        while len(self._days) > DAYS_KEPT:
            del self._days[min(self._days)]

    async def usage(self, days: int = 30) -> Mapping[str, Mapping[Called, int]]:
        """Return the counts of the last `days` days, newest first."""
        oldest = utc_date((self._used_ms() - (days - 1) * DAY_MS) / 1000)
        kept = sorted((day for day in self._days if day >= oldest), reverse=True)
        return {day: dict(self._days[day]) for day in kept}

    async def environment_salt(self) -> bytes:
        """Return the salt of this process."""
        return self._salt
