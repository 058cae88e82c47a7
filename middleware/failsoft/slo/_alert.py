"""When an alert begins, is told again, freezes and ends; `now` is passed in.

| From | To | When |
|---|---|---|
| - | pending | its condition is true |
| pending | firing, told | true throughout `hold_s` |
| pending | - | not true |
| firing | firing, told again | each 30 min of a page, each 4 h of others |
| firing | -, told as resolved | not true throughout `rest_s` |
| any | frozen | nobody knows; it goes on where it stood, its times stand still |
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

import msgspec

__all__ = [
    "AlertState",
    "Condition",
    "Step",
    "Tell",
    "advance",
    "decode_state",
    "encode_state",
    "step_all",
]

REPEAT_S = {"page": 1_800, "ticket": 14_400, "info": 14_400}
_REFRESH_MS = 30_000
_STATES_KEPT = 400
Facts = Mapping[str, str | float | int]


@dataclass(frozen=True, slots=True)
class Condition:
    """What would be an alert, as it is now.

    id: the same as long as it is about the same thing.  severity: page, ticket, info,
    or "" for what nobody is told.  is_true: None = not known.  since_ms: when it
    began, 0 = now.  facts: figures, never bodies, tokens or consumers.
    """

    id: str
    kind: str
    severity: str
    title: str
    is_true: bool | None = True
    since_ms: int = 0
    hold_s: float = 0.0
    rest_s: float = 0.0
    facts: Facts = field(default_factory=dict)
    routes: tuple[str, ...] = ()
    runbook: str = ""


class AlertState(msgspec.Struct, frozen=True, omit_defaults=True):
    """One alert as the store keeps it.

    since_ms: when its condition became true.  under_ms: since when it is not, 0 = it
    is.  frozen_ms: since when nobody knows, 0 = it is known.  told_ms, tells: last
    told, how often.  at_ms: of the figures.
    """

    id: str
    kind: str
    severity: str
    title: str
    since_ms: int
    state: str = "pending"
    under_ms: int = 0
    frozen_ms: int = 0
    told_ms: int = 0
    tells: int = 0
    at_ms: int = 0
    rest_s: float = 0.0
    facts: dict[str, Any] = {}
    routes: tuple[str, ...] = ()
    runbook: str = ""


@dataclass(frozen=True, slots=True)
class Tell:
    """Something to tell.  state: firing or resolved.  mark: the same on every node."""

    alert: AlertState
    state: str

    @property
    def mark(self) -> str:
        """Return what is said once: the id, its state, since when, which time."""
        again = f":{self.alert.tells}" if self.state == "firing" else ""
        return f"{self.alert.id}:{self.state}:{self.alert.since_ms}{again}"

    @property
    def repeat_s(self) -> int:
        """Return how long it is until it would be told again."""
        return REPEAT_S.get(self.alert.severity, REPEAT_S["ticket"])


@dataclass(frozen=True, slots=True)
class Step:
    """The alerts after a step.  changed: worth writing.  gone: ids that ended."""

    states: Mapping[str, AlertState]
    changed: Mapping[str, AlertState]
    gone: tuple[str, ...]
    tells: tuple[Tell, ...]


def step_all(
    states: Mapping[str, AlertState], conditions: Iterable[Condition], now_ms: int
) -> Step:
    """Advance all alerts; one whose condition is not among them is not true.

    At most 400 are kept; beyond that new ones wait until others end.
    """
    by_id = {condition.id: condition for condition in conditions}
    kept: dict[str, AlertState] = {}
    changed: dict[str, AlertState] = {}
    gone: list[str] = []
    tells: list[Tell] = []
    for id_ in [*states, *(new for new in by_id if new not in states)]:
        held = states.get(id_)
        if held is None and len(kept) >= _STATES_KEPT:
            continue
        state, tell = advance(held, by_id.get(id_), now_ms)
        if tell is not None:
            tells.append(tell)
        if state is None:
            gone += [id_] if held is not None else []
        else:
            kept[id_] = state
            if state is not held:
                changed[id_] = state
    return Step(kept, changed, tuple(gone), tuple(tells))


def advance(
    state: AlertState | None, condition: Condition | None, now_ms: int
) -> tuple[AlertState | None, Tell | None]:
    """Return an alert one step later, None where there is none, and what to tell."""
    is_true = condition.is_true if condition is not None else False
    if state is not None:
        state = _not_ahead(state, now_ms)
    if is_true is None:
        if state is None or state.frozen_ms:
            return state, None
        return _with(state, frozen_ms=now_ms), None
    if state is not None and state.frozen_ms:
        state = _thawed(state, now_ms)
    if is_true and condition is not None:
        return _while_true(state, condition, now_ms)
    return _while_false(state, now_ms)


def _not_ahead(state: AlertState, now_ms: int) -> AlertState:
    """Return it as of a clock that was set back: seconds must not last for hours."""
    names = ("since_ms", "under_ms", "frozen_ms", "told_ms", "at_ms")
    ahead = [name for name in names if getattr(state, name) > now_ms]
    return _with(state, **dict.fromkeys(ahead, now_ms)) if ahead else state


def _thawed(state: AlertState, now_ms: int) -> AlertState:
    gap_ms = now_ms - state.frozen_ms
    since_ms = state.since_ms + (gap_ms if state.state == "pending" else 0)
    under_ms = state.under_ms + gap_ms if state.under_ms else 0
    return _with(state, frozen_ms=0, since_ms=since_ms, under_ms=under_ms)


def _while_true(
    state: AlertState | None, condition: Condition, now_ms: int
) -> tuple[AlertState, Tell | None]:
    state = _shown(state, condition, now_ms)
    if state.under_ms:
        state = _with(state, under_ms=0)
    if state.state == "pending":
        if now_ms - state.since_ms < condition.hold_s * 1000:
            return state, None
    elif now_ms - state.told_ms < Tell(state, "firing").repeat_s * 1000:
        return state, None
    told = {"state": "firing", "told_ms": now_ms, "tells": state.tells + 1}
    state = _with(state, **told)
    return state, Tell(state, "firing")


def _shown(state: AlertState | None, condition: Condition, now_ms: int) -> AlertState:
    """Return the alert with the condition's words; figures are renewed each 30 s."""
    if state is not None and now_ms - state.at_ms < _REFRESH_MS:
        return state
    since_ms = condition.since_ms or now_ms
    fresh = AlertState(
        condition.id, condition.kind, condition.severity, condition.title, since_ms
    )
    return _with(
        fresh if state is None else state,
        severity=condition.severity,
        title=condition.title,
        at_ms=now_ms,
        rest_s=condition.rest_s,
        facts=dict(condition.facts),
        routes=condition.routes,
        runbook=condition.runbook,
    )


def _while_false(
    state: AlertState | None, now_ms: int
) -> tuple[AlertState | None, Tell | None]:
    if state is None or state.state == "pending":
        return None, None
    if not state.under_ms:
        state = _with(state, under_ms=now_ms)
    if now_ms - state.under_ms < state.rest_s * 1000:
        return state, None
    return None, Tell(state, "resolved")


def _with(alert: AlertState, /, **changes: Any) -> AlertState:
    return msgspec.structs.replace(alert, **changes)


def encode_state(state: AlertState) -> bytes:
    """Encode an alert as the store keeps it."""
    return msgspec.json.encode(state)


def decode_state(raw: bytes) -> AlertState | None:
    """Return a stored alert; None for one that another release says otherwise."""
    try:
        return msgspec.json.decode(raw, type=AlertState)
    except (msgspec.DecodeError, UnicodeError, RecursionError):
        return None
