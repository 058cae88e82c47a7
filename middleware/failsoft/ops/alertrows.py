"""Alerts as operators see them, and those worth a notice."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping

from failsoft.ops.fleetrows import AlertRow
from failsoft.ops.views import Notice
from failsoft.slo._alert import decode_state

__all__ = ["alert_notices", "alert_rows"]

_LEVELS = {"page": 2, "ticket": 1}
_RANK = {"page": 0, "ticket": 1, "info": 2}


def alert_rows(held: Mapping[str, bytes]) -> tuple[AlertRow, ...]:
    """Return the alerts that can be read, the worst and newest first."""
    rows = [row for row in map(_row, held.values()) if row is not None]
    rows.sort(key=lambda row: -row.since_ms)
    rows.sort(key=lambda row: (row.state == "pending", _RANK.get(row.severity, 3)))
    return tuple(rows)


def _row(raw: bytes) -> AlertRow | None:
    state = decode_state(raw)
    if state is None or not state.severity:  # what nobody is told, as for triggers
        return None
    return AlertRow(
        state.id,
        state.kind,
        state.severity,
        "frozen" if state.frozen_ms else state.state,
        state.title,
        state.since_ms,
        state.told_ms,
        state.frozen_ms,
        state.at_ms,
        state.facts,
        state.routes,
        state.runbook,
    )


def alert_notices(rows: Iterable[AlertRow]) -> Iterator[Notice]:
    """Yield what fires of budgets and webhooks: no other notice tells of those."""
    for row in rows:
        if row.kind in ("slo", "webhook") and row.state != "pending":
            more = " (no data now)" if row.state == "frozen" else ""
            why = f": {row.facts['why']}" if "why" in row.facts else ""
            yield Notice(_LEVELS.get(row.severity, 0), f"{row.title}{why}{more}")
