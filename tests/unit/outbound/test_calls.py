"""What outcomes are, what retries may cost, and what headers say of quotas."""

from __future__ import annotations

import httpx
import pytest
from hypothesis import given
from hypothesis import strategies as st

from failsoft.errors import BreakerOpen, CallTimeout
from failsoft.outbound._classify import (
    late,
    outcome_of,
    outcome_of_error,
    outcome_of_status,
    paced,
    slow_after,
)
from failsoft.outbound._quota import NOTHING, Announced, Quotas, read_announced
from failsoft.outbound._retry import RetryBudget, delay_s, is_repeatable
from failsoft.outbound._ring import Ring
from failsoft.outbound._throttle import refused_share


@pytest.mark.parametrize(
    ("status", "has_wait", "outcome"),
    [
        (200, False, "ok"),
        (404, False, "ok"),
        (401, False, "ok"),
        (403, False, "ok"),
        (403, True, "limited"),
        (429, False, "limited"),
        (408, False, "fail"),
        (500, False, "fail"),
        (501, False, "ok"),
        (503, True, "fail"),
    ],
)
def test_a_status_says_how_the_other_side_is(
    status: int, has_wait: bool, outcome: str
) -> None:
    assert outcome_of_status(status, has_retry_after=has_wait) == outcome


def test_errors_are_judged_by_the_answer_they_carry() -> None:
    request = httpx.Request("GET", "http://x.test")
    errors: list[tuple[BaseException, str]] = [
        (ConnectionError(), "fail"),
        (BreakerOpen("other", "open"), "ignored"),
        (CallTimeout("other", "late"), "fail"),
        (KeyboardInterrupt(), "ignored"),
    ]
    for status, outcome in ((404, "ok"), (500, "fail"), (429, "limited")):
        answer = httpx.Response(status)
        errors.append(
            (httpx.HTTPStatusError("", request=request, response=answer), outcome)
        )

    assert [outcome_of_error(error) for error, _ in errors] == [o for _, o in errors]
    assert outcome_of(httpx.Response(503)) == "fail"
    assert outcome_of({"status_code": 503}) == "ok"


def test_slow_begins_at_four_fifths_of_the_timeout() -> None:
    assert [paced("ok", took, slow_after(2.0, None)) for took in (1.5, 1.6)] == [
        "ok",
        "slow",
    ]
    assert paced("fail", 9.0, 1.6) == "fail"
    assert slow_after(2.0, 0.5) == 0.5
    assert paced("ok", 99.0, slow_after(None, None)) == "ok"


def test_a_call_cut_short_by_the_deadline_is_no_outcome() -> None:
    assert [late(bound, 2.0) for bound in (1.5, 1.7)] == ["ignored", "fail"]
    assert late(1.0, None) == "ignored"


@given(st.integers(0, 500), st.floats(0, 1))
def test_at_least_a_tenth_always_goes_through(sent: int, ratio: float) -> None:
    share = refused_share(sent, int(sent * ratio))

    assert 0.0 <= share <= 0.9
    if sent < 20 or ratio == 1:
        assert share == 0.0


def test_a_run_of_good_calls_lets_more_through_step_by_step() -> None:
    shares = [refused_share(1000, 100, run) for run in (0, 10, 25, 40, 900)]

    assert shares == pytest.approx([0.888, 0.888, 0.444, 0.0, 0.0], abs=0.001)


@given(st.lists(st.tuples(st.integers(0, 40), st.sampled_from(["ok", "fail"]))))
def test_a_ring_counts_what_a_list_would(steps: list[tuple[int, str]]) -> None:
    ring, said, now = Ring(30), [], 50
    for wait, kind in steps:
        now += wait
        ring.add(kind, now)
        said.append((now, kind))

    for at in (now, now + 7, now + 31):
        recent = [kind for when, kind in said if when > at - 30]
        assert ring.read(at).fail == recent.count("fail")
        assert ring.read(at).sent == len(recent)
    assert ring.sums(now + 7).sent == ring.read(now + 7).sent


def test_a_retry_is_for_what_does_the_same_twice() -> None:
    def may(method: str, *, has_key: bool = False, is_replayable: bool = True) -> bool:
        return is_repeatable(method, has_key=has_key, is_replayable=is_replayable)

    assert [may(m) for m in ("GET", "PUT", "DELETE", "POST", "PATCH")] == [
        True,
        True,
        True,
        False,
        False,
    ]
    assert may("POST", has_key=True)
    assert not may("GET", is_replayable=False)


def test_the_delay_grows_is_drawn_and_heeds_retry_after() -> None:
    longest = [delay_s(nth, "fail", 0.0, lambda: 1.0) for nth in (1, 2, 3, 9)]

    assert longest == [0.2, 0.4, 0.8, 2.0]
    assert delay_s(1, "fail", 0.0, lambda: 0.0) == 0.0
    assert delay_s(1, "limited", 7.0, lambda: 1.0) == 7.0
    assert delay_s(1, "ok", 0.0, lambda: 1.0) is None
    assert delay_s(1, "fail", 3600.0, lambda: 1.0) is None


