"""The seam between usage of versions and its store: who called what, day by day.

`store.redis.usage` and `store.memoryusage` implement it.  All of it expires, but
for the salt.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import NamedTuple, Protocol

__all__ = [
    "FIELDS_KEPT",
    "OTHER",
    "Called",
    "UsageStore",
    "capped_usage",
    "read_field",
]

DAYS_KEPT = 100
FIELDS_KEPT = 20_000  # a day
DAY_MS = 86_400_000


class Called(NamedTuple):
    """One counter of a day.  version: a declared id.  route: `METHOD template`."""

    version: str
    route: str
    consumer: str

    @property
    def field(self) -> str:
        """The name under which the store counts it."""
        return "|".join(self)


OTHER = Called("(other)", "(other)", "(other)")


class UsageStore(Protocol):
    """Written by nodes each ten seconds, read by operators."""

    async def usage_add(self, counts: Mapping[Called, int]) -> None:
        """Add to today's counts; what exceeds 20,000 fields goes to `OTHER`."""
        ...

    async def usage(self, days: int = 30) -> Mapping[str, Mapping[Called, int]]:
        """Return the counts of the last `days` days by date `2026-01-31`.

        Newest first, today included; days without any are left out.  100 days at
        most are kept.
        """
        ...

    async def environment_salt(self) -> bytes:
        """Return the salt of hashed consumers; whoever asks first makes it."""
        ...


def read_field(text: str) -> Called:
    """Return what a field counts; a path may hold bars, the other two never do."""
    version, _, rest = text.partition("|")
    route, _, consumer = rest.rpartition("|")
    return Called(version, route, consumer)


def capped_usage(
    counts: Mapping[Called, int], known: Iterable[Called], room: int
) -> dict[Called, int]:
    """Return the increments; new fields beyond `room` are added to `OTHER`."""
    held = {*known, OTHER}
    found: dict[Called, int] = {}
    for called, count in counts.items():
        key = called
        if key not in held:
            key, room = (key, room - 1) if room > 0 else (OTHER, room)
        found[key] = found.get(key, 0) + count
    return found
