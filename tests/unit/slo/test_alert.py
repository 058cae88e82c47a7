"""The states of an alert, each row of the table at the head of `slo._alert`."""

from __future__ import annotations

from dataclasses import replace

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from failsoft.slo._alert import (
    AlertState,
    Condition,
    Tell,
    advance,
    decode_state,
    encode_state,
    step_all,
)

HOLD = Condition("slo:pay:fast", "slo", "page", "burns", hold_s=120, rest_s=300)
T0 = 1_800_000_000_000


class Alert:
    """One alert over time."""

    def __init__(self, condition: Condition) -> None:
        self.condition, self.now_ms = condition, T0
        self.state: AlertState | None = None
        self.tells: list[Tell] = []

    def go(self, seconds: int, is_true: bool | None) -> list[str]:
        """Let so many seconds pass; return what was told in them."""
        before = len(self.tells)
        for _ in range(seconds):
            condition = replace(self.condition, is_true=is_true)
            self.state, tell = advance(self.state, condition, self.now_ms)
            self.now_ms += 1_000
            self.tells += [tell] if tell is not None else []
        return [tell.state for tell in self.tells[before:]]


def test_what_does_not_hold_throughout_is_never_told() -> None:
    alert = Alert(HOLD)

    assert alert.go(119, True) == []
    assert alert.go(1, False) == []
    assert alert.state is None
    assert alert.go(120, True) == []


def test_what_holds_is_told_once_and_resolved_after_its_rest() -> None:
    alert = Alert(HOLD)

    assert alert.go(121, True) == ["firing"]
    assert alert.go(300, False) == []
    assert alert.go(1, True) == []
    assert alert.go(300, False) == []
    assert alert.go(1, False) == ["resolved"]
    assert alert.state is None
    assert alert.tells[0].alert.since_ms == T0


def test_a_page_is_told_again_each_half_hour_and_a_ticket_each_four() -> None:
    page = Alert(replace(HOLD, hold_s=0))
    ticket = Alert(replace(HOLD, hold_s=0, severity="ticket"))

    assert page.go(3_601, True) == ["firing"] * 3
    assert ticket.go(14_401, True) == ["firing"] * 2
    assert len({tell.mark for tell in page.tells}) == 3


def test_without_data_an_alert_freezes_and_its_times_stand_still() -> None:
    alert = Alert(HOLD)
    alert.go(121, True)
    alert.go(200, False)

    assert alert.go(3_600, None) == []
    assert alert.state is not None
    assert alert.state.frozen_ms == T0 + 321_000
    assert alert.go(100, False) == []
    assert alert.go(1, False) == ["resolved"]


def test_what_is_pending_goes_on_where_the_data_ended() -> None:
    alert = Alert(HOLD)
    alert.go(100, True)
    alert.go(1_000, None)

    assert alert.go(20, True) == []
    assert alert.go(1, True) == ["firing"]


def test_a_clock_that_is_set_back_holds_nothing_up() -> None:
    alert = Alert(HOLD)
    alert.go(60, True)
    alert.now_ms -= 3_600_000

    assert alert.go(121, True) == ["firing"]
    assert alert.go(1, False) == []
    alert.now_ms -= 3_600_000
    assert alert.go(301, False) == ["resolved"]


def test_a_new_leader_goes_on_with_what_was_stored() -> None:
    first = Alert(HOLD)
    first.go(100, True)
    assert first.state is not None
    second = Alert(HOLD)
    second.state, second.now_ms = decode_state(encode_state(first.state)), first.now_ms

    assert second.go(21, True) == ["firing"]
    first.go(21, True)
    assert first.tells[0].mark == second.tells[0].mark


def test_a_condition_that_is_gone_is_not_true() -> None:
    step = step_all({}, [replace(HOLD, hold_s=0, rest_s=0)], T0)
    after = step_all(step.states, [], T0 + 1_000)

    assert [tell.state for tell in (*step.tells, *after.tells)] == [
        "firing",
        "resolved",
    ]
    assert after.gone == ("slo:pay:fast",)
    assert not after.states


def test_only_what_changed_is_written_and_figures_each_half_minute() -> None:
    condition = replace(HOLD, hold_s=0, facts={"burn": 20.0})
    states = step_all({}, [condition], T0).states
    newer = replace(condition, facts={"burn": 30.0})

    soon = step_all(states, [newer], T0 + 10_000)
    later = step_all(states, [newer], T0 + 30_000)

    assert not soon.changed
    assert later.changed["slo:pay:fast"].facts == {"burn": 30.0}


def test_alerts_are_bounded() -> None:
    many = [replace(HOLD, id=f"quota:{n}", hold_s=0) for n in range(1_000)]

    step = step_all({}, many, T0)

    assert len(step.states) == len(step.tells) == 400


def test_a_state_of_another_release_is_left_alone() -> None:
    assert decode_state(b'{"id":1}') is None
    assert decode_state(b"\xff") is None


class AnyAlert(RuleBasedStateMachine):
    """Whatever comes: told once when it fires, once when it ends, in turn."""

    @initialize(hold=st.integers(0, 20), rest=st.integers(0, 20))
    def begin(self, hold: int, rest: int) -> None:
        self.alert = Alert(replace(HOLD, hold_s=hold, rest_s=rest))

    @rule(seconds=st.integers(1, 30), is_true=st.sampled_from((True, False, None)))
    def go(self, seconds: int, is_true: bool | None) -> None:
        told = self.alert.go(seconds, is_true)
        assert not (is_true is None and told)
        assert is_true is not False or "firing" not in told
        assert is_true is not True or "resolved" not in told

    @invariant()
    def is_told_in_turn(self) -> None:
        if not hasattr(self, "alert"):
            return
        told = [tell.state for tell in self.alert.tells]
        turns = ["firing", "resolved"] * len(told)
        assert told == turns[: len(told)]
        state = self.alert.state
        is_firing = state is not None and state.state == "firing"
        assert is_firing == (bool(told) and told[-1] == "firing")


TestAnyAlert = AnyAlert.TestCase
TestAnyAlert.settings = settings(max_examples=50, stateful_step_count=20)
