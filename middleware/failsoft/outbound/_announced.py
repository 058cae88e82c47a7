"""What a third party announces in its headers, and the note that is kept of it."""

from __future__ import annotations

import re
from collections.abc import Iterable
from email.utils import mktime_tz, parsedate_tz
from itertools import islice
from typing import Annotated, NamedTuple

import msgspec

__all__ = [
    "ALERT_DAYS",
    "ANNOUNCING",
    "Alert",
    "PeerNote",
    "Said",
    "alerts_of",
    "merged",
    "note_id",
    "read_note",
    "read_said",
]

ALERT_DAYS = (30, 7, 1, 0)
# Headers that announce; in lower case, as bytes.
ANNOUNCING = frozenset(
    (b"deprecation", b"sunset", b"link", b"warning", b"api-deprecated-versions")
)
_DAY_S = 86_400
_RELS = ("deprecation", "sunset", "successor-version", "latest-version")
_MAX_TEXT = 200
_MAX_HEADER = 4_096
_MAX_VERSIONS = 20
_MAX_LINES = 16
_MAX_LINKS = 32
_LAST = 253_402_300_799  # the end of the year 9999: later ones print as no date
_LINK = re.compile(r'<([^<>]*)>((?:\s*;\s*[\w*-]+\s*(?:=\s*(?:"[^"]*"|[^",;]*))?)*)')
_REL = re.compile(r';\s*rel\s*=\s*(?:"([^"]*)"|([^",;\s]*))', re.IGNORECASE)
_WARNING = re.compile(r'\b299\s+\S+\s+"((?:[^"\\]|\\.)*)"')
_ISO = re.compile(r"(\d{4})-(\d\d)-(\d\d)(?:T(\d\d):(\d\d)(?::(\d\d))?\S*)?")
_UNFIT = re.compile(r"[^ -~]")
_Instant = Annotated[int, msgspec.Meta(ge=0, le=_LAST)]


class Said(NamedTuple):
    """What one answer announces; instants in Unix seconds, 0 = not told.

    links: (rel, URL without query).  warning: text of a `Warning: 299`.  versions:
    those the third party calls deprecated.  version: the one that answered.
    """

    is_deprecated: bool = False
    deprecated_at: int = 0
    sunset_at: int = 0
    links: tuple[tuple[str, str], ...] = ()
    warning: str = ""
    versions: tuple[str, ...] = ()
    version: str = ""


NOTHING = Said()


def read_said(pairs: Iterable[tuple[bytes, bytes]], version: str = "") -> Said | None:
    """Return what headers announce, None for nothing.

    pairs: those with a name of `ANNOUNCING`, in lower case.  version: the echoed
    one.  What cannot be read is left out.  Sources: RFC 9745, its drafts (`true`,
    HTTP-date), RFC 8594, RFC 8288, RFC 7234 section 5.5.
    """
    said = Said(version=_clean(version)[:64])
    for name, raw in islice(pairs, _MAX_LINES):
        text = raw[:_MAX_HEADER].decode("latin-1").strip()
        if name == b"deprecation" and text.lower() not in ("", "false", "?0"):
            said = said._replace(is_deprecated=True, deprecated_at=_instant(text))
        elif name == b"sunset":
            said = said._replace(sunset_at=_instant(text))
        elif name == b"link":
            said = said._replace(links=(*said.links, *_links(text))[:8])
        elif name == b"warning" and (found := _WARNING.search(text)):
            said = said._replace(warning=_clean(found[1]))
        elif name == b"api-deprecated-versions":
            names = (_clean(part.strip())[:64] for part in text.split(","))
            said = said._replace(versions=tuple(filter(None, names))[:_MAX_VERSIONS])
    return said if said != NOTHING else None


def _instant(text: str) -> int:
    """Return Unix seconds of `@epoch`, an integer, HTTP-date or ISO date; 0 = none."""
    # The offset of an HTTP-date has any number of digits, and a store has 64 bits.
    at = _seconds(text)
    return at if 0 < at <= _LAST else 0


