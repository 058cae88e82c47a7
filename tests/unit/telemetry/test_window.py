from __future__ import annotations

import msgspec

from failsoft.store.slo import Counts
from failsoft.telemetry import RouteCell, RouteTick, Tick, Window, bucket_of
from failsoft.telemetry._wire import encode


def answered(cell: RouteCell, status: int, times: int = 1) -> None:
    for _ in range(times):
        cell.enter()
        cell.leave(status, 1_500_000, 10)


def flushed(window: Window) -> tuple[dict[str, RouteTick], dict[str, Counts]]:
    tick, slo = window.flush("n1", 1000, 2.5)
    routes = {route.route: route for route in tick.routes}
    return routes, slo


def test_a_second_holds_what_happened_in_it_and_the_next_starts_at_zero() -> None:
    window = Window()
    cell = window.cell("GET /x", "critical")
    answered(cell, 200, 3)

    first, _ = flushed(window)
    second, _ = flushed(window)

    assert (first["GET /x"].n, sum(first["GET /x"].hist.values())) == (3, 3)
    assert second == {}


def test_many_answers_in_one_second_are_all_in_the_histogram() -> None:
    window = Window()
    answered(window.cell("GET /x", "critical"), 200, 2_500)

    tick, _ = window.flush("n1", 1000, 0.0)

    assert tick.routes[0].hist == tick.hist == {bucket_of(1_500): 2_500}


def test_statuses_fall_into_their_classes() -> None:
    window = Window()
    cell = window.cell("GET /x", "critical")
    for status in (200, 304, 404, 422, 499, 500, 503):
        answered(cell, status)

    route = flushed(window)[0]["GET /x"]

    assert (route.n, route.client_errors, route.gone, route.errors) == (7, 2, 1, 2)


def test_slo_counters_leave_out_clients_that_left_and_keep_refusals_apart() -> None:
    window = Window()
    cell = window.cell("POST /pay", "critical_plus")
    cell.aim((("pay", float("inf")),))
    answered(cell, 200, 5)
    answered(cell, 500, 2)
    answered(cell, 499)
    cell.refuse("kill", 503)

    _, slo = flushed(window)

    assert slo == {"pay": (8, 2, 1)}


def test_a_refusal_of_ours_is_bad_when_late_and_good_when_the_client_did_too_much() -> (
    None
):
    window = Window()
    cell = window.cell("POST /pay", "critical")
    cell.aim((("pay", float("inf")),))
    cell.refuse("rate_limit", 429)
    cell.refuse("deadline", 504)
    cell.refuse("shed", 503)

    assert flushed(window)[1] == {"pay": (3, 1, 1)}


def test_a_late_answer_is_bad_once_and_only_where_time_counts() -> None:
    window = Window()
    cell = window.cell("POST /pay", "critical")
    cell.aim((("quick", 1_000.0), ("slow", 2_000.0), ("any", float("inf"))))
    answered(cell, 200)
    answered(cell, 404)
    answered(cell, 500)
    answered(cell, 499)

    _, slo = flushed(window)

    assert slo == {"quick": (3, 3, 0), "slow": (3, 1, 0), "any": (3, 1, 0)}
    assert flushed(window)[1] == {}


def test_answers_of_drills_are_in_no_slo() -> None:
    window = Window()
    cell = window.cell("POST /pay", "critical")
    cell.aim((("quick", 1_000.0), ("any", float("inf"))))
    answered(cell, 200)
    for status in (200, 500, 499):
        answered(cell, status)
        cell.excuse(status, 1_500, is_refusal=False)
    cell.refuse("shed", 503)
    cell.excuse(503, 0, is_refusal=True)

    routes, slo = flushed(window)

    assert slo == {"quick": (1, 1, 0), "any": (1, 0, 0)}
    assert (routes["POST /pay"].n, routes["POST /pay"].errors) == (4, 1)


def test_a_declared_slo_is_told_of_each_second_and_silence_means_no_node() -> None:
    window = Window()
    window.slos = ("pay",)

    assert flushed(window)[1] == {"pay": (0, 0, 0)}


def test_requests_under_way_stay_counted_over_a_flush() -> None:
    window = Window()
    cell = window.cell("GET /x", "critical")
    cell.enter()
    cell.enter()
    cell.leave(200, 10, 0)
    flushed(window)
    cell.leave(200, 10, 0)

    route = flushed(window)[0]["GET /x"]

    assert (route.inflight_max, window.inflight) == (1, 0)


def test_a_route_on_which_requests_hang_is_told_although_none_ended() -> None:
    window = Window()
    cell = window.cell("GET /hangs", "critical")
    cell.enter()
    cell.enter()

    first, slo = flushed(window)
    second, _ = flushed(window)

    for routes in (first, second):
        route = routes["GET /hangs"]
        assert (route.n, route.inflight_max, route.hist) == (0, 2, {})
    assert slo == {}


def test_error_groups_are_bounded_and_what_overflows_is_counted() -> None:
    window = Window()
    cell = window.cell("GET /x", "critical")
    answered(cell, 500)
    for n in range(300):
        cell.fail(f"group-{n}", is_exception=True)

    groups = flushed(window)[0]["GET /x"].groups

    assert len(groups) == 257
    assert groups["(other)"] == 300 - 256


def test_a_cell_outlives_the_route_table_it_was_made_for() -> None:
    window = Window()
    answered(window.cell("GET /x", "critical"), 200)

    again = window.cell("GET /x", "sheddable")
    answered(again, 200)

    assert flushed(window)[0]["GET /x"].n == 2


def test_evaluations_are_counted_by_flag_and_variant() -> None:
    window = Window()
    for variant in ("on", "on", "off"):
        window.saw_flag("f", variant)

    tick, _ = window.flush("n1", 1000, 0.0)

    assert tick.flags == {"f": {"on": 2, "off": 1}}


def test_a_tick_survives_the_wire() -> None:
    window = Window()
    cell = window.cell("GET /x", "critical")
    answered(cell, 500)
    cell.fail("abc", is_exception=True)
    cell.refuse("shed")
    tick, _ = window.flush("n1", 1000, 2.5)

    assert msgspec.msgpack.decode(encode(tick), type=Tick) == tick
    assert isinstance(tick, Tick)
