"""Places in a body, said in the terms of the version before or after.

A path is a tuple of tokens; list indexes are ints, or digits where they come from a
JSON Pointer.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

from failsoft.shapes.graph import Node
from failsoft.shapes.pointer import escaped, unescaped
from failsoft.versions._edits import Edit, OwnerOps
from failsoft.versions._layouts import Layouts
from failsoft.versions._model import UnwrapList, WrapList
from failsoft.versions._targets import Path

__all__ = ["Blocked", "Filled", "Tokens", "Way", "pointer_of", "tokens_of"]

Tokens = tuple[str | int, ...]


class Filled(Exception):
    """The place has none in the older version: failsoft made it."""


class Blocked(Exception):
    """The place is not merely called something else."""


def pointer_of(tokens: Sequence[str | int]) -> str:
    """Return the JSON Pointer of a path."""
    return "".join(f"/{escaped(str(token))}" for token in tokens)


def tokens_of(pointer: str) -> Tokens:
    """Return the path of a JSON Pointer."""
    return tuple(map(unescaped, pointer.split("/")[1:]))


def _is_index(token: str | int) -> bool:
    return isinstance(token, int) or token.isdigit() or token == "-"


def _inside(path: Tokens, container: Path) -> int | None:
    """Return how many tokens lead into the container, None for another place."""
    at = 0
    for token in container:
        while at < len(path) and token != "*" and path[at] != token:
            if not _is_index(path[at]):
                return None
            at += 1
        if at == len(path):
            return None
        at += 1
    if at < len(path) and isinstance(path[at], int):
        at += 1  # the container is a list: an item of it
    return at


def _starts(path: Tokens, start: Path) -> bool:
    return path[: len(start)] == start


def _back(edit: Edit, path: Tokens) -> Tokens | None:
    """Return where a place of the newer version was; None if it is not this edit's."""
    at = _inside(path, edit.container)
    if at is None:
        return None
    head, rest = path[:at], path[at:]
    for new in edit.new:
        is_made = rest and edit.new_kept.get(new, 0) < len(rest) < len(new)
        if not (_starts(rest, new) or (is_made and new[: len(rest)] == rest)):
            continue
        if not edit.old:
            raise Filled
        return head + edit.old[0] + _tail(edit, rest[len(new) :])
    return None


def _tail(edit: Edit, rest: Tokens) -> Tokens:
    """Return what follows the place, if the value moved as it is or was listed."""
    if edit.is_identity:
        return rest
    if isinstance(edit.op, WrapList):
        return rest[1:]
    return (0, *rest) if isinstance(edit.op, UnwrapList) and rest else ()


def _forward(edit: Edit, path: Tokens) -> Tokens | None:
    """Return where a place of the older version is now.

    Raises Blocked where more than a name changed.
    """
    at = _inside(path, edit.container)
    if at is None:
        return None
    head, rest = path[:at], path[at:]
    for new in edit.new:
        kept = edit.new_kept.get(new, 0)
        if kept < len(new) and _starts(rest, new[: kept + 1]):
            raise Blocked  # a key that only the newer version knows
    for old in edit.old:
        if _starts(rest, old):
            if not edit.is_identity:
                raise Blocked
            return head + edit.new[0] + rest[len(old) :]
        if rest and old[: len(rest)] == rest:
            raise Blocked
    return None


Translate = Callable[[Edit, Tokens], Tokens | None]


class Way:
    """Translates paths through one part.  root: of its layout, what it is done to."""

    def __init__(
        self, layouts: Layouts, root: Node, ops: Mapping[str, Sequence[OwnerOps]]
    ) -> None:
        self._layouts = layouts
        self.root = root
        self._ops = ops

    def back(self, path: Tokens) -> Tokens:
        """Return a place of the newer layout as the older one has it.

        Raises Filled for what only the newer has.
        """
        stops: list[tuple[int, Node]] = []
        node: Node | None = self.root
        for at in range(len(path) + 1):
            if node is None:
                break
            stops.append((at, node))
            if at < len(path):
                node = _child(node, path[at])
        for at, stop in reversed(stops):
            for ops in reversed(self._at(stop)):
                path = path[:at] + _first(ops.edits, path[at:], _back)
        return path

    def forward(self, path: Tokens) -> tuple[Tokens, bool]:
        """Return a place of the older layout as the newer has it.

        Also whether ops reach what stands there.  Raises Blocked.
        """
        at = 0
        node: Node | None = self.root
        while node is not None:
            for ops in self._at(node):
                if ops.changes and at < len(path):
                    raise Blocked
                path = path[:at] + _first(ops.edits, path[at:], _forward)
            if at == len(path):
                break
            node = _child(node, path[at])
            at += 1
        reach = self._layouts.reach(node) if node is not None else frozenset()
        return path, bool(reach & self._ops.keys())

    def _at(self, node: Node) -> list[OwnerOps]:
        owners = self._layouts.owners(node)
        return [ops for owner in owners for ops in self._ops.get(owner, ())]


def _first(edits: Sequence[Edit], path: Tokens, translate: Translate) -> Tokens:
    for edit in edits:
        found = translate(edit, path)
        if found is not None:
            return found
    return path


def _child(node: Node, token: str | int) -> Node | None:
    if node.items is not None and _is_index(token):
        return node.items
    for each in (node, *node.branches):
        prop = each.properties.get(str(token))
        if prop is not None:
            return prop.node
        if isinstance(each.extra, Node):
            return each.extra
    # Frameworks put the name of the branch into the path.
    for branch in node.branches:
        if branch.name == token:
            return branch
    if node.tag is not None and str(token) in node.tag[1]:
        return node.tag[1][str(token)]
    return None