def test_retries_are_a_tenth_of_first_attempts_and_one_a_second() -> None:
    budget = RetryBudget()
    for _ in range(100):
        budget.first(50.0)

    granted = sum(budget.take(51.0) for _ in range(100))

    assert granted == 20
    assert not budget.take(60.9)
    assert sum(budget.take(61.0) for _ in range(100)) == 10


NOW = 1_700_000_000.0


@pytest.mark.parametrize(
    ("headers", "said"),
    [
        ({"ratelimit": '"d";r=50;t=30', "ratelimit-policy": '"d";q=100;w=60'},
         Announced(100, 50, 30.0)),
        ({"ratelimit": '"hour";r=900;t=3000, "minute";r=4;t=20'},
         Announced(0, 4, 20.0)),
        ({"ratelimit-limit": "10", "ratelimit-remaining": "3", "ratelimit-reset": "5"},
         Announced(10, 3, 5.0)),
        ({"x-ratelimit-limit": "60", "x-ratelimit-remaining": "0",
          "x-ratelimit-reset": str(int(NOW) + 90)}, Announced(60, 0, 90.0)),
        ({"x-ratelimit-reset": str((int(NOW) + 90) * 1000)}, Announced(reset_s=90.0)),
        ({"retry-after": "12"}, Announced(retry_after_s=12.0)),
        ({"retry-after": "Tue, 14 Nov 2023 22:13:50 GMT"},
         Announced(retry_after_s=30.0)),
        ({"retry-after": "soon", "ratelimit": "r=;;;"}, NOTHING),
        ({"ratelimit-limit": "100, 100;w=60"}, Announced(100)),
        ({"ratelimit": '"day";r=100;t=3600',
          "ratelimit-policy": '"burst";q=100;w=60, "day";q=1000;w=86400'},
         Announced(1000, 100, 3600.0)),
        ({"ratelimit": "limit=100, remaining=7, reset=30"}, Announced(100, 7, 30.0)),
        ({"x-ratelimit-reset": "2026-11-24T10:00:00Z"}, NOTHING),
        ({"retry-after": "1.5"}, Announced(retry_after_s=1.5)),
    ],
)  # fmt: skip
def test_a_quota_is_read_as_many_write_it(
    headers: dict[str, str], said: Announced
) -> None:
    assert read_announced(headers.items(), NOW) == said


@given(st.sampled_from(["retry-after", "ratelimit", "x-ratelimit-reset"]), st.text())
def test_no_header_breaks_the_reader(name: str, value: str) -> None:
    said = read_announced([(name, value)], NOW)

    assert said.retry_after_s >= 0.0


def quotas(said: Announced, outcome: str = "ok") -> Quotas:
    made = Quotas(0.2)
    made.of(0).learn(said, 100.0)
    if outcome == "limited":
        made.of(0).limited(said, 100.0)
    return made


def test_in_one_window_the_lowest_figure_wins_and_a_newer_window_replaces_it() -> None:
    quota = quotas(Announced(100, 40, 30.0)).of(0)

    quota.learn(Announced(100, 60, 29.5), 100.5)
    assert quota.remaining == 40
    quota.learn(Announced(100, 99, 60.0), 131.0)
    assert quota.remaining == 99
    quota.learn(Announced(100, 1, 1.0), 131.0)
    assert quota.remaining == 99


def test_what_would_be_spent_before_the_reset_is_held_back() -> None:
    made = quotas(Announced(1000, 300, 60.0))
    for second in range(100, 160):
        made.of(0).spend(second)
    made.of(0).remaining = 300
    assert made.refusal(0, 159.0, is_critical=False) is None

    made.fleet_per_s = 400.0

    refusal = made.refusal(0, 159.0, is_critical=False)
    assert refusal is not None
    assert "400.0 calls/s" in refusal[0]
    assert made.refusal(0, 159.0, is_critical=True) is None


def test_a_429_without_figures_holds_longer_each_time_and_not_for_those_under_way() -> (
    None
):
    made, holds = Quotas(0.2), []
    quota, now = made.of(0), 100.0
    for _ in range(8):
        quota.limited(NOTHING, now)
        quota.limited(NOTHING, now)
        holds.append(quota.hold_until - now)
        now = quota.hold_until

    assert holds == [1.0, 2.0, 4.0, 8.0, 16.0, 32.0, 60.0, 60.0]


def test_a_wrong_reset_ends_calls_for_an_hour_at_most() -> None:
    made = quotas(Announced(retry_after_s=1e9), "limited")

    assert made.refusal(0, 100.0 + 3601, is_critical=True) is None


def test_credentials_have_quotas_of_their_own_and_sixty_four_are_kept() -> None:
    made = quotas(Announced(retry_after_s=60.0), "limited")

    assert made.refusal(1, 100.0, is_critical=True) is None
    for credential in range(1, 65):
        made.of(credential)
    assert made.refusal(0, 100.0, is_critical=True) is None


def test_what_the_fleet_knows_counts_where_one_credential_is_in_use() -> None:
    made = quotas(Announced(100, 80, 30.0))

    made.share(Announced(100, 10, 30.0), 0.0, 5.0, 100.0)

    assert made.refusal(0, 100.0, is_critical=False) is not None
