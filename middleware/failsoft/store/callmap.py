"""The seam of what routes depend on: who called whom, and which stand-ins answered.

`store.redis.callmap` and `store.memorycallmap` implement it.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import NamedTuple, Protocol

__all__ = [
    "CALLS_KEPT",
    "CALLS_KEPT_MS",
    "SHOWN_MS",
    "CallMapStore",
    "Seen",
    "read_seen",
]

CALLS_KEPT = 5_000
CALLS_KEPT_MS = 40 * 86_400_000
SHOWN_MS = 86_400_000  # calls; stand-ins are told however old they are


class Seen(NamedTuple):
    """A route that called a dependency; without one, a stand-in of it that answered.

    route: `METHOD template`, or the name of a handler that answered.
    """

    route: str
    dependency: str = ""

    @property
    def field(self) -> str:
        """The name under which the store keeps it."""
        return f"{self.dependency}|{self.route}"


class CallMapStore(Protocol):
    """Written by nodes now and then, read by operators."""

    async def calls_saw(self, seen: Iterable[Seen]) -> None:
        """Note that these happened now; of more than 5,000 the oldest are dropped."""
        ...

    async def calls_seen(self) -> Mapping[Seen, int]:
        """Return when each happened last, store time in ms, of 40 days."""
        ...


def read_seen(field: str) -> Seen:
    """Return what a field tells; a path may hold bars, a dependency never does."""
    dependency, _, route = field.partition("|")
    return Seen(route, dependency)
