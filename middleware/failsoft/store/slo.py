"""The seam between SLOs and their store: counts by bucket, states of alerts, marks.

`store.redis.slo` and `store.memoryslo` implement it.  Buckets outlive every node; all
of it expires.  Times are the store's own in integer milliseconds.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Protocol

__all__ = [
    "BUCKETS",
    "NAMES_READ",
    "SLO_TTL_S",
    "Buckets",
    "Counts",
    "SloRead",
    "SloStore",
    "is_bucket_kept",
    "starts_since",
]

# Width of a bucket in seconds -> how many are kept: 5 min, 6 h, 3 d, 31 d.
BUCKETS: Mapping[int, int] = {10: 30, 60: 360, 900: 288, 21_600: 124}
SLO_TTL_S = 31 * 86_400
NAMES_READ = 100

# (requests, bad ones, refused by us); refused ones are among the requests
Counts = tuple[int, int, int]
# width in s -> start in Unix s -> counts; a start that is missing: nobody reported
Buckets = Mapping[int, Mapping[int, Counts]]


@dataclass(frozen=True, slots=True)
class SloRead:
    """Buckets by name of the SLO, read at now_ms."""

    now_ms: int
    slos: Mapping[str, Buckets] = field(default_factory=dict)


class SloStore(Protocol):
    """Counts come with `TickBatch.slo`; read by who judges, and by operators."""

    async def slo_read(self, names: Iterable[str], since_ms: int = 0) -> SloRead:
        """Return buckets of these SLOs: all that are kept, or those since an instant.

        A bucket that lies around `since_ms` is among them.
        """
        ...

    async def slo_names(self) -> tuple[str, ...]:
        """Return the SLOs that any node reported within 31 days, at most 100."""
        ...

    async def slo_prune(self, names: Iterable[str]) -> None:
        """Drop buckets that are no longer kept."""
        ...

    async def alerts(self) -> Mapping[str, bytes]:
        """Return the states of alerts by id, opaque here."""
        ...

    async def alerts_put(
        self, states: Mapping[str, bytes], gone: Iterable[str] = ()
    ) -> None:
        """Replace states by id and drop others, at once; kept for 31 days."""
        ...

    async def beats(self) -> Mapping[str, int]:
        """Return node -> last heartbeat in ms, of an hour, without who left."""
        ...

    async def alert_first(self, mark: str, ttl_s: int) -> bool:
        """Say a mark; whether nobody had said it within its time."""
        ...


def is_bucket_kept(width_s: int, start_s: int, now_s: int) -> bool:
    """Whether a bucket still reaches into the time that is kept."""
    return start_s > now_s - (BUCKETS[width_s] + 1) * width_s


def starts_since(width_s: int, since_ms: int, now_ms: int) -> range:
    """Return the starts in s of the kept buckets from an instant up to now."""
    newest = now_ms // 1000 // width_s * width_s
    asked = min(since_ms, now_ms) // 1000 // width_s * width_s
    oldest = max(asked, newest - BUCKETS[width_s] * width_s)
    return range(oldest, newest + 1, width_s)
