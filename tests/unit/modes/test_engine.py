"""The engine of automatic modes: every row of its table, and what never happens."""

from __future__ import annotations

from typing import ClassVar

import hypothesis.strategies as st
from hypothesis import settings
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    rule,
    run_state_machine_as_test,
)

from failsoft.modes._engine import LEAST_PROBES, Rule, Signal, State, advance

RULE = Rule(hold_s=5, exit_hold_s=60, dwell_s=60, steps=4)
BAD = Signal(enters=True, persists=True)
FINE = Signal()


class Run:
    """One mode, second by second; the dice make a step 30 s."""

    def __init__(self, rule: Rule = RULE, state: State | None = None) -> None:
        self.rule, self.now, self.moves = rule, 1_000.0, [""]
        self.state = state or State()

    def seconds(self, count: int, signal: Signal) -> str:
        """Let seconds pass; return the last thing that was done in them."""
        done = ""
        for _ in range(count):
            self.now += 1
            self.state, move = advance(
                self.rule, self.state, signal, self.now, lambda: 0.5
            )
            done = move or done
        return done

    def entered(self) -> Run:
        self.seconds(7, BAD)
        assert self.state.phase == "on"
        return self


def test_a_mode_is_entered_when_its_trigger_held_long_enough() -> None:
    run = Run()

    assert (run.seconds(5, BAD), run.seconds(1, BAD)) == ("", "enter")


def test_a_trigger_that_lets_go_begins_to_hold_anew() -> None:
    run = Run()

    run.seconds(5, BAD)
    run.seconds(1, FINE)

    assert run.seconds(5, BAD) == ""


def test_a_burning_budget_needs_no_hold() -> None:
    assert Run().seconds(1, Signal(True, True, True)) == "enter"


def test_it_recovers_when_the_trigger_is_gone_for_long_enough() -> None:
    run = Run().entered()

    assert (run.seconds(60, FINE), run.seconds(1, FINE)) == ("", "recover")


def test_a_trigger_that_is_eased_but_not_gone_keeps_it_on() -> None:
    run = Run().entered()

    assert run.seconds(500, Signal(persists=True)) == ""


def test_it_dwells_also_where_the_trigger_is_gone_at_once() -> None:
    run = Run(Rule(hold_s=0, exit_hold_s=1, dwell_s=60))
    run.seconds(1, BAD)

    assert (run.seconds(59, FINE), run.seconds(1, FINE)) == ("", "recover")


def test_requests_come_back_in_steps_and_then_it_ends() -> None:
    run = Run().entered()
    run.seconds(61, FINE)

    steps = [(run.seconds(30, FINE), run.state.step) for _ in range(4)]

    assert steps == [("back", 1), ("back", 2), ("back", 3), ("end", 0)]
    assert run.state.phase == "off"


def test_a_step_lasts_24_to_36_seconds() -> None:
    on = State("on", calm_since=0.0)

    until = [
        advance(RULE, on, FINE, 100.0, lambda d=dice: d)[0].step_until  # type: ignore[misc]
        for dice in (0.0, 1.0)
    ]

    assert until == [124.0, 136.0]


def test_trouble_while_it_recovers_brings_it_back_at_once() -> None:
    run = Run().entered()
    run.seconds(95, FINE)

    assert run.seconds(1, BAD) == "again"
    assert run.state.phase == "on"


def test_the_fourth_flip_in_a_quarter_of_an_hour_latches_it() -> None:
    run = Run().entered()

    moves = []
    for _ in range(3):
        moves.append(run.seconds(65, FINE))
        moves.append(run.seconds(1, BAD))

    assert moves == ["recover", "again"] * 2 + ["recover", "latch"]
    assert run.seconds(5_000, FINE) == ""


def test_an_end_may_latch_it_too() -> None:
    run = Run(state=State(flips=(1_000.0, 1_001.0)))
    run.entered()

    assert run.seconds(200, FINE) == "latch"
    assert run.state.phase == "latched"


def test_flips_of_a_quarter_of_an_hour_ago_are_forgotten() -> None:
    run = Run(state=State(flips=(100.0, 101.0, 102.0)))

    assert run.seconds(7, BAD) == "enter"


