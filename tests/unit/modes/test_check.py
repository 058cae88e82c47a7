"""Faults of modes that only the application's routes show."""

from __future__ import annotations

from failsoft.modes._check import faults_of
from failsoft.routes.table import RouteDef
from failsoft.settings import ModeDefinition, Trigger

ROUTES = (
    RouteDef("(no route)"),
    RouteDef("GET /search"),
    RouteDef("POST /webhooks/pay"),
    RouteDef("GET /health", bypass=True),
)
NEVER = ("POST /webhooks/*",)


def faults(*routes: str, reroute: str = "calm") -> list[str]:
    mode = ModeDefinition("x", routes=routes, actions=(("reroute", reroute),))
    return faults_of({"m": mode}, NEVER, ROUTES, {"calm": None})


def test_a_glob_may_skip_what_no_mode_touches() -> None:
    assert faults("* *", "GET /search*") == []


def test_a_route_that_no_mode_touches_is_named_in_vain() -> None:
    found = faults("POST /webhooks/pay", "GET /health")

    assert [("bypass, or modes.never" in one) for one in found] == [True, True]


def test_a_route_that_is_not_there_is_a_fault_with_the_nearest() -> None:
    assert faults("GET /serch") == [
        "mode.m.routes: 'GET /serch' matches no route; did you mean GET /search?"
    ]


def test_a_handler_that_is_not_there_is_a_fault_with_the_nearest() -> None:
    assert faults("* *", reroute="clam") == [
        "mode.m.actions: reroute = 'clam': no failsoft.handler is called so; "
        "did you mean calm?"
    ]


def test_a_trigger_that_nothing_can_make_true_protects_nobody() -> None:
    mode = ModeDefinition(
        "x", routes=("* *",), enter=Trigger("health", "db", word="bad")
    )

    assert faults_of({"m": mode}, (), ROUTES, ()) == [
        "mode.m.enter: nothing reports a health check 'db'; drop it, or enter by hand"
    ]


def test_where_no_routes_are_known_none_is_missed() -> None:
    mode = ModeDefinition("x", routes=("GET /x",), actions=(("quiet", True),))

    assert faults_of({"m": mode}, (), ROUTES[:1], ()) == []
