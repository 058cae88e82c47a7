"""What a command would write: checked fields, the record, and its words.  Pure.

A plan is made twice, for the preview and again for the write, from the newest view.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

import msgspec

from failsoft.controls.records import KillDoc
from failsoft.controls.targets import covers, nearest
from failsoft.errors import Invalid, TargetGone
from failsoft.ops.breakerplans import (
    BREAKER_PLANNERS,
    is_dependency,
    plan_kill,
    plan_unkill,
)
from failsoft.ops.command import (
    Command,
    Extend,
    GroupLift,
    GuardApply,
    Kill,
    Unkill,
)
from failsoft.ops.contracttext import brownout_scope
from failsoft.ops.controlrows import covered_routes
from failsoft.ops.driftplans import DRIFT_PLANNERS, TOLERANCE_MOST_S, TOLERANCE_S
from failsoft.ops.flagplans import FLAG_PLANNERS
from failsoft.ops.guard import plan_guard
from failsoft.ops.killfields import check_kill, variant_warnings
from failsoft.ops.modeplans import MODE_PLANNERS
from failsoft.ops.plan import (
    MOST_END_S,
    Plan,
    active_row,
    check_stored,
    ends_in,
    known_flags,
    nearest_targets,
    row_in_force,
    split_kind,
)
from failsoft.ops.stale import span
from failsoft.ops.versionplans import BROWNOUT_MOST_S, BROWNOUT_S, VERSION_PLANNERS
from failsoft.ops.views import ControlRow, FleetView
from failsoft.store.protocols import Change
from failsoft.telemetry import Definitions

__all__ = ["Plan", "action_of", "plan_of"]

_KILL_KINDS = ("route", "tag", "flag", "dependency")
# Of other controls that may end later: default, most, and that in words.
_EXTENDED: dict[str, tuple[float, float, str]] = {
    "brownout": (BROWNOUT_S, BROWNOUT_MOST_S, "24 h"),
    "tolerance": (TOLERANCE_S, TOLERANCE_MOST_S, "90 d"),
    "pin": (0.0, MOST_END_S, "30 d"),
    "drift": (MOST_END_S, MOST_END_S, "30 d"),
}


def action_of(command: Command) -> str:
    """Return a command's word in log and attempts: `mode-leave` of `ModeLeave`."""
    word = re.sub("(?<=[a-z])(?=[A-Z])", "-", type(command).__name__).lower()
    return {"flag-put": "flag-edit"}.get(word, word)


def plan_of(command: Command, view: FleetView, definitions: Definitions) -> Plan:
    """Return the plan of a command.

    Raises Invalid on a bad field and TargetGone when the target matches nothing.
    """
    make = _PLANNERS[type(command)]
    return make(command, view, definitions)


def _kill_end(
    for_s: float | None, definitions: Definitions
) -> tuple[str, float | None]:
    """Return the end of a kill, within what the releases allow."""
    most_s = definitions.kill_most_s
    most = f"{span(most_s)}, kill.max_ttl" if most_s < MOST_END_S else "30 d"
    return ends_in(for_s, definitions.kill_default_s, most_s, most)


def _kill(command: Kill, view: FleetView, definitions: Definitions) -> Plan:
    if is_dependency(command.target):
        return plan_kill(command, view, definitions)
    kind, name = split_kind(command.target, _KILL_KINDS)
    check_kill(command, kind, name)
    warnings = _check_kill_target(command, kind, name, view, definitions)
    until, until_s = _kill_end(command.for_s, definitions)
    active = row_in_force(view, "kill", command.target)
    doc = KillDoc(
        who="",
        why="",
        variant=command.variant,
        status=command.status,
        retry_after=command.retry_after,
        public=command.public,
        group=command.group,
        since_ms=_since_ms(active, view),
    )
    return Plan(
        target=command.target,
        action="kill",
        kind="kill",
        name=command.target,
        op="put",
        before="KILLED" if active else "on",
        after="KILLED",
        doc=doc,
        until=until,
        until_s=until_s,
        answer=_kill_answer(command, kind),
        conflict=_replaces(active, view) if active else "",
        warnings=warnings,
    )


def _since_ms(row: ControlRow | None, view: FleetView) -> int:
    if row is not None and row.doc:
        try:
            return msgspec.json.decode(row.doc, type=KillDoc).since_ms or row.at_ms
        except (msgspec.DecodeError, UnicodeError, RecursionError):
            pass  # a broken record is replaced, its start is not known
    return view.server_ms


