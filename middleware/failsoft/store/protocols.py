"""The seam between failsoft and its store: shapes that cross it, two protocols.

`store.redis` and `store.memory` implement both protocols in one class each.
All times are the store's own (Redis TIME) in integer milliseconds.
Errors: `StoreUnavailable`, `StoreConflict`, `StoreRefused` (see `errors`).
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal, NamedTuple, Protocol

from failsoft.store.flagcounts import Proposed
from failsoft.store.slo import Counts

__all__ = [
    "KINDS",
    "Answer",
    "Beat",
    "Call",
    "Change",
    "ControlSet",
    "ControlStore",
    "Entry",
    "NodeStore",
    "ObservationStore",
    "Observed",
    "OfferStore",
    "Spot",
    "Survey",
    "TickBatch",
    "parse_value",
]

# Every kind of record, in the order in which apply.lua is given their hashes.
KINDS = (
    "flag",
    "evaluator",
    "kill",
    "mode",
    "breaker",
    "brownout",
    "pin",
    "tolerance",
    "version",
    "drift",
)


@dataclass(frozen=True, slots=True)
class Change:
    """One record to put or delete in a `Call`.

    if_rev: None = any, 0 = must be absent, n = exactly that record revision.
    until: "0" = no end, "+ms" = from the store's now, "ms" = absolute.
    json: the opaque document; empty for `del`.
    `restore` is a `put` that is left out once its end has passed.
    """

    kind: str
    name: str
    op: Literal["put", "del", "restore"]
    if_rev: int | None = None
    until: str = "0"
    json: bytes = b""


@dataclass(frozen=True, slots=True)
class Call:
    """One atomic write: all changes or none.  Idempotent by `op_id` for 600 s.

    base: new revisions lie above it.  accept: after the changes the history goes on
    as a new epoch that replaces these epochs and the present one; None = no.
    """

    op_id: str
    actor: str
    reason: str
    changes: tuple[Change, ...]
    via: str = ""
    epoch: str = ""  # "" = any
    base: int = 0
    accept: tuple[str, ...] | None = None


@dataclass(frozen=True, slots=True)
class Answer:
    """What an applied `Call` led to.  duplicate: this op_id was applied before."""

    revision: int
    epoch: str
    now_ms: int
    duplicate: bool = False


@dataclass(frozen=True, slots=True)
class Entry:
    """One line of the change log.  `value`/`was`: raw stored values or None."""

    id: str
    rev: int
    epoch: str
    kind: str
    name: str
    op: str  # put del expire restore accept
    value: bytes | None
    was: bytes | None
    who: str
    why: str
    via: str
    op_id: str


@dataclass(frozen=True, slots=True)
class ControlSet:
    """Everything in the control store at one instant.

    records: (kind, name) -> raw value `<rev> <at_ms> <until_ms> <json>`.
    epoch is "" and rev 0 for a store that was never written.
    unknown: record count of each kind that is not in `KINDS`.
    """

    rev: int
    epoch: str
    tail: str  # stream id of the newest log entry, "0-0" if none
    now_ms: int
    records: Mapping[tuple[str, str], bytes]
    unknown: Mapping[str, int] = field(default_factory=dict)


class Spot(NamedTuple):
    """A log entry without what it changed."""

    id: str
    rev: int
    op_id: str


@dataclass(frozen=True, slots=True)
class Survey:
    """Where the store's history stands, read at one instant.

    lineage: epochs that the present one replaced.  tail: the newest log entry.
    proof: the newest kept one at or before the id that was asked for; both None if
    there is none.  oldest_rev: of the oldest kept entry, 0 if none.  held, counted:
    records per kind as they are, and as the write path counted them; unequal when
    something else took records away.
    """

    now_ms: int
    rev: int
    epoch: str
    lineage: tuple[str, ...]
    tail: Spot | None
    proof: Spot | None
    oldest_rev: int
    held: Mapping[str, int]
    counted: Mapping[str, int]

    @property
    def unknown(self) -> dict[str, int]:
        """Record count of each kind that this release does not know."""
        return {k: n for k, n in self.counted.items() if n and k not in KINDS}


@dataclass(frozen=True, slots=True)
class Beat:
    """The store's answer to a heartbeat.

    watched: somebody reads ticks.  refused: why the heartbeat itself was not kept,
    as by a full store; what was read with it holds all the same.
    """

    now_ms: int
    rev: int
    epoch: str
    watched: bool
    refused: str = ""


@dataclass(frozen=True, slots=True)
class TickBatch:
    """What one node writes in one second, in one round trip.

    tick: encoded `telemetry.Tick`, None when nobody watches.
    slo: counts by SLO for the buckets of the store's now; (0, 0, 0) says that the
    node lives.
    flights: encoded `telemetry.Flight`s.
    """

    node: str
    tick: bytes | None
    slo: Mapping[str, Counts] = field(default_factory=dict)
    flights: Sequence[bytes] = ()


@dataclass(frozen=True, slots=True)
class Observed:
    """One complete reply to a reader.  Stream items are (id, bytes), oldest first.

    nodes: those with a heartbeat not older than 15 s; silent: the others of an hour.
    """

    now_ms: int
    rev: int
    epoch: str
    env: str
    nodes: Mapping[str, bytes] = field(default_factory=dict)  # id -> heartbeat
    silent: Mapping[str, int] = field(default_factory=dict)  # id -> last seen ms
    ticks: Sequence[tuple[str, bytes]] = ()
    flights: Sequence[tuple[str, bytes]] = ()
    seen: Mapping[str, int] = field(default_factory=dict)  # id -> last heartbeat ms
    proposals: Mapping[str, Proposed] = field(default_factory=dict)  # by target
    alerts: Mapping[str, bytes] = field(default_factory=dict)  # id -> state


class ControlStore(Protocol):
    """Reads and writes of controls; one write path.

    local: the store lives in this process, so what it says is never stale.
    """

    env: str
    local: bool

    async def load(self) -> ControlSet:
        """Read the whole control set consistently with its log tail."""
        ...

    async def survey(self, last_id: str) -> Survey:
        """Read the first step of a resync: small, whatever the store holds."""
        ...

    async def small_kinds(self) -> Mapping[tuple[str, str], bytes]:
        """Read all records but flags, in one round trip."""
        ...

    def flags(self) -> AsyncIterator[Mapping[tuple[str, str], bytes]]:
        """Read all flags, some 500 at a time; not as of one instant."""
        ...

    async def wait(self, last_id: str, block_s: float) -> Sequence[Entry]:
        """Block up to `block_s` for entries after `last_id` (the push channel).

        Uses a connection of its own; an empty return proves freshness too.
        """
        ...

    async def renew_push(self) -> None:
        """Drop the push connection; the next `wait` opens a new one."""
        ...

    async def after(self, last_id: str, count: int = 500) -> Sequence[Entry]:
        """Return entries after `last_id` without blocking, oldest first."""
        ...

    async def log(self, count: int = 200, before: str = "+") -> Sequence[Entry]:
        """Return the newest entries before stream id `before`, newest first."""
        ...

    async def apply(self, call: Call) -> Answer:
        """Write all changes or none; see flags page, section 1."""
        ...

    async def beat(self, node: str, heartbeat: bytes) -> Beat:
        """Say that `node` lives and read revision, epoch and the watch key."""
        ...

    async def leave(self, node: str) -> None:
        """Remove the node's heartbeat on a clean stop."""
        ...

    async def identify(self) -> tuple[str, str]:
        """Return (user, role) of this connection: role operator|viewer|app.

        The name ends with `?` where the server cannot prove it.
        """
        ...

    async def aclose(self) -> None:
        """Close every connection; idempotent."""
        ...


