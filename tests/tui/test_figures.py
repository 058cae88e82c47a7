"""Numbers as operators read them."""

from __future__ import annotations

import pytest

from failsoft_tui import figures


@pytest.mark.parametrize(
    ("value", "text"),
    [(None, "-"), (0.0, "0.0"), (61.0, "61.0"), (999.4, "999.4"), (1284.2, "1,284")],
)
def test_rates(value: float | None, text: str) -> None:
    assert figures.rate(value) == text


def test_unknown_is_never_zero() -> None:
    unknown = [figures.rate(None), figures.percent(None), figures.millis(None)]
    few = [f(None, few=True) for f in (figures.percent, figures.millis)]

    assert unknown == ["-", "-", "-"]
    assert few == ["n<30", "n<30"]


@pytest.mark.parametrize(
    ("ms", "text"), [(0.84, "0.8"), (180.2, "180"), (999.6, "1.0k"), (2_100, "2.1k")]
)
def test_milliseconds(ms: float, text: str) -> None:
    assert figures.millis(ms) == text


@pytest.mark.parametrize(
    ("ratio", "text"), [(0.31, "+31.0"), (-0.002, "-0.2"), (0.0004, "=")]
)
def test_changes_of_a_ratio(ratio: float, text: str) -> None:
    assert figures.delta(ratio) == text


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(0.44, "0.4s"), (42, "42s"), (700, "11m40s"), (3_000, "50m"), (9 * 3600, "9h")],
)
def test_spans(seconds: float, text: str) -> None:
    assert figures.span(seconds) == text


def test_a_quiet_route_draws_no_mountain() -> None:
    one_error_in_a_minute = (0.0,) * 59 + (1.0,)

    alone = figures.spark(one_error_in_a_minute, 20)
    against_its_traffic = figures.spark(one_error_in_a_minute, 20, full=8.0)

    assert alone[-1] == "█"
    assert against_its_traffic[-1] == "▂"
    assert len(against_its_traffic) == 20


def test_the_time_of_day_is_utc() -> None:
    assert figures.clock_text(1_790_000_000_000) == "14:13:20"
