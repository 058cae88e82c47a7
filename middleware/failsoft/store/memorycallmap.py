"""What routes depend on, within one process: as on Redis, without it."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping

from failsoft.store.callmap import CALLS_KEPT, CALLS_KEPT_MS, Seen

__all__ = ["MemoryCallMap"]


class MemoryCallMap:
    """The `CallMapStore` of a process; see `store.callmap` for its calls."""

    def __init__(self, now_ms: Callable[[], int]) -> None:
        self._called_ms = now_ms
        self._called: dict[Seen, int] = {}  # oldest first

    async def calls_saw(self, seen: Iterable[Seen]) -> None:
        """Note that these happened now."""
        for one in seen:
            self._called.pop(one, None)
            self._called[one] = self._called_ms()
        while len(self._called) > CALLS_KEPT:
            del self._called[next(iter(self._called))]

    async def calls_seen(self) -> Mapping[Seen, int]:
        """Return when each happened last, of 40 days."""
        oldest_ms = self._called_ms() - CALLS_KEPT_MS
        return {one: at_ms for one, at_ms in self._called.items() if at_ms > oldest_ms}
