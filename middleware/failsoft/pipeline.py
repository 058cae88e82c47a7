"""One request: its `Exchange`, the plan of its route, and how a refusal looks.

The pipeline knows no feature.  Features compile hooks into a `Plan`; a hook takes
the Exchange and returns None, or the `Rejection` that answers the request.
"""

from __future__ import annotations

import _asyncio
from collections.abc import Awaitable, Callable, MutableMapping
from contextvars import ContextVar
from dataclasses import dataclass
from time import perf_counter_ns
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from failsoft.controls.snapshot import Snapshot

__all__ = [
    "AS_DECLARED",
    "CURRENT",
    "SETTLED",
    "BodyChange",
    "BodyLook",
    "BodyPlan",
    "Exchange",
    "Headers",
    "InPlace",
    "Inside",
    "Plan",
    "Rejection",
    "Scalars",
    "Scope",
    "Settled",
    "Start",
    "VersionPlans",
    "in_turn",
    "task_of",
]

Scope = MutableMapping[str, Any]

# The phase of an Exchange that a task may still hold after its request.
SETTLED = 3
# What a settled Exchange has for a scope: a server's timers keep their context, and
# with it the last Exchanges, for seconds; the requests' objects must not stay too.
_SPENT: Scope = {"headers": ()}

# The task that a loop runs now.  Before Python 3.12 `asyncio.current_task` is written
# in Python: 0.25 us a request.
task_of: Callable[[Any], Any] = (
    getattr(_asyncio, "current_task", None) or _asyncio._current_tasks.get  # type: ignore[attr-defined]
)

CURRENT: ContextVar[Exchange | None] = ContextVar("failsoft.exchange", default=None)


class Rejection:
    """An answer of ours in place of the application's.

    reason: stable word for telemetry (kill maintenance read_only shed static).
    body: complete, or with `is_problem` a JSON object without its closing brace,
    to which the trace id is added.  headers: lower-case byte pairs.
    """

    __slots__ = ("body", "headers", "is_problem", "is_refusal", "reason", "status")

    def __init__(
        self,
        reason: str,
        status: int,
        headers: tuple[tuple[bytes, bytes], ...],
        body: bytes,
        *,
        is_problem: bool = True,
        is_refusal: bool = True,
    ) -> None:
        self.reason = reason
        self.status = status
        self.headers = headers
        self.body = body
        self.is_problem = is_problem
        self.is_refusal = is_refusal


Hook = Callable[["Exchange"], Rejection | None]
# Requests that are with the application, of a node or of a route; of one event loop.
# No set: the code of dicts is warm in every request, that of sets is not.
Inside = dict["Exchange", None]


# Takes a complete body; returns the one to go on with (the same for no change).
BodyChange = Callable[["Exchange", bytes], bytes | Rejection]
# Takes a complete body that has gone on already.
BodyLook = Callable[["Exchange", bytes], None]
Headers = list[tuple[bytes, bytes]]
# Takes (exchange, status, headers) of an answer that starts; edits the headers in
# place, and returns the status to send.
Start = Callable[["Exchange", int, Headers], int]
# Takes (exchange, final status) of a request that is over.
Settled = Callable[["Exchange", int], None]


@dataclass(frozen=True, slots=True)
class BodyPlan:
    """What is done with JSON bodies of one direction on one route.

    changes: in order; the body is held back until they are done.  look: sees the
    bytes that went on, and holds nothing back.  is_required: a body that cannot be
    given to `changes` is refused instead of passed on.  statuses: of answers it is
    for, None for all.  elsewhere: told of a request body that is not JSON.
    """

    changes: tuple[BodyChange, ...] = ()
    look: BodyLook | None = None
    is_required: bool = False
    statuses: Callable[[int], bool] | None = None
    elsewhere: Callable[[Exchange], None] | None = None

    @property
    def is_watching(self) -> bool:
        """Whether each part goes on at once, and none is ever refused."""
        return not (self.changes or self.is_required)


@dataclass(frozen=True, slots=True)
class Scalars:
    """What modes in force turn on one route; None and 1 = as declared.

    timeout_s and timeout_scale: of the deadline.  rate_limit_scale: of limits.
    concurrency: of the route on one node.  stale_s: age that may stand in.  no_shed,
    no_retries: left out altogether.  quiet: no samples are taken.  drill: the request
    is part of a drill and in no SLO.
    """

    timeout_s: float | None = None
    timeout_scale: float = 1.0
    rate_limit_scale: float = 1.0
    concurrency: int | None = None
    stale_s: float | None = None
    no_shed: bool = False
    no_retries: bool = False
    quiet: bool = False
    drill: bool = False


@dataclass(frozen=True, slots=True)
class InPlace:
    """How modes in force answer for the application, by what only a guard can do.

    stale_s: a kept answer of at most that age is sent, None = none is.  reroute: name
    of the `handler` that answers where none is kept, "" = nobody.  is_probe: the
    application is asked all the same, and only where it fails these answer, then what
    `refuse` returns.
    """

    stale_s: float | None = None
    reroute: str = ""
    is_probe: bool = False
    refuse: Hook | None = None