def _kill_answer(command: Kill, kind: str) -> str:
    if kind == "flag":
        what = f"variant {command.variant}" if command.variant else "x.kill, else off,"
        return f"{what} instead of the flag's value"
    public = f' "{command.public}"' if command.public else ""
    retry = f", Retry-After {command.retry_after}" if command.retry_after else ""
    return f"{command.status}{retry}, problem+json{public}"


def _replaces(row: ControlRow, view: FleetView) -> str:
    ago = span((view.server_ms - row.at_ms) / 1000)
    left = "no end"
    if row.until_ms:
        left = f"{span((row.until_ms - view.server_ms) / 1000)} left"
    return f"killed by {row.by} {ago} ago, {left}: this replaces it"


def _check_kill_target(
    command: Kill, kind: str, name: str, view: FleetView, definitions: Definitions
) -> tuple[str, ...]:
    if kind == "flag":
        known = known_flags(view, definitions)
        hit = [flag for flag in known if covers(name, flag)]
        if hit:
            return variant_warnings(command.variant, hit, view, definitions)
        found = False
    elif kind == "tag":
        known = tuple({tag for _, _, tags in definitions.routes for tag in tags})
        found = name in known
    else:
        known = tuple(row.key for row in view.routes)
        found = bool(covered_routes(command.target, definitions, known))
    if found:
        return ()
    if not command.force:
        close = nearest_targets(kind, name, known)
        raise TargetGone(command.target, close, can_force=True)
    return ("matches nothing now; nodes enforce it on what they meet later",)


def _unkill(command: Unkill, view: FleetView, definitions: Definitions) -> Plan:
    if is_dependency(command.target):
        return plan_unkill(command, view, definitions)
    split_kind(command.target, _KILL_KINDS)
    row = active_row(view, "kill", command.target)
    return Plan(
        target=command.target,
        action="unkill",
        kind="kill",
        name=command.target,
        op="del",
        before="KILLED",
        after="on",
        if_rev=row.rev if command.if_rev is None else command.if_rev,
        answer="answers of the application again",
        lifts=row.by,
        needs_end=False,
    )


def _group_lift(command: GroupLift, view: FleetView, _: Definitions) -> Plan:
    name = split_kind(command.target, ("group",))[1]
    active = [r for r in view.controls if r.active and r.group and r.rev]
    rows = [row for row in active if row.group == name]
    if not rows:
        groups = tuple({f"group:{row.group}" for row in active})
        raise TargetGone(command.target, nearest(command.target, groups))
    for row in rows:
        check_stored(row)
    first, *others = (_deleted(row) for row in rows)
    return Plan(
        target=command.target,
        action="group-lift",
        kind=first.kind,
        name=first.name,
        op="del",
        before=f"{len(rows)} on",
        after="lifted",
        if_rev=first.if_rev,
        answer="answers of the application again",
        lifts=", ".join(sorted({row.by for row in rows})),
        needs_end=False,
        also=tuple(others),
        covers=tuple(row.target for row in rows),
    )


def _deleted(row: ControlRow) -> Change:
    name = row.target if row.kind == "kill" else row.target.partition(":")[2]
    return Change(row.kind, name, "del", row.rev)


def _extend(command: Extend, view: FleetView, definitions: Definitions) -> Plan:
    kind, name = split_kind(command.target, (*_KILL_KINDS, "mode", *_EXTENDED))
    record = "kill" if kind in _KILL_KINDS else kind
    record = "breaker" if kind == "dependency" else record
    row = active_row(view, record, command.target)
    if record == "kill":
        until, until_s = _kill_end(command.for_s, definitions)
    else:
        until, until_s = ends_in(command.for_s, *_EXTENDED.get(kind, ()))
    if until_s is None and record in ("brownout", "tolerance", "breaker"):
        raise Invalid("for", f"a {record} needs an end")
    left_s = (row.until_ms - view.server_ms) / 1000 if row.until_ms else None
    return Plan(
        target=command.target,
        action="extend",
        kind=record,
        name=command.target if record == "kill" else name,
        op="put",
        before="no end" if left_s is None else f"{span(left_s)} left",
        after="no end" if until_s is None else f"{span(until_s)} left",
        doc=row.doc,
        if_rev=row.rev,
        until=until,
        until_s=until_s,
        earlier=until_s is not None and (left_s is None or until_s < left_s),
        scope=brownout_scope(row.doc) if record == "brownout" else (),
    )


_PLANNERS: dict[type, Callable[[Any, FleetView, Definitions], Plan]] = {
    Kill: _kill,
    Unkill: _unkill,
    GroupLift: _group_lift,
    Extend: _extend,
    GuardApply: plan_guard,
    **BREAKER_PLANNERS,
    **MODE_PLANNERS,
    **FLAG_PLANNERS,
    **VERSION_PLANNERS,
    **DRIFT_PLANNERS,
}
