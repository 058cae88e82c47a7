"""What a command would write: checked fields, the record, and its words.  Pure.

A plan is made twice, for the preview and again for the write, from the newest view.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any, Literal

import msgspec

from failsoft.controls.records import KillDoc, ModeDoc, encode_doc
from failsoft.controls.targets import covers, nearest, split_target
from failsoft.errors import FlagError, Invalid, TargetGone
from failsoft.flags._parse import parse_flag
from failsoft.ops.command import (
    NEVER,
    Command,
    Extend,
    FlagEdit,
    FlagRevert,
    GroupLift,
    Kill,
    ModeEnter,
    ModeLeave,
    Unkill,
)
from failsoft.ops.controlrows import covered_routes
from failsoft.ops.flagdocs import edited, flag_now
from failsoft.ops.modeparams import check_params
from failsoft.ops.stale import span
from failsoft.ops.views import ControlRow, FleetView
from failsoft.store.protocols import Change
from failsoft.telemetry import Definitions

__all__ = ["DEFAULT_END_S", "Plan", "action_of", "plan_of"]

DEFAULT_END_S = 3600.0
_LEAST_END_S = 10.0
_MOST_END_S = 30 * 86_400.0
_PUBLIC_MOST = 200
_KILL_KINDS = ("route", "tag", "flag")


class Plan(msgspec.Struct, frozen=True):
    """One change, ready but for who and why.

    if_rev: None = any.  until: as in `store.protocols.Change`.
    until_s: seconds from now, None = no end.  lifts: who set what ends by this.
    also: further changes of the same call.  covers: the targets they reach.
    """

    target: str
    action: str
    kind: str
    name: str
    op: Literal["put", "del"]
    before: str
    after: str
    doc: msgspec.Struct | bytes = b""
    if_rev: int | None = None
    until: str = "0"
    until_s: float | None = None
    answer: str = ""
    conflict: str = ""
    lifts: str = ""
    earlier: bool = False
    needs_end: bool = True
    warnings: tuple[str, ...] = ()
    also: tuple[Change, ...] = ()
    covers: tuple[str, ...] = ()

    def changes(self, who: str, why: str) -> tuple[Change, ...]:
        """Return all changes of the call with the author filled in."""
        return (self.change(who, why), *self.also)

    def change(self, who: str, why: str) -> Change:
        """Return the store's change with the author filled in."""
        doc = self.doc
        if isinstance(doc, KillDoc | ModeDoc):
            doc = msgspec.structs.replace(doc, who=who, why=why)
        json = doc if isinstance(doc, bytes) else encode_doc(doc)
        return Change(self.kind, self.name, self.op, self.if_rev, self.until, json)


def action_of(command: Command) -> str:
    """Return a command's word in log and attempts: `mode-leave` of `ModeLeave`."""
    return re.sub("(?<=[a-z])(?=[A-Z])", "-", type(command).__name__).lower()


def plan_of(command: Command, view: FleetView, definitions: Definitions) -> Plan:
    """Return the plan of a command.

    Raises Invalid on a bad field and TargetGone when the target matches nothing.
    """
    make = _PLANNERS[type(command)]
    return make(command, view, definitions)


def _split(target: str, kinds: tuple[str, ...]) -> tuple[str, str]:
    try:
        kind, name = split_target(target)
    except ValueError as error:
        raise Invalid("target", str(error)) from None
    if kind not in kinds:
        near = nearest(kind, kinds, 1)
        message = f"kind {kind!r} must be one of {', '.join(kinds)}"
        raise Invalid("target", message, nearest=near[0] if near else "")
    return kind, name


def _row(view: FleetView, kind: str, target: str) -> ControlRow | None:
    rows = (r for r in view.controls if r.kind == kind and r.target == target)
    return next(rows, None)


def _end(for_s: float | None) -> tuple[str, float | None]:
    """Return (until, seconds) of an end; both say so when there is none."""
    seconds = DEFAULT_END_S if for_s is None else for_s
    if seconds == NEVER:
        return "0", None
    if not _LEAST_END_S <= seconds <= _MOST_END_S:
        raise Invalid("for", f"{seconds:g} s must be 10 s to 30 d")
    return f"+{int(seconds * 1000)}", seconds


