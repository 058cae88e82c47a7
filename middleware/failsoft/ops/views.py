"""What operators see: one immutable `FleetView` per reply, made of rows.

All strings in rows are raw; surfaces pass them through `text.safe` themselves.
Ratios are 0..1, latencies milliseconds, rates per second; None = not enough calls
or not known, and is printed as `n<30` or `-`, never as 0.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal, Protocol

import msgspec

from failsoft.ops.contractrows import DriftView, VersionsView
from failsoft.ops.fleetrows import AlertRow, DependencyView, ModeRow, SloView
from failsoft.ops.limitrows import LimitSum
from failsoft.telemetry import Flight

__all__ = [
    "AckState",
    "Applied",
    "ControlRow",
    "FleetView",
    "FlightRow",
    "GroupRow",
    "Identity",
    "Late",
    "Link",
    "LogRow",
    "NodeRow",
    "Notice",
    "Preview",
    "Proposal",
    "RouteRow",
    "Totals",
]


class Identity(msgspec.Struct, frozen=True):
    """Who writes.  user: ACL user; verified: the server proved it."""

    user: str
    verified: bool
    os_label: str  # "ana@host", goes into `via`


class Link(msgspec.Struct, frozen=True):
    """State of the reader's connection, as the reader knows it.

    state: connecting | up | down | auth (refused credentials, not retried).
    live: False for replays.  address is masked (no password).
    """

    state: Literal["connecting", "up", "down", "auth"]
    address: str = ""
    cause: str = ""
    tries: int = 0
    since: float = 0.0  # `clock.elapsed` second of the last change
    live: bool = True
    todo: str = ""  # what to do about a store that answered no, else ""


class Late(msgspec.Struct, frozen=True):
    """Figures of a route that are worked out when somebody reads them.

    inflight: sum of the nodes' last high-water marks.  by_node: node -> err_rate,
    empty without errors.
    """

    p50: float | None = None
    p95: float | None = None
    p99: float | None = None
    inflight: int = 0
    by_node: tuple[tuple[str, float | None], ...] = ()


class LateSource(Protocol):
    """Works out `Late` figures and keeps them."""

    def of(self, key: str, *, few: bool) -> Late:
        """Return the figures of a route, of 60 s when it had few calls."""


# gc: rows are made by the thousand each second, and never part of a cycle.
class RouteRow(msgspec.Struct, frozen=True, gc=False):
    """One route over the window (10 s, or 60 s when below 30 calls).

    state: K B D S L W ? . (worst wins).  spark: errors per second, 60 values,
    oldest first.  few: window has < 30 calls.  late: the rest, or who knows it.
    """

    key: str  # "POST /v1/checkout"
    rps: float
    n: int
    err_rate: float | None
    err_delta: float | None  # against 60 s ago
    err_per_s: float
    refused_per_s: float
    gone_per_s: float
    spark: tuple[float, ...]
    state: str
    state_text: str
    criticality: str
    impact: float
    few: bool = False
    ticks_lost: bool = False
    late: Late | LateSource = Late()

    def figures(self) -> Late:
        """Return what is worked out late; about 20 us the first time, then kept."""
        late = self.late
        return late if isinstance(late, Late) else late.of(self.key, few=self.few)

    @property
    def p50(self) -> float | None:
        """Return the median in milliseconds."""
        return self.figures().p50

    @property
    def p95(self) -> float | None:
        """Return the 95th percentile in milliseconds."""
        return self.figures().p95

    @property
    def p99(self) -> float | None:
        """Return the 99th percentile in milliseconds, None below 100 calls."""
        return self.figures().p99

    @property
    def inflight(self) -> int:
        """Return how many requests are with the application."""
        return self.figures().inflight

    @property
    def by_node(self) -> tuple[tuple[str, float | None], ...]:
        """Return the error ratio by node, empty without errors."""
        return self.figures().by_node

    def whole(self) -> dict[str, Any]:
        """Return all figures by name, the late ones among them."""
        fields = msgspec.structs.asdict(self)
        del fields["late"]
        return fields | msgspec.structs.asdict(self.figures())


class NodeRow(msgspec.Struct, frozen=True):
    """One worker process.  state: LIVE SILENT OLD GONE.  age in seconds."""

    node: str
    short: str  # w1, w2 ... stable by first sight
    state: str
    age: float  # since its last heartbeat, at the moment of the view
    rev: int
    epoch: str
    control_state: str  # cold live stale rewound local
    control_age: float
    lag_ms: float
    rss_bytes: int
    inflight: int
    app: str
    release: str
    failsoft: str
    uptime_s: float
    bad: tuple[str, ...] = ()
    own_errors: int = 0
    own_error: str = ""
    source: str = ""  # where its controls came from: redis file offer bootstrap ...
    digest: str = ""  # of its whole control set; equal on one revision
    lastgood: str = ""  # its last-known-good file: "" fine, temporary, none
    bad_headers: tuple[tuple[str, int], ...] = ()  # malformed trace headers by name


class GroupRow(msgspec.Struct, frozen=True):
    """One error group over the kept window (60 s of ticks)."""

    group: str
    route: str
    exception: str
    frame: str  # "shop/pay.py:88 charge"
    count: int  # exact, last 60 s
    last_ms: int
    first_ms: int
    flights: tuple[str, ...]  # ids, newest first


class FlightRow(msgspec.Struct, frozen=True):
    """One kept example."""

    flight: Flight


class ControlRow(msgspec.Struct, frozen=True):
    """One control or defined flag/mode, active ones first.

    target: `route:POST /x`, `tag:t`, `flag:k`, `mode:m`, `pin:consumer`,
    `brownout:name`, `tolerance:name`, `version:id` (its sunset), `drift:id`.
    now: "KILLED", "ON", "25%", "ended" ...; active: enforced at view time.
    """

    target: str
    kind: str  # kill mode brownout tolerance pin version drift flag
    now: str
    default: str
    rollout: float | None  # 0..100
    rps: float | None
    until_ms: int  # 0 = never
    by: str
    at_ms: int
    why: str
    rev: int  # record's own revision, 0 = no record
    active: bool
    group: str = ""
    doc: bytes = b""
    severity: str = ""  # of a mode: minor major critical
    lost: bool = False  # nodes enforce it, a rewound store does not hold it


class LogRow(msgspec.Struct, frozen=True):
    """One line of the audit: change log and refused attempts merged."""

    id: str
    at_ms: int
    rev: int
    who: str
    action: str  # kill unkill mode-enter mode-leave flag-edit expire refused arm ...
    target: str
    before: str
    after: str
    why: str
    until_ms: int
    via: str
    op_id: str
    refused: bool = False


class Notice(msgspec.Struct, frozen=True):
    """One thing to tell, worst first.  level: 0 info, 1 warn, 2 alarm."""

    level: int
    text: str
    target: str = ""


class Totals(msgspec.Struct, frozen=True):
    """The fleet over the window."""

    rps: float = 0.0
    n: int = 0
    err_rate: float | None = None
    p50: float | None = None
    p95: float | None = None
    p99: float | None = None
    refused_per_s: float = 0.0
    shed_per_s: float = 0.0
    gone_per_s: float = 0.0
    inflight: int = 0
    nodes_live: int = 0
    nodes_known: int = 0
    controls_active: int = 0
    next_end_ms: int = 0
    counted_s: float = 0.0  # seconds that nodes reported of the window; 0 = none yet


class Proposal(msgspec.Struct, frozen=True):
    """A control that a guard or automation would set, had its node the right.

    ttl_s: seconds until it would end, None = no end.  variant: of a guard's kill.
    kind, doc: of another record and its JSON, "" to delete it.
    """

    target: str
    at_ms: int
    variant: str
    why: str
    ttl_s: float | None = None
    node: str = ""
    kind: str = "kill"
    doc: str = ""


class FleetView(msgspec.Struct, frozen=True):
    """Everything the surfaces paint, from one complete reply.

    received: `clock.elapsed()` second of the last complete reply.
    server_ms: the store's time in it.
    """

    seq: int
    env: str
    link: Link
    received: float
    server_ms: int
    revision: int = 0
    epoch: str = ""
    controls_state: Literal["known", "missing", "rewound"] = "known"
    production: bool = False
    window_s: float = 10.0
    nodes: tuple[NodeRow, ...] = ()
    routes: tuple[RouteRow, ...] = ()
    groups: tuple[GroupRow, ...] = ()
    flights: tuple[Flight, ...] = ()  # newest first, at most 200
    controls: tuple[ControlRow, ...] = ()
    log: tuple[LogRow, ...] = ()
    notices: tuple[Notice, ...] = ()
    totals: Totals = Totals()
    evaluators: Mapping[str, bytes] = {}  # name -> JSON that `$ref` stands for
    proposals: tuple[Proposal, ...] = ()
    versions: VersionsView | None = None  # None: not read, see `Operator.want`
    drift: DriftView | None = None
    modes: tuple[ModeRow, ...] = ()
    dependencies: DependencyView | None = None  # None: not read, as those above
    limits: tuple[LimitSum, ...] = ()  # read with the dependencies
    slo: SloView | None = None
    alerts: tuple[AlertRow, ...] = ()


class AckState(msgspec.Struct, frozen=True):
    """One node's answer to one write; `enforces` counts only from its heartbeat."""

    node: str
    short: str
    state: Literal["enforces", "waiting", "silent", "rejected", "old", "gone"]
    ms: int | None = None
    detail: str = ""


