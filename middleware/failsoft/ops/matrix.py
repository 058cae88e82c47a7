"""Which routes depend on whom, and what protects them: gaps first.  Pure."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

import msgspec

from failsoft.ops.fleetrows import CallRow, DependencyRow, DependencyView
from failsoft.store.callmap import SHOWN_MS, Seen
from failsoft.telemetry import Definitions, GuardDef

__all__ = ["MatrixRow", "call_rows", "matrix_rows", "with_calls"]

_RANK = ("critical_plus", "critical", "sheddable_plus", "sheddable")


class MatrixRow(msgspec.Struct, frozen=True):
    """One route x dependency seen in 24 h.

    breaker: state of the dependency in words, "" = unknown.  drilled_ms: when the
    route's stand-in answered last, 0 = never.  gaps: what a critical route lacks.
    """

    route: str
    dependency: str
    criticality: str
    timeout_s: float | None = None
    fallback: str = ""
    stale_s: float | None = None
    breaker: str = ""
    drilled_ms: int = 0
    gaps: tuple[str, ...] = ()


def call_rows(
    calls: Mapping[Seen, int], definitions: Definitions, now_ms: int
) -> dict[str, tuple[CallRow, ...]]:
    """Return by dependency the routes that called it in 24 h, critical ones first."""
    levels = {key: level for key, level, _ in definitions.routes}
    guards = {one.route: one for one in definitions.guards}
    found: dict[str, list[CallRow]] = {}
    for seen, at_ms in calls.items():
        if seen.dependency and now_ms - at_ms <= SHOWN_MS:
            guard = guards.get(seen.route, GuardDef(seen.route))
            tried = (Seen(seen.route), Seen(guard.fallback))
            row = CallRow(
                seen.route,
                levels.get(seen.route, "critical"),
                guard.timeout_s,
                guard.fallback,
                guard.stale_s,
                max(calls.get(one, 0) for one in tried if one.route),
            )
            found.setdefault(seen.dependency, []).append(row)
    return {name: tuple(sorted(rows, key=_call_rank)) for name, rows in found.items()}


def _call_rank(row: CallRow) -> tuple[int, str]:
    level = row.criticality
    return (_RANK.index(level) if level in _RANK else len(_RANK)), row.route


def with_calls(
    view: DependencyView, calls: Mapping[str, tuple[CallRow, ...]], calls_ms: int
) -> DependencyView:
    """Return the view with the routes of each dependency.

    calls_ms: when they were read, 0 = not yet.
    """
    rows = tuple(
        msgspec.structs.replace(row, routes=calls.get(row.name, ()))
        for row in view.rows
    )
    known = {row.name for row in rows}
    rows += tuple(
        DependencyRow(name, "not called", "?", routes=found)
        for name, found in sorted(calls.items())
        if name not in known
    )
    return msgspec.structs.replace(view, rows=rows, calls_ms=calls_ms)


def gaps_of(call: CallRow) -> tuple[str, ...]:
    """Return what a critical route lacks: `no timeout`, `no fallback`."""
    if not call.criticality.startswith("critical"):
        return ()
    found = [] if call.timeout_s is not None else ["no timeout"]
    if not call.fallback and call.stale_s is None:
        found.append("no fallback")
    return tuple(found)


def matrix_rows(dependencies: Iterable[DependencyRow]) -> tuple[MatrixRow, ...]:
    """Return every pair, those with gaps first, then by criticality."""
    rows = [
        MatrixRow(
            call.route,
            row.name,
            call.criticality,
            call.timeout_s,
            call.fallback,
            call.stale_s,
            row.state,
            call.drilled_ms,
            gaps_of(call),
        )
        for row in dependencies
        for call in row.routes
    ]
    rows.sort(key=lambda r: (-len(r.gaps), _level(r), r.route, r.dependency))
    return tuple(rows)


def _level(row: MatrixRow) -> int:
    return _RANK.index(row.criticality) if row.criticality in _RANK else len(_RANK)
