"""Writes an edit into a flags file's text, and touches nothing else of it.  Pure."""

from __future__ import annotations

from typing import Any

import msgspec

from failsoft.errors import FlagError, Invalid
from failsoft.flags._files import read_document, sha8
from failsoft.flags._splice import elements, members, replaced
from failsoft.ops.flagforms import diff_words

__all__ = ["check_version", "promoted"]


def promoted(file: bytes, name: str, key: str, json: bytes) -> bytes:
    """Return the file with a flag's document replaced or added.

    name: how messages call the file.  The document loses what it remembers of the
    file; in an indented file it is indented.  Raises Invalid where the file is no
    flagd file.
    """
    document = _indented(file, _own(json))
    try:
        flags = next((m for m in members(file) if m.name == "flags"), None)
        if flags is None:
            raise Invalid(name, 'has no flags; write {"flags": {...}}')
        if file[flags.start : flags.start + 1] == b"[":
            return _in_array(file, flags.start, key, document)
        return replaced(file, {key: document}, flags.start)
    except ValueError as error:
        raise Invalid(name, f"is no flagd file: {error}") from None


def _own(json: bytes) -> bytes:
    """Return the document without what only an edit needs."""
    known = next((m for m in members(json) if m.name == "metadata"), None)
    if known is None or json[known.start : known.start + 1] != b"{":
        return json
    names = [member.name for member in members(json, known.start)]
    if names == ["x.over"]:
        return replaced(json, {"metadata": None})
    return replaced(json, {"x.over": None}, known.start)


def _indented(file: bytes, json: bytes) -> bytes:
    if b"\n" not in file.strip() or b"\n" in json:
        return json
    return msgspec.json.format(json, indent=2).replace(b"\n", b"\n    ")


def _in_array(file: bytes, at: int, key: str, document: bytes) -> bytes:
    named = document[:1] + b'"key": ' + msgspec.json.encode(key) + b"," + document[1:]
    last = None
    for start, end in elements(file, at):
        last = end
        own = next((m for m in members(file, start) if m.name == "key"), None)
        if own is not None and msgspec.json.decode(file[own.start : own.end]) == key:
            return file[:start] + named + file[end:]
    if last is None:
        return file[: at + 1] + named + file[at + 1 :]
    return file[:last] + b",\n    " + named + file[last:]


def check_version(file: bytes, name: str, key: str, json: bytes) -> None:
    """Raise Invalid, with the difference, when the file moved on since the edit."""
    try:
        held = read_document(name, file).flags.get(key)
    except FlagError as error:
        raise Invalid(name, str(error)) from None
    found = msgspec.json.decode(json, type=_Document).metadata.get("x.over")
    if held is None or found in (None, sha8(held)):
        return
    words = "; ".join(diff_words(held, _own(json))[:5])
    raise Invalid(
        f"flag:{key}",
        f"overrides an older definition: the edit was made over {found}, {name} has "
        f"{sha8(held)} ({words}); revert the edit, or --force",
    )


class _Document(msgspec.Struct):
    metadata: dict[str, Any] = {}
