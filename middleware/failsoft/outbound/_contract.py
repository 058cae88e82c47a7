"""What a third party declares: operations by host and path, answers by status.

Leaves to others where it comes from, and when a schema is compiled.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import replace
from typing import Literal, NamedTuple

from failsoft.routes.trie import Entry, Guard, Trie
from failsoft.shapes.findings import Finding
from failsoft.shapes.gate import Gate, GateBook, compile_gate
from failsoft.shapes.graph import Node
from failsoft.shapes.walk import walk

__all__ = [
    "Answer",
    "Contract",
    "Operation",
    "Place",
    "Shape",
    "has_body",
    "is_json",
    "order_of",
]

_PARAM = re.compile(r"{[^{}/]*}")
_NO_BODY = frozenset((204, 205, 304))


def is_json(media_type: str) -> bool:
    """Whether bodies of a media type, in lower case, are JSON."""
    return media_type == "application/json" or media_type.endswith("+json")


class Shape:
    """The schema of one body.  Compiled in one thread, read from any.

    make: gives the node; called once, at the first use.  book: what the gates of a
    contract share.  is_model: the application reads the body by this schema, so
    what it takes in another type is only `coerced`.
    """

    __slots__ = ("_book", "_is_model", "_make", "gate", "node")

    def __init__(
        self, make: Callable[[], Node], book: GateBook, *, is_model: bool = False
    ) -> None:
        self._make = make
        self._book = book
        self._is_model = is_model
        self.node: Node | None = None
        self.gate: Gate | None = None

    def compile(self) -> None:
        """Make node and gate, unless they are there."""
        if self.gate is None:
            self.node = self._make()
            self.gate = compile_gate(self.node, book=self._book)

    def is_certain(self, body: bytes) -> bool | None:
        """Whether the gate certifies a body; None if it could not see all of it."""
        if self.gate is None or not self.gate.passes(body):
            return False
        return None if self.gate.is_partial else True

    def differences(self, body: bytes) -> tuple[Finding, ...]:
        """Return what is different in a body."""
        found = () if self.node is None else walk(self.node, body).findings
        return found if self._is_model else tuple(_of_document(found))


def _of_document(found: Iterable[Finding]) -> Iterator[Finding]:
    """Yield findings as a document means them: nobody says what readers take."""
    for one in found:
        if one.kind != "coerced":
            yield one
        elif one.got != "float" or "integer" not in one.expected.split("|"):
            # But 1.0 is an integer there.
            yield replace(one, kind="type")


class Answer(NamedTuple):
    """What is declared for one status.  shapes: by media type; None = any body."""

    shapes: Mapping[str, Shape | None]

    def shape(self, media_type: str) -> Shape | Literal["undeclared"] | None:
        """Return the shape for a media type, by its ranges if need be."""
        if media_type in self.shapes:
            return self.shapes[media_type]
        for name in (f"{media_type.partition('/')[0]}/*", "*/*"):
            if name in self.shapes:
                return self.shapes[name]
        return "undeclared" if self.shapes else None


class Operation(NamedTuple):
    """One operation.  label: `METHOD template`.

    answers: by `200`, `2XX` or `default`.  is_whole: no other status is to come.
    """

    label: str
    answers: Mapping[str, Answer]
    is_whole: bool = True

    def answer(self, status: int) -> Answer | None:
        """Return what is declared for a status, None for nothing."""
        exact = self.answers.get(str(status))
        if exact is not None:
            return exact
        return self.answers.get(f"{status // 100}XX") or self.answers.get("default")

    def status_findings(self, status: int) -> tuple[Finding, ...]:
        """Return a finding for a status that is not declared."""
        # 1xx and 304 belong to HTTP: nobody declares them.
        if not self.is_whole or status == 304 or status < 200:
            return ()
        return (Finding("", "status", "|".join(self.answers)[:200], str(status)),)


class Place(NamedTuple):
    """Where an operation answers.  host: pattern of `name` or `name:port`, None = any.

    path: template below that host, with the server's own path.
    """

    host: str | None
    method: str
    path: str
    operation: Operation


class Contract:
    """All operations of one third party; `find` is cheap enough for each call."""

    __slots__ = ("_operations", "_trie")

    def __init__(self, places: Iterable[Place] = ()) -> None:
        self._operations: list[Operation | None] = [None]
        self._trie = Trie()
        entries: dict[tuple[str | None, str], dict[str, int]] = {}
        for place in sorted(places, key=lambda each: order_of(each.path)):
            plans = entries.setdefault((place.host, place.path), {})
            plans.setdefault(place.method, len(self._operations))
            self._operations.append(place.operation)
        guards = {host: _guard(host) for host, _ in entries}
        for order, ((host, path), plans) in enumerate(entries.items()):
            entry = Entry(order, plans, guards[host])
            self._trie.add(_PARAM.sub("{p}", path), entry, None)
        self._trie.freeze()

    def __len__(self) -> int:
        """Return how many operations there are."""
        return len(self._operations) - 1

    def find(self, method: str, host: str, path: str) -> Operation | None:
        """Return the operation of a call.

        host: `name` or `name:port`.  path: as on the wire, without its query.
        """
        return self._operations[self._trie.find(method, path, {"host": host})]


def order_of(path: str) -> tuple[int, ...]:
    """Return what sorts concrete paths before templated ones, as OpenAPI wants it."""
    return tuple(
        (2 if _PARAM.fullmatch(part) else 1) if "{" in part else 0
        for part in path.split("/")
    )


def _guard(pattern: str | None) -> Guard | None:
    if pattern is None:
        return None
    regex = re.compile(pattern, re.IGNORECASE)
    return lambda scope: regex.fullmatch(scope["host"]) is not None


def has_body(method: str, status: int) -> bool:
    """Whether HTTP lets an answer have a body."""
    return method != "HEAD" and status >= 200 and status not in _NO_BODY
