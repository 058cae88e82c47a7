"""Adding and subtracting gives what counting again would give."""

from __future__ import annotations

import random

from hypothesis import given, settings
from hypothesis import strategies as st

from failsoft.ops.rings import MINUTE_S, WINDOW_S, Counts, FleetRings
from failsoft.ops.ticks import Span, merged_hist, percentiles_ms
from failsoft.telemetry import (
    ReadRoute,
    ReadTick,
    RouteTick,
    Tick,
    encode,
    percentile_us,
    read_tick,
)

_ROUTES = ("GET /a", "POST /b")
_route_ticks = st.builds(
    RouteTick,
    route=st.sampled_from(_ROUTES),
    n=st.integers(0, 9),
    errors=st.integers(0, 3),
    gone=st.integers(0, 2),
    hist=st.dictionaries(st.integers(0, 460), st.integers(1, 50), max_size=5),
    refused=st.dictionaries(
        st.sampled_from(("kill", "shed")), st.integers(1, 4), max_size=2
    ),
)
_seconds = st.lists(
    st.tuples(
        st.integers(0, 90),
        st.sampled_from(("n1", "n2")),
        st.lists(_route_ticks, unique_by=lambda tick: tick.route),
    ),
    max_size=25,
)
_Second = tuple[int, str, list[RouteTick]]


def read(node: str, seq: int, *routes: RouteTick, interval_ms: int = 1000) -> ReadTick:
    return read_tick(encode(Tick(node, seq, interval_ms, routes=routes)))


def feed(rings: FleetRings, seconds: list[_Second], now: int) -> None:
    for seq, (at, node, routes) in enumerate(seconds):
        rings.take(at, read(node, seq, *routes))
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


def flat(counts: Counts) -> tuple[int, int, int, int]:
    return counts.n, counts.errors, counts.gone, counts.shed


def hists(span: Span, route: str) -> tuple[dict[int, int], dict[int, int]]:
    return merged_hist(span.now, route), merged_hist(span.minute, route)


# Each makes minutes of seconds of a fleet: a hundred of them take 6 s.
a_few = settings(max_examples=40)


@a_few
@given(_seconds)
def test_windows_hold_exactly_the_calls_of_their_seconds(
    seconds: list[_Second],
) -> None:
    """Read once a second as the reader does, whatever order ticks come in."""
    rings = FleetRings()
    for now in range(91):
        feed(rings, [s for s in seconds if s[0] == now], now)

    span = rings.span()
    for route, ring in rings.rings.items():
        now_again = counted_again(seconds, route, 90 - WINDOW_S + 1, 90)
        minute_again = counted_again(seconds, route, 90 - MINUTE_S + 1, 90)
        past = counted_again(seconds, route, 21, 30)
        assert flat(ring.now) == now_again[:4]
        assert flat(ring.minute) == minute_again[:4]
        assert hists(span, route) == (now_again[4], minute_again[4])
        assert (ring.past_n, ring.past_errors) == past[:2]


@a_few
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
        assert one.span().of(route, few=True) == other.span().of(route, few=True)


@a_few
@given(_seconds)
def test_a_route_asked_for_each_second_shows_what_one_asked_once_shows(
    seconds: list[_Second],
) -> None:
    asked, once = FleetRings(), FleetRings()
    for now in range(91):
        due = [s for s in seconds if s[0] == now]
        feed(asked, due, now)
        feed(once, due, now)
        shown = [asked.span().of(route, few=False) for route in _ROUTES]

    assert shown == [once.span().of(route, few=False) for route in _ROUTES]


@a_few
@given(_seconds)
def test_the_fleet_is_the_sum_of_its_routes(seconds: list[_Second]) -> None:
    rings = FleetRings()

    feed(rings, seconds, 90)

    assert rings.total.minute.n == sum(r.minute.n for r in rings.rings.values())
    merged: dict[int, int] = {}
    for route in rings.rings:
        for bucket, count in merged_hist(rings.span().minute, route).items():
            merged[bucket] = merged.get(bucket, 0) + count
    assert rings.total.minute.hist == merged


@given(st.dictionaries(st.integers(0, 460), st.integers(1, 50), min_size=1))
def test_percentiles_are_those_of_the_merged_histogram(hist: dict[int, int]) -> None:
    shown = percentiles_ms(hist)

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
    late_figures = rings.span().of("GET /a", few=False)
    assert (ring.now.n, late_figures.by_node) == (5, (("n1", 0.0), ("n2", 0.5)))
    feed(rings, [], 15)
    assert (ring.now.n, ring.minute.n) == (0, 5)
    assert hists(rings.span(), "GET /a") == ({}, {40: 5})


def test_lost_ticks_mark_the_routes_of_that_node_for_a_minute() -> None:
    rings = FleetRings()
    rings.take(1, read("n1", 1, RouteTick("GET /a", 1)))
    rings.take(2, read("n1", 4, RouteTick("GET /a", 1)))

    rings.settle(2)
    assert rings.rings["GET /a"].lost == 1
    rings.settle(62)

    assert rings.rings["GET /a"].lost == 0


def test_rates_divide_by_the_time_nodes_say_they_counted() -> None:
    rings = FleetRings()
    for second in range(10):
        rings.take(second, read("n1", second, RouteTick("GET /a", 9), interval_ms=900))

    rings.settle(9)

    assert rings.rings["GET /a"].now.n / rings.span_s(WINDOW_S) == 10.0


def test_a_route_silent_for_long_is_forgotten_unless_declared() -> None:
    rings = FleetRings()
    feed(rings, [(1, "n1", [RouteTick("GET /a", 1), RouteTick("GET /b", 1)])], 1)

    rings.settle(100)
    rings.forget(frozenset({"GET /b"}))

    assert list(rings.rings) == ["GET /b"]
    assert rings.nodes == {}


def test_readers_know_a_tick_field_by_field_as_nodes_write_it() -> None:
    assert ReadRoute.__struct_fields__ == RouteTick.__struct_fields__
    assert set(ReadTick.__struct_fields__) < set(Tick.__struct_fields__)


def test_a_nodes_own_sum_of_histograms_is_taken_for_the_fleet() -> None:
    rings = FleetRings()
    routes = (RouteTick("GET /a", 3, hist={40: 3}),)

    rings.take(1, read_tick(encode(Tick("n1", 1, 1000, routes=routes, hist={41: 3}))))
    rings.settle(1)

    assert rings.total.now.hist == {41: 3}


def test_a_row_made_earlier_keeps_its_figures_when_ticks_leave() -> None:
    rings = FleetRings()
    feed(rings, [(1, "n1", [RouteTick("GET /a", 40, hist={40: 40})])], 1)
    span = rings.span()

    feed(rings, [], 80)

    assert span.of("GET /a", few=False).p95 is not None
    assert rings.span().of("GET /a", few=False).p95 is None


def test_a_node_that_comes_back_counts_into_the_routes_of_today() -> None:
    rings = FleetRings()
    feed(rings, [(1, "n1", [RouteTick("GET /a", 1)])], 1)
    feed(rings, [(69, "n2", [RouteTick("GET /b", 1)])], 80)
    rings.forget(frozenset())

    feed(rings, [(81, "n1", [RouteTick("GET /a", 2)])], 81)

    assert rings.rings["GET /a"].now.n == 2