def test_what_answers_itself_ends_only_by_probes() -> None:
    run = Run(RULE._replace(needs_probes=True)).entered()

    assert run.seconds(500, FINE) == ""
    assert run.seconds(1, FINE._replace(probes=LEAST_PROBES)) == "recover"


def test_probes_that_fail_keep_it_on() -> None:
    run = Run(RULE._replace(needs_probes=True)).entered()

    assert run.seconds(500, FINE._replace(probes=2, bad=1)) == ""
    assert run.seconds(62, FINE._replace(probes=2)) == "recover"


def test_a_schedule_has_no_exit_condition_but_its_end() -> None:
    window = Signal(True, True, True, window_ms=5_000_000)
    run = Run()

    moves = [run.seconds(1, window), run.seconds(500, window), run.seconds(1, FINE)]

    assert moves == ["enter", "", "end"]
    assert run.state.phase == "off"


def test_a_persons_record_is_left_alone() -> None:
    run = Run(state=State("kept"))

    assert run.seconds(500, BAD) == ""


class Engine(RuleBasedStateMachine):
    """Any signals in any order; the table is all that happens."""

    reached: ClassVar[set[tuple[str, str]]] = set()

    @initialize(needs_probes=st.booleans())
    def begin(self, needs_probes: bool) -> None:
        self.rule = Rule(2, 10, 5, 2, needs_probes)
        self.state, self.now = State(), 0.0

    @rule(
        signal=st.builds(
            Signal,
            st.booleans(),
            st.booleans(),
            st.booleans(),
            st.sampled_from([0, 0, 9]),
            st.sampled_from([0, 30]),
            st.sampled_from([0, 0, 20]),
        ),
        seconds=st.sampled_from([1, 3, 15, 45, 1_000]),
        dice=st.floats(0, 1),
    )
    def pass_time(self, signal: Signal, seconds: int, dice: float) -> None:
        if signal.at_once and not signal.enters:
            signal = signal._replace(at_once=False)
        self.pass_time_of(signal, seconds, dice)

    def pass_time_of(self, signal: Signal, seconds: int, dice: float) -> None:
        for _ in range(min(seconds, 45)):
            self.now += seconds / min(seconds, 45)
            before = self.state
            self.state, move = advance(
                self.rule, before, signal, self.now, lambda: dice
            )
            assert bool(move) == (
                (before.phase, before.step) != (self.state.phase, self.state.step)
            )
            self.reached.add((f"{before.phase}>{self.state.phase}", move))

    @rule(times=st.integers(1, 4), is_timed=st.booleans())
    def trouble_comes_and_goes(self, times: int, is_timed: bool) -> None:
        for _ in range(times):
            bad = Signal(True, True, True, window_ms=9 * is_timed)
            self.pass_time_of(bad, 3, 0.5)
            self.pass_time_of(Signal(probes=30), 15, 0.5)

    @rule()
    def it_relapses_once_and_then_ends(self) -> None:
        for _ in range(2):
            self.pass_time_of(Signal(True, True, True), 3, 0.5)
            self.pass_time_of(Signal(probes=30), 15, 0.5)
        self.pass_time_of(Signal(probes=30), 100, 0.5)

    @rule(latched=st.booleans())
    def a_person_acts(self, latched: bool) -> None:
        self.state = State("kept")
        self.reached.add((">kept", ""))
        if latched:
            self.state = State()

    @invariant()
    def it_latches_before_it_flaps(self) -> None:
        assert len([at for at in self.state.flips if self.now - at < 900]) <= 4
        assert self.state.phase == "latched" or len(self.state.flips) <= 3


def test_any_signals_reach_every_row_of_the_table_and_no_other() -> None:
    run_state_machine_as_test(
        Engine,
        settings=settings(
            max_examples=50, stateful_step_count=30, deadline=None, derandomize=True
        ),
    )

    moved = {pair for pair in Engine.reached if pair[1]}
    assert moved == {
        ("off>on", "enter"),
        ("on>recovering", "recover"),
        ("recovering>recovering", "back"),
        ("recovering>off", "end"),
        ("on>off", "end"),  # a schedule's
        ("recovering>on", "again"),
        ("off>latched", "latch"),
        ("on>latched", "latch"),
        ("recovering>latched", "latch"),
    }
