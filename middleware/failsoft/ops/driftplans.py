"""What a command on tolerances and drift would write, and what it meets.  Pure.

A tolerance is checked as the nodes check it; what it needs and the entry tells, is
taken from there.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from typing import Any

import msgspec

from failsoft.controls.records import DriftAckDoc, ToleranceDoc
from failsoft.controls.targets import nearest
from failsoft.errors import Invalid, TargetGone
from failsoft.ops.command import DriftAck, ToleranceAdd, ToleranceEnd
from failsoft.ops.contractrows import DriftRow, DriftView, ToleranceRow
from failsoft.ops.controlrows import scoped_routes
from failsoft.ops.driftviews import is_covered, tolerance_rows
from failsoft.ops.killfields import check_route
from failsoft.ops.plan import (
    MOST_END_S,
    Plan,
    active_row,
    check_ended,
    ends_in,
    nearest_targets,
    row_in_force,
    row_of,
    split_kind,
    stored_rev,
)
from failsoft.ops.views import FleetView
from failsoft.settings import FIELD_OF, HANDLINGS
from failsoft.telemetry import Definitions

__all__ = [
    "DRIFT_PLANNERS",
    "HANDLINGS",
    "REPAIRS",
    "TOLERANCE_MOST_S",
    "TOLERANCE_S",
    "suggested",
    "suggestions",
]

REPAIRS = tuple(FIELD_OF)  # kinds
OTHERS = "(other)"  # as the ledger calls consumers beyond its cap
TOLERANCE_S = 30 * 86_400.0
TOLERANCE_MOST_S = 90 * 86_400.0
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,99}")
_CONSUMERS = re.compile(r"[A-Za-z0-9_.@*?()-]{1,64}")
_READ_ANYWAY = ("unknown", "coerced", "number")
_EXAMPLES = {"from": "the client's key", "value": "a JSON value", "to": "a member"}


def suggested(row: DriftRow) -> ToleranceAdd | None:
    """Return the tolerance that would meet an entry, None when none would.

    Its value is missing where only people know it.  Of callers that the ledger joined
    nobody knows who they were, so it meets all.
    """
    if not row.suggests or row.dependency or row.direction != "request":
        return None
    return ToleranceAdd(
        f"tolerance:{row.suggests}-{row.id[:8]}",
        route=row.route,
        consumer="*" if row.consumer == OTHERS else row.consumer,
        path=row.path,
        kind=row.suggests,
    )


def suggestions(view: DriftView) -> tuple[tuple[DriftRow, ToleranceAdd], ...]:
    """Return the tolerances that would help, each with the entry it would meet.

    Of what nobody acked or tolerates.  What the application reads all the same, as
    unknown keys mostly, is left out unless it refused them.
    """
    refused = {(row.route, row.path) for row in view.rows if row.kind == "rejected"}
    return tuple(
        (row, made)
        for row in view.rows
        if not (row.tolerance or row.acked_until_ms)
        and (row.kind not in _READ_ANYWAY or (row.route, row.path) in refused)
        and (made := suggested(row)) is not None
    )


def _entry(target: str, view: FleetView) -> DriftRow | None:
    """Return the drift entry of a target; None when the ledger was not read."""
    id_ = split_kind(target, ("drift",))[1]
    if view.drift is None:
        return None
    found = [row for row in view.drift.rows if row.id.startswith(id_)]
    if len(found) == 1:
        return found[0]
    close = found or [row for row in view.drift.rows if row.id[:4] == id_[:4]]
    raise TargetGone(target, tuple(f"drift:{row.id}" for row in close[:3]))


def _drift_ack(command: DriftAck, view: FleetView, _: Definitions) -> Plan:
    entry = _entry(command.target, view)
    id_ = entry.id if entry else command.target[6:]
    if not re.fullmatch("[0-9a-f]{16}", id_):
        raise Invalid(command.target, "is no id of 16 hexadecimal digits")
    until, until_s = ends_in(command.for_s, MOST_END_S)
    active = row_in_force(view, "drift", f"drift:{id_}")
    return Plan(
        target=f"drift:{id_}",
        action="drift-ack",
        kind="drift",
        name=id_,
        op="put",
        before=f"ACKED by {active.by}" if active else "new",
        after="ACKED",
        doc=DriftAckDoc("", "", since_ms=view.server_ms),
        if_rev=stored_rev(active),
        until=until,
        until_s=until_s,
        needs_end=False,
        answer="the same as before; the entry counts on, marked as known",
        diff=(_entry_text(entry),) if entry else (),
        consumers=(entry.consumer,) if entry and entry.consumer else (),
        scope=(),
        ratio=0.0,
        harmless="changes no answer",
    )


def _entry_text(row: DriftRow) -> str:
    got = f"{row.expected or 'nothing'} expected, got {row.got or '-'}"
    where = f"{row.dependency} " if row.dependency else ""
    return f"{where}{row.route} {row.path or '(body)'} {row.kind}: {got}, {row.n:,}x"


def _tolerance_add(
    command: ToleranceAdd, view: FleetView, definitions: Definitions
) -> Plan:
    name, command = _filled(command, view)
    if not _NAME.fullmatch(name):
        what = "must be 1 to 100 of letters, digits and . _ -"
        raise Invalid("name", f"{name!r} {what}")
    doc = ToleranceDoc(
        who="",
        why="",
        route=command.route or "* *",
        consumer="" if command.consumer == "*" else command.consumer,
        path=command.path,
        kind=command.kind,
        value=command.value,
        handling=command.handling,
        owner=command.owner,
        since_ms=view.server_ms,
    )
    _check_tolerance(doc)
    _check_reach(doc, view, definitions, force=command.force)
    until, until_s = ends_in(command.for_s, TOLERANCE_S, TOLERANCE_MOST_S, "90 d")
    if until_s is None:
        raise Invalid("for", "a tolerance needs an end, within 90 d")
    active = row_in_force(view, "tolerance", f"tolerance:{name}")
    met = _met(doc, view)
    return Plan(
        target=f"tolerance:{name}",
        action="tolerance-add",
        kind="tolerance",
        name=name,
        op="put",
        before=_before(name, view, definitions),
        after=doc.handling or doc.kind,
        doc=doc,
        if_rev=stored_rev(active),
        until=until,
        until_s=until_s,
        answer=_tolerance_answer(doc),
        warnings=_tolerance_warnings(doc, met, view),
        conflict=f"set by {active.by} already: this replaces it" if active else "",
        diff=tuple(_entry_text(row) for row in met),
        consumers=tuple(dict.fromkeys(row.consumer for row in met if row.consumer)),
        scope=(doc.route,),
        ratio=_ratio(doc, view),
    )


def _filled(command: ToleranceAdd, view: FleetView) -> tuple[str, ToleranceAdd]:
    """Return the name and the command, with what a drift entry tells."""
    kind, name = split_kind(command.target, ("tolerance", "drift"))
    if kind == "tolerance":
        return name, command
    entry = _entry(command.target, view)
    if entry is None:
        raise Invalid(command.target, "the drift ledger was not read; name the fields")
    if entry.dependency or entry.direction != "request":
        raise Invalid(command.target, "is no request of ours: only those are repaired")
    repair = command.kind or ("" if command.handling else entry.suggests)
    if not repair and not command.handling:
        raise Invalid("kind", f"no repair meets {entry.kind}; set a --handling")
    filled = msgspec.structs.replace(
        command,
        route=command.route or entry.route,
        consumer=command.consumer or entry.consumer,
        path=command.path or ("" if command.handling else entry.path),
        kind=repair,
    )
    return f"{repair or command.handling}-{entry.id[:8]}", filled


def _check_tolerance(doc: ToleranceDoc) -> None:
    check_route(f"route:{doc.route}", doc.route)
    if doc.consumer == OTHERS:
        what = f"{OTHERS} stands for many callers: name one, or * for all"
        raise Invalid("consumer", what)
    if doc.consumer and not _CONSUMERS.fullmatch(doc.consumer):
        what = "must be 1 to 64 of letters, digits, . _ @ - and * or ?"
        raise Invalid("consumer", f"{doc.consumer!r} {what}")
    if doc.handling:
        _check_handling(doc)
        return
    if doc.kind not in FIELD_OF:
        close = nearest(doc.kind, FIELD_OF, 1)
        known = ", ".join(FIELD_OF)
        what = (
            f"{doc.kind!r} must be one of {known}" if doc.kind else f"is one of {known}"
        )
        raise Invalid("kind", what, nearest=close[0] if close else "")
    if doc.path and not doc.path.startswith("/"):
        raise Invalid("path", f"{doc.path!r} is no path; write it like /items/*/qty")
    needed = FIELD_OF[doc.kind]
    if needed and doc.value is None:
        what = f"of {doc.kind} is missing: {_EXAMPLES[needed]}, as {needed} in a file"
        raise Invalid("value", what)
    if not needed and doc.value is not None:
        raise Invalid("value", f"is of no use to {doc.kind}")


def _check_handling(doc: ToleranceDoc) -> None:
    if doc.handling not in HANDLINGS:
        close = nearest(doc.handling, HANDLINGS, 1)
        what = f"{doc.handling!r} must be one of {', '.join(HANDLINGS)}"
        raise Invalid("handling", what, nearest=close[0] if close else "")
    if doc.kind or doc.path or doc.value is not None:
        raise Invalid("handling", "is of whole bodies: give no kind, path or value")


def _check_reach(
    doc: ToleranceDoc, view: FleetView, definitions: Definitions, *, force: bool
) -> None:
    known = tuple(row.key for row in view.routes)
    if not force and not scoped_routes((doc.route,), definitions, known):
        close = nearest_targets("route", doc.route, known)
        raise TargetGone(f"route:{doc.route}", close, can_force=True)


def _met(doc: ToleranceDoc, view: FleetView) -> tuple[DriftRow, ...]:
    scope = (doc.route, doc.consumer, doc.path, doc.kind)
    rows = view.drift.rows if view.drift else ()
    return tuple(row for row in rows if not doc.handling and is_covered(row, *scope))


def _ratio(doc: ToleranceDoc, view: FleetView) -> float | None:
    """Return which part of the route's requests is met, None when not known."""
    if doc.consumer in ("", "*"):
        return 1.0
    if view.versions is None or not view.versions.total:
        return None
    uses = view.versions.uses
    n = sum(use.n for use in uses if use.consumer == doc.consumer)
    return n / view.versions.total


