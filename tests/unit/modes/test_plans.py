"""What kills and modes do to a route, by its compiled plan alone."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest

from failsoft.consumer import Consumers
from failsoft.controls.records import KillDoc, ModeDoc, Record
from failsoft.modes import compile_plan, read_acting
from failsoft.pipeline import Exchange, Plan, Rejection
from failsoft.routes.table import RouteDef
from failsoft.settings import ModeDefinition, Shed, StaticAnswer
from failsoft.telemetry import RouteCell

NOW_MS = 1_790_000_000_000
CHECKOUT = RouteDef("POST /checkout", "critical_plus", ("pay",))
REVIEWS = RouteDef("POST /reviews", "sheddable", ("social",))
PRODUCTS = RouteDef("GET /products", "critical")


DEEP = b'{"who":"a","why":"b","params":{"a":' + b"[" * 99_999 + b"]" * 99_999 + b"}}"


class NoRuntime:
    snapshot: Any = None
    consumers = Consumers()


def cell_of(route: RouteDef) -> RouteCell:
    return RouteCell(route.key, route.criticality)


def kill(target: str, until_ms: int = 0, **fields: Any) -> Record:
    doc = KillDoc(who="ana", why="INC-1", **fields)
    return Record("kill", target, 1, NOW_MS, until_ms, msgspec.json.encode(doc))


def activation(name: str, **params: Any) -> Record:
    doc = ModeDoc(who="ana", why="INC-1", params=params)
    return Record("mode", name, 1, NOW_MS, 0, msgspec.json.encode(doc))


def plan_of(
    route: RouteDef,
    *records: Record,
    never: tuple[str, ...] = (),
    **modes: ModeDefinition,
) -> Plan:
    acting = read_acting(records, modes, never)
    return compile_plan(route, cell_of(route), acting, lambda: NOW_MS, lambda: 0.5)


def answer(plan: Plan, **scope: Any) -> Rejection | None:
    whole = {"method": plan.method, "path": "/", "headers": [], **scope}
    exchange = Exchange(whole, NoRuntime(), 0)
    exchange.plan = plan
    return next((r for hook in plan.admit if (r := hook(exchange))), None)


def reason(plan: Plan, **scope: Any) -> str | None:
    found = answer(plan, **scope)
    return found.reason if found else None


def test_a_route_without_controls_has_no_hook() -> None:
    assert plan_of(CHECKOUT, kill("route:GET /other")).admit == ()


@pytest.mark.parametrize("target", ["route:POST /check*", "route:* *", "tag:pay"])
def test_a_kill_covers_by_glob_and_by_tag(target: str) -> None:
    assert reason(plan_of(CHECKOUT, kill(target))) == "kill"


def test_the_most_literal_kill_decides_the_answer() -> None:
    plan = plan_of(
        CHECKOUT,
        kill("route:* *", status=503),
        kill("route:POST /checkout", status=410),
    )

    found = answer(plan)

    assert found is not None
    assert found.status == 410


def test_every_kill_over_a_route_must_be_lifted() -> None:
    kills = [kill("route:POST /checkout"), kill("route:*"), kill("tag:pay")]

    left = [reason(plan_of(CHECKOUT, *kills[count:])) for count in range(4)]

    assert left == ["kill", "kill", "kill", None]


@pytest.mark.parametrize("status", [-5, 0, 100, 200, 204, 304, 600, 99_999])
def test_a_kill_whose_status_is_no_refusal_refuses_with_503(status: int) -> None:
    found = answer(plan_of(CHECKOUT, kill("tag:pay", status=status)))

    assert found is not None
    assert (found.status, b'"status":503' in found.body) == (503, True)


def test_retry_after_never_goes_beyond_the_end_of_the_kill() -> None:
    plan = plan_of(CHECKOUT, kill("tag:pay", until_ms=NOW_MS + 7_200, retry_after=30))

    found = answer(plan)

    assert found is not None
    assert (b"retry-after", b"8") in found.headers


def test_the_reason_of_the_operator_never_reaches_clients() -> None:
    found = answer(plan_of(CHECKOUT, kill("tag:pay", public="Back soon")))

    assert found is not None
    assert b"Back soon" in found.body
    assert b"INC-1" not in found.body


def test_bypass_routes_are_never_touched() -> None:
    spared = RouteDef("GET /health", bypass=True)

    assert plan_of(spared, kill("route:* *"), activation("fs.maintenance")).admit == ()


def test_never_routes_are_killed_but_never_degraded() -> None:
    never = ("tag:pay",)

    degraded = plan_of(CHECKOUT, activation("fs.maintenance"), never=never)
    killed = plan_of(CHECKOUT, kill("tag:pay"), never=never)

    assert (reason(degraded), reason(killed)) == (None, "kill")


def test_read_only_lets_reads_pass_and_refuses_the_rest() -> None:
    mode = activation("fs.read-only")

    assert reason(plan_of(PRODUCTS, mode)) is None
    assert reason(plan_of(CHECKOUT, mode)) == "read_only"


def test_a_kill_beats_a_mode_and_maintenance_beats_read_only() -> None:
    modes = (activation("fs.read-only"), activation("fs.maintenance"))

    assert reason(plan_of(CHECKOUT, *modes)) == "maintenance"
    assert reason(plan_of(CHECKOUT, *modes, kill("tag:pay"))) == "kill"


def test_shedding_a_class_spares_what_is_more_important() -> None:
    mode = activation("fs.shed", **{"class": "sheddable_plus"})

    assert reason(plan_of(REVIEWS, mode)) == "shed"
    assert reason(plan_of(PRODUCTS, mode)) is None


def test_shedding_a_share_always_takes_the_same_callers() -> None:
    definition = ModeDefinition("Fewer", actions=(("shed", Shed(0.3)),))
    plan = plan_of(REVIEWS, activation("few"), few=definition)
    callers = [[(b"x-api-key", b"key-%d" % n)] for n in range(2_000)]

    first = [reason(plan, headers=headers) for headers in callers]
    again = [reason(plan, headers=headers) for headers in callers]

    assert first == again
    assert 500 <= first.count("shed") <= 700


def test_a_share_of_callers_that_cannot_be_told_apart_is_shed_by_dice() -> None:
    definition = ModeDefinition("Fewer", actions=(("shed", Shed(0.3)),))
    acting = read_acting([activation("few")], {"few": definition}, ())
    rolls = iter([0.1, 0.9, 0.9, 0.29, 0.9])
    plan = compile_plan(
        REVIEWS, cell_of(REVIEWS), acting, lambda: NOW_MS, lambda: next(rolls)
    )

    found = [reason(plan, client=None) for _ in range(3)]

    assert found == ["shed", None, "shed"]


def test_a_static_answer_is_no_refusal() -> None:
    static = StaticAnswer(b"[]", "application/json", 200)
    definition = ModeDefinition("Fixed", actions=(("static", static),))

    found = answer(plan_of(PRODUCTS, activation("fixed"), fixed=definition))

    assert found is not None
    assert (found.body, found.status, found.is_refusal) == (b"[]", 200, False)


def test_a_banner_adds_a_notice_and_refuses_nobody() -> None:
    plan = plan_of(PRODUCTS, activation("fs.banner", text='Slow "today"'))

    assert plan.admit == ()
    assert plan.notices[0][1].endswith(b'text="Slow today"')


def test_the_operator_may_narrow_a_mode_to_routes() -> None:
    mode = activation("fs.maintenance", routes="POST /reviews")

    assert reason(plan_of(REVIEWS, mode)) == "maintenance"
    assert reason(plan_of(CHECKOUT, mode)) is None


@pytest.mark.parametrize(
    "record",
    [
        activation("nobody.knows"),
        activation("fs.shed", share=7),
        activation("fs.read-only", colour="red"),
        activation("fs.read-only", routes=5),
        activation("fs.read-only", routes=["GET /x", 5]),
        activation("fs.read-only", routes=None),
        Record("kill", "route:* *", 1, 0, 0, b"{broken"),
        Record("kill", "flag:x", 1, 0, 0, b'{"who":"\xff","why":"x"}'),
        Record("mode", "fs.shed", 1, 0, 0, DEEP),
    ],
)
def test_a_control_that_is_not_understood_is_listed_and_the_rest_applies(
    record: Record,
) -> None:
    acting = read_acting([record, kill("tag:pay")], {}, ())

    assert len(acting.bad) == 1
    assert len(acting.kills) == 1


def test_retry_after_may_be_written_with_a_fraction() -> None:
    raw = b'{"who":"ana","why":"by hand","retry_after":1.5}'
    record = Record("kill", "tag:pay", 1, NOW_MS, 0, raw)

    found = answer(plan_of(CHECKOUT, record))

    assert found is not None
    assert (b"retry-after", b"2") in found.headers
