"""Flags as a flagd file: what the store holds, or what the fleet serves.  Pure."""

from __future__ import annotations

import msgspec

from failsoft.controls.records import parse_record
from failsoft.errors import FlagError, Invalid
from failsoft.flags._moves import splits
from failsoft.flags._parse import parse_flag
from failsoft.flags.importers.flagd import write_flagd
from failsoft.store.protocols import ControlSet
from failsoft.telemetry import Definitions

__all__ = ["Exported", "export_flagd"]


class Exported(msgspec.Struct, frozen=True):
    """A flagd file, how many flags are in it, and what its reader should know."""

    file: bytes
    count: int
    notes: tuple[str, ...]


def export_flagd(
    stored: ControlSet, definitions: Definitions | None, *, lossy: bool
) -> Exported:
    """Return the flags of the store; documents keep their bytes.

    definitions: also what releases declare, where no edit lies over it; None for the
    edits alone.  Kills and modes are no part of it.  lossy: leave out flags that
    flagd cannot evaluate; else Invalid names them.
    """
    documents = dict(_declared(definitions)) if definitions is not None else {}
    evaluators: dict[str, bytes] = {}
    if definitions is not None:
        evaluators = {name: json.encode() for name, json in definitions.evaluators}
    for (kind, name), raw in stored.records.items():
        if kind in ("flag", "evaluator"):
            into = documents if kind == "flag" else evaluators
            into[name] = parse_record(kind, name, raw).json
    notes: list[str] = []
    own: list[str] = []
    newer: list[str] = []
    for key, json in list(documents.items()):
        try:
            flag = parse_flag(key, json, evaluators)
        except FlagError as error:
            notes.append(f"left out, as no flagd could read it: {error}")
            del documents[key]
            continue
        if flag.prerequisites:
            own.append(key)
        if splits(flag) and flag.hash_version == 3:
            newer.append(key)
    if own and not lossy:
        message = (
            f"{_named(own)} use $flag, which flagd has not; --lossy leaves them out"
        )
        raise Invalid("export", message)
    for key in own:
        del documents[key]
    if own:
        notes.append(f"left out, as flagd has no $flag: {_named(own)}")
    newer = [key for key in newer if key in documents]
    if newer:
        notes.append(
            f"{_named(newer)} split users by hash version 3: a flagd that still uses "
            "version 2 gives users other variants (open-feature/flagd #2011)"
        )
    return Exported(write_flagd(documents, evaluators), len(documents), tuple(notes))


def _named(keys: list[str]) -> str:
    more = f" and {len(keys) - 5} more" if len(keys) > 5 else ""
    return ", ".join(keys[:5]) + more


def _declared(definitions: Definitions) -> dict[str, bytes]:
    found = {}
    for flag in definitions.flagdefs:
        if flag.doc:
            found[flag.key] = flag.doc.encode()
        elif flag.default in ("true", "false"):
            found[flag.key] = _boolean(on=flag.default == "true")
    return found


def _boolean(*, on: bool) -> bytes:
    variant = "on" if on else "off"
    return msgspec.json.encode(
        {
            "state": "ENABLED",
            "variants": {"on": True, "off": False},
            "defaultVariant": variant,
        }
    )
