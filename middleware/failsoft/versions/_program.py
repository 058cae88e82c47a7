"""A chain for one body: its parts in order, run over bytes.

Never raises, whatever the bytes: what cannot be migrated comes back as a `Failure`,
in the client's terms and without any value.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from msgspec import Raw, Struct

from failsoft.shapes.findings import Finding
from failsoft.shapes.rawjson import (
    UNREADABLE,
    close,
    open_list,
    open_object,
    read,
    scalar,
)
from failsoft.versions._paths import (
    Blocked,
    Filled,
    Tokens,
    Way,
    pointer_of,
    tokens_of,
)
from failsoft.versions._steps import Trace
from failsoft.versions._swift import swift_of
from failsoft.versions._values import Unfit
from failsoft.versions._visit import Visit

__all__ = ["Failure", "Migrated", "Migration", "Program", "Stage"]

_POINTERS = ("path", "from")
# Types take a millisecond to make: only for chains that many bodies go through.
_SWIFT_AFTER = 50


@dataclass(frozen=True, slots=True)
class Failure:
    """Why a body could not be migrated, in the client's terms.

    slug: request-not-migratable, patch-not-translatable or migration-failed.
    pointer: where, `/items/0/qty`, "" for the whole body.  kind: of KINDS.
    detail: one sentence, never a value.
    """

    slug: str
    pointer: str
    kind: str
    detail: str


# A Struct: made for each body, and a frozen dataclass takes 0.7 us to make.
class Migrated(Struct, frozen=True, gc=False):
    """What a migration made.

    body: the bytes to go on with; the original ones if `failure` is set.
    findings: keys that were dropped, as the version does not know them.
    """

    body: bytes
    findings: tuple[Finding, ...] = ()
    failure: Failure | None = None


# Takes the body and its kind: "json", "merge" (PATCH, merge-patch+json) or "patch"
# (json-patch+json).
Migration = Callable[[bytes, str], Migrated]


@dataclass(frozen=True, slots=True)
class Stage:
    """One part of a chain.  visit: None if only an envelope is put on or off.

    envelope: key the whole body goes below on the way up, "" for none.
    """

    visit: Visit | None
    way: Way
    envelope: str = ""

    def up(self, value: Any, trace: Trace) -> Any:
        """Return the value one part newer."""
        if self.visit is not None:
            value = self.visit(value, trace)
        if self.envelope:
            trace.has_changed = True
            return {self.envelope: value}
        return value

    def down(self, value: Any, trace: Trace) -> Any:
        """Return the value one part older."""
        if self.envelope:
            members = open_object(value)
            if members is None or self.envelope not in members:
                raise Unfit("missing", f"must have the key {self.envelope}")
            trace.has_changed = True
            value = members[self.envelope]
        return value if self.visit is None else self.visit(value, trace)

    def back(self, path: Tokens) -> Tokens:
        """Return a place as the older side has it; raises Filled."""
        if self.envelope and path[:1] == (self.envelope,):
            path = path[1:]
        return self.way.back(path)

    def forward(self, path: Tokens) -> tuple[Tokens, bool]:
        """Return a place as the newer side has it, and whether ops reach into it."""
        path, is_touched = self.way.forward(path)
        return ((self.envelope, *path) if self.envelope else path), is_touched


# What a JSON text may begin with (RFC 8259, 2).
_STARTS = frozenset(bytes((start,)) for start in b'{["-0123456789tfn')


class Program:
    """Runs the parts, ascending for `up`, the same in descending order for `down`."""

    __slots__ = ("_is_up", "_left", "_runs", "_stages", "_swift")

    def __init__(self, stages: Sequence[Stage], *, is_up: bool) -> None:
        self._stages = tuple(stages)
        self._is_up = is_up
        runs = [stage.up if is_up else stage.down for stage in stages]
        self._runs = tuple(runs if is_up else reversed(runs))
        self._left = _SWIFT_AFTER
        self._swift: Callable[[bytes], bytes | None] | None = None

    def __call__(self, body: bytes, kind: str = "json") -> Migrated:
        """Migrate a body; kind: json, merge or patch."""
        if kind == "json" and (made := self._quick(body)) is not None:
            return Migrated(made)
        first = body.lstrip()[:1]
        if not first:
            return Migrated(body)
        trace = Trace(kind == "merge")
        at = 0
        try:
            if kind == "patch" and self._is_up:
                return Migrated(self._pointers(body))
            if self._is_up and first not in _STARTS:
                raise ValueError  # BOM or UTF-16, which the application may well read
            value: Any = Raw(body)
            if first not in b"{[":
                # A scalar, or what only other parsers read, such as a BOM: those
                # would take a body that nobody migrated.
                read(value)
            for run in self._runs:
                value = run(value, trace)
                at += 1
            made = close(value) if trace.has_changed else body
            return Migrated(made, trace.findings())
        except Unfit as unfit:
            return Migrated(body, failure=self._failure(unfit, at))
        except UNREADABLE as error:
            return Migrated(body, failure=self._unreadable(error))

    def _quick(self, body: bytes) -> bytes | None:
        if self._swift is not None:
            return self._swift(body)
        self._left -= 1
        if self._left == 0 and len(self._stages) == 1:
            (stage,) = self._stages
            if stage.visit is not None and not stage.envelope:
                self._swift = swift_of(stage.visit, stage.way.root)
        return None

    def back(self, path: Tokens) -> Tokens | None:
        """Return a place of the newest side as the oldest has it; None: not there."""
        try:
            for stage in reversed(self._stages):
                path = stage.back(path)
        except Filled:
            return None
        return path

    def _failure(self, unfit: Unfit, at: int) -> Failure:
        path: Tokens = tuple(reversed(unfit.tokens))
        if self._is_up and unfit.slug != "patch-not-translatable":
            path = self._older(path, at)
        slug = unfit.slug if self._is_up else "migration-failed"
        return Failure(slug, pointer_of(path), unfit.kind, unfit.detail)

    def _older(self, path: Tokens, at: int) -> Tokens:
        try:
            for stage in reversed(self._stages[: at + 1]):
                path = stage.back(path)
        except Filled:
            return ()
        return path

    def _unreadable(self, error: BaseException) -> Failure:
        slug = "request-not-migratable" if self._is_up else "migration-failed"
        if isinstance(error, RecursionError):
            return Failure(slug, "", "too_deep", "The body nests too deeply.")
        if isinstance(error, UnicodeError):
            return Failure(slug, "", "encoding", "The body is not UTF-8.")
        return Failure(slug, "", "not_json", "The body is not valid JSON.")

    # --- JSON Patch (RFC 6902) -------------------------------------------------------

    def _pointers(self, body: bytes) -> bytes:
        items = open_list(Raw(body))
        if items is None:
            return body
        has_changed = False
        for index, item in enumerate(items):
            members = open_object(item)
            if members is not None and self._repoint(members, index):
                items[index] = members
                has_changed = True
        return close(items) if has_changed else body

    def _repoint(self, members: dict[str, Any], index: int) -> bool:
        has_changed = False
        for key in _POINTERS:
            pointer = scalar(members.get(key))
            if type(pointer) is not str or pointer[:1] not in ("", "/"):
                continue
            moved = self._moved(pointer, index, key)
            if moved != pointer:
                members[key] = moved
                has_changed = True
        return has_changed

    def _moved(self, pointer: str, index: int, key: str) -> str:
        path = tokens_of(pointer)
        is_touched = False
        try:
            for stage in self._stages:
                path, reaches = stage.forward(path)
                is_touched = is_touched or reaches
        except Blocked:
            is_touched = True
        if is_touched:
            unfit = Unfit("type", "more than the name of this place has changed")
            unfit.slug = "patch-not-translatable"
            unfit.tokens += [key, index]
            raise unfit
        return pointer_of(path)
