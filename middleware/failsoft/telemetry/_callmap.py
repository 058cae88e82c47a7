"""Which routes call which dependencies: each pair is told once an hour."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from failsoft.store.callmap import CALLS_KEPT, Seen

__all__ = ["CallMap"]

_AGAIN_S = 3_600.0


class CallMap:
    """What one process saw.  A request that called somebody costs a set look-up."""

    __slots__ = ("_new", "_pairs", "_since", "_tried")

    def __init__(self) -> None:
        self._pairs: set[tuple[str, str]] = set()
        self._new: list[Seen] = []
        self._tried: dict[str, float] = {}
        self._since: float | None = None

    def saw(self, route: str, calls: Iterable[Any]) -> None:
        """Take the notes of a request's calls."""
        for note in calls:
            pair = route, note.dependency
            if pair not in self._pairs and len(self._pairs) < CALLS_KEPT:
                self._pairs.add(pair)
                self._new.append(Seen(*pair))

    def take(self, tried: Mapping[str, float], now: float) -> list[Seen]:
        """Return what is to be told, at most once.

        tried: when stand-ins answered last, by route or name.  now: seconds of one
        clock; after an hour all is told again.
        """
        if self._since is None or now - self._since >= _AGAIN_S:
            if self._since is not None:
                self._pairs.clear()
            self._since = now
        found, self._new = self._new, []
        for name, at in list(tried.items()):
            if self._tried.get(name, 0.0) < at:
                self._tried[name] = at
                found.append(Seen(name))
        return found

    def give_back(self, seen: Iterable[Seen]) -> None:
        """Take back what could not be told."""
        self._new = [*seen, *self._new][:CALLS_KEPT]
