"""Windows and rules over counts that a store on a manual clock keeps."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from failsoft.slo._buckets import SloHistory
from failsoft.slo._burn import (
    RULES,
    auto_burn,
    budget_of,
    burn_rate,
    read_rule,
)
from failsoft.store.slo import SloRead
from unit.slo.history import Reports

pytestmark = pytest.mark.anyio
FAST, SLOW, DAY, TREND = RULES
OK, DOWN = (10, 0, 0), (10, 10, 0)


def test_a_burn_of_one_lasts_exactly_the_period() -> None:
    assert burn_rate(1, 1000, 0.999) == pytest.approx(1.0)
    assert burn_rate(1000, 1000, 0.999) == pytest.approx(1000.0)
    assert burn_rate(0, 0, 0.999) == 0.0


async def test_limits_that_are_just_met_are_met() -> None:
    reports = Reports()
    await reports.go(60, (10, 1, 0))

    assert burn_rate(144, 10_000, 0.999) == 14.4
    assert burn_rate(6, 100, 0.99) == 6.0
    assert auto_burn(await reports.history(), "pay", 0.999, reports.now_s).is_over


@pytest.mark.parametrize("objective", [0.0, 1.0, -1.0, 2.0])
def test_an_objective_out_of_range_is_refused(objective: float) -> None:
    with pytest.raises(ValueError, match="between 0 and 1"):
        burn_rate(1, 2, objective)


@settings(max_examples=50)
@given(
    counts=st.lists(st.integers(0, 100), min_size=1, max_size=120),
    offset=st.integers(0, 59),
)
def test_a_window_holds_what_was_counted_in_it(counts: list[int], offset: int) -> None:
    now_s = 1_800_000_000 + len(counts) + offset
    buckets: dict[int, tuple[int, int, int]] = {}
    for second, count in enumerate(counts):
        start = (1_800_000_000 + offset + second) // 10 * 10
        t = buckets.get(start, (0, 0, 0))[0]
        buckets[start] = (t + count, 0, 0)
    history = SloHistory()
    history.take(SloRead(now_s * 1000, {"pay": {10: buckets}}))

    sums = history.sums("pay", 60, now_s)

    # The oldest bucket counts by its share: never off by more than that bucket.
    exact = sum(counts[-60:])
    assert sums.t == pytest.approx(exact, abs=max(buckets.values())[0])
    assert sums.has_data


async def test_a_total_outage_reaches_fast_after_52_seconds_and_auto_in_ten() -> None:
    reports = Reports()
    await reports.go(7_200, OK)
    reached: dict[str, int] = {}
    for second in range(1, 120):
        await reports.go(1, DOWN)
        history, now_s = await reports.history(), reports.now_s
        if read_rule(FAST, history, "pay", 0.999, now_s).is_over:
            reached.setdefault("fast", second)
        if auto_burn(history, "pay", 0.999, now_s).is_over:
            reached.setdefault("auto", second)

    assert 51 <= reached["fast"] <= 53
    assert 6 <= reached["auto"] <= 8  # a tenth of 60 s, and of the 10 s long before


async def test_the_slower_rules_take_what_they_are_computed_to_take() -> None:
    reports = Reports()
    await reports.go(4 * 86_400, (600, 0, 0), step=60)
    reached: dict[str, int] = {}
    # 1 % bad: ten times too fast; below fast's 14.4, over the others.
    for minute in range(1, 12 * 60):
        await reports.go(60, (600, 6, 0), step=60)
        if minute % 5:
            continue
        history = await reports.history()
        for rule in RULES:
            if read_rule(rule, history, "pay", 0.999, reports.now_s).is_over:
                reached.setdefault(rule.name, minute)

    assert "fast" not in reached
    assert reached["slow"] == pytest.approx(6 * 60 * 6 / 10, abs=5)  # 216 min
    assert reached["day"] == pytest.approx(24 * 60 * 3 / 10, abs=5)  # 432 min
    assert reached["trend"] == pytest.approx(72 * 60 * 1 / 10, abs=5)  # 432 min


async def test_a_rule_ends_soon_after_the_outage_by_its_short_window() -> None:
    reports = Reports()
    await reports.go(3_600, OK)
    await reports.go(300, DOWN)
    assert read_rule(FAST, await reports.history(), "pay", 0.999, reports.now_s).is_over

    await reports.go(360, OK)
    reading = read_rule(FAST, await reports.history(), "pay", 0.999, reports.now_s)

    assert reading.is_over is False
    assert reading.long > 14.4


async def test_fewer_than_ten_bad_requests_never_alert() -> None:
    reports = Reports()
    await reports.go(600, (1, 1, 0), step=67)

    reading = read_rule(FAST, await reports.history(), "pay", 0.999, reports.now_s)

    assert (reading.bad, reading.is_over) == (9, False)


async def test_no_report_is_no_data_while_no_traffic_is_fine() -> None:
    reports = Reports()
    await reports.go(600, DOWN)
    reports.clock.advance(400)

    silent = read_rule(FAST, await reports.history(), "pay", 0.999, reports.now_s)
    await reports.go(400, (0, 0, 0))
    idle = read_rule(FAST, await reports.history(), "pay", 0.999, reports.now_s)

    assert silent.is_over is None
    assert idle.is_over is False


async def test_our_refusals_alert_people_and_never_trigger_modes() -> None:
    reports = Reports()
    await reports.go(120, (10, 0, 9))
    history, now_s = await reports.history(), reports.now_s

    assert read_rule(FAST, history, "pay", 0.999, now_s).is_over
    assert not auto_burn(history, "pay", 0.999, now_s).is_over
    assert auto_burn(history, "pay", 0.999, now_s).ratio_long == 0.0


@pytest.mark.parametrize(
    ("objective", "limit"), [(0.999, 0.1), (0.9999, 0.01), (0.99, 0.5), (0.95, 0.5)]
)
async def test_the_rule_of_modes_asks_for_a_ratio_of_at_most_a_half(
    objective: float, limit: float
) -> None:
    burn = auto_burn(SloHistory(), "pay", objective, 0.0)

    assert burn.limit == pytest.approx(limit)
    assert not burn.has_data
    assert not burn.is_over


async def test_modes_need_fifty_requests() -> None:
    reports = Reports()
    await reports.go(49, (1, 1, 0))
    assert not auto_burn(await reports.history(), "pay", 0.999, reports.now_s).is_over

    await reports.go(1, (1, 1, 0))
    assert auto_burn(await reports.history(), "pay", 0.999, reports.now_s).is_over


async def test_half_of_the_limit_keeps_a_mode_on() -> None:
    reports = Reports()
    await reports.go(120, (100, 6, 0))

    burn = auto_burn(await reports.history(), "pay", 0.999, reports.now_s)

    assert (burn.is_over, burn.is_half_over) == (False, True)


async def test_the_budget_is_that_of_thirty_days() -> None:
    reports = Reports()
    await reports.go(30 * 86_400, (21_600, 0, 0), step=21_600)
    full = budget_of(await reports.history(), "pay", 0.999, reports.now_s)
    await reports.go(3_600, (36_000, 1_296, 0), step=3_600)
    spent = budget_of(await reports.history(), "pay", 0.999, reports.now_s)

    assert full.left == pytest.approx(1.0)
    assert full.ends_s is None
    assert spent.left == pytest.approx(0.5, abs=0.01)
    # A burn of 36 spends half of 30 days' budget in 10 h.
    assert spent.ends_s == pytest.approx(36_000, rel=0.05)
    assert budget_of(SloHistory(), "pay", 0.999, 0.0).left is None
