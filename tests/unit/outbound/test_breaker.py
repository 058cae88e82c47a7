"""The breaker's table, as a state machine that must reach every row of it."""

from __future__ import annotations

from typing import Any, ClassVar

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)

from failsoft.outbound._breaker import CLOSED, HALF_OPEN, OPEN, Breaker, Permit
from failsoft.settings._dependency import BreakerSettings

RULES = BreakerSettings()
PERMIT_S = 10.0


def breaker(now: float = 0.0) -> Breaker:
    return Breaker(RULES, PERMIT_S, lambda: 0.5, now)


def called(made: Breaker, outcome: str, count: int, now: float) -> None:
    for _ in range(count):
        permit = made.take(now)
        assert permit is not None
        made.settle(permit, outcome, now)


def half_open(now: float = 0.0) -> Breaker:
    made = breaker()
    called(made, "fail", 10, now)
    made.tick(made.until)
    return made


ROWS = {
    "closed -> open: failed",
    "closed -> open: slow",
    "closed -> open: in a row",
    "open -> half_open",
    "half_open -> next: all ok",
    "half_open -> next: time",
    "half_open -> open: failed",
    "half_open -> open: slow",
    "half_open -> open: out",
    "half_open -> closed",
}
_WORDS = {"failed in": "failed", "were slow": "slow", "in a row": "in a row"}


class BreakerMachine(RuleBasedStateMachine):
    """Calls, time and probes in any order; notes the rows of the table it saw."""

    reached: ClassVar[set[str]] = set()

    def __init__(self) -> None:
        super().__init__()
        self.now = 100.0
        self.breaker = Breaker(RULES, PERMIT_S, lambda: 0.5, self.now)
        self.out: list[Permit] = []
        self.granted = 0
        self.before = (CLOSED, 0, 0)
        self.is_timed = False

    def look(self) -> None:
        """Note which row of the table the last move was."""
        made = self.breaker
        now = (made.state, made.step, made.generation)
        (was, step, generation), self.before = self.before, now
        if (was, step, generation) == now:
            return
        self.granted = 0
        if was == CLOSED and made.state == OPEN:
            kind = next(w for text, w in _WORDS.items() if text in made.why)
            self.reached.add(f"closed -> open: {kind}")
        elif was == HALF_OPEN and made.state == OPEN:
            kinds = ("failed", "slow", "out")
            kind = next(word for word in kinds if word in made.why)
            self.reached.add(f"half_open -> open: {kind}")
        elif was == HALF_OPEN and made.state == HALF_OPEN:
            how = "time" if self.is_timed else "all ok"
            self.reached.add(f"half_open -> next: {how}")
        else:
            self.reached.add(f"{was} -> {made.state}")

    @rule(outcome=st.sampled_from(["ok", "slow", "fail"]), count=st.integers(1, 12))
    def call(self, outcome: str, count: int) -> None:
        for _ in range(count):
            permit = self.breaker.take(self.now)
            if permit is not None:
                self.granted += 1
                self.breaker.settle(permit, outcome, self.now)
                self.look()

    @precondition(lambda self: self.breaker.state == CLOSED)
    @rule(outcome=st.sampled_from(["slow", "fail"]))
    def go_bad(self, outcome: str) -> None:
        self.wait(31)
        self.call(outcome, 10)

    @precondition(lambda self: self.breaker.state == CLOSED)
    @rule()
    def die_suddenly_under_load(self) -> None:
        self.call("ok", 60)
        self.wait(3)
        self.call("fail", 10)

    @rule()
    def take(self) -> None:
        state = self.breaker.state
        permit = self.breaker.take(self.now)
        assert self.breaker.state == state
        if permit is not None:
            self.granted += 1
            self.out.append(permit)

    @precondition(lambda self: self.out)
    @rule(outcome=st.sampled_from(["ok", "fail", "ignored"]))
    def come_back(self, outcome: str) -> None:
        permit = self.out.pop()
        is_late = permit.generation != self.breaker.generation
        if outcome == "ignored" and not is_late:
            self.granted -= 1
        state = self.breaker.state
        self.breaker.settle(permit, outcome, self.now)
        assert not is_late or self.breaker.state == state
        self.look()

    @rule(seconds=st.sampled_from([1, 3, 7, 11, 31]))
    def wait(self, seconds: float) -> None:
        self.now += seconds
        self.is_timed = True
        self.breaker.tick(self.now)
        self.look()
        self.is_timed = False

    @precondition(lambda self: self.breaker.state == OPEN)
    @rule()
    def wait_until_half_open(self) -> None:
        self.wait(self.breaker.until - self.now)

    @precondition(lambda self: self.breaker.state == HALF_OPEN)
    @rule(count=st.sampled_from([2, 4, 14]))
    def recover(self, count: int) -> None:
        for _ in range(count):
            permit = self.breaker.take(self.now)
            if permit is None or permit.step < 0:
                return
            self.granted += 1
            self.breaker.settle(permit, "ok", self.now)
            self.look()

    @precondition(lambda self: self.breaker.state == HALF_OPEN)
    @rule()
    def recover_with_few_calls(self) -> None:
        self.recover(2)
        self.wait(11)

    @invariant()
    def an_open_breaker_grants_nothing(self) -> None:
        if self.breaker.state == OPEN:
            assert self.breaker.take(self.now) is None

    @invariant()
    def a_step_grants_no_more_than_its_permits(self) -> None:
        if self.breaker.state == HALF_OPEN:
            assert self.granted <= RULES.permits[self.breaker.step]


