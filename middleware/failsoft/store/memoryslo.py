"""SLO buckets and alerts of one process: as on Redis, without it."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping

from failsoft.store.slo import (
    BUCKETS,
    NAMES_READ,
    Counts,
    SloRead,
    is_bucket_kept,
    starts_since,
)

__all__ = ["MemorySlos"]


class MemorySlos:
    """The `SloStore` of a process; see `store.slo` for its calls."""

    def __init__(self, now_ms: Callable[[], int]) -> None:
        self._slo_ms = now_ms
        self._counted: dict[str, dict[int, dict[int, Counts]]] = {}
        self._alerts: dict[str, bytes] = {}
        self._said: dict[str, int] = {}  # mark -> end

    def slo_add(self, counts: Mapping[str, Counts]) -> None:
        """Add to the buckets of now."""
        now_s = self._slo_ms() // 1000
        for name, more in counts.items():
            widths = self._counted.setdefault(name, {width: {} for width in BUCKETS})
            for width_s, buckets in widths.items():
                start = now_s - now_s % width_s
                held = buckets.get(start, (0, 0, 0))
                if start not in buckets:
                    _drop_old(buckets, width_s, now_s)
                t, b, r = more
                buckets[start] = (held[0] + t, held[1] + b, held[2] + r)

    async def slo_read(self, names: Iterable[str], since_ms: int = 0) -> SloRead:
        """Return buckets of these SLOs, all or those since an instant."""
        now_ms = self._slo_ms()
        found = {}
        for name in names:
            widths = self._counted.get(name, {})
            found[name] = {
                width_s: {
                    start: widths[width_s][start]
                    for start in starts_since(width_s, since_ms, now_ms)
                    if start in widths.get(width_s, ())
                }
                for width_s in BUCKETS
            }
        return SloRead(now_ms, found)

    async def slo_names(self) -> tuple[str, ...]:
        """Return the SLOs that were reported."""
        return tuple(sorted(self._counted))[:NAMES_READ]

    async def slo_prune(self, names: Iterable[str]) -> None:
        """Drop buckets that are no longer kept."""
        now_s = self._slo_ms() // 1000
        for name in names:
            for width_s, buckets in self._counted.get(name, {}).items():
                _drop_old(buckets, width_s, now_s)

    async def alerts(self) -> Mapping[str, bytes]:
        """Return the states of alerts by id."""
        return dict(self._alerts)

    async def alerts_put(
        self, states: Mapping[str, bytes], gone: Iterable[str] = ()
    ) -> None:
        """Replace states by id and drop others."""
        self._alerts |= states
        for id_ in gone:
            self._alerts.pop(id_, None)

    async def alert_first(self, mark: str, ttl_s: int) -> bool:
        """Say a mark; whether nobody had said it within its time."""
        now_ms = self._slo_ms()
        self._said = {held: end for held, end in self._said.items() if end > now_ms}
        if mark in self._said:
            return False
        self._said[mark] = now_ms + ttl_s * 1000
        return True


def _drop_old(buckets: dict[int, Counts], width_s: int, now_s: int) -> None:
    for start in [s for s in buckets if not is_bucket_kept(width_s, s, now_s)]:
        del buckets[start]
