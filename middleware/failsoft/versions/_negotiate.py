"""Which version a request asks for: every source is read, and all must agree.

Pure: the instant is passed in.  What follows from a choice is decided elsewhere.
"""

from __future__ import annotations

import re
from bisect import bisect_right
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from typing import Any
from urllib.parse import unquote_plus

from failsoft.versions._model import (
    Contract,
    Header,
    MediaTypeParam,
    PathPrefix,
    Query,
)
from failsoft.versions._windows import date_s

__all__ = ["Choice", "Negotiation", "VersionIds", "read_id"]

_MEMO = 1024
_LENGTH = 64
_MOST_ACCEPTED_BYTES = 2_048
_DAY_S = 86_400
ALWAYS = float("-inf")

_DATED = re.compile(r"(\d{4}-\d{2}-\d{2})(?:\.([A-Za-z0-9_-]{1,53}))?", re.ASCII)
_NUMBERED = re.compile(r"v?(\d{1,9})(?:\.(\d{1,9}))?", re.ASCII)
# After every name that one date may have: a bare date means the last of that day.
_LAST = "\x7f"

_ACCEPT = b"accept"

_Key = tuple[Any, Any]
Now = Callable[[], float]  # Unix seconds


@dataclass(frozen=True, slots=True)
class Choice:
    """What one value asks for, or what all of them together do.

    version: a declared id, "" with a `slug`: why it cannot be served (version-invalid
    -unknown -retired -conflict).  requested: the value as sent, 64 characters at
    most.  since_s: Unix second from which the answer holds; unknown before.
    sources: where it stood, such as `header X-API-Version`.
    """

    version: str = ""
    slug: str = ""
    requested: str = ""
    since_s: float = ALWAYS
    sources: tuple[str, ...] = ()


def read_id(scheme: str, text: str) -> _Key | None:
    """Return what orders an id or a value of a scheme, None for what is neither.

    date: (date, name or "").  number: (major, minor or 0).
    """
    if len(text) > _LENGTH or not text.isascii():
        return None
    found = (_DATED if scheme == "date" else _NUMBERED).fullmatch(text)
    if found is None:
        return None
    first, second = found.groups()
    if scheme != "date":
        return int(first), int(second or 0)
    try:
        date_s(first)
    except ValueError:
        return None
    return first, second or ""


class VersionIds:
    """The declared ids, ascending, and which of them a value means.

    Raises ValueError on an id that the scheme cannot read.
    """

    def __init__(self, contract: Contract) -> None:
        self.ids = tuple(version.id for version in contract.versions)
        self._scheme = contract.scheme
        self._is_nearest = contract.match == "nearest"
        self._keys = [self._declared(one) for one in self.ids]
        self._by_key = dict(zip(self._keys, self.ids, strict=True))
        self._by_major = {str(key[0]): one for key, one in self._by_key.items()}
        self._memo: dict[str, Choice] = {}

    def _declared(self, text: str) -> _Key:
        key = read_id(self._scheme, text)
        if key is None:
            raise ValueError(f"version {text!r} is no {self._scheme}")
        return key

    def find(self, text: str) -> Choice:
        """Return what a value asks for; 1,024 answers are remembered."""
        if len(text) > _LENGTH:
            return self._find(text)
        found = self._memo.get(text)
        if found is None:
            if len(self._memo) >= _MEMO:
                self._memo.clear()
            found = self._memo[text] = self._find(text)
        return found

    def _find(self, text: str) -> Choice:
        requested = text[:_LENGTH]
        key = read_id(self._scheme, text)
        if key is None:
            return Choice(slug="version-invalid", requested=requested)
        if self._is_nearest and self._scheme == "number" and "." not in text:
            matched = self._by_major.get(str(key[0]))
        else:
            matched = self._by_key.get(key)
        if matched is not None:
            return Choice(matched, requested=requested)
        if key < self._keys[0]:
            return Choice(slug="version-retired", requested=requested)
        if not self._is_nearest or self._scheme == "number":
            return Choice(slug="version-unknown", requested=requested)
        newest = bisect_right(self._keys, (key[0], key[1] or _LAST)) - 1
        # What a later date means would change with the next release.
        since_s = date_s(key[0]) - _DAY_S
        return Choice(self.ids[newest], requested=requested, since_s=since_s)


