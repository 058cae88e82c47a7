from __future__ import annotations

import pytest

from failsoft.controls.clock import StoreClock
from failsoft.testing import ManualClock


@pytest.fixture
def local() -> ManualClock:
    return ManualClock(100.0)


def beat(clock: StoreClock, local: ManualClock, trip_s: float, store_ms: int) -> bool:
    """One round trip in the middle of which the store read `store_ms`."""
    sent = local()
    return clock.observe(sent, local.advance(trip_s), store_ms)


def test_before_any_beat_store_time_is_wall_time(local: ManualClock) -> None:
    clock = StoreClock(local, wall=lambda: 5_000.0)

    local.advance(2)

    assert clock.now_ms() == 5_002_000.0


def test_store_time_goes_on_without_the_store(local: ManualClock) -> None:
    clock = StoreClock(local)
    beat(clock, local, 0.0, 1_000_000)

    local.advance(60)

    assert clock.now_ms() == 1_060_000.0


def test_the_quickest_of_the_last_beats_sets_the_clock(local: ManualClock) -> None:
    clock = StoreClock(local)
    beat(clock, local, 0.002, 1_000_001)
    exact = clock.now_ms() - local() * 1000

    beat(clock, local, 0.8, 1_000_100)

    assert clock.now_ms() - local() * 1000 == exact


def test_a_quick_beat_is_forgotten_after_thirty(local: ManualClock) -> None:
    clock = StoreClock(local)
    beat(clock, local, 0.0, 1_000_000)
    offset = clock.now_ms() - local() * 1000
    for _ in range(30):
        middle_ms = local() * 1000 + 5 + offset + 40
        beat(clock, local, 0.010, int(middle_ms))

    assert clock.now_ms() - local() * 1000 == pytest.approx(offset + 40, abs=1)


def test_a_jump_of_store_time_is_told_and_taken_at_once(local: ManualClock) -> None:
    clock = StoreClock(local)
    assert not beat(clock, local, 0.001, 1_000_000)
    now_ms = clock.now_ms()

    jumped = beat(clock, local, 0.001, int(now_ms) + 5_000)

    assert jumped
    assert clock.now_ms() == pytest.approx(now_ms + 5_000, abs=2)


def test_a_slow_answer_is_no_jump(local: ManualClock) -> None:
    clock = StoreClock(local)
    beat(clock, local, 0.0, 1_000_000)

    late = beat(clock, local, 2.4, 1_002_399)

    assert not late
    assert clock.now_ms() == pytest.approx(1_002_400, abs=1)


def test_age_counts_from_the_newest_proof(local: ManualClock) -> None:
    clock = StoreClock(local)
    local.advance(5)
    before = clock.age_s()
    clock.prove()
    local.advance(3)

    assert (before, clock.age_s()) == (0.0, 3.0)