def test_every_row_of_the_table_is_reached() -> None:
    calm = settings(
        max_examples=30,
        stateful_step_count=40,
        derandomize=True,
        database=None,
        deadline=None,
        suppress_health_check=list(HealthCheck),
    )
    BreakerMachine.reached = set()

    run_state_machine_as_test(BreakerMachine, settings=calm)

    assert ROWS - BreakerMachine.reached == set()
    assert BreakerMachine.reached - ROWS == set()


def test_a_sudden_death_opens_within_two_seconds_though_the_ring_is_full_of_ok() -> (
    None
):
    made = breaker()
    for second in range(30):
        called(made, "ok", 20, second)

    called(made, "fail", 10, 29.5)
    assert made.state == CLOSED
    made.tick(31.0)

    assert (made.state, made.why) == (OPEN, "10 calls in a row failed")


@pytest.mark.parametrize(("openings", "span_s"), [(0, 5), (1, 10), (3, 40), (9, 60)])
def test_each_opening_in_a_row_lasts_twice_as_long(
    openings: int, span_s: float
) -> None:
    made = breaker()
    for _ in range(openings):
        made.trip(0.0, "again")

    made.trip(0.0, "again")

    assert made.until == span_s


def test_the_open_time_is_spread_by_a_fifth() -> None:
    ends = [Breaker(RULES, PERMIT_S, lambda r=r: r, 0.0) for r in (0.0, 1.0)]  # type: ignore[misc]
    for made in ends:
        made.trip(0.0, "x")

    assert [round(made.until, 6) for made in ends] == [4.0, 6.0]


def test_five_minutes_closed_begin_anew() -> None:
    made = half_open()
    for size in RULES.permits:
        called(made, "ok", size, 6.0)
    assert (made.state, made.openings) == (CLOSED, 1)

    made.trip(6.0 + RULES.calm_s, "later")

    assert made.openings == 1


def test_fifty_at_once_meet_one_probe() -> None:
    made = half_open()

    granted = [made.take(6.0) for _ in range(50)]

    assert sum(permit is not None for permit in granted) == 1


def test_a_probe_that_never_ends_is_a_failed_one() -> None:
    made = half_open()
    made.take(6.0)

    made.tick(17.0)

    assert (made.state, made.openings) == (OPEN, 2)


def test_a_cancelled_probe_gives_its_permit_back() -> None:
    made = half_open()
    permit = made.take(6.0)
    assert permit is not None
    made.settle(permit, "ignored", 6.0)

    assert made.take(6.0) is not None


def test_a_thread_that_stood_still_amid_taking_loses_no_slot() -> None:
    class Slow(Breaker):
        def __getattribute__(self, name: str) -> Any:
            value = super().__getattribute__(name)
            if name in ("generation", "state") and stops:
                stops.clear()
                self.probe(6.0)
            return value

    for reads in (0, 1):
        stops: list[int] = []
        made = Slow(RULES, PERMIT_S, lambda: 0.5, 0.0)
        made.trip(0.0, "x")
        stops += [reads]

        permit = made.take(6.0)
        if permit is not None:
            made.settle(permit, "ignored", 6.0)

        assert made.take(7.0) is not None


def test_closing_forgets_what_was_counted() -> None:
    made = half_open()
    for size in RULES.permits:
        called(made, "ok", size, 6.0)

    called(made, "fail", 9, 6.0)

    assert made.state == CLOSED
    assert made.ring.read(6.0).sent == 9


def test_looking_changes_nothing() -> None:
    made = breaker()
    called(made, "fail", 4, 0.0)
    before = (made.state, made.generation, made.until)

    seen = [made.votes(now) for now in (0.0, 10.0, 100.0, 0.0)]

    assert seen == [True, True, False, True]
    assert (made.state, made.generation, made.until) == before