AS_DECLARED = Scalars()


def in_turn(*hooks: Hook) -> Hook:
    """Return a hook that asks each of them; what fails says nothing."""

    def ask(exchange: Exchange) -> Rejection | None:
        for hook in hooks:
            try:
                rejection = hook(exchange)
            except Exception as error:  # noqa: BLE001 - border: a request must go on
                exchange.runtime.failed(f"admit {exchange.plan.key}", error)
                continue
            if rejection is not None:
                return rejection
        return None

    return ask


def _every(status: int) -> bool:
    return True


class Plan:
    """What one route does with a request, compiled at one revision.

    key: `METHOD template`.  admit: hooks in order; the first Rejection answers.
    notices: response headers to add.  cell: this route's counters, kept across
    plans, so that a swap loses no count.  facts: what rules of flags may read of
    the route, made at first use.

    body, answer: what is done with bodies, None for nothing.  start: may change
    status and headers of an answer, in place.  by_version: the plans of versions
    that differ from this one, by version id; None without a contract.  guard: what
    may answer in place of a late or failing application, None for nothing.  choose:
    gives the plan of a request where a mode holds for a share of them only.
    scalars: what modes turn here.  in_place: how modes answer for the application,
    None = they do not, or by a hook alone.  settled: told of each request when it is
    over, with its final status.  reads: names of request headers that its hooks read.

    What a request reads of these is worked out once, by `seal`.  ask: all of `admit`
    as one hook, None for none.  is_held: bodies may be held back or refused, not only
    looked at as they pass.  is_direct: the application reads from the server.
    watches: of which statuses an answer is looked at as it passes, None for none.
    """

    __slots__ = (
        "admit",
        "answer",
        "ask",
        "body",
        "by_version",
        "cell",
        "choose",
        "criticality",
        "facts",
        "guard",
        "in_place",
        "is_direct",
        "is_held",
        "key",
        "method",
        "notices",
        "reads",
        "scalars",
        "settled",
        "start",
        "template",
        "watches",
    )

    def __init__(
        self,
        key: str,
        criticality: str,
        cell: Any,
        admit: tuple[Hook, ...] = (),
        notices: tuple[tuple[bytes, bytes], ...] = (),
    ) -> None:
        self.key = key
        self.method, _, self.template = key.partition(" ")
        self.criticality = criticality
        self.cell = cell
        self.admit = admit
        self.notices = notices
        self.facts: dict[str, str] | None = None
        self.body: BodyPlan | None = None
        self.answer: BodyPlan | None = None
        self.start: Start | None = None
        self.by_version: VersionPlans | None = None
        self.guard: Any = None
        self.choose: Callable[[Exchange], Plan] | None = None
        self.scalars: Scalars = AS_DECLARED
        self.in_place: InPlace | None = None
        self.settled: Settled | None = None
        self.reads: frozenset[bytes] = frozenset()
        self.seal()

    def seal(self) -> None:
        """Work out what requests read, once every feature has had its say."""
        self.ask: Hook | None = None
        if self.admit:
            is_one = len(self.admit) == 1
            self.ask = self.admit[0] if is_one else in_turn(*self.admit)
        plans = [plan for plan in (self.body, self.answer) if plan is not None]
        self.is_held = not all(plan.is_watching for plan in plans)
        looks = not self.scalars.quiet
        self.is_direct = not (self.is_held or (self.body is not None and looks))
        self.watches: Callable[[int], bool] | None = None
        if self.answer is not None and looks and not self.is_held:
            self.watches = self.answer.statuses or _every

    def each(self, dress: Callable[[Plan], None]) -> None:
        """Have a function add to this plan and to those of all its versions."""
        dress(self)
        if self.by_version is not None:
            self.by_version.each(dress)


class VersionPlans:
    """The plans of a route's versions, each made at the first request that needs it.

    A hundred versions of a hundred routes may come to ten thousand plans, of which a
    process serves a few.  make: returns the plan of a version; the same one for
    versions that share it, None for no plan of its own.
    """

    __slots__ = ("_dressed", "_dressers", "_make", "_plans")

    def __init__(self, make: Callable[[str], Plan | None]) -> None:
        self._make = make
        self._plans: dict[str, Plan | None] = {}
        self._dressed: dict[int, Plan] = {}
        self._dressers: list[Callable[[Plan], None]] = []

    def get(self, version: str) -> Plan | None:
        """Return the plan of a version."""
        try:
            return self._plans[version]
        except KeyError:
            plan = self._plans[version] = self._make(version)
        if plan is not None and id(plan) not in self._dressed:
            self._dressed[id(plan)] = plan
            for dress in self._dressers:
                dress(plan)
        return plan

    def each(self, dress: Callable[[Plan], None]) -> None:
        """Have a function add to all of them, once to each, when they are made."""
        self._dressers.append(dress)
        for plan in self._dressed.values():
            dress(plan)


