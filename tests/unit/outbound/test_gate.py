"""Quota, breaker and throttle in their order, under operators and the fleet."""

from __future__ import annotations

import threading
from collections.abc import Callable
from contextlib import suppress

import pytest

from failsoft.errors import BreakerOpen, CallError, CallThrottled, QuotaReserved
from failsoft.outbound._gate import Force, Gate, Probed
from failsoft.outbound._quota import Announced
from failsoft.settings import DependencySettings

KEY = (5_000, 0)


def gate(rand: Callable[[], float] = lambda: 0.5, **settings: float) -> Gate:
    given = DependencySettings(**settings)  # type: ignore[arg-type]
    return Gate("pay", given, threading.Lock(), rand, 0.0)


def called(made: Gate, outcome: str, count: int, now: float) -> None:
    for _ in range(count):
        made.settle(made.admit(now), outcome, 0.1, now)


def refused(made: Gate, now: float) -> type[CallError] | None:
    try:
        made.settle(made.admit(now), "ok", 0.1, now)
    except CallError as error:
        return type(error)
    return None


def test_a_refusal_names_the_dependency_and_when_to_come_back() -> None:
    made = gate()
    called(made, "fail", 10, 1.0)

    with pytest.raises(BreakerOpen) as caught:
        made.admit(2.0)

    error = caught.value
    assert (error.dependency, round(error.retry_after_s, 3)) == ("pay", 4.0)
    assert error.why == "10 of 10 calls failed in 30 s"


def test_refused_calls_are_counted_apart_and_are_no_outcome() -> None:
    made = gate()
    called(made, "fail", 10, 1.0)
    for _ in range(3):
        assert refused(made, 2.0) is BreakerOpen

    said = made.state(2.0)

    assert (said.calls, said.fail, said.refused) == (10, 10, 3)
    assert list(made.changes) == [("closed", "open", "10 of 10 calls failed in 30 s")]


def test_it_opens_probes_and_closes_by_calls_alone() -> None:
    made = gate()
    called(made, "fail", 10, 1.0)

    called(made, "ok", 14, 6.5)

    assert made.state(6.5).state == "closed"


def test_partial_failure_is_throttled_without_a_cliff() -> None:
    made = gate(rand=lambda: 0.2)
    for nth in range(100):
        permit = made.breaker.take(1.0)
        assert permit is not None
        made.settle(permit, "fail" if nth % 10 < 3 else "ok", 0.1, 1.0)

    assert made.state(1.0).throttle == pytest.approx(0.22, abs=0.01)
    assert refused(made, 1.0) is CallThrottled


def test_a_third_party_that_limits_is_throttled_and_stays_closed() -> None:
    made = gate()
    called(made, "limited", 19, 1.0)

    said = made.state(1.0)

    assert (said.state, said.limited) == ("closed", 19)
    assert made.throttled(1.0) == 0.0
    called(made, "limited", 1, 1.0)
    assert made.throttled(1.0) == 0.9


@pytest.mark.parametrize("state", ["closed", "metrics_only"])
def test_an_operator_who_closes_it_stops_breaker_throttle_and_quota(state: str) -> None:
    made = gate(rand=lambda: 0.0)
    made.enforce(Force(state, why="trust me"), 0.0, 0.0)
    made.announced(0, Announced(retry_after_s=60.0), "limited", 0.0)

    called(made, "fail", 50, 1.0)

    said = made.state(1.0)
    assert (said.state, said.fail, said.throttle) == ("closed", 50, 0.0)
    assert said.in_force == {"closed": "forced_closed"}.get(state, state)


def test_an_operator_who_opens_it_is_obeyed_until_the_record_ends() -> None:
    made = gate()
    made.enforce(Force("open", why="drill", until_ms=60_000), 0.0, 0.0)
    with pytest.raises(BreakerOpen) as caught:
        made.admit(1.0)
    assert caught.value.retry_after_s == 59.0
    assert made.state(1.0).in_force == "forced_open"

    made.enforce(None, 2.0, 0.0)

    assert refused(made, 2.0) is None


def test_an_operator_who_asks_for_a_probe_gets_one_now() -> None:
    made = gate()
    called(made, "fail", 10, 1.0)
    made.enforce(Force("probe", rev=7), 1.5, 0.0)
    assert made.state(1.5).in_force == "half_open"

    called(made, "fail", 1, 1.5)
    made.enforce(Force("probe", rev=7, why="said again"), 1.6, 0.0)

    assert made.state(1.6).state == "open"


