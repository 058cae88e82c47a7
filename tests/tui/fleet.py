"""A fleet on paper: views of known content, and an operator without a store."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterable
from typing import Any

import msgspec

from failsoft.errors import FailsoftError, NotArmed, TargetGone
from failsoft.ops.command import (
    BrownoutStart,
    Command,
    Extend,
    FlagEdit,
    FlagPut,
    FlagRevert,
    GroupLift,
    GuardApply,
    Kill,
    ModeEnter,
    ModeLeave,
    ToleranceAdd,
    Unkill,
)
from failsoft.ops.flaglife import FlagLife
from failsoft.ops.guard import GuardRow
from failsoft.ops.history import ChangeRow
from failsoft.ops.sources.ledgers import Section
from failsoft.ops.views import (
    AckState,
    Applied,
    ControlRow,
    FleetView,
    GroupRow,
    Identity,
    Late,
    Link,
    LogRow,
    NodeRow,
    Notice,
    Preview,
    RouteRow,
    Totals,
)
from failsoft.telemetry import Definitions, Flight, Frame
from tui.resilience import dependencies, modes, objectives
from unit.ops.contractfleet import look

NOW_MS = 1_790_000_000_000  # a time of day of 13:33:20 UTC
RISING = tuple(float(max(0, i - 20)) for i in range(60))
QUIET = (0.0,) * 60


class ManualClock:
    """Seconds that move when told."""

    def __init__(self) -> None:
        self.now = 1_000.0

    def __call__(self) -> float:
        return self.now

    def advance(self, seconds: float) -> None:
        self.now += seconds


def route(key: str, **changes: Any) -> RouteRow:
    row = RouteRow(
        key=key,
        rps=40.0,
        n=400,
        err_rate=0.0,
        err_delta=0.0,
        err_per_s=0.0,
        refused_per_s=0.0,
        gone_per_s=0.0,
        spark=QUIET,
        state=".",
        state_text="",
        criticality="critical",
        impact=0.0,
    )
    late = Late(21.0, 88.0, 240.0, inflight=2, by_node=(("n1", 0.0), ("n2", 0.0)))
    names = Late.__struct_fields__
    changed = {name: changes.pop(name) for name in names if name in changes}
    changes["late"] = msgspec.structs.replace(late, **changed)
    return msgspec.structs.replace(row, **changes)


CHECKOUT = route(
    "POST /v1/checkout",
    rps=61.0,
    n=610,
    err_rate=0.382,
    err_delta=0.31,
    p50=180.0,
    p95=912.0,
    p99=2_100.0,
    err_per_s=23.3,
    inflight=38,
    spark=RISING,
    state="B",
    state_text="BREAKER payments 3/4",
    criticality="critical_plus",
    impact=186.0,
    by_node=(("n1", 0.41), ("n2", 0.37), ("n3", 0.39), ("n4", 0.0)),
)
ROUTES = (
    CHECKOUT,
    route("GET /v1/orders/{id}", rps=212.4, err_rate=0.021, err_delta=0.016,
          err_per_s=4.4, impact=18.0, spark=RISING, state="D",
          state_text="DEGRADED cache-only"),
    route("POST /v1/reviews", rps=0.0, n=0, err_rate=None, err_delta=None, p50=None,
          p95=None, p99=None, refused_per_s=31.0, state="K",
          state_text="KILLED 31/s refused", impact=0.5),
    route("GET /v2/search", rps=88.9, err_rate=0.004, state="L",
          state_text="LIMITED 12/s -> 429", impact=0.4),
    route("GET /internal/export", rps=0.3, n=18, err_rate=None, err_delta=None,
          p50=None, p95=None, p99=None, few=True, state_text="ok (too few calls)"),
    *(route(f"GET /v1/items/{i}/parts", rps=30.0 - i) for i in range(21)),
)  # fmt: skip

NODES = tuple(
    NodeRow(
        node=f"n{i}", short=f"w{i}", state="LIVE", age=0.4, rev=8412, epoch="e1",
        control_state="live", control_age=0.2, lag_ms=1.1, rss_bytes=90_000_000,
        inflight=9, app="shop", release="7f3c2", failsoft="0.1.0", uptime_s=720.0,
    )
    for i in range(1, 5)
)  # fmt: skip

FLIGHTS = tuple(
    Flight(
        id=f"9b1e44a{i}",
        group="g1",
        route="POST /v1/checkout",
        node="n2",
        at_ms=NOW_MS - 400 - 1_000 * i,
        status=504,
        duration_us=2_040_000,
        exception="PaymentTimeout",
        message="upstream did not answer in 2000 ms",
        frames=(
            Frame("pay/client.py", 88, "charge", "r = await http.post(url, json=body)"),
            Frame("pay/service.py", 40, "pay_cart", "await client.charge(cart.total)"),
            Frame("httpx/_client.py", 1629, "send", "response = await send", False),
            Frame("app/checkout.py", 71, "checkout", "return await svc.pay_cart(cart)"),
        ),
        causes=("TimeoutError: 2.0 s",),
        trace_id="4bf92f3577b34da6a3ce929d0e0e4736",
        release="7f3c2",
        revision=8412,
        consumer="ios/5.2",
    )
    for i in range(3)
)

GROUPS = (
    GroupRow("g1", "POST /v1/checkout", "PaymentTimeout", "pay/client.py:88 charge",
             18_220, NOW_MS - 400, NOW_MS - 700_000, tuple(f.id for f in FLIGHTS)),
    GroupRow("g2", "POST /v1/checkout", "KeyError", "app/cart.py:130 add", 19,
             NOW_MS - 31_000, NOW_MS - 60_000, ()),
)  # fmt: skip


def control(target: str, kind: str, now: str, **changes: Any) -> ControlRow:
    row = ControlRow(
        target=target, kind=kind, now=now, default="on", rollout=None, rps=61.0,
        until_ms=0, by="ana", at_ms=NOW_MS - 120_000, why="INC-311", rev=3,
        active=True,
    )  # fmt: skip
    return msgspec.structs.replace(row, **changes)


CONTROLS = (
    control("route:POST /v1/reviews", "kill", "KILLED", rps=31.0, by="bob",
            until_ms=NOW_MS + 660_000, at_ms=NOW_MS - 840_000,
            why="INC-311 spam wave"),
    control("mode:orders.cache-only", "mode", "ON", default="off", rps=212.4,
            until_ms=NOW_MS + 2_520_000, why="orders-db is slow"),
    control("flag:checkout.new-pricing", "flag", "25%", default="off", rollout=25.0,
            at_ms=NOW_MS - 172_800_000, why="rollout step 2"),
    control("route:POST /v1/checkout*", "kill", "ended", active=False, rev=0,
            at_ms=NOW_MS - 32_400_000, why="INC-298"),
    control("mode:maintenance", "mode", "off", default="off", active=False, rps=None,
            by="", at_ms=0, why="", rev=0),
    control("mode:read-only", "mode", "off", default="off", active=False, rps=None,
            by="", at_ms=0, why="", rev=0),
    control("flag:search.rerank", "flag", "on", rollout=100.0, active=False, rps=None,
            by="", at_ms=0, why="", rev=0),
)  # fmt: skip


def entry(number: int, action: str, target: str, **changes: Any) -> LogRow:
    at_ms = NOW_MS - 60_000 * number
    row = LogRow(
        id=f"{at_ms}-0", at_ms=at_ms, rev=8_412 - number, who="ana", action=action,
        target=target, before="on", after="KILLED", why="INC-311",
        until_ms=at_ms + 3_600_000, via="tui", op_id=f"op{number}",
    )  # fmt: skip
    return msgspec.structs.replace(row, **changes)


LOG = (
    entry(1, "mode-enter", "mode:orders.cache-only", before="off", after="ON",
          why="orders-db is slow"),
    entry(2, "refused", "route:GET /v2/search", who="eve", after="read-only",
          refused=True, op_id="", why="looks odd"),
    entry(14, "kill", "route:POST /v1/reviews", who="bob", why="INC-311 spam wave"),
    entry(2_000, "kill", "route:POST /v1/checkout*", why="INC-298"),
)  # fmt: skip

TOTALS = Totals(
    rps=1_284.0, n=12_840, err_rate=0.019, p50=30.0, p95=212.0, p99=480.0,
    refused_per_s=31.0, inflight=61, nodes_live=4, nodes_known=4, controls_active=2,
    next_end_ms=NOW_MS + 660_000,
)  # fmt: skip

NOTICES = (
    Notice(2, "payments breaker OPEN on 3 of 4 nodes", "POST /v1/checkout"),
    Notice(1, "kill route:POST /v1/reviews ends in 11m"),
)


CONTRACT, _ = look(seconds=3)


def incident(now: float, seq: int = 1, **changes: Any) -> FleetView:
    """A view as an incident gives it, received at `now`."""
    view = FleetView(
        seq=seq,
        env="shop-prod",
        link=Link("up", address="redis://redis.prod:6379/0"),
        received=now,
        server_ms=NOW_MS,
        revision=8412,
        epoch="e1",
        production=True,
        nodes=NODES,
        routes=ROUTES,
        groups=GROUPS,
        flights=FLIGHTS,
        controls=CONTROLS,
        log=LOG,
        notices=NOTICES,
        totals=TOTALS,
        versions=CONTRACT.versions,
        drift=CONTRACT.drift,
        modes=modes(NOW_MS),
        dependencies=dependencies(NOW_MS),
        slo=objectives(NOW_MS),
    )
    return msgspec.structs.replace(view, **changes)


ANSWERS: dict[type[Any], tuple[str, str, str]] = {
    Kill: ("kill", "on", "KILLED"),
    Unkill: ("unkill", "KILLED", "on"),
    ModeEnter: ("mode-enter", "off", "ON"),
    ModeLeave: ("mode-leave", "ON", "off"),
    FlagEdit: ("flag-edit", "25%", "30%"),
    FlagPut: ("flag-edit", "25%", "25% +1 rules"),
    FlagRevert: ("flag-revert", "25%", "off"),
    GuardApply: ("guard-apply", "on", "KILLED"),
    GroupLift: ("group-lift", "2 on", "lifted"),
    Extend: ("extend", "11m", "1h"),
    BrownoutStart: ("brownout-start", "-", "BROWNOUT 100%"),
    ToleranceAdd: ("tolerance-add", "-", "string_to_number"),
}


class PaperOperator:
    """An `Operator` that writes nothing and remembers everything.

    `tiers` are given to previews one after the other, the last for ever.
    """

    def __init__(self, clock: ManualClock, view: FleetView | None = None) -> None:
        self.identity = Identity("ana", True, "ana@host")
        self.role = "operator"
        self.armed_until: float | None = None
        self.armed_reason = ""
        self.clock = clock
        self.current = view or incident(clock())
        self.tiers = [1]
        self.code = "47"
        self.error: FailsoftError | None = None
        self.applied: list[dict[str, Any]] = []
        self.undone: list[str | None] = []
        self.undo_confirms: list[str | None] = []
        self.acks_given: list[tuple[AckState, ...]] = [
            tuple(AckState(n.node, n.short, "enforces", 34) for n in NODES)
        ]
        self.definitions = Definitions()
        self.changes: tuple[ChangeRow, ...] = ()
        self.lives: tuple[FlagLife, ...] = ()
        self.closed = False
        self.wanted: frozenset[Section] = frozenset()
        self._fresh = asyncio.Event()

    def arm_now(self) -> None:
        self.armed_until, self.armed_reason = self.clock() + 1_800, "INC-311"

    def push(self, view: FleetView) -> None:
        self.current = view
        self._fresh.set()

    def view(self) -> FleetView:
        return self.current

    def want(self, sections: Iterable[Section]) -> None:
        self.wanted = frozenset(sections)

    async def watch(self) -> AsyncIterator[FleetView]:
        while True:
            yield self.current
            await self._fresh.wait()
            self._fresh.clear()

    def _dry_run(self, action: str, target: str, change: tuple[str, str]) -> Preview:
        tier = self.tiers.pop(0) if len(self.tiers) > 1 else self.tiers[0]
        why = ("undo of your own", "under 10%, reversible, ends", "31%", "all routes")
        return Preview(
            target=target,
            action=action,
            before=change[0],
            after=change[1],
            until_s=3_600.0,
            routes=("POST /v1/checkout", "POST /v1/checkout/retry"),
            rps=61.0,
            share=0.047,
            answer='503, Retry-After 30, problem+json "checkout paused"',
            in_flight=38,
            nodes_can=(4, 4),
            warnings=("the queue fallback is NOT used",),
            data_age=0.6,
            tier=tier,
            tier_why=why[tier],
            code=self.code if tier == 2 else "",
            if_revision=None,
            made_at=self.clock(),
        )

    def preview(self, command: Command) -> Preview:
        if self.error is not None:
            raise self.error
        action, before, after = ANSWERS[type(command)]
        preview = self._dry_run(action, command.target, (before, after))
        for_s = getattr(command, "for_s", None)
        group = getattr(command, "group", None) or ""
        preview = msgspec.structs.replace(preview, group=group)
        return msgspec.structs.replace(preview, until_s=for_s or preview.until_s)

    async def apply(
        self,
        command: Command,
        *,
        reason: str = "",
        preview: Preview | None = None,
        confirm: str | None = None,
        op_id: str | None = None,
    ) -> Applied:
        if self.armed_until is None:
            raise NotArmed("session is disarmed", todo="arm with a reason")
        self.applied.append(
            {"command": command, "reason": reason, "confirm": confirm, "op_id": op_id}
        )
        return Applied(8_413, "e1", op_id or "op", NOW_MS)

    async def acks(
        self, applied: Applied, *, wait_s: float = 10.0
    ) -> AsyncIterator[tuple[AckState, ...]]:
        for states in self.acks_given:
            yield states

    async def find_write(self, op_id: str | None = None) -> str:
        if op_id is None and not self.applied:
            raise TargetGone("last write")
        return op_id or "last"

    def preview_undo(self, op_id: str) -> Preview:
        return self._dry_run("undo", "route:POST /v1/checkout", ("KILLED", "on"))

    async def undo(
        self,
        op_id: str | None = None,
        *,
        reason: str = "",
        confirm: str | None = None,
    ) -> Applied:
        self.undone.append(op_id)
        self.undo_confirms.append(confirm)
        return Applied(8_414, "e1", "undo", NOW_MS)

    async def arm(self, reason: str, *, minutes: float = 30.0) -> None:
        self.armed_until = self.clock() + 60 * minutes
        self.armed_reason = reason

    async def disarm(self) -> None:
        self.armed_until = None

    async def log(self, count: int = 200) -> tuple[LogRow, ...]:
        return LOG

    async def history(self, target: str, count: int = 50) -> tuple[ChangeRow, ...]:
        return tuple(c for c in self.changes if c.row.target == target)

    async def flag_lives(self) -> tuple[FlagLife, ...]:
        return self.lives

    async def guards(self) -> tuple[GuardRow, ...]:
        return ()

    async def flight(self, flight_id: str) -> Flight | None:
        return next((f for f in FLIGHTS if f.id == flight_id), None)

    async def aclose(self) -> None:
        self.closed = True