class Negotiation:
    """Reads the sources of one contract; `ids` are its versions.

    prefixes: sources in the path, which `in_path` reads.  vary: names of request
    headers on which the version depends.
    """

    def __init__(self, contract: Contract) -> None:
        self.ids = VersionIds(contract)
        self.prefixes = tuple(s for s in contract.read if isinstance(s, PathPrefix))
        headers = [
            source.name for source in contract.read if isinstance(source, Header)
        ]
        params = [s.name for s in contract.read if isinstance(s, MediaTypeParam)]
        self.vary = (*headers, "Accept") if params else tuple(headers)
        self._params = tuple(name.lower() for name in params)
        self._labels = {name.lower().encode(): f"header {name}" for name in headers}
        if params:
            self._labels.setdefault(_ACCEPT, "")
        self._queries = {
            source.name: f"query {source.name}"
            for source in contract.read
            if isinstance(source, Query)
        }
        self._accepted: dict[bytes, list[str]] = {}

    def in_path(self, path: str) -> tuple[Choice, str, PathPrefix] | None:
        """Return (choice, prefix, source) of a path `/v2/orders`, None without one.

        What no declared version is meant by is just a path.  prefix: `/v2`.
        """
        segment = path[1:].partition("/")[0]
        for source in self.prefixes:
            if segment.startswith(source.prefix):
                choice = self.ids.find(segment[len(source.prefix) :])
                if choice.version:
                    return choice, "/" + segment, source
        return None

    def choose(self, scope: Any, in_path: Choice | None, now_s: Now) -> Choice | None:
        """Return what all sources together ask for, None if none of them does."""
        labels = self._labels
        raw = [(name, v) for name, v in scope["headers"] if name in labels]
        if len(raw) == 1 and in_path is None and not self._params and not self._queries:
            choice = self.ids.find(raw[0][1].decode("latin-1"))
            if not choice.slug and self._holds(choice, now_s):
                return choice
        elif not raw and not self._queries:
            return in_path
        asked = [*self._texts(raw), *self._in_query(scope)]
        if not asked:
            return in_path
        return self._agreed(asked, in_path, now_s)

    @staticmethod
    def _holds(choice: Choice, now_s: Now) -> bool:
        """Whether what a value means is known already."""
        return choice.since_s == ALWAYS or choice.since_s <= now_s()

    def _agreed(
        self, asked: list[tuple[str, str]], in_path: Choice | None, now_s: Now
    ) -> Choice:
        found = [("path", in_path)] if in_path is not None else []
        for source, text in asked:
            choice = self.ids.find(text)
            if choice.slug:
                return replace(choice, sources=(source,))
            if not self._holds(choice, now_s):
                slug, text = "version-unknown", choice.requested
                return Choice(slug=slug, requested=text, sources=(source,))
            found.append((source, choice))
        first_source, first = found[0]
        for source, choice in found[1:]:
            if choice.version != first.version:
                return Choice(
                    slug="version-conflict",
                    requested=f"{first.requested}, {choice.requested}",
                    sources=(first_source, source),
                )
        return first

    def _texts(self, raw: list[tuple[bytes, bytes]]) -> Iterator[tuple[str, str]]:
        for name, value in raw:
            if label := self._labels[name]:
                yield label, value.decode("latin-1")
            if name == _ACCEPT:
                for text in self._of_accept(value):
                    yield "Accept", text

    def _of_accept(self, value: bytes) -> list[str]:
        if len(value) > _MOST_ACCEPTED_BYTES:
            # No version is that long: refused, not read for milliseconds nor kept.
            return [value[:_LENGTH].decode("latin-1")]
        found = self._accepted.get(value)
        if found is None:
            if len(self._accepted) >= _MEMO:
                self._accepted.clear()
            ranges = value.decode("latin-1").split(",")
            found = self._accepted[value] = _preferred(ranges, self._params)
        return found

    def _in_query(self, scope: Any) -> Iterator[tuple[str, str]]:
        if not self._queries:
            return
        for part in scope["query_string"].decode("latin-1").split("&"):
            name, equals, text = part.partition("=")
            if equals and (label := self._queries.get(unquote_plus(name))):
                yield label, unquote_plus(text)


def _preferred(ranges: list[str], names: tuple[str, ...]) -> list[str]:
    """Return the parameters of the media ranges a client likes best of those."""
    best, found = 0.0, []
    for text in ranges:
        params = [part.partition("=") for part in text.split(";")[1:]]
        held = {name.strip().lower(): value.strip(' \t"') for name, _, value in params}
        values = [held[name] for name in names if name in held]
        quality = _quality(held.get("q", "1")) if values else 0.0
        if quality > best:
            best, found = quality, values
        elif quality == best > 0:
            found += values
    return found


def _quality(text: str) -> float:
    return float(text) if re.fullmatch(r"[01](\.\d{0,3})?", text, re.ASCII) else 0.0