class Preview(msgspec.Struct, frozen=True):
    """A dry run of one command on one view.

    share: ratio of the fleet's requests covered, None when unknown (tier 2).
    tier 0..3 and `tier_why` say what confirmation is needed (`code`: what to type).
    if_revision: record revision to compare with, None = no compare.
    """

    target: str
    action: str
    before: str
    after: str
    until_s: float | None  # seconds from now, None = no end
    routes: tuple[str, ...]
    rps: float
    share: float | None
    answer: str  # what clients get
    in_flight: int
    nodes_can: tuple[int, int]
    warnings: tuple[str, ...]
    data_age: float
    tier: int
    tier_why: str
    code: str
    if_revision: int | None
    made_at: float
    conflict: str = ""  # "killed by bob 4 s ago, 56m left: this replaces it"
    covers: tuple[str, ...] = ()  # targets of a call with more than one change
    diff: tuple[str, ...] = ()  # what changes in a flag's document, in words
    moves: float | None = None  # ratio of 10,000 synthetic ids that change variant
    was: bytes = b""  # the flag's document that was seen
    group: str = ""  # the incident that the control will belong to
    seen_on: tuple[str, ...] = ()  # routes whose kept failures saw the flag
    consumers: tuple[str, ...] = ()  # whom it reaches, as `name 44%`, most first


class Applied(msgspec.Struct, frozen=True):
    """A write that the store confirmed."""

    revision: int
    epoch: str
    op_id: str
    at_ms: int
    acks: tuple[AckState, ...] = ()
    duplicate: bool = False
    targets: tuple[str, ...] = ()
    until_ms: int = 0  # end of what was put first, 0 = no end

    def enforced(self) -> bool:
        """Whether every expected node that has not left enforces the write."""
        return all(a.state in ("enforces", "gone") for a in self.acks)