def _kill(command: Kill, view: FleetView, definitions: Definitions) -> Plan:
    kind, name = _split(command.target, _KILL_KINDS)
    warnings = _check_kill_target(command, kind, name, view, definitions)
    if not 400 <= command.status <= 599:
        raise Invalid("status", f"{command.status} must be 400 to 599")
    if not 0 <= command.retry_after <= 86_400:
        raise Invalid("retry_after", f"{command.retry_after} must be 0 to 86400 s")
    if command.public is not None and len(command.public) > _PUBLIC_MOST:
        raise Invalid("public", f"has more than {_PUBLIC_MOST} characters")
    until, until_s = _end(command.for_s)
    row = _row(view, "kill", command.target)
    active = row if row is not None and row.active else None
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
            return msgspec.json.decode(row.doc, type=KillDoc).since_ms
        except msgspec.DecodeError:
            pass  # a broken record is replaced, its start is not known
    return view.server_ms


def _kill_answer(command: Kill, kind: str) -> str:
    if kind == "flag":
        return f"variant {command.variant or 'off'} instead of the flag's value"
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
        known = _known_flags(view, definitions)
        found = any(covers(name, flag) for flag in known)
    elif kind == "tag":
        known = tuple({tag for _, _, tags in definitions.routes for tag in tags})
        found = name in known
    else:
        known = tuple(row.key for row in view.routes)
        found = bool(covered_routes(command.target, definitions, known))
    if found:
        return ()
    if not command.force:
        close = _nearest(kind, name, known)
        raise TargetGone(command.target, close, can_force=True)
    return ("matches nothing now; nodes enforce it on what they meet later",)


def _nearest(kind: str, name: str, known: tuple[str, ...]) -> tuple[str, ...]:
    return tuple(f"{kind}:{near}" for near in nearest(name, known))


def _known_flags(view: FleetView, definitions: Definitions) -> tuple[str, ...]:
    rows = [r.target[5:] for r in view.controls if r.kind == "flag"]
    return tuple(dict.fromkeys([*(key for key, _ in definitions.flags), *rows]))


def _unkill(command: Unkill, view: FleetView, _: Definitions) -> Plan:
    _split(command.target, _KILL_KINDS)
    row = _active(view, "kill", command.target)
    return Plan(
        target=command.target,
        action="unkill",
        kind="kill",
        name=command.target,
        op="del",
        before="KILLED",
        after="on",
        if_rev=row.rev,
        answer="the application answers again",
        lifts=row.by,
        needs_end=False,
    )


def _group_lift(command: GroupLift, view: FleetView, _: Definitions) -> Plan:
    name = _split(command.target, ("group",))[1]
    active = [r for r in view.controls if r.active and r.group and r.rev]
    rows = [row for row in active if row.group == name]
    if not rows:
        groups = tuple({f"group:{row.group}" for row in active})
        raise TargetGone(command.target, nearest(command.target, groups))
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
        answer="the application answers again",
        lifts=", ".join(sorted({row.by for row in rows})),
        needs_end=False,
        also=tuple(others),
        covers=tuple(row.target for row in rows),
    )


def _deleted(row: ControlRow) -> Change:
    name = row.target if row.kind == "kill" else row.target.partition(":")[2]
    return Change(row.kind, name, "del", row.rev)


def _active(view: FleetView, kind: str, target: str) -> ControlRow:
    row = _row(view, kind, target)
    if row is not None and row.active:
        return row
    if row is not None and row.now == "ended":
        ago = span((view.server_ms - row.until_ms) / 1000)
        raise Invalid(target, f"already ended {ago} ago")
    active = [r.target for r in view.controls if r.kind == kind and r.active]
    raise TargetGone(target, nearest(target, active) or tuple(sorted(active)[:3]))


