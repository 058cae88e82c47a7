"""Objectives as operators see them: counts, budget, burn by rule, what alerts say."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from failsoft.ops.fleetrows import BurnRow, SloRow, SloView
from failsoft.slo._alert import AlertState, decode_state
from failsoft.slo._buckets import SloHistory
from failsoft.slo._burn import (
    BUDGET_S,
    RULES,
    Rule,
    auto_burn,
    budget_of,
    burn_rate,
    read_rule,
)
from failsoft.store.slo import SloRead
from failsoft.telemetry import SloDef

__all__ = ["SloBook", "slo_view"]

_HOUR_S = 3_600


class SloBook:
    """The newest read of all buckets, and the view of it."""

    def __init__(self) -> None:
        self._read: SloRead | None = None
        self._made_of: object = None
        self._view: SloView | None = None

    def take(self, read: SloRead) -> None:
        """Take a read of all buckets."""
        self._read = read

    def view(
        self, slos: tuple[SloDef, ...], alerts: Mapping[str, bytes]
    ) -> SloView | None:
        """Return the view, made anew only when it says something else; None unread."""
        if self._read is None:
            return None
        made_of = (self._read, slos, alerts)
        if made_of != self._made_of:
            self._made_of = made_of
            self._view = slo_view(self._read, slos, alerts)
        return self._view


def slo_view(
    read: SloRead, slos: Iterable[SloDef], alerts: Mapping[str, bytes]
) -> SloView:
    """Return one row for each declared SLO, those with the least budget first."""
    history = SloHistory()
    history.take(read)
    now_s = read.now_ms / 1000
    states = {id_: decode_state(raw) for id_, raw in alerts.items()}
    rows = [_row(slo, history, states, now_s) for slo in slos]
    rows.sort(key=lambda row: (_left(row), row.name))
    return SloView(read.now_ms, tuple(rows))


def _left(row: SloRow) -> float:
    return 2.0 if row.budget_left is None else row.budget_left


def _row(
    slo: SloDef,
    history: SloHistory,
    states: Mapping[str, AlertState | None],
    now_s: float,
) -> SloRow:
    month = history.sums(slo.name, BUDGET_S, now_s)
    hour = history.sums(slo.name, _HOUR_S, now_s)
    auto = auto_burn(history, slo.name, slo.objective, now_s)
    budget = budget_of(history, slo.name, slo.objective, now_s)
    burn = burn_rate(hour.b + hour.r, hour.t, slo.objective)
    return SloRow(
        name=slo.name,
        objective=slo.objective,
        latency_s=slo.latency_s,
        routes=slo.routes,
        total=round(month.t),
        bad=round(month.b),
        refused=round(month.r),
        budget_left=budget.left,
        burn=burn if hour.has_data else None,
        auto=auto.ratio_long if auto.has_data else None,
        auto_limit=auto.limit,
        ends_s=budget.ends_s,
        silent_ms=0 if auto.has_data else history.last_ms(slo.name),
        rules=tuple(_rule(rule, slo, history, states, now_s) for rule in RULES),
    )


def _rule(
    rule: Rule,
    slo: SloDef,
    history: SloHistory,
    states: Mapping[str, AlertState | None],
    now_s: float,
) -> BurnRow:
    reading = read_rule(rule, history, slo.name, slo.objective, now_s)
    state = states.get(f"slo:{slo.name}:{rule.name}")
    has_long = history.sums(slo.name, rule.long_s, now_s).has_data
    return BurnRow(
        rule=rule.name,
        severity=rule.severity,
        limit=rule.burn,
        burns=(
            (_window(rule.long_s), reading.long if has_long else None),
            (_window(rule.short_s), None if reading.is_over is None else reading.short),
        ),
        state=_word(state),
        since_ms=state.since_ms if state is not None else 0,
    )


def _word(state: AlertState | None) -> str:
    if state is None:
        return "ok"
    return "frozen" if state.frozen_ms else state.state


def _window(seconds: int) -> str:
    for unit, size in (("d", 86_400), ("h", 3_600)):
        if seconds % size == 0:
            return f"{seconds // size}{unit}"
    return f"{seconds // 60}m"
