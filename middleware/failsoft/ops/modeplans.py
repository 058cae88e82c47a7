"""What a command on a mode would write, and whom it reaches.  Pure."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import msgspec

from failsoft.controls.records import ModeDoc
from failsoft.errors import Invalid, TargetGone
from failsoft.ops.command import ModeAuto, ModeDrill, ModeEnter, ModeLeave
from failsoft.ops.controlrows import scoped_routes
from failsoft.ops.modeparams import Entered, enter_mode
from failsoft.ops.moderows import mode_doc, mode_text
from failsoft.ops.plan import (
    Plan,
    active_row,
    check_stored,
    ends_in,
    nearest_targets,
    row_of,
    split_kind,
    stored_rev,
)
from failsoft.ops.views import ControlRow, FleetView
from failsoft.telemetry import Definitions, ModeDef

__all__ = ["MODE_PLANNERS"]

_DRILL_S = 600.0
_NAMED = 5
_AUTOMATIC = ("auto", "schedule")
_ORDINARY = "the ordinary answers again"


def _mode_of(target: str, definitions: Definitions) -> ModeDef:
    name = split_kind(target, ("mode",))[1]
    modes = {mode.name: mode for mode in definitions.modes}
    if name not in modes:
        raise TargetGone(target, nearest_targets("mode", name, tuple(modes)))
    return modes[name]


def _held(view: FleetView, target: str) -> tuple[ControlRow | None, ModeDoc]:
    """Return the record of a mode, also one that holds for nobody; and what it says."""
    row = row_of(view, "mode", target)
    if row is None or not row.active:
        return None, ModeDoc("", "", want="auto")
    return row, mode_doc(row.doc)


def _mode_enter(command: ModeEnter, view: FleetView, definitions: Definitions) -> Plan:
    mode = _mode_of(command.target, definitions)
    doc = ModeDoc(
        who="",
        why="",
        params=command.params,
        group=command.group,
        since_ms=view.server_ms,
        share=command.share,
        dry_run=command.dry_run,
    )
    until = ends_in(command.for_s)
    return _entered(command.target, mode, doc, view, (definitions, "mode-enter", until))


def _mode_drill(command: ModeDrill, view: FleetView, definitions: Definitions) -> Plan:
    mode = _mode_of(command.target, definitions)
    row, held = _held(view, command.target)
    if row is not None and held.want == "on":
        raise Invalid(
            command.target, "is on already: a drill is for a mode that is off"
        )
    doc = ModeDoc(
        who="",
        why="",
        params=command.params,
        since_ms=view.server_ms,
        via="drill",
        share=command.share,
    )
    until = ends_in(command.for_s, _DRILL_S)
    if until[1] is None:
        raise Invalid("for", "a drill needs an end")
    return _entered(command.target, mode, doc, view, (definitions, "mode-drill", until))


def _entered(
    target: str,
    mode: ModeDef,
    doc: ModeDoc,
    view: FleetView,
    more: tuple[Definitions, str, tuple[str, float | None]],
) -> Plan:
    definitions, action, (until, until_s) = more
    if not 0 < doc.share <= 1:
        raise Invalid("share", f"{100 * doc.share:g} must be above 0, to 100 percent")
    entered = enter_mode(mode, doc.params)
    row, held = _held(view, target)
    scope, warnings = _scope(entered, view, definitions)
    doc = msgspec.structs.replace(doc, exercised_ms=held.exercised_ms)
    answer = f"nothing else, it is only counted: {entered.answer}"
    is_held = row is not None and held.want != "auto"
    return Plan(
        target=target,
        action=action,
        kind="mode",
        name=mode.name,
        op="put",
        before=mode_text(held, mode.recover)[1],
        after=mode_text(doc)[1],
        doc=doc,
        if_rev=stored_rev(row_of(view, "mode", target)),
        until=until,
        until_s=until_s,
        answer=answer if doc.dry_run else entered.answer,
        scope=scope,
        ratio=doc.share,
        warnings=warnings,
        conflict=_taken(row, held) if row is not None and is_held else "",
    )


def _taken(row: ControlRow, held: ModeDoc) -> str:
    if held.want == "off":
        return f"kept off by {row.by}: this replaces it"
    return f"entered by {row.by} already"


def _scope(
    entered: Entered, view: FleetView, definitions: Definitions
) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Return what a mode reaches, without the routes that no mode touches."""
    known = tuple(row.key for row in view.routes)
    reached = scoped_routes(entered.routes, definitions, known)
    spared = [key for key in reached if key in definitions.spared]
    if not spared:
        return entered.routes, ()
    names = ", ".join(spared[:_NAMED])
    more = f" and {len(spared) - _NAMED} more" if len(spared) > _NAMED else ""
    left = tuple(f"route:{key}" for key in reached if key not in spared)
    return left or ("route:",), (f"never degraded: {names}{more}",)


def _mode_leave(command: ModeLeave, view: FleetView, definitions: Definitions) -> Plan:
    """Keep a mode with a trigger off for a while; others simply end."""
    modes = {mode.name: mode for mode in definitions.modes}
    mode = modes.get(split_kind(command.target, ("mode",))[1])
    row, held = _held(view, command.target)
    if mode is None or not mode.enter or held.via == "drill":
        return _given_back(command.target, view, "mode-leave")
    if row is not None:
        check_stored(row)
    until, until_s = ends_in(command.for_s)
    why = f"trigger: {held.trigger}" if held.trigger else "its trigger may be true"
    is_on = held.want == "on" and held.via in _AUTOMATIC
    return Plan(
        target=command.target,
        action="mode-leave",
        kind="mode",
        name=mode.name,
        op="put",
        before=mode_text(held, mode.recover)[1],
        after="KEPT OFF",
        doc=ModeDoc(
            who="",
            why="",
            want="off",
            since_ms=view.server_ms,
            exercised_ms=held.exercised_ms,
        ),
        if_rev=stored_rev(row_of(view, "mode", command.target)),
        until=until,
        until_s=until_s,
        answer=_ORDINARY,
        lifts=row.by if row is not None and held.want == "on" else "",
        warnings=(f"ends a protection, {why}",) if is_on else (),
    )


def _mode_auto(command: ModeAuto, view: FleetView, definitions: Definitions) -> Plan:
    _, held = _held(view, command.target)
    if held.want == "on" and held.via in _AUTOMATIC and not held.latched:
        # To take the record away would lift the protection until its trigger held anew.
        raise Invalid(command.target, "is automation's already; mode leave ends it")
    return _given_back(command.target, view, "mode-auto")


def _given_back(target: str, view: FleetView, action: str) -> Plan:
    """Take a record away, but for what it remembers: automation decides again."""
    row = active_row(view, "mode", target)
    held = mode_doc(row.doc)
    if held.want == "auto":
        raise Invalid(target, "is off already; automation decides")
    plan = Plan(
        target=target,
        action=action,
        kind="mode",
        name=target[5:],
        op="del",
        before=mode_text(held)[1],
        after="off",
        if_rev=row.rev,
        answer=_ORDINARY,
        lifts=row.by,
        needs_end=False,
    )
    if not held.exercised_ms:
        return plan
    resting = ModeDoc("", "", want="auto", via="auto", exercised_ms=held.exercised_ms)
    return msgspec.structs.replace(plan, op="put", doc=resting)


MODE_PLANNERS: dict[type, Callable[[Any, FleetView, Definitions], Plan]] = {
    ModeEnter: _mode_enter,
    ModeLeave: _mode_leave,
    ModeAuto: _mode_auto,
    ModeDrill: _mode_drill,
}
