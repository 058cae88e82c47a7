"""The seam between flags and their store: evaluations, outcomes of arms, proposals.

`store.redis.flagcounts` and `store.memoryflags` implement it.  All of it expires;
times are the store's own in integer milliseconds.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Protocol

__all__ = [
    "BUCKETS_TTL_S",
    "OTHER",
    "Arms",
    "Evaluations",
    "FlagCountStore",
    "Outcomes",
    "Proposed",
    "capped",
]

DAYS_KEPT = 3
FIELDS_KEPT = 2_000  # of evaluations, a day
FLAGS_SEEN = 20_000
SEEN_KEPT_S = 90 * 86_400
BUCKETS_TTL_S = 600
WATCHED_TTL_S = 86_400
PROPOSAL_TTL_S = 3_600
PROPOSALS_KEPT = 50
OTHER = "(other)"

# variant -> (requests, bad ones)
Arms = Mapping[str, tuple[int, int]]


@dataclass(frozen=True, slots=True)
class Evaluations:
    """What was evaluated: key -> variant -> count of today and the two days before.

    seen: key -> last evaluation in ms.  since_ms: start of the record, 0 = none.
    """

    now_ms: int
    since_ms: int = 0
    counts: Mapping[str, Mapping[str, int]] = field(default_factory=dict)
    seen: Mapping[str, int] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Outcomes:
    """One node's outcomes of guarded flags in one bucket.

    about: flag -> what a reader must know to judge, opaque here.  fresh: flag ->
    ms before which nothing may be judged.
    """

    start_ms: int
    arms: Mapping[str, Arms] = field(default_factory=dict)
    about: Mapping[str, bytes] = field(default_factory=dict)
    fresh: Mapping[str, int] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Proposed:
    """A control that a node without the right to write asks operators for."""

    target: str
    at_ms: int
    json: bytes


class FlagCountStore(Protocol):
    """Written by nodes each ten seconds, read by judges and operators."""

    async def add_evaluations(self, counts: Mapping[str, Mapping[str, int]]) -> None:
        """Add to today's counts; what exceeds 2,000 fields goes to `(other)`."""
        ...

    async def evaluations(self) -> Evaluations:
        """Return the counts kept and when each flag was evaluated last."""
        ...

    async def add_outcomes(self, outcomes: Outcomes) -> None:
        """Add one node's outcomes to their bucket."""
        ...

    async def outcomes(
        self, flag: str, starts_ms: Iterable[int]
    ) -> tuple[int, Mapping[int, Arms]]:
        """Return (fresh ms or 0, bucket start -> arms) of one flag."""
        ...

    async def guarded(self) -> Mapping[str, bytes]:
        """Return flag -> `Outcomes.about` of the flags reported within a day."""
        ...

    async def propose(self, target: str, json: bytes) -> None:
        """Leave a proposal for operators for an hour; a newer one replaces it."""
        ...

    async def proposals(self) -> Mapping[str, Proposed]:
        """Return what is proposed now, by target."""
        ...


def capped(
    counts: Mapping[str, Mapping[str, int]], known: Iterable[str], room: int
) -> dict[str, int]:
    """Return field -> increment; new fields beyond `room` are added to `(other)`.

    known: fields the store holds.  A field is `key NUL variant`.
    """
    held = {*known, OTHER}
    found: dict[str, int] = {}
    for key, variants in counts.items():
        for variant, count in variants.items():
            name = f"{key}\0{variant}"
            if name not in held and name not in found:
                name, room = (name, room - 1) if room > 0 else (OTHER, room)
            found[name] = found.get(name, 0) + count
    return found
