"""Who called which version of what since the last report; pure."""

from __future__ import annotations

from collections.abc import Mapping

from failsoft.store.usage import FIELDS_KEPT, OTHER, Called

__all__ = ["Usage"]


class Usage:
    """Counts of one process, by (version, route, consumer); 20,000 at most."""

    __slots__ = ("_counts",)

    def __init__(self) -> None:
        self._counts: dict[tuple[str, str, str], int] = {}

    def add(self, version: str, route: str, consumer: str) -> None:
        """Count an answer."""
        counts, key = self._counts, (version, route, consumer)
        held = counts.get(key)
        if held is not None:
            counts[key] = held + 1
        elif len(counts) < FIELDS_KEPT:
            counts[key] = 1
        else:
            counts[OTHER] = counts.get(OTHER, 0) + 1

    def give_back(self, counts: Mapping[Called, int]) -> None:
        """Count on with what could not be reported."""
        mine = self._counts
        for key, count in counts.items():
            known = key if key in mine or len(mine) < FIELDS_KEPT else OTHER
            mine[known] = mine.get(known, 0) + count

    def take(self) -> dict[Called, int]:
        """Return what was counted since the last call."""
        counts, self._counts = self._counts, {}
        return {Called(*key): count for key, count in counts.items()}