class OfferStore(Protocol):
    """Last good sets that nodes offer while the store is rewound."""

    async def offer(self, digest: str, blob: bytes) -> None:
        """Keep an encoded set under its digest for a day; the first one stays."""
        ...

    async def keep_offer(self, digest: str) -> bool:
        """Keep an offer for a day more; False if it is not there."""
        ...

    async def offers(self) -> Mapping[str, int]:
        """Return the encoded size in bytes of each offer, newest first."""
        ...

    async def offered(self, digest: str) -> bytes | None:
        """Return an offer, None when it is gone."""
        ...

    async def peers(self) -> Mapping[str, bytes]:
        """Return the heartbeats of live nodes by node id."""
        ...


class NodeStore(ControlStore, OfferStore, Protocol):
    """What a node's watcher needs of its store."""


class ObservationStore(Protocol):
    """Writes of the fleet's observations and reads by operators."""

    env: str

    async def write(self, batch: TickBatch) -> None:
        """Send one node's second in one round trip."""
        ...

    async def read(self, *, ticks_after: str, flights_after: str) -> Observed:
        """Read everything a view needs in one pipeline; sets the watch key.

        `ticks_after`: stream id, "" = only from now on (the last 60 s kept).
        """
        ...

    async def publish_definitions(self, digest: str, blob: bytes) -> None:
        """Store encoded `telemetry.Definitions` under its digest for 15 min."""
        ...

    async def keep_definitions(self, digest: str) -> bool:
        """Keep what is stored under a digest for 15 min more; False if it is gone."""
        ...

    async def definitions(self, digest: str) -> bytes | None:
        """Return what `publish_definitions` stored, None when it is gone."""
        ...

    async def attempt(self, fields: Mapping[str, str]) -> None:
        """Record a refused write or an arming in the attempts stream."""
        ...

    async def attempts(
        self, count: int = 200
    ) -> Sequence[tuple[str, Mapping[str, str]]]:
        """Return the newest attempts as (stream id, fields), newest first."""
        ...


def parse_value(raw: bytes) -> tuple[int, int, int, bytes]:
    """Split a stored value into (rev, at_ms, until_ms or 0, json).

    Raises ValueError when the ASCII header is not three numbers.
    """
    rev, at_ms, until_ms, json = raw.split(b" ", 3)
    return int(rev), int(at_ms), int(until_ms), json
