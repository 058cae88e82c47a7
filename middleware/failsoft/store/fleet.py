"""The seam between nodes of a fleet: what each says a second, who leads, probes.

`store.redis.fleet` and `store.memoryfleet` implement it.  Rows are encoded here and
opaque to the stores; all of it expires.  Times are the store's in integer ms.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Protocol

import msgspec

__all__ = [
    "DEPENDENCIES_KEPT",
    "LEASE_MS",
    "LIMITS_KEPT",
    "PROBE_STEPS",
    "ROW_FRESH_MS",
    "DependencyRow",
    "FleetBeat",
    "FleetRead",
    "FleetSay",
    "FleetStore",
    "LimitRow",
    "ModeRow",
    "NodeRow",
    "ProbeAsk",
    "ProbeStand",
    "QuotaSum",
    "decode_quotas",
    "decode_row",
    "encode_row",
]

DEPENDENCIES_KEPT = 65  # of one node: 64 and `(other)`
LIMITS_KEPT = 64
LEASE_MS = 6_000
ROW_FRESH_MS = 3_000  # older rows do not count
ROWS_TTL_MS = 60_000
QUOTAS_TTL_MS = 3_000
PROBE_TTL_S = 120
# A probe is this many calls, each step after all of the one before ended well.
PROBE_STEPS = (1, 3, 10)
PROBE_STEP_MS = 10_000  # then one good call is enough for a step


class DependencyRow(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """What one node says of one dependency.

    calls, fail, slow: of the breaker's ring (30 s).  state: of the local breaker,
    closed, open or half_open.  in_force: what calls meet here, with overrides: that,
    or forced_open, forced_closed, metrics_only, fleet_open.  vote: it is open here,
    or >= 3 calls are over a threshold.  why: of the state.  since_ms: of the state.
    retry_ms: when the next local probe is, 0 = none.  throttle: share refused, 0..1.
    last_ok_ms: 0 = never.  quota_*: as announced; limit 0 = none known, remaining -1
    = unknown.  spent_per_s: own calls over 60 s.  refused: calls of 30 s that were
    never sent.  p99_ms: of the ring, 0 = unknown.
    """

    name: str
    calls: int = 0
    fail: int = 0
    slow: int = 0
    state: str = "closed"
    in_force: str = "closed"
    vote: bool = False
    why: str = ""
    since_ms: int = 0
    retry_ms: int = 0
    throttle: float = 0.0
    last_ok_ms: int = 0
    refused: int = 0
    p99_ms: float = 0.0
    spent_per_s: float = 0.0
    quota_limit: int = 0
    quota_remaining: int = -1
    quota_reset_ms: int = 0
    hold_ms: int = 0  # nobody calls before (Retry-After), 0 = free
    retries_left: float = -1.0  # of the budget, -1 = unknown
    in_row: int = 0  # failures since the last good call


class LimitRow(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """What one node says of one client rate limit.

    how: leased, exact or local.  allowed, refused, trips: of the last 30 s.  left:
    tokens in the bucket when last told, -1 = unknown.  fault: of the store, "" none.
    policy: its rates as declared.  keys: remembered now.
    """

    name: str
    how: str = ""
    allowed: int = 0
    refused: int = 0
    trips: int = 0
    left: int = -1
    fault: str = ""
    policy: str = ""
    keys: int = 0


class ModeRow(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """What one node did under one mode, counted since its activation began there.

    since_ms: of the activation.  touched: requests under it.  probes, bad: those that
    still reached the application, and how many of them failed.  acts: action ->
    requests it was done to; failed: of these, answers that were errors.
    """

    name: str
    since_ms: int = 0
    touched: int = 0
    probes: int = 0
    bad: int = 0
    acts: dict[str, int] = {}
    failed: int = 0


class NodeRow(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """What one node says each second.

    at_ms: store time as the node has it.  rev: revision of the controls it enforces.
    shed_limit: requests in flight it admits, 0 = not armed.  shed: refused of 30 s.
    """

    v: int = 1
    at_ms: int = 0
    rev: int = 0
    inflight: int = 0
    lag_ms: float = 0.0
    shed_limit: float = 0.0
    shed: int = 0
    dependencies: tuple[DependencyRow, ...] = ()
    limits: tuple[LimitRow, ...] = ()
    modes: tuple[ModeRow, ...] = ()


class QuotaSum(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """What the fleet knows of one dependency's quota, as the leader merged it.

    Newest reset wins, in one window the lowest remaining; spent_per_s is the sum.
    """

    name: str
    limit: int = 0
    remaining: int = -1
    reset_ms: int = 0
    spent_per_s: float = 0.0
    hold_ms: int = 0


@dataclass(frozen=True, slots=True)
class FleetBeat:
    """The store's answer to a node's second.

    leader, term: who leads, "" and the last term without one.  quotas: what the
    leader published last (`decode_quotas`), b"" = nothing of the last 3 s.  rows:
    encoded `NodeRow`s by node, asked for with `reads`.
    """

    now_ms: int
    leader: str = ""
    term: int = 0
    quotas: bytes = b""
    rows: Mapping[str, bytes] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class FleetRead:
    """What operators read: rows of the last minute, the leader and its term."""

    now_ms: int
    leader: str = ""
    term: int = 0
    rows: Mapping[str, bytes] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class ProbeAsk:
    """One node's part in probe `number` of a dependency that is open for the fleet.

    since_ms: of the opening.  ok, fail: outcomes to add.  back: permits unused.
    want: permits wanted, 0 = only look.
    """

    name: str
    since_ms: int
    number: int
    ok: int = 0
    fail: int = 0
    back: int = 0
    want: int = 0


@dataclass(frozen=True, slots=True)
class ProbeStand:
    """How a probe stands.  step: passed so far, 0..3.  granted: permits for now.

    fail: bad outcomes; with one, the probe is over.
    """

    step: int = 0
    granted: int = 0
    fail: int = 0

    @property
    def has_passed(self) -> bool:
        """Whether every step ended well: the dependency is back."""
        return self.step >= len(PROBE_STEPS) and not self.fail


@dataclass(frozen=True, slots=True)
class FleetSay:
    """What one node says in one second.

    row: encoded `NodeRow`.  leads: gain or renew the lease; False gives it up where
    this node holds it.  reads: return all rows.  quotas: publish them for 3 s, which
    works for the holder of the lease alone.  gone: nodes whose rows are taken away.
    """

    row: bytes
    leads: bool = True
    reads: bool = False
    quotas: bytes = b""
    gone: tuple[str, ...] = ()


class FleetStore(Protocol):
    """Written by every node each second; read by the leader and by operators."""

    async def fleet_beat(self, node: str, say: FleetSay) -> FleetBeat:
        """Take a node's second in one round trip, and answer who leads."""
        ...

    async def fleet_read(self) -> FleetRead:
        """Return the rows kept; those of nodes that are gone may be a minute old."""
        ...

    async def live_nodes(self) -> int:
        """Return how many nodes have sent a heartbeat within 5 s."""
        ...

    async def fleet_leave(self, node: str) -> None:
        """Take a node's row away and give its lease up."""
        ...

    async def fleet_probe(self, ask: ProbeAsk) -> ProbeStand:
        """Tell outcomes and take permits of one probe, atomically."""
        ...


_row_encoder, _row_decoder = msgspec.msgpack.Encoder(), msgspec.msgpack.Decoder(NodeRow)
_quotas = msgspec.msgpack.Decoder(tuple[QuotaSum, ...])


def encode_row(row: NodeRow) -> bytes:
    """Encode a node's row as the store keeps it."""
    return _row_encoder.encode(row)


def decode_row(raw: bytes) -> NodeRow | None:
    """Return a stored row; None for one of a release that says it otherwise."""
    try:
        return _row_decoder.decode(raw)
    except (msgspec.DecodeError, UnicodeError, RecursionError):
        return None


def decode_quotas(raw: bytes) -> tuple[QuotaSum, ...]:
    """Return what the leader published; nothing where it cannot be read."""
    try:
        return _quotas.decode(raw) if raw else ()
    except (msgspec.DecodeError, UnicodeError, RecursionError):
        return ()
