"""When an automatic mode is entered, recovers, ends or stays: a pure state machine.

| from         | to              | when                                             |
|--------------|-----------------|--------------------------------------------------|
| off          | on              | the trigger is true throughout `hold`            |
| on           | recovering 0    | it is gone throughout `exit_hold`; `dwell` over   |
| recovering i | i + 1, then off | 30 s (+-20 %) without the trigger                 |
| recovering   | on              | the trigger is true                              |
| any          | latched         | the fourth entry or end within 15 min            |
| any          | kept            | a person's record stands; off again without it   |

What answers in place of the application hides what it answers for, so its end is
judged on probes: at least 20 of them, under a quarter of them bad.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Literal, NamedTuple

__all__ = [
    "LEAST_PROBES",
    "STEP_S",
    "Move",
    "Phase",
    "Rule",
    "Signal",
    "State",
    "advance",
]

Phase = Literal["off", "on", "recovering", "latched", "kept"]
Move = Literal["", "enter", "recover", "back", "again", "end", "latch"]

LEAST_PROBES = 20
_MOST_BAD = 0.25
STEP_S = 30.0
_FLIPS_S = 900.0
_MOST_FLIPS = 3


class Rule(NamedTuple):
    """What a definition says of its timing.  needs_probes: it answers itself."""

    hold_s: float = 5.0
    exit_hold_s: float = 300.0
    dwell_s: float = 60.0
    steps: int = 4
    needs_probes: bool = False


class Signal(NamedTuple):
    """What one second says; see `_triggers.Reading`.  probes, bad: ended in it."""

    enters: bool = False
    at_once: bool = False
    persists: bool = False
    window_ms: int = 0
    probes: int = 0
    bad: int = 0


@dataclass(frozen=True, slots=True)
class State:
    """Where a mode stands.  Instants are of the caller's clock, in seconds.

    step: of the recovery, from 0.  since: the last entry.  true_since: of the trigger
    while off.  calm_since: since when it is gone; probes, bad: since then.  step_until:
    end of the step.  flips: entries and ends of 15 min.  is_timed: a schedule's.
    """

    phase: Phase = "off"
    step: int = 0
    since: float = 0.0
    true_since: float | None = None
    calm_since: float | None = None
    probes: int = 0
    bad: int = 0
    step_until: float = 0.0
    flips: tuple[float, ...] = ()
    is_timed: bool = False

    @property
    def is_on(self) -> bool:
        """Whether automation has a record in force for it."""
        return self.phase in ("on", "recovering", "latched")


def advance(
    rule: Rule, state: State, signal: Signal, now: float, rand: Callable[[], float]
) -> tuple[State, Move]:
    """Return the state of the next second, and what was done: "" for nothing."""
    if state.phase == "off":
        return _off(rule, state, signal, now)
    if state.phase == "on":
        return _on(rule, state, signal, now, rand)
    if state.phase == "recovering":
        return _recovering(rule, state, signal, now, rand)
    return state, ""


def _off(rule: Rule, state: State, signal: Signal, now: float) -> tuple[State, Move]:
    if not signal.enters:
        return replace(state, true_since=None), ""
    since = now if state.true_since is None else state.true_since
    if signal.at_once or now - since >= rule.hold_s:
        is_timed = signal.window_ms > 0
        return _flip(replace(state, is_timed=is_timed), "on", "enter", now)
    return replace(state, true_since=since), ""


def _on(
    rule: Rule,
    state: State,
    signal: Signal,
    now: float,
    rand: Callable[[], float],
) -> tuple[State, Move]:
    if state.is_timed:  # a schedule has no exit condition: it is simply over
        return (state, "") if signal.window_ms else _flip(state, "off", "end", now)
    state = _calmed(state, signal, now)
    is_proven = state.probes >= LEAST_PROBES or not rule.needs_probes
    is_calm = state.calm_since is not None
    is_long = is_calm and now - (state.calm_since or 0.0) >= rule.exit_hold_s
    if is_long and is_proven and now - state.since >= rule.dwell_s:
        until = now + _step_s(rand)
        return replace(state, phase="recovering", step=0, step_until=until), "recover"
    return state, ""


def _calmed(state: State, signal: Signal, now: float) -> State:
    """Note since when the trigger is gone, and how probes fared since then."""
    if signal.persists:
        return replace(state, calm_since=None, probes=0, bad=0)
    if state.calm_since is None:
        return replace(state, calm_since=now, probes=0, bad=0)
    probes, bad = state.probes + signal.probes, state.bad + signal.bad
    if bad >= _MOST_BAD * max(LEAST_PROBES, probes):
        return replace(state, calm_since=None, probes=0, bad=0)
    return replace(state, probes=probes, bad=bad)


def _recovering(
    rule: Rule,
    state: State,
    signal: Signal,
    now: float,
    rand: Callable[[], float],
) -> tuple[State, Move]:
    if signal.enters:
        return _flip(state, "on", "again", now)
    if now < state.step_until:
        return state, ""
    if state.step + 1 < rule.steps:
        until = now + _step_s(rand)
        return replace(state, step=state.step + 1, step_until=until), "back"
    return _flip(state, "off", "end", now)


def _step_s(rand: Callable[[], float]) -> float:
    # Many modes end together after an incident: not all in the same second.
    return STEP_S * (0.8 + 0.4 * rand())


def _flip(state: State, phase: Phase, move: Move, now: float) -> tuple[State, Move]:
    """Enter or end; the fourth time in 15 min a person has to look at it."""
    flips = (*(at for at in state.flips if now - at < _FLIPS_S), now)
    if len(flips) > _MOST_FLIPS:
        return State("latched", since=now, flips=flips), "latch"
    if phase == "off":
        return State("off", flips=flips), move
    return State("on", since=now, flips=flips, is_timed=state.is_timed), move
