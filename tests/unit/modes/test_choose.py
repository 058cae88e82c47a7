"""For which requests a mode holds, and what is counted of them."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest

from failsoft.consumer import Consumers
from failsoft.controls.records import ModeDoc, Record
from failsoft.modes import Tallies, compile_plan, read_acting
from failsoft.pipeline import Exchange, Plan, Rejection
from failsoft.routes.table import RouteDef
from failsoft.settings import ModeDefinition, Shed, StaticAnswer
from failsoft.store.fleet import ModeRow
from failsoft.telemetry import RouteCell

NOW_MS = 1_790_000_000_000
SEARCH = RouteDef("GET /search", "sheddable")
BUY = RouteDef("POST /buy", "critical_plus")
LESS = ModeDefinition("Less", actions=(("shed", Shed(1.0)),))


def cell_of(route: RouteDef) -> RouteCell:
    return RouteCell(route.key, route.criticality)


class Node:
    """The plans of two routes under one mode's record."""

    def __init__(self, mode: ModeDefinition, **doc: Any) -> None:
        self.tallies = Tallies()
        self.snapshot: Any = None
        self.consumers = Consumers(("x-app",))
        made = ModeDoc("ana", "x", since_ms=NOW_MS, **doc)
        record = Record("mode", "m", 1, NOW_MS, 0, msgspec.json.encode(made))
        self.acting = read_acting([record], {"m": mode}, ())
        self.plans = {r.key: self.compiled(r) for r in (SEARCH, BUY)}

    def compiled(self, route: RouteDef) -> Plan:
        more = (lambda: NOW_MS, lambda: 0.5, self.tallies)
        return compile_plan(route, cell_of(route), self.acting, *more)

    def request(self, route: RouteDef, caller: int = 0, version: str = "") -> Exchange:
        headers = [(b"x-app", b"app-%d" % caller)]
        method, _, path = route.key.partition(" ")
        scope: Any = {"method": method, "path": path, "headers": headers}
        exchange = Exchange(scope, self, 0)
        exchange.version = version
        exchange.plan = plan = self.plans[route.key]
        exchange.plan = plan.choose(exchange) if plan.choose else plan
        return exchange

    def refused(self, route: RouteDef, callers: int = 400) -> list[bool]:
        return [bool(answer(self.request(route, n))) for n in range(callers)]

    @property
    def row(self) -> ModeRow:
        (row,) = self.tallies.rows()
        return row


def answer(exchange: Exchange) -> Rejection | None:
    hooks = exchange.plan.admit
    return next((r for hook in hooks if (r := hook(exchange))), None)


def test_a_canary_meets_its_share_and_always_the_same_callers() -> None:
    node = Node(LESS, share=0.25)

    first, again = node.refused(SEARCH), node.refused(SEARCH)

    assert first == again
    assert 70 <= sum(first) <= 130
    assert node.row.touched == 2 * sum(first)


def test_of_a_mode_for_everybody_the_routes_count_what_it_touches() -> None:
    node = Node(LESS)
    plan = node.plans[SEARCH.key]
    for status in (200, 404, 499):
        plan.cell.enter()
        plan.cell.leave(status, 1_000, 0)
    plan.cell.refuse("shed")
    before = node.row.touched
    plan.cell.clear()  # the next second
    plan.cell.refuse("shed")
    after = node.row.touched

    node.tallies.keep(node.acting.modes)  # plans are compiled anew
    node.plans = {SEARCH.key: node.compiled(SEARCH)}
    anew = node.plans[SEARCH.key].cell
    anew.refuse("shed")

    assert plan.choose is None
    assert (before, after, node.row.touched) == (4, 5, 6)


def test_who_is_back_to_normal_stays_so_while_it_recovers() -> None:
    steps = [Node(LESS, share=s).refused(SEARCH) for s in (0.9, 0.75, 0.5, 0.0)]

    back = [{n for n, bad in enumerate(step) if not bad} for step in steps]

    assert back[0] < back[1] < back[2] < back[3]
    assert len(back[3]) == 400


def test_a_dry_run_only_counts() -> None:
    node = Node(LESS, dry_run=True)

    assert not any(node.refused(SEARCH, 50))
    assert (node.row.touched, node.request(SEARCH).plan.notices) == (50, ())


def test_a_person_gets_no_probes_and_a_trigger_one_in_twenty() -> None:
    by_hand, by_itself = Node(LESS), Node(LESS, via="auto")

    assert all(by_hand.refused(SEARCH))
    assert by_itself.refused(SEARCH).count(False) == 20


