"""Evaluations, outcomes and proposals of one process: as on Redis, without it."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping

from failsoft.store.flagcounts import (
    BUCKETS_TTL_S,
    FIELDS_KEPT,
    FLAGS_SEEN,
    PROPOSAL_TTL_S,
    PROPOSALS_KEPT,
    Arms,
    Evaluations,
    Outcomes,
    Proposed,
    capped,
)

__all__ = ["MemoryFlagCounts"]


class MemoryFlagCounts:
    """The `FlagCountStore` of a process; see `store.flagcounts` for its calls.

    Evaluations are those since the start: a process rarely lives for days.
    """

    def __init__(self, now_ms: Callable[[], int]) -> None:
        self._at_ms = now_ms
        self._since_ms = 0
        self._counts: dict[str, int] = {}
        self._seen: dict[str, int] = {}
        self._buckets: dict[tuple[str, int], dict[str, tuple[int, int]]] = {}
        self._about: dict[str, bytes] = {}
        self._fresh: dict[str, int] = {}
        self._proposed: dict[str, Proposed] = {}

    async def add_evaluations(self, counts: Mapping[str, Mapping[str, int]]) -> None:
        """Add to the counts."""
        now_ms = self._at_ms()
        self._since_ms = self._since_ms or now_ms
        room = FIELDS_KEPT - len(self._counts)
        for name, more in capped(counts, self._counts, room).items():
            self._counts[name] = self._counts.get(name, 0) + more
        for key in counts:
            if key in self._seen or len(self._seen) < FLAGS_SEEN:
                self._seen[key] = now_ms

    async def evaluations(self) -> Evaluations:
        """Return the counts kept and when each flag was evaluated last."""
        found: dict[str, dict[str, int]] = {}
        for name, count in self._counts.items():
            key, _, variant = name.partition("\0")
            found.setdefault(key, {})[variant] = count
        return Evaluations(self._at_ms(), self._since_ms, found, dict(self._seen))

    async def add_outcomes(self, outcomes: Outcomes) -> None:
        """Add outcomes to their bucket; drops buckets past their time."""
        oldest_ms = outcomes.start_ms - BUCKETS_TTL_S * 1000
        for key in [key for key in self._buckets if key[1] < oldest_ms]:
            del self._buckets[key]
        for flag, arms in outcomes.arms.items():
            bucket = self._buckets.setdefault((flag, outcomes.start_ms), {})
            for variant, (n, bad) in arms.items():
                held = bucket.get(variant, (0, 0))
                bucket[variant] = (held[0] + n, held[1] + bad)
        self._about |= outcomes.about
        for flag, fresh_ms in outcomes.fresh.items():
            self._fresh[flag] = max(fresh_ms, self._fresh.get(flag, 0))

    async def outcomes(
        self, flag: str, starts_ms: Iterable[int]
    ) -> tuple[int, Mapping[int, Arms]]:
        """Return (fresh ms or 0, bucket start -> arms) of one flag."""
        starts = [at for at in starts_ms if (flag, at) in self._buckets]
        fresh_ms = self._fresh.get(flag, 0)
        return fresh_ms, {at: dict(self._buckets[flag, at]) for at in starts}

    async def guarded(self) -> Mapping[str, bytes]:
        """Return what is known of each guarded flag."""
        return dict(self._about)

    async def propose(self, target: str, json: bytes) -> None:
        """Keep a proposal; the oldest beyond 50 is dropped."""
        self._proposed.pop(target, None)
        self._proposed[target] = Proposed(target, self._at_ms(), json)
        while len(self._proposed) > PROPOSALS_KEPT:
            del self._proposed[next(iter(self._proposed))]

    async def proposals(self) -> Mapping[str, Proposed]:
        """Return the proposals of the last hour."""
        oldest_ms = self._at_ms() - PROPOSAL_TTL_S * 1000
        return {t: p for t, p in self._proposed.items() if p.at_ms > oldest_ms}
