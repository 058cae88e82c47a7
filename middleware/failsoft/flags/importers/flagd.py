"""Read and write flagd files; every document keeps its bytes.

One bad flag is told by its name, its line and its path, and takes no other with it.
Pure.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping

import msgspec

from failsoft.errors import FlagError
from failsoft.flags._model import Flag
from failsoft.flags._moves import splits
from failsoft.flags._parse import decode, parse_flag
from failsoft.flags._splice import Member, elements, line_of, members, replaced

__all__ = ["FlagdFile", "hash_frozen", "read_flagd", "unhashed", "write_flagd"]

_MEMBERS = ("flags", "$evaluators", "metadata", "$schema")
_SCHEMA = b'"https://flagd.dev/schema/v0/flags.json"'


class FlagdFile(msgspec.Struct, frozen=True):
    """One file.  flags, evaluators: name -> document.  bad: what is wrong, by key."""

    flags: dict[str, bytes]
    evaluators: dict[str, bytes]
    parsed: dict[str, Flag]
    bad: dict[str, str]


def read_flagd(raw: bytes, name: str = "") -> FlagdFile:
    """Return what a file holds, checked flag by flag.

    name: how messages call the file.  Metadata of the whole set stands in each flag
    below its own, as flagd serves it.  Raises FlagError, with the line, where the
    file as a whole cannot be read.
    """
    try:
        top = {member.name: member for member in members(raw)}
        if "flags" not in top:
            raise FlagError("has no flags", where=name, todo='write {"flags": {...}}')
        evaluators = _evaluators(raw, top.get("$evaluators"), name)
        shared = _text(raw, top.get("metadata"))
        found = list(_documents(raw, top["flags"]))
    except ValueError as error:
        raise FlagError(str(error), where=name) from None
    return _checked(raw, found, shared, evaluators, name)


def _text(raw: bytes, member: Member | None) -> bytes:
    return raw[member.start : member.end] if member else b""


def _evaluators(raw: bytes, member: Member | None, name: str) -> dict[str, bytes]:
    if member is None:
        return {}
    found = {}
    for one in members(raw, member.start):
        json = _text(raw, one)
        decode(json, f"{name} line {line_of(raw, one.start)}: evaluator:{one.name}")
        found[one.name] = json
    return found


_Document = tuple[str, int, bytes, str]  # key, where it begins, document, fault


def _documents(raw: bytes, flags: Member) -> Iterator[_Document]:
    seen: set[str] = set()
    for key, start, json in _entries(raw, flags):
        fault = "stands in the file twice" if key in seen else ""
        seen.add(key)
        yield key, start, json, fault


def _entries(raw: bytes, flags: Member) -> Iterator[tuple[str, int, bytes]]:
    if raw[flags.start : flags.start + 1] != b"[":
        for member in members(raw, flags.start):
            yield member.name, member.first, _text(raw, member)
        return
    for start, end in elements(raw, flags.start):
        json = raw[start:end]
        key = next((m for m in members(json) if m.name == "key"), None)
        name = decode(_text(json, key), "key") if key else None
        if not isinstance(name, str):
            raise ValueError(
                f"line {line_of(raw, start)}: a flag of the array has no key"
            )
        yield name, start, replaced(json, {"key": None})


def _checked(
    raw: bytes,
    found: Iterable[_Document],
    shared: bytes,
    evaluators: dict[str, bytes],
    name: str,
) -> FlagdFile:
    flags: dict[str, bytes] = {}
    parsed: dict[str, Flag] = {}
    bad: dict[str, str] = {}
    for key, start, json, fault in found:
        try:
            if fault:
                raise FlagError(fault, where=f"flag:{key}")
            document = _with_shared(json, shared, key)
            parsed[key] = parse_flag(key, document, evaluators)
            flags[key] = document
        except FlagError as error:
            bad[key] = f"{name} line {line_of(raw, start)}: {error}"
            flags.pop(key, None)
            parsed.pop(key, None)
    return FlagdFile(flags, evaluators, parsed, bad)


def _with_shared(json: bytes, shared: bytes, key: str) -> bytes:
    if not shared:
        return json
    common = decode(shared, f"flag:{key} metadata")
    doc = decode(json, f"flag:{key}")
    own = doc.get("metadata") or {} if isinstance(doc, dict) else None
    if not isinstance(common, dict) or not isinstance(own, dict) or not common:
        return json
    metadata = msgspec.json.encode({**common, **own})
    return replaced(json, {"metadata": metadata})


def unhashed(flag: Flag) -> bool:
    """Whether a rollout does not say by which hash it splits its users."""
    return bool(splits(flag)) and "x.hash" not in flag.metadata


def hash_frozen(json: bytes, version: int) -> bytes:
    """Return the document with its hash version in the metadata, if it has none."""
    number = b"%d" % version
    known = next((m for m in members(json) if m.name == "metadata"), None)
    if known is None or json[known.start : known.start + 1] != b"{":
        return replaced(json, {"metadata": b'{"x.hash":' + number + b"}"})
    return replaced(json, {"x.hash": number}, known.start)


def write_flagd(flags: Mapping[str, bytes], evaluators: Mapping[str, bytes]) -> bytes:
    """Return a flagd file; documents stand in it byte for byte, sorted by key."""
    parts = [b'  "$schema": ' + _SCHEMA, b'  "flags": ' + _object(flags)]
    if evaluators:
        parts.append(b'  "$evaluators": ' + _object(evaluators))
    return b"{\n" + b",\n".join(parts) + b"\n}\n"


def _object(documents: Mapping[str, bytes]) -> bytes:
    lines = [
        b"    " + msgspec.json.encode(name) + b": " + documents[name]
        for name in sorted(documents)
    ]
    return b"{\n" + b",\n".join(lines) + b"\n  }" if lines else b"{}"
