"""What a command on a flag would write, and whom it moves.  Pure.

A document is checked as the nodes check it, before anything is written.  An edit that
moves users who should stay is refused unless the operator says so.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import lru_cache
from typing import Any

import msgspec

from failsoft.controls.targets import nearest
from failsoft.errors import FlagError, Invalid, TargetGone
from failsoft.flags._model import Flag
from failsoft.flags._moves import IDS, moved, rebuckets, splits
from failsoft.flags._parse import parse_flag
from failsoft.flags._splice import replaced
from failsoft.ops.command import FlagDelete, FlagEdit, FlagPut, FlagRevert
from failsoft.ops.flagdocs import edited, flag_now, new_document
from failsoft.ops.flagforms import diff_words
from failsoft.ops.plan import (
    Plan,
    check_stored,
    known_flags,
    nearest_targets,
    row_of,
    split_kind,
    stored_rev,
)
from failsoft.ops.views import ControlRow, FleetView
from failsoft.store.limits import check_change
from failsoft.store.protocols import Change
from failsoft.telemetry import Definitions, FlagDef

__all__ = ["FLAG_PLANNERS", "flag_below", "put_plan"]


def flag_below(key: str, definitions: Definitions) -> FlagDef | None:
    """Return what a release declares for a flag: the layer under an edit."""
    return next((one for one in definitions.flagdefs if one.key == key), None)


def _flag_edit(command: FlagEdit, view: FleetView, definitions: Definitions) -> Plan:
    name = _known(command, view, definitions)
    row = row_of(view, "flag", command.target)
    base = _document(name, row, definitions)
    doc = edited(base, dict(definitions.flags).get(name, ""), command)
    put = FlagPut(
        command.target,
        doc,
        base=base,
        if_rev=command.if_rev,
        rebucket=command.rebucket,
    )
    return put_plan(put, view, definitions)


def _flag_put(command: FlagPut, view: FleetView, definitions: Definitions) -> Plan:
    _known(command, view, definitions)
    row = row_of(view, "flag", command.target)
    if command.if_rev == 0 and row is not None and stored_rev(row):
        message = f"exists already, written by {row.by} (rev {row.rev})"
        raise Invalid(command.target, message)
    return put_plan(command, view, definitions)


def _known(
    command: FlagEdit | FlagPut, view: FleetView, definitions: Definitions
) -> str:
    name = split_kind(command.target, ("flag",))[1]
    known = known_flags(view, definitions)
    if name not in known and not command.force:
        close = nearest_targets("flag", name, known)
        raise TargetGone(command.target, close, can_force=True)
    return name


def _document(name: str, row: ControlRow | None, definitions: Definitions) -> bytes:
    """Return what an edit starts from: the edit's, the file's, the coded boolean."""
    if row is not None and row.rev:
        return row.doc
    below = flag_below(name, definitions)
    if below is not None and below.doc:
        return below.doc.encode()
    coded = dict(definitions.flags).get(name, "")
    return new_document(f"flag:{name}", coded) if coded in ("true", "false") else b""


def put_plan(command: FlagPut, view: FleetView, definitions: Definitions) -> Plan:
    """Return the plan of writing a document; Invalid when no node could read it."""
    name = split_kind(command.target, ("flag",))[1]
    row = row_of(view, "flag", command.target)
    was = command.base or _document(name, row, definitions)
    flag = _checked(command.target, command.json, view.evaluators)
    json = _over(command.json, flag, row, flag_below(name, definitions))
    check_change(Change("flag", name, "put", json=json))
    moves = _check_moves(command, was, flag, view.evaluators)
    is_lost = row is not None and row.lost
    default = row.default if row else "-"
    return Plan(
        target=command.target,
        action="flag-edit",
        kind="flag",
        name=name,
        op="put",
        before=flag_now(was)[0] if was else default,
        after=flag_now(json)[0],
        doc=json,
        if_rev=stored_rev(row) if is_lost or command.if_rev is None else command.if_rev,
        needs_end=False,
        warnings=_warnings(name, flag, moves, view, definitions),
        was=was,
        diff=diff_words(was, json),
        moves=moves,
    )


def _checked(target: str, json: bytes, evaluators: Mapping[str, bytes]) -> Flag:
    try:
        return parse_flag(target.partition(":")[2], json, evaluators)
    except FlagError as error:
        raise Invalid(target, f"the edited document is not a flag: {error}") from None


def _over(
    json: bytes, flag: Flag, row: ControlRow | None, below: FlagDef | None
) -> bytes:
    """Let a first edit remember the version of the file it was made over."""
    first = row is None or not row.rev
    if not first or below is None or not below.sha8 or "x.over" in flag.metadata:
        return json
    metadata = dict(flag.metadata) | {"x.over": below.sha8}
    return replaced(json, {"metadata": msgspec.json.encode(metadata)})


def _check_moves(
    command: FlagPut, was: bytes, after: Flag, evaluators: Mapping[str, bytes]
) -> float | None:
    """Return the ratio of users that move; Invalid for a rebucket nobody asked for."""
    try:
        before = parse_flag(after.key, was, evaluators) if was else None
    except FlagError:
        return None  # what was there served nobody
    if before is None or not (splits(before) or splits(after)):
        return None
    ratio = _moved(after.key, was, command.json, tuple(evaluators.items()))
    why = rebuckets(before, after)
    if why and not command.rebucket:
        raise Invalid(
            command.target,
            f"rebuckets its users ({why}): {ratio:.1%} of {IDS:,} synthetic ids get "
            "another variant; keep it, or say --rebucket",
        )
    return ratio


@lru_cache(maxsize=8)
def _moved(
    key: str, was: bytes, now: bytes, evaluators: tuple[tuple[str, bytes], ...]
) -> float:
    known = dict(evaluators)
    return moved(parse_flag(key, was, known), parse_flag(key, now, known))


def _warnings(
    name: str,
    flag: Flag,
    moves: float | None,
    view: FleetView,
    definitions: Definitions,
) -> tuple[str, ...]:
    found = []
    if name not in known_flags(view, definitions):
        found.append("no release declares this flag")
    if moves is not None:
        bare = " (ids without attributes)" if flag.reads - {"targetingKey"} else ""
        found.append(f"{moves:.1%} of {IDS:,} synthetic ids change variant{bare}")
    if flag.dangling:
        found.append(f"no evaluator {', '.join(sorted(flag.dangling))}")
    if not flag.enabled:
        found.append("DISABLED serves the coded default, not off: off is a kill")
    return tuple(found)


def _flag_revert(
    command: FlagRevert, view: FleetView, definitions: Definitions
) -> Plan:
    row = _edit(command.target, view)
    below = flag_below(command.target.partition(":")[2], definitions)
    under = below.doc.encode() if below else b""
    # Below an edit that no release knows lies what each caller says.
    rest = "callers' default" if row.default == "?" else row.default
    after = flag_now(under)[0] if under else rest
    return _drop(row, "flag-revert", after, under)


def _flag_delete(
    command: FlagDelete, view: FleetView, definitions: Definitions
) -> Plan:
    row = _edit(command.target, view)
    below = flag_below(command.target.partition(":")[2], definitions)
    if below is not None and below.origin != "asked":
        place = "a flags file" if below.origin == "file" else below.origin
        raise Invalid(
            command.target, f"is declared in {place}; drop its edit by flags revert"
        )
    return _drop(row, "flag-delete", "gone", b"")


def _edit(target: str, view: FleetView) -> ControlRow:
    split_kind(target, ("flag",))
    row = row_of(view, "flag", target)
    if row is not None and row.rev:
        check_stored(row)
        return row
    edits = [r.target for r in view.controls if r.kind == "flag" and r.rev]
    if row is None:
        raise TargetGone(target, nearest(target, edits))
    raise Invalid(target, "has no edit to drop")


def _drop(row: ControlRow, action: str, after: str, under: bytes) -> Plan:
    return Plan(
        target=row.target,
        action=action,
        kind="flag",
        name=row.target.partition(":")[2],
        op="del",
        before=flag_now(row.doc)[0],
        after=after,
        if_rev=row.rev,
        needs_end=False,
        was=row.doc,
        diff=diff_words(row.doc, under) if under else (),
    )


FLAG_PLANNERS: dict[type, Callable[[Any, FleetView, Definitions], Plan]] = {
    FlagEdit: _flag_edit,
    FlagPut: _flag_put,
    FlagRevert: _flag_revert,
    FlagDelete: _flag_delete,
}