def test_the_fleet_opens_it_and_lends_probes() -> None:
    made = gate()
    made.enforce(Force("open", True, "quorum", 5_000, 60_000), 1.0, 5_000.0)
    assert refused(made, 1.0) is BreakerOpen
    assert made.wants_probes(2.0)

    made.lend(KEY, 3, 2.0)
    called(made, "ok", 1, 2.5)
    called(made, "fail", 1, 2.5)

    assert made.probed(2.6) == [Probed(KEY, 1, 1, 0)]
    assert made.probed(4.1) == [Probed(KEY, 0, 0, 1)]
    assert refused(made, 4.2) is BreakerOpen


def test_a_fleet_record_that_is_lifted_leaves_every_breaker_closed_and_empty() -> None:
    made = gate()
    called(made, "fail", 9, 0.5)
    made.enforce(Force("open", True, "quorum", 5_000, 60_000), 1.0, 5_000.0)

    made.enforce(None, 2.0, 30_000.0)

    said = made.state(2.0)
    assert (said.state, said.calls) == ("closed", 0)


def test_a_fleet_record_that_ran_out_leaves_the_own_breaker_to_probe() -> None:
    made = gate()
    made.enforce(Force("open", True, "quorum", 5_000, 60_000), 1.0, 5_000.0)

    made.enforce(None, 56.0, 60_001.0)
    made.tick(56.0)

    assert made.state(56.0).state == "half_open"


def test_a_renewed_fleet_record_is_no_new_opening() -> None:
    made = gate()
    made.enforce(Force("open", True, "quorum", 5_000, 60_000, 1), 1.0, 5_000.0)

    made.enforce(Force("open", True, "quorum", 5_000, 90_000, 2), 2.0, 6_000.0)

    assert made.state(2.0).openings == 1


def test_alone_a_node_probes_by_itself_what_the_fleet_opened() -> None:
    made = gate()
    made.enforce(Force("open", True, "quorum", 5_000, 60_000), 1.0, 5_000.0)
    made.is_alone = True
    assert refused(made, 2.0) is BreakerOpen

    called(made, "ok", 14, 6.5)

    assert refused(made, 6.6) is None
    assert made.state(6.6).in_force == "closed"
    made.is_alone = False
    assert refused(made, 6.7) is BreakerOpen
    assert made.state(6.7).in_force == "fleet_open"


def test_nobody_calls_before_retry_after_is_over() -> None:
    made = gate()
    made.announced(0, Announced(retry_after_s=3.0), "limited", 1.0)

    with pytest.raises(QuotaReserved) as caught:
        made.admit(2.0, is_critical=True)

    assert caught.value.retry_after_s == 2.0
    assert refused(made, 4.0) is None


def test_the_last_of_a_quota_is_kept_for_critical_requests() -> None:
    made = gate(quota_reserve=0.2)
    made.admit(1.0)
    made.announced(0, Announced(100, 20, 30.0), "ok", 1.0)

    with pytest.raises(QuotaReserved, match="20 of 100 calls are left"):
        made.admit(2.0, is_critical=False)

    made.admit(2.0, is_critical=True)
    assert made.state(2.0).quota_remaining == 19


def test_threads_never_wait_and_never_overshoot_a_probe() -> None:
    made = gate()
    called(made, "fail", 10, 1.0)
    barrier, granted = threading.Barrier(8), []

    def knock() -> None:
        barrier.wait()
        for _ in range(50):
            with suppress(BreakerOpen):
                granted.append(made.admit(7.0))

    threads = [threading.Thread(target=knock) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert len(granted) == 1
    assert made.state(7.0).refused == 8 * 50 - 1


def test_reading_the_state_changes_nothing() -> None:
    made = gate()
    called(made, "fail", 10, 1.0)

    first = made.state(100.0)

    assert made.state(100.0) == first
    assert first.state == "open"


def test_percentiles_are_of_the_last_thirty_seconds() -> None:
    made = gate()
    for nth in range(100):
        made.settle(made.admit(1.0), "ok", nth / 100, 1.0)

    said = made.state(2.0)

    assert (said.p95_ms, said.p99_ms) == (950.0, 990.0)
    assert made.state(40.0).p95_ms == 0.0
