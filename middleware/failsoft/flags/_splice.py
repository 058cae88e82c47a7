"""Find and replace members of JSON text; every other byte stays as it was written.

Values are found by scanning, without recursion and without decoding them: a document
nested without end, or one bad flag of 10,000, is told by its name.  Pure.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping

import msgspec

__all__ = ["Member", "elements", "line_of", "members", "replaced"]

_SPACE = re.compile(rb"[ \t\r\n]*")
_TEXT = re.compile(rb'"(?:[^"\\]|\\.)*"', re.DOTALL)
_PLAIN = re.compile(rb"[^\s,:\]}\[{\"]+")
# Texts are matched whole, so that a bracket inside one does not count.
_NESTING = re.compile(rb'"(?:[^"\\]|\\.)*"|[\[\]{}]', re.DOTALL)
_CLOSING = {b"{": b"}", b"[": b"]"}


class Member(msgspec.Struct, frozen=True):
    """One member of an object.  first: where its key stands; start, end: its value."""

    name: str
    first: int
    start: int
    end: int


def line_of(text: bytes, at: int) -> int:
    """Return the number of the line that holds a position, from 1."""
    return text.count(b"\n", 0, at) + 1


def members(text: bytes, at: int = 0) -> Iterator[Member]:
    """Yield the members of the object that starts at `at`, as they stand.

    O(bytes).  Raises ValueError, with the line, where the text is no object.  What
    is inside a value is not checked.
    """
    place = _opened(text, at, b"{")
    while place is not None:
        key = _TEXT.match(text, place)
        if key is None:
            raise _fault(text, place, "a name in quotes")
        colon = _skip(text, key.end())
        if text[colon : colon + 1] != b":":
            raise _fault(text, colon, "a colon")
        start = _skip(text, colon + 1)
        end = _end(text, start)
        yield Member(_name(text, key), place, start, end)
        place = _following(text, end, b"}")


def elements(text: bytes, at: int = 0) -> Iterator[tuple[int, int]]:
    """Yield (start, end) of each element of the array at `at`; see `members`."""
    place = _opened(text, at, b"[")
    while place is not None:
        end = _end(text, place)
        yield place, end
        place = _following(text, end, b"]")


def _opened(text: bytes, at: int, mark: bytes) -> int | None:
    """Return where the first part stands, None when there is none."""
    at = _skip(text, at)
    if text[at : at + 1] != mark:
        raise _fault(text, at, mark.decode())
    place = _skip(text, at + 1)
    return None if text[place : place + 1] == _CLOSING[mark] else place


def _following(text: bytes, end: int, closing: bytes) -> int | None:
    """Return where the part after one that ended at `end` stands."""
    after = _skip(text, end)
    mark = text[after : after + 1]
    if mark == closing:
        return None
    if mark != b",":
        raise _fault(text, after, f"a comma or {closing.decode()}")
    return _skip(text, after + 1)


def _skip(text: bytes, at: int) -> int:
    space = _SPACE.match(text, at)
    return space.end() if space else at


def _end(text: bytes, start: int) -> int:
    """Return where the value that begins at `start` ends."""
    mark = text[start : start + 1]
    if mark not in _CLOSING:
        found = (_TEXT if mark == b'"' else _PLAIN).match(text, start)
        if found is None:
            raise _fault(text, start, "a value")
        return found.end()
    depth = 0
    for token in _NESTING.finditer(text, start):
        if token.group() in (b"{", b"["):
            depth += 1
        elif token.group() in (b"}", b"]"):
            depth -= 1
            if not depth:
                return token.end()
    raise _fault(text, start, "an end to what begins here")


def _name(text: bytes, key: re.Match[bytes]) -> str:
    try:
        return msgspec.json.decode(key.group(), type=str)
    except (msgspec.DecodeError, UnicodeError):
        raise _fault(text, key.start(), "a name that is valid text") from None


def _fault(text: bytes, at: int, expected: str) -> ValueError:
    found = (
        repr(text[at : at + 20].decode(errors="replace")) if text[at:] else "the end"
    )
    return ValueError(f"line {line_of(text, at)}: expected {expected}, found {found}")


def replaced(text: bytes, changes: Mapping[str, bytes | None], at: int = 0) -> bytes:
    """Return the text with members of the object at `at` set, added or dropped.

    changes: name -> new value, None drops it.  Raises ValueError as `members`.
    """
    for name, value in changes.items():
        text = _with(text, name, value, at)
    return text


def _with(text: bytes, name: str, value: bytes | None, at: int) -> bytes:
    known = list(members(text, at))
    number = next((i for i, m in enumerate(known) if m.name == name), None)
    if number is None:
        return text if value is None else _added(text, name, value, known, at)
    member = known[number]
    start, end = member.start, member.end
    if value is None:
        start, end = _with_comma(known, number)
    return text[:start] + (value or b"") + text[end:]


def _added(text: bytes, name: str, value: bytes, known: list[Member], at: int) -> bytes:
    new = msgspec.json.encode(name) + b":" + value
    if not known:
        place = _skip(text, at) + 1
        return text[:place] + new + text[place:]
    # What stands before a name stands before the new one too: a space, a new line.
    last = known[-1]
    gap = b"," + text[_skip(text, at) + 1 : known[0].first]
    colon = text[last.first : last.start].rpartition(b":")[2]
    new = msgspec.json.encode(name) + b":" + colon + value
    return text[: last.end] + gap + new + text[last.end :]


def _with_comma(known: list[Member], number: int) -> tuple[int, int]:
    """Return the span of a member and of one comma beside it."""
    member = known[number]
    if number + 1 < len(known):
        return member.first, known[number + 1].first
    if number:
        return known[number - 1].end, member.end
    return member.first, member.end