def _tolerance_answer(doc: ToleranceDoc) -> str:
    return {
        "": f"{doc.kind} at {doc.path or '(body)'} before the application reads it",
        "off": "bodies pass unread",
        "observe": "the same; differences are counted",
        "warn": "the same, with Failsoft-Notice",
        "tolerate": "allowed repairs, before the application reads the body",
        "strict": "422 strict-violation for unknown and duplicate keys",
    }[doc.handling]


def _tolerance_warnings(
    doc: ToleranceDoc, met: tuple[DriftRow, ...], view: FleetView
) -> tuple[str, ...]:
    if doc.handling or view.drift is None:
        return ()
    if not met:
        return ("meets no entry of the drift ledger",)
    return (f"differences met in 30 days: {sum(row.n for row in met):,}",)


def _before(name: str, view: FleetView, definitions: Definitions) -> str:
    rows = tolerance_rows(view.controls, definitions, view.server_ms)
    found = next((row for row in rows if row.name == name), None)
    return "-" if found is None else f"{found.handling or found.kind} ({found.state})"


def _tolerance_end(
    command: ToleranceEnd, view: FleetView, definitions: Definitions
) -> Plan:
    name = command.target.partition(":")[2]
    split_kind(command.target, ("tolerance",))
    rows = tolerance_rows(view.controls, definitions, view.server_ms)
    found = next((row for row in rows if row.name == name), None)
    if found is None:
        check_ended(view, "tolerance", command.target)
        names = tuple(row.name for row in rows)
        raise TargetGone(command.target, nearest_targets("tolerance", name, names))
    if found.state != "active":
        raise Invalid(command.target, f"is {found.state} already")
    if found.source == "declared" and found.name not in _declared(definitions):
        raise Invalid(command.target, "is a setting; set another handling over it")
    plan = _ended(found, view)
    return msgspec.structs.replace(
        plan,
        before=found.handling or found.kind,
        answer="what the application says to bodies as they come",
        consumers=(found.consumer,) if found.consumer not in ("", "*") else (),
        scope=(found.route,),
        ratio=_ratio(_scope_doc(found), view),
    )


