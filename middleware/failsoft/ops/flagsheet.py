"""All that is known of one flag, and the words of what is odd about flags.  Pure."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

import msgspec

from failsoft.controls.targets import covers
from failsoft.errors import FlagError
from failsoft.flags._parse import parse_flag
from failsoft.ops.flagdocs import new_document
from failsoft.ops.flagforms import Form, read_form
from failsoft.ops.flaglife import FlagLife
from failsoft.ops.views import ControlRow, FleetView
from failsoft.telemetry import Definitions, FlagDef

__all__ = ["FlagSheet", "flag_notes", "flag_sheet", "pretty"]

_STALE_WORDS = {"expired": "EXPIRED", "constant": "UNCHANGED", "unused": "UNUSED"}


class FlagSheet(msgspec.Struct, frozen=True):
    """One flag.

    row: its edit, or its rest without one.  kill: an active one that covers it.
    below: what releases declare.  doc: the document served, the edit's or the
    file's, b"" without.  form: None when it is edited as text.  fault: why nobody
    can read it.  older: the edit was made over an older version of the file.
    bad_on: nodes that keep what was before.  life: None until it was read.
    start: what a first edit begins with where only code declares a boolean.
    """

    key: str
    row: ControlRow | None
    kill: ControlRow | None = None
    below: FlagDef | None = None
    doc: bytes = b""
    form: Form | None = None
    fault: str = ""
    older: bool = False
    bad_on: tuple[str, ...] = ()
    life: FlagLife | None = None
    metadata: Mapping[str, Any] = {}
    start: bytes = b""
    start_form: Form | None = None


def flag_sheet(
    key: str,
    view: FleetView,
    definitions: Definitions | None,
    lives: Iterable[FlagLife] = (),
) -> FlagSheet:
    """Return what is known of a flag; of an unknown one, its key alone.

    definitions: None before a release is known.
    """
    definitions = definitions or Definitions()
    target = f"flag:{key}"
    rows = [row for row in view.controls if row.kind == "flag"]
    row = next((row for row in rows if row.target == target), None)
    below = next((one for one in definitions.flagdefs if one.key == key), None)
    edited = row is not None and row.rev > 0
    doc = row.doc if row and edited else below.doc.encode() if below else b""
    metadata, fault = _read(key, doc)
    coded = dict(definitions.flags).get(key, "")
    first = not doc and coded in ("true", "false")
    start = new_document(target, coded) if first else b""
    return FlagSheet(
        key=key,
        row=row,
        kill=_kill_of(key, view),
        below=below,
        doc=doc,
        form=read_form(doc) if doc else None,
        fault=fault,
        older=edited and _is_older(doc, below),
        bad_on=tuple(node.short for node in view.nodes if target in node.bad),
        life=next((life for life in lives if life.key == key), None),
        metadata=metadata,
        start=start,
        start_form=read_form(start) if start else None,
    )


def _read(key: str, doc: bytes) -> tuple[Mapping[str, Any], str]:
    if not doc:
        return {}, ""
    try:
        return parse_flag(key, doc).metadata, ""
    except FlagError as error:
        return {}, str(error)


def _kill_of(key: str, view: FleetView) -> ControlRow | None:
    kills = (row for row in view.controls if row.kind == "kill" and row.active)
    named = (row for row in kills if row.target.startswith("flag:"))
    return next((row for row in named if covers(row.target[5:], key)), None)


def _is_older(doc: bytes, below: FlagDef | None) -> bool:
    """Whether an edit was made over another version of the file; readable or not."""
    if below is None or not below.sha8:
        return False
    return _over(doc) not in (None, below.sha8)


def flag_notes(
    view: FleetView, definitions: Definitions, lives: Iterable[FlagLife] = ()
) -> dict[str, str]:
    """Return target -> the worst thing to say of a flag, in a word; O(flags).

    BAD: a node cannot read it.  PROPOSED: its guard asks for a kill.  OLDER: it
    overrides an older definition.  EXPIRED, UNCHANGED, UNUSED: it is stale.
    """
    notes = {
        f"flag:{life.key}": _STALE_WORDS[life.stale[0].kind]
        for life in lives
        if life.stale
    }
    below = {f"flag:{one.key}": one for one in definitions.flagdefs if one.sha8}
    for row in view.controls:
        if row.kind == "flag" and row.rev and _is_older(row.doc, below.get(row.target)):
            notes[row.target] = "OLDER"
    notes.update((one.target, "PROPOSED") for one in view.proposals)
    bad = {name for node in view.nodes if node.state == "LIVE" for name in node.bad}
    notes.update((name, "BAD") for name in bad)
    return notes


class _Metadata(msgspec.Struct):
    metadata: dict[str, Any] = {}


def _over(doc: bytes) -> object:
    try:
        return msgspec.json.decode(doc, type=_Metadata).metadata.get("x.over")
    except (msgspec.DecodeError, UnicodeError, RecursionError):
        return None


def pretty(doc: bytes) -> str:
    """Return a document as indented text; one that is no JSON as it is."""
    try:
        return msgspec.json.format(doc, indent=2).decode()
    except (msgspec.DecodeError, UnicodeError, RecursionError):
        return doc.decode(errors="replace")