class Exchange:
    """Everything failsoft knows of one request; one per request, never shared.

    Handlers reach it as `failsoft.current()` and may set `targeting_key` (str) and
    add to `context` (dict) for flags.  status is 0 until the response starts;
    phase is 0 before, 1 during and 2 after the response, 3 when all is done; then
    the scope holds nothing.  version is the id the request speaks, "" without a
    contract; resolved is what the versions stage keeps of it.  consumer is the
    hashed caller, "" while nobody asked.  drift counts findings in its bodies.
    criticality: of the request, which a header may have lowered.  deadline_ns: by
    `perf_counter_ns`, 0 for none.  counted: those it is among until its end.
    is_late: it was answered for while the handler goes on.
    pending: what is still to be awaited before it is admitted.  degraded: what stood
    in for the application's answer (stale fallback static reroute), "" for nothing.
    calls: notes of outbound attempts.  said: headers among those that the plan reads,
    None for none of them.  limit: header that tells of its rate limit.
    task: that runs the application, of a request with a deadline and no guard.  send:
    the server's.  late: who answered in place of an application that was late.
    watched: what looks at the answer as it passes.  traceresponse: the header's value
    where it is known, b"" = to be made of the ids and flags.
    """

    __slots__ = (
        "_context",
        "calls",
        "consumer",
        "counted",
        "criticality",
        "deadline_ns",
        "degraded",
        "drift",
        "ended_ns",
        "exception",
        "flags",
        "is_late",
        "late",
        "limit",
        "notices",
        "pending",
        "phase",
        "plan",
        "rejection",
        "resolved",
        "runtime",
        "said",
        "scope",
        "send",
        "sent_bytes",
        "snapshot",
        "span",
        "span_id",
        "started_ns",
        "status",
        "targeting_key",
        "task",
        "token",
        "trace_flags",
        "trace_id",
        "traceresponse",
        "version",
        "watched",
    )

    def __init__(self, scope: Scope, runtime: Any, started_ns: int) -> None:
        self.scope = scope
        self.runtime = runtime
        self.snapshot: Snapshot = runtime.snapshot
        self.started_ns = started_ns
        self.ended_ns = 0
        self.status = 0
        self.phase = 0
        self.sent_bytes = 0
        self.rejection: Rejection | None = None
        self.exception: BaseException | None = None
        self.flags: dict[str, str] | None = None
        self.span: Any = None
        self.targeting_key: str | None = None
        self._context: dict[str, Any] | None = None
        self.plan: Plan
        self.token: Any = None
        self.trace_id: int = 0
        self.span_id: int = 0
        self.trace_flags = 0
        self.traceresponse = b""
        self.version = ""
        self.resolved: Any = None
        self.consumer = ""
        self.drift = 0
        self.notices: list[bytes] | None = None
        self.criticality = ""
        self.deadline_ns = 0
        self.counted: tuple[Inside, ...] = ()
        self.is_late = False
        self.pending: Callable[[], Awaitable[Rejection | None]] | None = None
        self.degraded = ""
        self.calls: list[Any] | None = None
        self.said: dict[bytes, bytes] | None = None
        self.limit: tuple[bytes, bytes] | None = None
        self.task: Any = None
        self.send: Any
        self.late: Any = None
        self.watched: Any = None

    def notice(self, value: bytes) -> None:
        """Add a `Failsoft-Notice` header to the answer, if it has not started."""
        if self.notices is None:
            self.notices = []
        self.notices.append(value)

    def remaining(self) -> float | None:
        """Return the seconds left until the deadline, 0.0 after it, None without one.

        Once the answer has begun in time there is none.  Works in threads too.
        """
        if not self.deadline_ns:
            return None
        return max(0.0, (self.deadline_ns - perf_counter_ns()) / 1e9)

    def settle(self) -> None:
        """Let go of the request: what outlives it keeps ids, plan and context."""
        # Also, an exception, its frames and the exchange keep each other alive.
        self.exception = self.span = self.token = self.said = None
        self.task = self.send = self.late = self.watched = None
        self.scope = _SPENT
        self.phase = SETTLED

    @property
    def context(self) -> dict[str, Any]:
        """Attributes for flag evaluation; made at first use."""
        if self._context is None:
            self._context = {}
        return self._context

    @property
    def route(self) -> str:
        """`METHOD template` of the matched route, `(no route)` without one."""
        return self.plan.key

    @property
    def trace_id_hex(self) -> str:
        """The trace id as 32 hexadecimal digits, "" before one is known."""
        return f"{self.trace_id:032x}" if self.trace_id else ""

    @property
    def span_id_hex(self) -> str:
        """The span id as 16 hexadecimal digits, "" before one is known."""
        return f"{self.span_id:016x}" if self.span_id else ""