def _scope_doc(row: ToleranceRow) -> ToleranceDoc:
    return ToleranceDoc("", "", route=row.route, consumer=row.consumer)


def _declared(definitions: Definitions) -> tuple[str, ...]:
    return tuple(one.name for one in definitions.tolerances)


def _ended(found: ToleranceRow, view: FleetView) -> Plan:
    """Return what ends a tolerance: its record goes, or one that stops it comes."""
    target = f"tolerance:{found.name}"
    fields: dict[str, Any] = {"kind": "tolerance", "name": found.name, "before": ""}
    if found.source == "control":
        row = active_row(view, "tolerance", target)
        return Plan(
            target=target,
            action="tolerance-end",
            op="del",
            after="-",
            if_rev=row.rev,
            lifts=row.by,
            needs_end=False,
            **fields,
        )
    # As long as the declared one could last, so that it does not come back.
    until, until_s = ends_in(TOLERANCE_MOST_S, TOLERANCE_MOST_S, TOLERANCE_MOST_S)
    return Plan(
        target=target,
        action="tolerance-end",
        op="put",
        after="ENDED",
        doc=ToleranceDoc("", "", stop=True, since_ms=view.server_ms),
        if_rev=stored_rev(row_of(view, "tolerance", target)),
        until=until,
        until_s=until_s,
        **fields,
    )


DRIFT_PLANNERS: Mapping[type, Callable[[Any, FleetView, Definitions], Plan]] = {
    ToleranceAdd: _tolerance_add,
    ToleranceEnd: _tolerance_end,
    DriftAck: _drift_ack,
}
