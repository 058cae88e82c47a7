"""The seam between the drift ledger and its store: what differs, how often, since when.

`store.redis.drift` and `store.memorydrift` implement it.  Types and places, never
values; times are the store's own in integer milliseconds.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from hashlib import blake2b
from typing import Protocol

import msgspec

__all__ = [
    "OTHER",
    "OVERFLOW",
    "Counted",
    "DriftEntry",
    "DriftRead",
    "DriftRow",
    "DriftStore",
    "id_of",
    "severity_of",
]

AT_ONCE = 500  # entries of one call
DAYS_KEPT = 35
ENTRIES_KEPT = 20_000  # of an environment
IDLE_MS = 7 * 86_400_000  # who was not seen for so long gives way at the cap
OTHER = "(other)"
# What is counted without an entry, beside `repaired:NAME`, `would_repair:NAME` ...
OVERFLOW = "overflow"

_WARNINGS = frozenset(("missing", "type", "enum", "rejected", "status"))


class DriftEntry(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """One kind of difference at one place, by one consumer and version.

    route: `METHOD template`, of the dependency if there is one.  direction: request
    or response.  dependency: "" for our own API.  path, kind, expected, got: as in
    `shapes.findings.Finding`.  consumer: 16 hexadecimal digits, "" unknown,
    `(other)` beyond 32.  version: id, "" without a contract.  first_ms: first seen.
    """

    v: int = 1
    route: str = ""
    direction: str = "request"
    dependency: str = ""
    path: str = ""
    kind: str = ""
    expected: str = ""
    got: str = ""
    consumer: str = ""
    version: str = ""
    first_ms: int = 0


@dataclass(frozen=True, slots=True)
class Counted:
    """What one node counted of one entry since it last told the store."""

    id: str
    entry: DriftEntry
    count: int


@dataclass(frozen=True, slots=True)
class DriftRow:
    """One entry as operators read it.

    count: of the days asked for.  days: date `20260131` -> count.
    """

    id: str
    entry: DriftEntry
    count: int
    last_ms: int
    days: Mapping[str, int] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class DriftRead:
    """The ledger of an environment, last seen first.

    total: entries held, of which `rows` may be the newest ones only.  tallies: what
    is counted without an entry, over the same days: `repaired:NAME` and
    `would_repair:NAME` of tolerances, `overflow`, `unlisted`, `truncated`,
    `skipped:size`, `skipped:encoding`.
    """

    now_ms: int
    rows: tuple[DriftRow, ...] = ()
    total: int = 0
    tallies: Mapping[str, int] = field(default_factory=dict)


class DriftStore(Protocol):
    """Written by nodes each second, read by operators."""

    async def drift_add(
        self, counted: Sequence[Counted], tallies: Mapping[str, int]
    ) -> frozenset[str]:
        """Add counts, at most 500 entries; return ids nobody had told before.

        Beyond 20,000 entries those not seen for 7 days give way; if there are none,
        new ones are counted under `overflow`.
        """
        ...

    async def drift(self, *, days: int = 30, limit: int = 1000) -> DriftRead:
        """Return the entries seen last, and their counts of the newest `days`.

        days: 1 to 35.  limit: of rows, at most 20,000.
        """
        ...


def id_of(entry: DriftEntry) -> str:
    """Return the name of an entry: 16 hexadecimal digits, without its time."""
    words = (
        *(entry.route, entry.direction, entry.dependency, entry.path, entry.kind),
        *(entry.expected, entry.got, entry.consumer, entry.version),
    )
    text = "\0".join(words).encode(errors="backslashreplace")
    return blake2b(text, digest_size=8).hexdigest()


def severity_of(kind: str) -> str:
    """Return how much a new entry of a kind matters: `warning` or `info`."""
    return "warning" if kind in _WARNINGS else "info"
