"""Named repairs of a body that differs from its schema; what they never do.

A repair changes what its path names, and where the schema asks for it; all else
keeps its bytes.  Whether the result fits is for the gate to say, not for this module.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any

from msgspec import Raw

from failsoft.shapes.graph import Node
from failsoft.shapes.rawjson import (
    UNREADABLE,
    close,
    open_list,
    open_object,
    read,
    text_of,
    write,
)

__all__ = ["REPAIRS", "Allowed", "Repaired", "nodes_at", "repair", "unusable"]

# In the order in which they are made at one place: names, then presence, then values.
REPAIRS = (
    "alias",
    "casefold",
    "number_to_string",
    "string_to_number",
    "null_as_missing",
    "default",
    "enum_fallback",
    "wrap_array",
    "drop_unknown",
)
_ORDER = (
    *("alias", "casefold", "drop_unknown", "null_as_missing", "default"),
    *("number_to_string", "string_to_number", "enum_fallback", "wrap_array"),
)
# What a partial update leaves out, or sets to null, it means.
_NOT_ON_PATCH = ("null_as_missing", "default")
_MOST_NODES = 20_000
_MOST_DEPTH = 64
_ITEMS, _ANY_KEY = "*", "{*}"

_NUMBER = re.compile(r"-?(?:0|[1-9][0-9]*)(?:\.[0-9]+)?(?:[eE][+-]?[0-9]+)?")
_STROKES = str.maketrans("", "", "_-")


@dataclass(frozen=True, slots=True)
class Allowed:
    """One repair that may be made.

    name: of the tolerance.  path: `/items/*/qty` in schema terms, of the value the
    model wants; for drop_unknown of an object, or of one key in it.  value: of alias
    the client's key, of default the value, of enum_fallback the declared member.
    """

    name: str
    path: str
    kind: str
    value: Any = None


@dataclass(slots=True)
class Repaired:
    """What came of it.

    body: the new bytes, None where nothing was done.  counts: tolerance -> places
    it repaired.  ambiguous: paths where a repair had two candidates, and was not
    made.
    """

    body: bytes | None = None
    counts: dict[str, int] = field(default_factory=dict)
    ambiguous: set[str] = field(default_factory=set)


def repair(
    node: Node, body: bytes, allowed: Iterable[Allowed], *, is_patch: bool = False
) -> Repaired:
    """Make the allowed repairs; never raises.

    What cannot be read (BOM, UTF-16, NaN, lone surrogates) or nests deeper than 64
    is left alone, and so is a body once 20,000 places were visited.  O(size).
    """
    work = _Work(is_patch)
    ordered = sorted(allowed, key=lambda one: _ORDER.index(one.kind))
    tree: Any = Raw(body)
    try:
        for one in ordered:
            if not (is_patch and one.kind in _NOT_ON_PATCH):
                tree = work.apply(one, node, tree)
        if work.found.counts:
            work.found.body = close(tree)
    except (*UNREADABLE, _TooMuch):
        return Repaired()
    return work.found


def unusable(node: Node, one: Allowed) -> str:
    """Return why a repair can never be made on bodies of a schema, "" if it can."""
    ends = _ends(node, _names(one.path))
    if not ends:
        return f"path {one.path!r} is not in the schema"
    if one.kind == "enum_fallback":
        known = [member for end in ends for member in end.members or ()]
        if not any(_is_same(one.value, member) for member in known):
            return f"to = {one.value!r} is not a member of the enum at {one.path!r}"
    if one.kind == "wrap_array" and not any("array" in end.types for end in ends):
        return f"{one.path!r} is no list"
    needs_key = one.kind in ("alias", "casefold", "null_as_missing", "default")
    if needs_key and (not one.path or one.path.endswith((_ITEMS, _ANY_KEY))):
        return f"{one.kind} needs the path of a key, {one.path!r} is none"
    return ""


class _TooMuch(Exception):
    """The body has more places than a repair may visit."""


class _Work:
    """The repairs of one body.  Trees are opened only where a path leads."""

    def __init__(self, is_patch: bool) -> None:
        self.found = Repaired()
        self._left = _MOST_NODES
        self._is_patch = is_patch

    def apply(self, one: Allowed, node: Node, tree: Any) -> Any:
        """Make one repair wherever its path leads."""
        names = _names(one.path)
        if len(names) > _MOST_DEPTH:
            return tree
        if one.kind == "drop_unknown" and _is_closed(node, one.path):
            return self._each(tree, node, names, lambda n, t: self._drop(one, n, t, ""))
        if not names:
            return self._value(one, node, tree)
        last = names[-1]
        if last in (_ITEMS, _ANY_KEY):
            return self._each(tree, node, names, lambda n, t: self._value(one, n, t))
        return self._each(
            tree, node, names[:-1], lambda n, t: self._member(one, n, t, last)
        )

    def _each(
        self,
        tree: Any,
        node: Node,
        names: Sequence[str],
        work: Callable[[Node, Any], Any],
    ) -> Any:
        """Do the work at every place the names lead to; returns the tree."""
        self._left -= 1
        if self._left < 0:
            raise _TooMuch
        if not names:
            return work(node, tree)
        name, rest = names[0], names[1:]
        if name == _ITEMS and (items := open_list(tree)) is not None:
            for child in _children(node, name):
                items[:] = [self._each(item, child, rest, work) for item in items]
            return items
        members = open_object(tree)
        if members is None:
            return tree
        keys = _keys(node, members, name)
        for child in _children(node, name):
            for key in keys:
                members[key] = self._each(members[key], child, rest, work)
        return members

    def _member(self, one: Allowed, parent: Node, tree: Any, name: str) -> Any:
        """Repair the member `name` of an object, or its being there."""
        members = open_object(tree)
        children = _children(parent, name)
        if members is None:
            return tree
        if one.kind == "drop_unknown":
            return members if children else self._drop(one, parent, members, name)
        if not children:
            return members
        if one.kind in ("alias", "casefold"):
            self._rename(one, parent, members, name)
        elif one.kind == "null_as_missing":
            if name in members and _is_null(members[name]) and _is_not_null(children):
                del members[name]
                self._count(one)
        elif one.kind == "default":
            if name not in members and _is_required(parent, name):
                members[name] = write(one.value)
                self._count(one)
        elif name in members:
            for child in children:
                members[name] = self._value(one, child, members[name])
        return members

    def _rename(
        self, one: Allowed, parent: Node, members: dict[str, Any], name: str
    ) -> None:
        if one.kind == "alias":
            candidates = [one.value] if one.value in members else []
        else:
            folded = _folded(name)
            known = _known(parent)
            candidates = [
                key for key in members if _folded(key) == folded and key not in known
            ]
        if not candidates:
            return
        if name in members or len(candidates) > 1:
            self.found.ambiguous.add(one.path)
            return
        renamed = {
            (name if key == candidates[0] else key): value
            for key, value in members.items()
        }
        members.clear()
        members.update(renamed)
        self._count(one)

    def _drop(self, one: Allowed, node: Node, tree: Any, name: str) -> Any:
        """Drop keys that the model forbids: the one of this name, or all."""
        members = open_object(tree)
        if members is None or node.extra is not None or not node.properties:
            return tree
        known = _known(node)
        for key in [key for key in members if key not in known]:
            if name in ("", key):
                del members[key]
                self._count(one)
        return members

    def _value(self, one: Allowed, node: Node, value: Any) -> Any:
        change = _CHANGES.get(one.kind)
        if change is None or (changed := change(one, node, value)) is None:
            return value
        self._count(one)
        return changed

    def _count(self, one: Allowed) -> None:
        counts = self.found.counts
        counts[one.name] = counts.get(one.name, 0) + 1


# --- values -----------------------------------------------------------------


def _to_string(_: Allowed, node: Node, value: Any) -> Raw | None:
    """Quote a number as it was written; true and null are none."""
    if "string" not in node.types or node.types & {"number", "integer"}:
        return None
    text = _scalar_text(value)
    return Raw(f'"{text}"'.encode()) if _NUMBER.fullmatch(text) else None


def _to_number(_: Allowed, node: Node, value: Any) -> Raw | None:
    """Take the quotes off what is a JSON number, character by character."""
    if not node.types & {"number", "integer"} or "string" in node.types:
        return None
    text = _scalar_text(value)
    is_text = len(text) > 2 and text[0] == text[-1] == '"'
    return (
        Raw(text[1:-1].encode()) if is_text and _NUMBER.fullmatch(text[1:-1]) else None
    )


def _to_member(one: Allowed, node: Node, value: Any) -> Raw | None:
    text = _scalar_text(value)
    if node.members is None or not text or text == "null":
        return None
    held = read(value)
    if any(_is_same(held, member) for member in node.members):
        return None
    return write(one.value)


def _to_list(_: Allowed, node: Node, value: Any) -> list[Any] | None:
    is_single = "array" in node.types and not _is_null(value)
    return [value] if is_single and open_list(value) is None else None


_CHANGES: dict[str, Callable[[Allowed, Node, Any], Any]] = {
    "number_to_string": _to_string,
    "string_to_number": _to_number,
    "enum_fallback": _to_member,
    "wrap_array": _to_list,
}


def _scalar_text(value: Any) -> str:
    """Return the JSON text of a scalar, "" of anything else."""
    if type(value) is not Raw:
        return ""
    text = text_of(value)
    return "" if text[:1] in ("{", "[") else text


def _is_null(value: Any) -> bool:
    return _scalar_text(value) == "null"


def _is_same(left: object, right: object) -> bool:
    # 1 == True, and both may be members.
    return left == right and isinstance(left, bool) == isinstance(right, bool)


# --- the schema -------------------------------------------------------------


def _names(path: str) -> list[str]:
    return path.split("/")[1:]


def _layers(node: Node) -> list[Node]:
    """Return the node, or the branches that it stands for, nested ones too."""
    found, todo, seen = [], [node], set()
    while todo:
        each = todo.pop()
        if id(each) not in seen:
            seen.add(id(each))
            found += [] if each.branches else [each]
            todo += each.branches
    return found


def _children(node: Node, name: str) -> list[Node]:
    """Return what a schema knows below a name: several in a union, or none."""
    found: list[Node] = []
    for layer in _layers(node):
        if name == _ITEMS:
            found += [layer.items] if layer.items else []
        elif name == _ANY_KEY:
            found += [layer.extra] if isinstance(layer.extra, Node) else []
        elif name in layer.properties:
            found.append(layer.properties[name].node)
    return found[:1] if len({id(each) for each in found}) == 1 else found


def nodes_at(node: Node, path: str) -> list[Node]:
    """Return what a schema says of a path; several nodes in a union, or none."""
    here = [node]
    for name in _names(path):
        here = [child for each in here for child in _children(each, name)]
    return [layer for each in here for layer in _layers(each)]


def _ends(node: Node, names: Sequence[str]) -> list[Node]:
    """Return the nodes a path leads to; for a key nobody knows, its object."""
    here = [node]
    for index, name in enumerate(names):
        further = [child for each in here for child in _children(each, name)]
        if not further:
            is_key = index == len(names) - 1 and name not in (_ITEMS, _ANY_KEY)
            return (
                [n for n in here if n.extra is None and n.properties] if is_key else []
            )
        here = further
    return here


def _is_closed(node: Node, path: str) -> bool:
    """Whether a path leads to an object that forbids other keys."""
    return any(n.extra is None and n.properties for n in nodes_at(node, path))


def _keys(node: Node, members: dict[str, Any], name: str) -> list[str]:
    if name != _ANY_KEY:
        return [name] if name in members else []
    known = _known(node)
    return [key for key in members if key not in known]


def _known(node: Node) -> set[str]:
    return {
        name
        for layer in _layers(node)
        for key, prop in layer.properties.items()
        for name in (key, *prop.aliases)
    }


def _is_not_null(children: list[Node]) -> bool:
    return all(child.types and "null" not in child.types for child in children)


def _is_required(parent: Node, name: str) -> bool:
    return any(
        layer.properties[name].required
        for layer in _layers(parent)
        if name in layer.properties
    )


def _folded(name: str) -> str:
    return name.translate(_STROKES).casefold()