def _mode_enter(command: ModeEnter, view: FleetView, definitions: Definitions) -> Plan:
    name = _split(command.target, ("mode",))[1]
    modes = {mode.name: mode for mode in definitions.modes}
    if name not in modes:
        raise TargetGone(command.target, _nearest("mode", name, tuple(modes)))
    check_params(name, command.params)
    until, until_s = _end(command.for_s)
    row = _row(view, "mode", command.target)
    active = row if row is not None and row.active else None
    doc = ModeDoc(
        who="",
        why="",
        params=command.params,
        group=command.group,
        since_ms=view.server_ms,
    )
    return Plan(
        target=command.target,
        action="mode-enter",
        kind="mode",
        name=name,
        op="put",
        before="ON" if active else "off",
        after="ON",
        doc=doc,
        if_rev=active.rev if active else 0,
        until=until,
        until_s=until_s,
        answer=modes[name].summary or modes[name].title,
        conflict=f"entered by {active.by} already" if active else "",
    )


def _mode_leave(command: ModeLeave, view: FleetView, _: Definitions) -> Plan:
    name = _split(command.target, ("mode",))[1]
    row = _active(view, "mode", command.target)
    return Plan(
        target=command.target,
        action="mode-leave",
        kind="mode",
        name=name,
        op="del",
        before="ON",
        after="off",
        if_rev=row.rev,
        answer="the ordinary answers again",
        lifts=row.by,
        needs_end=False,
    )


def _flag_edit(command: FlagEdit, view: FleetView, definitions: Definitions) -> Plan:
    name = _split(command.target, ("flag",))[1]
    known = _known_flags(view, definitions)
    if name not in known and not command.force:
        close = _nearest("flag", name, known)
        raise TargetGone(command.target, close, can_force=True)
    row = _row(view, "flag", command.target)
    json = row.doc if row is not None and row.rev else b""
    doc = edited(json, dict(definitions.flags).get(name, ""), command)
    _check_readable(command.target, doc)
    return Plan(
        target=command.target,
        action="flag-edit",
        kind="flag",
        name=name,
        op="put",
        before=flag_now(json)[0] if json else row.default if row else "-",
        after=flag_now(doc)[0],
        doc=doc,
        if_rev=row.rev if row is not None else 0,
        needs_end=False,
        warnings=() if name in known else ("no release declares this flag",),
    )


def _check_readable(target: str, doc: bytes) -> None:
    """Refuse what no node could read: the stored document may be another's."""
    try:
        parse_flag(target.partition(":")[2], doc)
    except FlagError as error:
        raise Invalid(target, f"the edited document is not a flag: {error}") from None


def _flag_revert(command: FlagRevert, view: FleetView, _: Definitions) -> Plan:
    name = _split(command.target, ("flag",))[1]
    row = _row(view, "flag", command.target)
    if row is None or not row.rev:
        edits = [r.target for r in view.controls if r.kind == "flag" and r.rev]
        if row is None:
            raise TargetGone(command.target, nearest(command.target, edits))
        raise Invalid(command.target, "has no edit to drop")
    return Plan(
        target=command.target,
        action="flag-revert",
        kind="flag",
        name=name,
        op="del",
        before=flag_now(row.doc)[0],
        after=row.default,
        if_rev=row.rev,
        needs_end=False,
    )


def _extend(command: Extend, view: FleetView, _: Definitions) -> Plan:
    kind, name = _split(command.target, ("mode", *_KILL_KINDS))
    record = "mode" if kind == "mode" else "kill"
    row = _active(view, record, command.target)
    until, until_s = _end(command.for_s)
    left_s = (row.until_ms - view.server_ms) / 1000 if row.until_ms else None
    return Plan(
        target=command.target,
        action="extend",
        kind=record,
        name=name if record == "mode" else command.target,
        op="put",
        before="no end" if left_s is None else f"{span(left_s)} left",
        after="no end" if until_s is None else f"{span(until_s)} left",
        doc=row.doc,
        if_rev=row.rev,
        until=until,
        until_s=until_s,
        earlier=until_s is not None and (left_s is None or until_s < left_s),
    )


_PLANNERS: dict[type, Callable[[Any, FleetView, Definitions], Plan]] = {
    Kill: _kill,
    Unkill: _unkill,
    GroupLift: _group_lift,
    ModeEnter: _mode_enter,
    ModeLeave: _mode_leave,
    FlagEdit: _flag_edit,
    FlagRevert: _flag_revert,
    Extend: _extend,
}
