"""Read flagd documents: the flags of each file, and what is wrong with them and where.

A flag keeps the bytes of its file, without blanks: so an edit made over it can say
which version it knew, and a file that was only indented anew is no newer version.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterable, Mapping
from typing import Any

import msgspec

from failsoft.controls.records import Record
from failsoft.errors import FlagError
from failsoft.flags._definitions import NO_FILES, FileLayer, refers
from failsoft.flags._parse import parse_flag

__all__ = ["FlagFile", "join_files", "read_document", "sha8"]


class FlagFile(msgspec.Struct, frozen=True):
    """One document.  flags, evaluators: name -> JSON.  raw: as it was read."""

    name: str
    flags: dict[str, bytes]
    evaluators: dict[str, bytes]
    raw: bytes


class _Document(msgspec.Struct):
    flags: dict[str, msgspec.Raw] | list[msgspec.Raw]
    evaluators: dict[str, msgspec.Raw] = msgspec.field(
        name="$evaluators", default_factory=dict
    )
    metadata: dict[str, Any] = {}


def sha8(json: bytes) -> str:
    """Return the digest by which an edit remembers the document it was made over."""
    return hashlib.sha256(json).hexdigest()[:8]


def read_document(name: str, raw: bytes) -> FlagFile:
    """Return what a flagd document holds; its flags are not checked yet.

    name: how the file is called in messages.  Raises FlagError with the line where
    the text is no such document.
    """
    try:
        return _document(name, raw)
    except RecursionError:
        raise FlagError("is nested too deep", where=name) from None
    except (msgspec.DecodeError, UnicodeError) as error:
        where = f"{name} line {_line_of_error(raw, str(error))}"
        todo = "the file as it was before still holds, if there was one"
        raise FlagError(f"is no flagd document: {error}", where=where, todo=todo) from (
            None
        )


def _document(name: str, raw: bytes) -> FlagFile:
    # Parts are decoded one by one, and each may be what is no JSON.
    found = msgspec.json.decode(raw, type=_Document)
    entries = found.flags
    if isinstance(entries, list):
        flags = _by_key(name, entries)
    else:
        flags = {key: _compact(json) for key, json in entries.items()}
    if found.metadata:
        flags = {k: _with_metadata(v, found.metadata) for k, v in flags.items()}
    evaluators = {key: _compact(json) for key, json in found.evaluators.items()}
    return FlagFile(name, flags, evaluators, raw)


def _compact(json: msgspec.Raw | bytes) -> bytes:
    return msgspec.json.format(bytes(json), indent=-1)


def _by_key(name: str, entries: Iterable[msgspec.Raw]) -> dict[str, bytes]:
    """Return the flags of the array form, each without its key."""
    flags: dict[str, bytes] = {}
    for at, json in enumerate(entries):
        doc = msgspec.json.decode(json)
        key = doc.pop("key", None) if isinstance(doc, dict) else None
        if not isinstance(key, str) or key in flags:
            what = "is there twice" if isinstance(key, str) else "must be text"
            raise FlagError(f"{key!r:.50} {what}", where=f"{name} flags[{at}].key")
        flags[key] = msgspec.json.encode(doc)
    return flags


def _with_metadata(json: bytes, metadata: Mapping[str, Any]) -> bytes:
    """Return the document with the metadata of its set below its own."""
    doc = msgspec.json.decode(json)
    own = doc.get("metadata", {}) if isinstance(doc, dict) else None
    if not isinstance(own, dict):
        return json  # refused when it is checked
    return msgspec.json.encode({**doc, "metadata": {**metadata, **own}})


def _line_of_error(raw: bytes, message: str) -> int:
    # Of what is no JSON msgspec tells the byte; else the fault is one of structure.
    at = re.search(r"\(byte (\d+)\)", message)
    return 1 + raw.count(b"\n", 0, int(at[1])) if at else 1


def _line_of(file: FlagFile, key: str) -> int:
    """Return the line where a flag begins, 1 if that cannot be told."""
    name = re.escape(msgspec.json.encode(key))
    found = re.search(rb'(?:"key"\s*:\s*)?' + name + rb"\s*[:,}]", file.raw)
    return 1 + file.raw.count(b"\n", 0, found.start()) if found else 1


def join_files(files: Iterable[FlagFile], before: FileLayer = NO_FILES) -> FileLayer:
    """Return the flags of all files; of two with one key the later file's.

    One that is refused is named in `faults` and keeps the version in `before`.
    O(flags), some 40 us each that is new.
    """
    files = list(files)
    evaluators: dict[str, bytes] = {}
    for file in files:
        evaluators |= file.evaluators
    moved = set(before.referring) if evaluators != before.evaluators else ()
    records: dict[str, Record] = {}
    faults: list[str] = []
    for file in files:
        for key, json in file.flags.items():
            held = before.records.get(key)
            if held is not None and held.json == json and key not in moved:
                records[key] = held
                continue
            try:
                parse_flag(key, json, evaluators)
                records[key] = Record("flag", key, 0, 0, 0, json)
            except FlagError as error:
                faults.append(f"{file.name} line {_line_of(file, key)}: {error}")
                if held is not None:
                    records[key] = held
    digests = {key: sha8(record.json) for key, record in records.items()}
    referring = tuple(key for key, record in records.items() if refers(record.json))
    return FileLayer(records, evaluators, digests, referring, tuple(faults))
