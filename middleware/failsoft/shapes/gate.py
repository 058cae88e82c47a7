"""A node graph as one strict msgspec type: certify a body without walking it.

What passes is right in types and names; lengths, ranges and patterns are for the
application to judge.  Measured: a third of what json.loads alone costs.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator
from datetime import date, datetime, time
from typing import Any, Literal, Union
from uuid import UUID

import msgspec

from failsoft.shapes.graph import Node, Prop

__all__ = ["NATIVE", "Gate", "GateBook", "compile_gate"]

NATIVE = {"date-time": datetime, "date": date, "time": time, "uuid": UUID}

_REFUSED = (msgspec.MsgspecError, RecursionError, ValueError)
# msgspec cannot rename a field to these.
_UNWRITABLE = re.compile(r'["\\\x00-\x1f]')
_OBJECT = dict[str, msgspec.Raw]
_ARRAY = list[msgspec.Raw]


class Gate:
    """Judges whole bodies of one schema; safe from any thread.

    is_partial: some places were too loose for a strict type (the application's own
    code, unions told apart by nothing, alternative names): what passes there is
    only known to be JSON, or an object, or an array.  A key that stands twice is
    never seen.
    """

    __slots__ = ("_decode", "_is_null_fine", "is_partial")

    def __init__(
        self, decode: Callable[[bytes], Any], is_null_fine: bool, is_partial: bool
    ) -> None:
        self._decode = decode
        self._is_null_fine = is_null_fine
        self.is_partial = is_partial

    def passes(self, body: bytes) -> bool:
        """Tell whether a body is certified; never raises.  No body counts as null."""
        try:
            self._decode(body)
            # Text that is skipped is not decoded: broken UTF-8 would go unseen.
            return body.isascii() or bool(body.decode())
        except _REFUSED:
            return not body and self._is_null_fine


def compile_gate(
    node: Node, *, is_patch: bool = False, book: GateBook | None = None
) -> Gate:
    """Compile the gate of one body.

    is_patch: of a PATCH or merge patch: nothing is required, all may be null.
    book: shares what several gates have in common, as one process's gates do.
    """
    return (GateBook() if book is None else book).compile(node, is_patch=is_patch)


class GateBook:
    """Types of nodes, made once for all gates.  Not safe from two threads at once."""

    __slots__ = ("_busy", "_clean", "_kept", "_partial", "_structs", "_todo", "_types")

    def __init__(self) -> None:
        self._types: dict[tuple[int, bool], Any] = {}
        self._structs: dict[tuple[int, bool, str | None], type[msgspec.Struct]] = {}
        self._todo: list[tuple[type[msgspec.Struct], list[tuple[Prop, bool]]]] = []
        self._busy: set[tuple[int, bool]] = set()
        self._partial: set[tuple[int, bool]] = set()
        self._clean: set[tuple[int, bool]] = set()
        self._kept: list[Node] = []  # so that ids stay theirs

    def compile(self, node: Node, *, is_patch: bool = False) -> Gate:
        """Return the gate of a node; see `compile_gate`."""
        self._kept.append(node)
        kind = self._type(node, is_patch)
        while self._todo:
            struct, fields = self._todo.pop()
            # A class that does not exist yet cannot be named in `defstruct`: types
            # are filled in here; msgspec first reads them in `Decoder`.
            struct.__annotations__ = {
                f"f{at}": self._field(prop, is_patch)
                for at, (prop, is_patch) in enumerate(fields)
            }
        is_partial = self._leads_to_partial(node, is_patch)
        decode = msgspec.json.Decoder(kind).decode
        return Gate(decode, "null" in node.types, is_partial)

    def _leads_to_partial(self, node: Node, is_patch: bool) -> bool:
        # Operations of one document share most of their nodes: what was found
        # clean once is not walked again.
        seen: set[tuple[int, bool]] = set()
        todo = [node]
        while todo:
            each = todo.pop()
            key = (id(each), is_patch)
            if key in self._partial:
                return True
            if key not in seen and key not in self._clean:
                seen.add(key)
                todo += each.below()
        self._clean |= seen
        return False

    def _field(self, prop: Prop, is_patch: bool) -> Any:
        kind = self._type(prop.node, is_patch)
        if not is_patch or kind is msgspec.Raw:
            return kind
        return Union[kind, None]  # noqa: UP007 - kind may be a Literal

    def _type(self, node: Node, is_patch: bool) -> Any:
        key = (id(node), is_patch)
        if key not in self._types:
            if key in self._busy:  # arrays of themselves: no struct breaks the cycle
                self._partial.add(key)
                return msgspec.Raw
            self._busy.add(key)
            self._types[key] = self._make(node, is_patch)
            self._busy.discard(key)
        return self._types[key]

    def _make(self, node: Node, is_patch: bool) -> Any:
        leaves = node.leaves()
        if any(leaf.is_opaque for leaf in leaves):
            self._partial.add((id(node), is_patch))
            return msgspec.Raw
        if any(not leaf.types and not leaf.branches for leaf in leaves):
            return msgspec.Raw
        maker = _Maker(self, node, is_patch, leaves)
        kinds = maker.kinds()
        if maker.is_partial:
            self._partial.add((id(node), is_patch))
        if not kinds:
            return msgspec.Raw
        return Union[tuple(kinds)]  # noqa: UP007 - of as many as there are

    def struct(
        self, node: Node, is_patch: bool, tag: tuple[str, str] | None = None
    ) -> Any:
        """Return the type of an object; tag: the property that a union reads."""
        key = (id(node), is_patch, tag[1] if tag else None)
        if key not in self._structs:
            fields = list(_fields(node, is_patch, tag[0] if tag else None))
            struct = msgspec.defstruct(
                f"S{len(self._structs)}",
                [
                    f"f{at}" if needed else (f"f{at}", Any, None)
                    for at, (_, _, needed) in enumerate(fields)
                ],
                rename={f"f{at}": name for at, (name, _, _) in enumerate(fields)},
                forbid_unknown_fields=node.extra is None,
                kw_only=True,
                gc=False,
                tag_field=tag[0] if tag else None,
                tag=tag[1] if tag else None,
            )
            self._structs[key] = struct
            self._todo.append((struct, [(prop, is_patch) for _, prop, _ in fields]))
        return self._structs[key]


def _fields(
    node: Node, is_patch: bool, but: str | None
) -> Iterator[tuple[str, Prop, bool]]:
    for name, prop in node.properties.items():
        if name != but:
            yield name, prop, prop.required and not is_patch and not prop.aliases
        for alias in prop.aliases:
            if alias not in node.properties:
                yield alias, prop, False


class _Maker:
    """Works out the members of one node's union: at most one of each kind."""

    def __init__(
        self, book: GateBook, node: Node, is_patch: bool, leaves: list[Node]
    ) -> None:
        self._book = book
        self._node = node
        self._is_patch = is_patch
        self._leaves = leaves
        self.is_partial = False

    def kinds(self) -> list[Any]:
        kinds: list[Any] = []
        tokens: list[str | int] = []
        for make in (self._strings, self._numbers):
            made = make()
            if isinstance(made, tuple):
                tokens += made
            elif made is not None:
                kinds.append(made)
        if tokens:
            kinds.append(Literal[tuple(tokens)])
        if self._of("boolean"):
            kinds.append(bool)
            self.is_partial |= any(leaf.members for leaf in self._of("boolean"))
        kinds += self._arrays()
        kinds += self._objects()
        is_null_fine = any("null" in leaf.types for leaf in self._leaves)
        if is_null_fine or "null" in self._node.types:
            kinds.append(None)
        return kinds

    def _of(self, *kinds: str) -> list[Node]:
        return [leaf for leaf in self._leaves if leaf.types.intersection(kinds)]

    def _coarse(self, kind: Any) -> Any:
        self.is_partial = True
        return kind

    def _strings(self) -> Any:
        """Return a type, or the words of an enum, or None."""
        leaves = self._of("string")
        if not leaves:
            return None
        words = _members(leaves, str)
        if words is not None:
            return words
        formats = {"" if leaf.members else leaf.format for leaf in leaves}
        if any(leaf.members is None and leaf.format not in NATIVE for leaf in leaves):
            return str
        if len(formats) == 1 and not any(leaf.members for leaf in leaves):
            return NATIVE[formats.pop()]
        return self._coarse(str)

    def _numbers(self) -> Any:
        leaves = self._of("integer", "number")
        if not leaves:
            return None
        is_float = any("number" in leaf.types for leaf in leaves)
        numbers = None if is_float else _members(leaves, int)
        if numbers is not None and all(-(2**63) <= n < 2**63 for n in numbers):
            return numbers
        plain = float if is_float else int
        wanted = "number" if is_float else "integer"
        if any(leaf.members is None and wanted in leaf.types for leaf in leaves):
            return plain
        return self._coarse(plain)

    def _arrays(self) -> Iterable[Any]:
        leaves = self._of("array")
        if len(leaves) > 1 or any(leaf.members for leaf in leaves):
            yield self._coarse(_ARRAY)
        elif leaves and leaves[0].items is not None:
            yield list[self._book._type(leaves[0].items, self._is_patch)]  # type: ignore[misc]
        elif leaves:
            yield _ARRAY

    def _objects(self) -> Iterable[Any]:
        leaves = self._of("object")
        if len(leaves) > 1:
            yield from self._tagged(leaves)
        elif leaves:
            yield self._object(leaves[0])

    def _object(self, leaf: Node) -> Any:
        if leaf.members or any(map(_UNWRITABLE.search, _names(leaf))):
            return self._coarse(_OBJECT)
        if not leaf.properties and isinstance(leaf.extra, Node):
            return dict[str, self._book._type(leaf.extra, self._is_patch)]  # type: ignore[misc]
        if not leaf.properties and leaf.extra is True:
            return _OBJECT
        if isinstance(leaf.extra, Node) or any(
            prop.aliases for prop in leaf.properties.values()
        ):
            self.is_partial = True
        return self._book.struct(leaf, self._is_patch)

    def _tagged(self, leaves: list[Node]) -> Iterable[Any]:
        """Yield a struct for each value of the property that tells them apart."""
        tag = None if self._is_patch else self._node.tag
        if tag is None or {id(n) for n in tag[1].values()} != {id(n) for n in leaves}:
            yield self._coarse(_OBJECT)
            return
        name, by_value = tag
        if not all(_is_taggable(leaf, name) for leaf in leaves):
            yield self._coarse(_OBJECT)
            return
        for value, leaf in by_value.items():
            self._object(leaf)  # for what is partial about it
            yield self._book.struct(leaf, self._is_patch, (name, value))


def _is_taggable(leaf: Node, name: str) -> bool:
    prop = leaf.properties.get(name)
    if prop is None or prop.aliases or any(map(_UNWRITABLE.search, _names(leaf))):
        return False
    return prop.node.types == {"string"} and leaf.members is None


def _names(leaf: Node) -> Iterator[str]:
    for name, prop in leaf.properties.items():
        yield name
        yield from prop.aliases


def _members(leaves: list[Node], kind: type) -> tuple[Any, ...] | None:
    """Return the members of one type, None if a leaf is no enum."""
    if any(leaf.members is None for leaf in leaves):
        return None
    members = [each for leaf in leaves for each in leaf.members or ()]
    return tuple(dict.fromkeys(each for each in members if type(each) is kind)) or None