def test_the_least_critical_routes_are_probed_first() -> None:
    node = Node(LESS, via="auto")

    mixed = [(node.refused(SEARCH, 1)[0], node.refused(BUY, 1)[0]) for _ in range(200)]

    search, buy = (sum(not bad for bad in one) for one in zip(*mixed, strict=True))
    assert (19 <= search <= 20, buy) == (True, 0)


def test_critical_routes_are_probed_where_no_others_ask() -> None:
    node = Node(LESS, via="auto")

    assert node.refused(BUY).count(False) in range(15, 21)


def test_a_probe_falls_back_to_what_the_mode_answers() -> None:
    static = ModeDefinition("x", actions=(("static", StaticAnswer(b"[]")),))
    node = Node(static, via="auto")
    probe = next(e for n in range(50) if not answer(e := node.request(SEARCH, n)))

    place = probe.plan.in_place

    assert place is not None
    assert place.is_probe
    assert place.refuse is not None
    assert (found := place.refuse(probe)) is not None
    assert found.body == b"[]"


@pytest.mark.parametrize(
    ("status", "degraded", "bad"), [(200, "", 0), (503, "", 1), (200, "static", 1)]
)
def test_probes_are_judged_by_what_the_application_did(
    status: int, degraded: str, bad: int
) -> None:
    node = Node(LESS, via="auto")
    probe = next(e for n in range(50) if not answer(e := node.request(SEARCH, n)))
    probe.degraded = degraded

    assert probe.plan.settled is not None
    probe.plan.settled(probe, status)

    assert (node.row.probes, node.row.bad) == (1, bad)


def test_a_drill_counts_what_it_did_and_what_failed() -> None:
    mode = ModeDefinition("x", actions=(("stale", 60.0), ("timeout", 0.5)))
    node = Node(mode, via="drill")
    kept, failed = node.request(SEARCH), node.request(SEARCH)
    kept.degraded = "stale"

    for exchange, status in ((kept, 200), (failed, 500)):
        assert exchange.plan.settled is not None
        exchange.plan.settled(exchange, status)

    assert (node.row.acts, node.row.failed) == ({"stale": 1, "timeout": 2}, 1)
    assert kept.plan.scalars.drill


def test_a_mode_may_be_for_some_consumers_and_versions() -> None:
    some = ModeDefinition(
        "x",
        actions=(("shed", Shed(1.0)),),
        consumers=("app-1",),
        versions=("2025",),
    )
    node = Node(some)

    met = [
        bool(answer(node.request(SEARCH, caller, version)))
        for caller, version in ((1, "2025"), (1, "2026"), (2, "2025"))
    ]

    assert met == [True, False, False]


@pytest.mark.parametrize(
    "scope", [{"criticality_at_most": "sheddable_plus"}, {"methods": ("GET",)}]
)
def test_a_mode_may_be_for_some_routes_by_class_and_method(
    scope: dict[str, Any],
) -> None:
    node = Node(ModeDefinition("x", actions=(("shed", Shed(1.0)),), **scope))

    assert (all(node.refused(SEARCH, 3)), any(node.refused(BUY, 3))) == (True, False)


def test_of_two_modes_the_lower_number_holds() -> None:
    slow = ModeDefinition("s", actions=(("timeout", 0.5), ("concurrency", 9)))
    slower = ModeDefinition("t", actions=(("timeout", 0.2), ("no_retries", True)))
    json = msgspec.json.encode(ModeDoc("ana", "x"))
    records = [Record("mode", name, 1, NOW_MS, 0, json) for name in ("s", "t")]

    acting = read_acting(records, {"s": slow, "t": slower}, ())
    scalars = compile_plan(
        SEARCH, cell_of(SEARCH), acting, lambda: NOW_MS, lambda: 0.5
    ).scalars

    assert (scalars.timeout_s, scalars.concurrency, scalars.no_retries) == (
        0.2,
        9,
        True,
    )


def test_what_nobody_may_know_of_sends_no_notice() -> None:
    hidden = ModeDefinition("x", actions=(("no_retries", True),), public=False)

    assert Node(hidden).request(SEARCH).plan.notices == ()


def test_flags_go_off_for_whole_modes_alone() -> None:
    mode = ModeDefinition("x", actions=(("disable", ("new",)),))

    off = [
        Node(mode, **doc).acting.disabled
        for doc in ({}, {"share": 0.1}, {"via": "drill"}, {"dry_run": True})
    ]

    assert [bool(keys) for keys in off] == [True, False, False, False]
    assert Node(mode, via="auto", share=0.5, step=3).acting.disabled == {"new"}


def test_muted_alerts_touch_no_request() -> None:
    mode = ModeDefinition("x", actions=(("mute", ("slo:*",)),))
    node = Node(mode)

    assert (node.acting.muted, node.plans[SEARCH.key].choose) == (("slo:*",), None)
