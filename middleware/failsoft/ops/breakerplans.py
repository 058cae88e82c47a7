"""What commands on breakers would write.  Pure."""

from __future__ import annotations

from typing import Any

import msgspec

from failsoft.controls.records import BreakerDoc
from failsoft.errors import Invalid, TargetGone
from failsoft.ops.breakerrows import breaker_doc, breaker_text
from failsoft.ops.command import NEVER, BreakerAuto, BreakerSet, Kill, Unkill
from failsoft.ops.fleetrows import DependencyRow
from failsoft.ops.plan import (
    DEFAULT_END_S,
    Plan,
    active_row,
    ends_in,
    nearest_targets,
    row_in_force,
    split_kind,
    stored_rev,
)
from failsoft.ops.stale import span
from failsoft.ops.views import ControlRow, FleetView
from failsoft.telemetry import Definitions

__all__ = ["BREAKER_PLANNERS", "is_dependency", "plan_kill", "plan_unkill"]

_STATES = ("open", "closed", "metrics_only", "probe")
_PROBE_S = 60.0
_ANSWERS = {
    "open": "calls fail at once with BreakerOpen; uncaught it is a 503",
    "closed": "every call is sent, failing ones too; nothing is held back",
    "metrics_only": "every call is sent and counted; nothing is held back",
    "probe": "1, then 3, then 10 calls a node find out whether it is back",
}


def is_dependency(target: str) -> bool:
    """Whether a target of a kill names a dependency."""
    return target.startswith("dependency:")


def plan_kill(command: Kill, view: FleetView, definitions: Definitions) -> Plan:
    """Return the plan of a kill of `dependency:name`: its breaker opens."""
    said = {"variant": command.variant, "public": command.public}
    for name, value in said.items():
        if value is not None:
            raise Invalid(name, "is for routes and flags: a dependency has none")
    opens = BreakerSet(
        command.target, "open", command.for_s, command.group, command.force
    )
    return _set(opens, view, definitions)


def plan_unkill(command: Unkill, view: FleetView, definitions: Definitions) -> Plan:
    """Return the plan of lifting such a kill."""
    plan = _auto(BreakerAuto(command.target), view, definitions)
    if command.if_rev is None:
        return plan
    return msgspec.structs.replace(plan, if_rev=command.if_rev)


def _set(command: BreakerSet, view: FleetView, definitions: Definitions) -> Plan:
    name = split_kind(command.target, ("dependency",))[1]
    if command.state not in _STATES:
        raise Invalid("state", f"{command.state!r} must be one of {', '.join(_STATES)}")
    if command.for_s == NEVER:
        raise Invalid("for", "a breaker needs an end, at most 30 d from now")
    row = _row_of(view, name)
    warnings = _check_name(command, name, view, definitions)
    default_s = _PROBE_S if command.state == "probe" else DEFAULT_END_S
    until, until_s = ends_in(command.for_s, default_s)
    active = row_in_force(view, "breaker", command.target)
    doc = BreakerDoc(
        "", "", command.state, since_ms=view.server_ms, group=command.group
    )
    return Plan(
        target=command.target,
        action=f"breaker-{command.state.replace('_', '-')}",
        kind="breaker",
        name=name,
        op="put",
        before=_before(active, row),
        after=breaker_text(msgspec.json.encode(doc)),
        doc=doc,
        if_rev=stored_rev(active),
        until=until,
        until_s=until_s,
        answer=_ANSWERS[command.state],
        conflict=_replaces(active, view) if active else "",
        warnings=(*warnings, *_figures(row)),
        # Which share of the requests calls it is not known here.
        ratio=1.0 if command.state == "probe" else None,
    )


def _auto(command: BreakerAuto, view: FleetView, _: Definitions) -> Plan:
    name = split_kind(command.target, ("dependency",))[1]
    active = active_row(view, "breaker", command.target)
    is_automatic = breaker_doc(active.doc).via == "auto"
    return Plan(
        target=command.target,
        action="breaker-auto",
        kind="breaker",
        name=name,
        op="del",
        before=active.now,
        after="auto",
        if_rev=active.rev,
        answer="each node and the fleet decide again",
        lifts=active.by,
        needs_end=False,
        warnings=("the fleet opens it again while a quorum finds it broken",)
        if is_automatic
        else (),
    )


def _row_of(view: FleetView, name: str) -> DependencyRow | None:
    rows = view.dependencies.rows if view.dependencies else ()
    return next((row for row in rows if row.name == name), None)


def _check_name(
    command: BreakerSet, name: str, view: FleetView, definitions: Definitions
) -> tuple[str, ...]:
    called = view.dependencies.rows if view.dependencies else ()
    known = dict.fromkeys([*definitions.dependencies, *(row.name for row in called)])
    if name in known:
        return ()
    if not command.force:
        close = nearest_targets("dependency", name, tuple(known))
        raise TargetGone(command.target, close, can_force=True)
    return ("nobody declares or calls it now; nodes enforce it once they do",)


def _before(active: ControlRow | None, row: DependencyRow | None) -> str:
    if active is not None:
        return active.now
    return row.state if row is not None else "auto"


def _replaces(row: ControlRow, view: FleetView) -> str:
    ago = span((view.server_ms - row.at_ms) / 1000)
    return f"{row.now} by {row.by} {ago} ago: this replaces it"


def _figures(row: DependencyRow | None) -> tuple[str, ...]:
    if row is None or not row.nodes:
        return ()
    err = "" if row.err is None else f", {row.err:.0%} of them failed"
    return (f"{row.calls_per_s:.1f} calls/s from {len(row.nodes)} nodes{err}",)


BREAKER_PLANNERS: dict[type, Any] = {BreakerSet: _set, BreakerAuto: _auto}
