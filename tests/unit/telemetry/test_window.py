from __future__ import annotations

import msgspec

from failsoft.telemetry import RouteCell, RouteTick, Tick, Window
from failsoft.telemetry._wire import encode


def answered(cell: RouteCell, status: int, times: int = 1) -> None:
    for _ in range(times):
        cell.enter()
        cell.leave(status, 1_500, 10)


def flushed(window: Window) -> tuple[dict[str, RouteTick], dict[tuple[int, str], int]]:
    tick, slo = window.flush("n1", 1000, 2.5)
    routes = {route.route: route for route in tick.routes}
    return routes, {(res, field): n for res, field, n in slo}


def test_a_second_holds_what_happened_in_it_and_the_next_starts_at_zero() -> None:
    window = Window()
    cell = window.cell("GET /x", "critical")
    answered(cell, 200, 3)

    first, _ = flushed(window)
    second, _ = flushed(window)

    assert (first["GET /x"].n, sum(first["GET /x"].hist.values())) == (3, 3)
    assert second == {}


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
    answered(cell, 200, 5)
    answered(cell, 500, 2)
    answered(cell, 499)
    cell.refuse("kill")

    _, slo = flushed(window)

    for resolution_s in (10, 60, 900):
        assert slo[resolution_s, "critical_plus:t"] == 7
        assert slo[resolution_s, "critical_plus:b"] == 2
        assert slo[resolution_s, "critical_plus:r"] == 1


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