def _seconds(text: str) -> int:
    number = re.match(r"@?([0-9]{1,11})(?:\s*;.*)?$", text)
    if number:
        return int(number[1])
    try:
        if iso := _ISO.fullmatch(text.strip('"')):
            year, month, day, hour, minute, second = (int(p or 0) for p in iso.groups())
            return int(mktime_tz((year, month, day, hour, minute, second, 0, 1, 0, 0)))
        parsed = parsedate_tz(text)
        return int(mktime_tz(parsed)) if parsed else 0
    except (ValueError, OverflowError, TypeError):
        return 0


def _links(text: str) -> list[tuple[str, str]]:
    found = []
    for match in islice(_LINK.finditer(text), _MAX_LINKS):
        url, params = match.groups()
        rel = _REL.search(params)
        words = ((rel[1] or rel[2]) if rel else "").lower().split()
        place = _clean(re.split(r"[?#]", url)[0])  # a query may carry a key
        found += [(word, place) for word in words if word in _RELS]
    return found


def _clean(text: str) -> str:
    return _UNFIT.sub("?", text)[:_MAX_TEXT]


class PeerNote(msgspec.Struct, frozen=True, array_like=True):
    """The lifecycle of one operation of a third party, as it last announced it.

    operation: `METHOD template`, `*` where no contract names one.  Instants in
    Unix seconds, 0 = not told; the rest as in `Said`.  was: the version that
    answered before this one.  first_ms, last_ms: when it was announced.
    """

    v: int = 1
    dependency: str = ""
    operation: str = ""
    is_deprecated: bool = False
    deprecated_at: _Instant = 0
    sunset_at: _Instant = 0
    links: tuple[tuple[str, str], ...] = ()
    warning: str = ""
    versions: tuple[str, ...] = ()
    version: str = ""
    was: str = ""
    first_ms: int = 0
    last_ms: int = 0


def note_id(dependency: str, operation: str) -> str:
    """Return the id under which a note is kept."""
    return f"{dependency}|{operation}"


def read_note(blob: bytes) -> PeerNote | None:
    """Return a stored note, None for one that this release cannot read."""
    try:
        return msgspec.msgpack.decode(blob, type=PeerNote)
    except msgspec.MsgspecError:
        return None


def merged(
    place: tuple[str, str], held: PeerNote | None, said: Said, seen_ms: int
) -> PeerNote:
    """Return the note of (dependency, operation) after an answer.

    What the answer does not say stays: some say it on a few of their answers only.
    """
    if held is None:
        held = PeerNote(1, *place, first_ms=seen_ms)
    told = {name: value for name, value in said._asdict().items() if value}
    if said.version and held.version and said.version != held.version:
        told["was"] = held.version
    return msgspec.structs.replace(held, **told, last_ms=max(seen_ms, held.last_ms))


class Alert(NamedTuple):
    """Something operators are told once in a fleet.

    kind: dependency.deprecated, dependency.sunset or dependency.version.
    """

    kind: str
    dependency: str
    operation: str
    text: str
    mark: str


def alerts_of(held: PeerNote | None, note: PeerNote, now: float) -> list[Alert]:
    """Return what a note tells beyond the held one; now: Unix seconds."""
    place = note.dependency, note.operation
    id_ = note_id(*place)
    found = []
    if held is not None and held.version and held.version != note.version:
        text = f"answers as version {note.version}, before {held.version}"
        mark = f"{id_}|version|{note.version}"
        found.append(Alert("dependency.version", *place, text, mark))
    if note.is_deprecated and not (held is not None and held.is_deprecated):
        mark = f"{id_}|deprecated|{note.deprecated_at}"
        text = "is announced as deprecated"
        found.append(Alert("dependency.deprecated", *place, text, mark))
    days = (note.sunset_at - now) / _DAY_S
    crossed = [bound for bound in ALERT_DAYS if days <= bound]
    if note.sunset_at and crossed:
        text = f"ends in {days:.1f} days" if days > 0 else "has passed its sunset"
        mark = f"{id_}|sunset|{note.sunset_at}|{crossed[-1]}"
        found.append(Alert("dependency.sunset", *place, text, mark))
    return found
