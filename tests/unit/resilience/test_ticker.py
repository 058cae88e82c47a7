from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from failsoft.resilience._ticker import BEAT_S, Ticker


class Loop:
    """An event loop of one timer, moved by hand."""

    def __init__(self) -> None:
        self.now_s = 1000.0
        self.timers: list[tuple[float, Callable[..., None], Any]] = []

    def time(self) -> float:
        return self.now_s

    def call_at(self, at_s: float, call: Callable[..., None], *args: Any) -> None:
        self.timers.append((at_s, call, args))

    def run(self, late_s: float = 0.0) -> None:
        """Come to the next timer, later than it asked for."""
        at_s, call, args = self.timers.pop(0)
        self.now_s = at_s + late_s
        call(*args)


def _loop() -> Any:
    return Loop()


class Beats:
    def __init__(self) -> None:
        self.lags: list[float] = []
        self.is_busy = True
        self.loop: Any = _loop()
        self.ticker = Ticker(self.beat)
        self.ticker.begin(self.loop)

    def beat(self, now_s: float, lag_s: float) -> bool:
        assert now_s == self.loop.now_s
        self.lags.append(lag_s)
        return self.is_busy


def test_it_beats_every_ten_milliseconds_and_tells_how_late() -> None:
    beats = Beats()
    beats.ticker.wake()

    for late_s in (0.0, 0.05, 0.0):
        beats.loop.run(late_s)

    assert beats.lags == pytest.approx([0.0, 0.05, 0.0])
    assert beats.loop.now_s == pytest.approx(1000 + 3 * BEAT_S + 0.05)


def test_it_never_catches_up_after_a_stall() -> None:
    beats = Beats()
    beats.ticker.wake()

    beats.loop.run(late_s=2.0)

    assert len(beats.loop.timers) == 1
    assert beats.loop.timers[0][0] == pytest.approx(beats.loop.now_s + BEAT_S)


def test_it_stops_after_five_seconds_without_work() -> None:
    beats = Beats()
    beats.ticker.wake()
    beats.loop.run()
    beats.is_busy = False

    while beats.loop.timers:
        beats.loop.run()

    assert not beats.ticker.is_on
    assert 499 <= len(beats.lags) <= 502


def test_work_wakes_it_again_and_only_once() -> None:
    beats = Beats()

    beats.ticker.wake()
    beats.ticker.wake()

    assert beats.ticker.is_on
    assert len(beats.loop.timers) == 1


def test_nothing_wakes_it_before_it_has_a_loop_or_after_the_end() -> None:
    beats = Beats()
    ticker = Ticker(beats.beat)

    ticker.wake()
    beats.ticker.end()
    beats.ticker.wake()

    assert not ticker.is_on
    assert not beats.ticker.is_on
    assert beats.loop.timers == []


def test_a_beat_left_on_another_loop_ends_there() -> None:
    beats = Beats()
    beats.ticker.wake()
    left: Any = beats.loop
    beats.loop = _loop()
    beats.ticker.begin(beats.loop)
    beats.ticker.wake()

    left.run()

    assert left.timers == []
    assert beats.lags == []
    assert beats.ticker.belongs_to(beats.loop)
