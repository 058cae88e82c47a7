from __future__ import annotations

import pytest

from failsoft.resilience._shed import RANGES, Shedder

TARGET_S, INTERVAL_S, MOST = 0.03, 0.1, 1000
LATE_S, CALM_S = 0.05, 0.001


class Loop:
    """A node whose time is moved by hand."""

    def __init__(self) -> None:
        self.shedder = Shedder(TARGET_S, INTERVAL_S, MOST)
        self.now_s = 100.0

    def beat(self, lag_s: float, inflight: int, times: int = 1) -> None:
        for _ in range(times):
            self.now_s += 0.01 + lag_s
            self.shedder.tick(self.now_s, lag_s, inflight)

    def armed(self, inflight: int = 100) -> Shedder:
        self.beat(CALM_S, inflight, 11)
        self.beat(LATE_S, inflight, 3)
        return self.shedder


def test_one_blocking_call_never_arms() -> None:
    loop = Loop()

    for _ in range(60):
        loop.beat(2.0, 500)
        loop.beat(CALM_S, 500, 5)

    assert loop.shedder.limit is None


def test_three_late_beats_within_the_interval_are_not_enough() -> None:
    loop = Loop()

    loop.beat(0.031, 100, 3)

    assert loop.shedder.limit is None


def test_a_late_interval_arms_at_seven_tenths_of_the_peak() -> None:
    assert Loop().armed(inflight=100).limit == pytest.approx(70)


def test_a_loop_that_comes_round_too_seldom_takes_the_steps_it_owes_at_once() -> None:
    loop = Loop()
    loop.beat(CALM_S, 100, 11)

    loop.beat(0.3, 100, 3)

    assert loop.shedder.limit == pytest.approx(0.7**4 * 100)


def test_the_limit_never_falls_below_four() -> None:
    loop = Loop()
    loop.armed(inflight=1)

    loop.beat(0.2, 1, 50)

    assert loop.shedder.limit == 4


@pytest.mark.parametrize(
    ("lag_s", "factor"), [(LATE_S, 0.9), (0.1, 0.7), (0.2, 0.7**2), (2.0, 0.7**4)]
)
def test_further_lag_lowers_it_by_how_late_the_whole_interval_was(
    lag_s: float, factor: float
) -> None:
    loop = Loop()
    limit = loop.armed().limit
    assert limit is not None

    loop.beat(lag_s, 100, 1 + int(INTERVAL_S / (lag_s + 0.01)))

    assert loop.shedder.limit == pytest.approx(limit * factor)


def test_the_limit_follows_down_to_what_is_in_flight() -> None:
    loop = Loop()
    loop.armed(inflight=100)

    loop.beat(LATE_S, 10, 2)
    loop.beat(LATE_S, 10, 2)

    assert loop.shedder.limit == pytest.approx(10 * 0.9)


def test_a_calm_interval_that_reached_it_raises_it_by_a_quarter() -> None:
    loop = Loop()
    limit = loop.armed().limit
    assert limit is not None

    loop.beat(CALM_S, 100, 12)

    assert loop.shedder.limit == pytest.approx(limit * 1.25)


def test_a_busy_interval_raises_it_by_a_twentieth() -> None:
    loop = Loop()
    limit = loop.armed().limit
    assert limit is not None

    loop.beat(0.02, 100, 5)

    assert loop.shedder.limit == pytest.approx(limit * 1.05)


def test_a_refusal_alone_means_that_it_was_reached() -> None:
    loop = Loop()
    limit = loop.armed().limit
    assert limit is not None
    loop.beat(CALM_S, 0, 1)

    assert not loop.shedder.admits("sheddable", 60, lambda: 0.0)
    loop.beat(CALM_S, 0, 12)

    assert loop.shedder.limit is not None
    assert loop.shedder.limit > limit


def test_it_never_rises_above_the_hard_cap() -> None:
    loop = Loop()
    loop.armed(inflight=900)

    loop.beat(CALM_S, 1000, 200)

    assert loop.shedder.limit == MOST


def test_thirty_seconds_below_it_disarm() -> None:
    loop = Loop()
    loop.armed()

    loop.beat(CALM_S, 5, 2600)
    before = loop.shedder.limit
    loop.beat(CALM_S, 5, 300)

    assert before is not None
    assert loop.shedder.limit is None


def test_reaching_it_once_starts_the_thirty_seconds_anew() -> None:
    loop = Loop()
    loop.armed()

    loop.beat(CALM_S, 5, 2000)
    loop.beat(CALM_S, 100, 20)
    loop.beat(CALM_S, 5, 2000)

    assert loop.shedder.limit is not None


def test_without_a_limit_everybody_is_admitted() -> None:
    shedder = Loop().shedder

    assert all(shedder.admits(name, MOST * 10, lambda: 0.0) for name in RANGES)


@pytest.mark.parametrize(
    ("criticality", "from_", "to"),
    [
        ("critical_plus", 140, 210),
        ("critical", 91, 140),
        ("sheddable_plus", 28, 56),
        ("sheddable", 7, 28),
    ],
)
def test_each_class_has_its_range_of_the_limit(
    criticality: str, from_: int, to: int
) -> None:
    shedder = Loop().armed(inflight=100)

    assert shedder.admits(criticality, from_ - 1, lambda: 0.0)
    assert not shedder.admits(criticality, from_ + 1, lambda: 0.0)
    assert shedder.admits(criticality, to - 1, lambda: 0.999_999)
    assert not shedder.admits(criticality, to, lambda: 0.999_999)


def test_an_idle_node_admits_one_of_any_class() -> None:
    shedder = Loop().armed(inflight=1)

    assert shedder.admits("sheddable", 0, lambda: 0.0)
