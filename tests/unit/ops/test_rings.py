"""Adding and subtracting gives what counting again would give."""

from __future__ import annotations

import random

from hypothesis import given
from hypothesis import strategies as st

from failsoft.ops.rings import MINUTE_S, WINDOW_S, FleetRings, Sums
from failsoft.telemetry import RouteTick, Tick, percentile_us

_ROUTES = ("GET /a", "POST /b")
_route_ticks = st.builds(
    RouteTick,
    route=st.sampled_from(_ROUTES),
    n=st.integers(0, 9),
    errors=st.integers(0, 3),
    gone=st.integers(0, 2),
    hist=st.dictionaries(st.integers(0, 460), st.integers(1, 5), max_size=5),
    refused=st.dictionaries(
        st.sampled_from(("kill", "shed")), st.integers(1, 4), max_size=2
    ),
)
_seconds = st.lists(
    st.tuples(
        st.integers(0, 90), st.sampled_from(("n1", "n2")), st.lists(_route_ticks)
    ),
    max_size=25,
)
_Second = tuple[int, str, list[RouteTick]]


def feed(rings: FleetRings, seconds: list[_Second], now: int) -> None:
    for seq, (at, node, routes) in enumerate(seconds):
        rings.take(at, Tick(node, seq, 1000, routes=tuple(routes)))
    rings.settle(now)


def counted_again(
    seconds: list[_Second], route: str, first: int, last: int
) -> tuple[int, int, int, int, dict[int, int]]:
    hist: dict[int, int] = {}
    n = errors = gone = shed = 0
    for at, _, routes in seconds:
        for tick in routes if first <= at <= last else ():
            if tick.route == route:
                n, errors, gone = n + tick.n, errors + tick.errors, gone + tick.gone
                shed += tick.refused.get("shed", 0)
                for bucket, count in tick.hist.items():
                    hist[bucket] = hist.get(bucket, 0) + count
    return n, errors, gone, shed, hist


def flat(sums: Sums) -> tuple[int, int, int, int, dict[int, int]]:
    return sums.n, sums.errors, sums.gone, sums.shed, sums.hist


@given(_seconds)
def test_windows_hold_exactly_the_calls_of_their_seconds(
    seconds: list[_Second],
) -> None:
    """Read once a second as the reader does, whatever order ticks come in."""
    rings = FleetRings()
    for now in range(91):
        feed(rings, [s for s in seconds if s[0] == now], now)

    for route, ring in rings.rings.items():
        now_again = counted_again(seconds, route, 90 - WINDOW_S + 1, 90)
        minute_again = counted_again(seconds, route, 90 - MINUTE_S + 1, 90)
        past = counted_again(seconds, route, 21, 30)
        assert flat(ring.now) == now_again
        assert flat(ring.minute) == minute_again
        assert (ring.past_n, ring.past_errors) == past[:2]


@given(_seconds, st.randoms())
def test_the_order_in_which_nodes_are_merged_does_not_matter(
    seconds: list[_Second], dice: random.Random
) -> None:
    shuffled = list(seconds)
    dice.shuffle(shuffled)
    one, other = FleetRings(), FleetRings()

    feed(one, seconds, 90)
    feed(other, shuffled, 90)

    for route in one.rings:
        assert flat(one.rings[route].minute) == flat(other.rings[route].minute)
        assert one.rings[route].now.err_rates() == other.rings[route].now.err_rates()


@given(_seconds)
def test_the_fleet_is_the_sum_of_its_routes(seconds: list[_Second]) -> None:
    rings = FleetRings()

    feed(rings, seconds, 90)

    assert rings.total.minute.n == sum(r.minute.n for r in rings.rings.values())
    merged: dict[int, int] = {}
    for ring in rings.rings.values():
        for bucket, count in ring.minute.hist.items():
            merged[bucket] = merged.get(bucket, 0) + count
    assert rings.total.minute.hist == merged


@given(st.dictionaries(st.integers(0, 460), st.integers(1, 50), min_size=1))
def test_percentiles_are_those_of_the_merged_histogram(hist: dict[int, int]) -> None:
    sums = Sums(hist=hist)

    shown = sums.percentiles_ms()

    wanted = [percentile_us(hist, q) for q in (0.5, 0.95, 0.99)]
    assert [value * 1000 for value in shown] == [
        w if w is None else (w / 1000) * 1000 for w in wanted
    ]


def test_a_late_part_of_a_second_joins_it() -> None:
    rings = FleetRings()
    early = (5, "n1", [RouteTick("GET /a", 3, hist={40: 3})])
    late = (5, "n2", [RouteTick("GET /a", 2, errors=1, hist={40: 2})])

    feed(rings, [early], 5)
    feed(rings, [late], 6)
    feed(rings, [], 14)

    ring = rings.rings["GET /a"]
    assert (ring.now.n, ring.now.err_rates()) == (5, (("n1", 0.0), ("n2", 0.5)))
    feed(rings, [], 15)
    assert (ring.now.n, ring.minute.n, ring.now.hist) == (0, 5, {})


def test_lost_ticks_mark_the_routes_of_that_node_for_a_minute() -> None:
    rings = FleetRings()
    rings.take(1, Tick("n1", 1, 1000, routes=(RouteTick("GET /a", 1),)))
    rings.take(2, Tick("n1", 4, 1000, routes=(RouteTick("GET /a", 1),)))

    rings.settle(2)
    assert rings.rings["GET /a"].lost == 1
    rings.settle(62)

    assert rings.rings["GET /a"].lost == 0


def test_rates_divide_by_the_time_nodes_say_they_counted() -> None:
    rings = FleetRings()
    for second in range(10):
        rings.take(second, Tick("n1", second, 900, routes=(RouteTick("GET /a", 9),)))

    rings.settle(9)

    assert rings.rings["GET /a"].now.n / rings.span_s(WINDOW_S) == 10.0


def test_a_route_silent_for_long_is_forgotten_unless_declared() -> None:
    rings = FleetRings()
    feed(rings, [(1, "n1", [RouteTick("GET /a", 1), RouteTick("GET /b", 1)])], 1)

    rings.settle(100)
    rings.forget(frozenset({"GET /b"}))

    assert list(rings.rings) == ["GET /b"]
    assert rings.nodes == {}
