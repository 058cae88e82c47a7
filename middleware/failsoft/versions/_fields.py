"""One version's edits, taken back on one copied node of a layout.

Every edit is held against the schema it applies to: that finds the faults, and how
much of its paths each side has.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from failsoft.shapes.graph import Node, Prop
from failsoft.versions._edits import Edit, OwnerOps
from failsoft.versions._olds import Copy, old_of_code, olds_of, unmapped
from failsoft.versions._targets import Path, nearest

if TYPE_CHECKING:
    from failsoft.versions._layouts import Layouts

__all__ = ["Undo", "editable", "with_branches"]


def with_branches(copy: Node, branches: Sequence[Node]) -> None:
    """Replace the branches of a copied node, also where its tag names them."""
    swapped = dict(zip(map(id, copy.branches), branches, strict=True))
    if copy.tag is not None:
        name, by_value = copy.tag
        copy.tag = name, {value: swapped[id(n)] for value, n in by_value.items()}
    copy.branches = tuple(branches)


def editable(node: Node, path: Path, fresh: Copy) -> Iterator[Node]:
    """Yield the objects at a path below a fresh copy, copied on the way."""
    if node.items is not None:
        node.items = fresh(node.items)
        rest = path[1:] if path[:1] == ("*",) else path
        yield from editable(node.items, rest, fresh)
        return
    if node.branches:
        with_branches(node, [fresh(branch) for branch in node.branches])
        for branch in node.branches:
            yield from editable(branch, path, fresh)
        return
    if not path:
        if not node.types or "object" in node.types:
            yield node
        return
    prop = node.properties.get(path[0])
    if prop is not None:
        child = fresh(prop.node)
        node.properties[path[0]] = Prop(child, prop.required, prop.aliases)
        yield from editable(child, path[1:], fresh)
    elif isinstance(node.extra, Node) and path[0] == "*":
        node.extra = fresh(node.extra)
        yield from editable(node.extra, path[1:], fresh)


def _is_open(node: Node) -> bool:
    return not node.properties and (node.extra is not None or node.is_opaque)


class Undo:
    """Takes the edits of one version back on one copied node."""

    def __init__(self, layouts: Layouts, node: Node) -> None:
        self._layouts = layouts
        self._node = node

    def run(self, ops: OwnerOps) -> None:
        """Make the node what it was before the version, and note what does not fit."""
        by_container: dict[Path, list[Edit]] = defaultdict(list)
        for edit in ops.edits:
            by_container[edit.container].append(edit)
        for change, path in ops.changes:
            for place in self._places(path, change):
                old_of_code(place, change.old)
        for container, edits in by_container.items():
            places = self._places(container, *(edit.op for edit in edits))
            for edit in edits:
                self._default_kept(edit)
            for place in places:
                self._undo(place, edits)
        for drop, path in ops.hidden:
            for place in self._places(path[:-1], drop):
                self._note(drop, _missing(place, (path[-1:],)))

    def _places(self, path: Path, *ops: Any) -> list[Node]:
        self._find_crossing(path, ops)
        places = list(editable(self._node, path, self._layouts.fresh))
        if not places and not self._is_open_way(path):
            for op in ops:
                self._note(op, f"no object is at {'.'.join(path)}")
        return places

    def _find_crossing(self, path: Path, ops: Iterable[Any]) -> None:
        node = self._node
        for token in ("", *path):
            if token:
                node = _inner(node, token)
            while node.items is not None:
                node = node.items
            if token and self._layouts.has_ops(node):
                self._layouts.crossing.update(id(op) for op in ops)

    def _is_open_way(self, path: Path) -> bool:
        node = self._node
        for token in path:
            while node.items is not None:
                node = node.items
            if token not in node.properties:
                return _is_open(node) or not node.types
            node = node.properties[token].node
        return False

    def _note(self, op: Any, complaint: str) -> None:
        self._layouts.complaints[id(op)].append(complaint)

    def _default_kept(self, edit: Edit) -> None:
        for paths, kept, others in (
            (edit.new, edit.new_kept, edit.old),
            (edit.old, edit.old_kept, edit.new),
        ):
            for path in paths:
                kept.setdefault(path, len(path) if path in others else 0)

    def _undo(self, place: Node, edits: Sequence[Edit]) -> None:
        after = place.properties
        place.properties = before = dict(after)
        is_open = _is_open(place)
        fresh = self._layouts.fresh
        taken = [[_pop(place, path, fresh) for path in edit.new] for edit in edits]
        for edit, props in zip(edits, taken, strict=True):
            found = [prop for prop in props if prop is not None]
            complaint = "" if is_open else _absent(edit.new, props, after)
            complaint = complaint or unmapped(edit.op, found)
            clash = [p for p in edit.old if _depth(before, p) == len(p)]
            if not complaint and clash and not is_open:
                complaint = f"the schema has {'.'.join(clash[0])} still"
            self._note(edit.op, complaint)
            if found or not edit.new or is_open:
                for path, prop in olds_of(edit, found, self._layouts.listed):
                    _push(place, path, prop, fresh)
        _order(place, after, edits)
        for edit in edits:
            for path in edit.new:
                known = _depth(place.properties, path)
                edit.new_kept[path] = max(edit.new_kept[path], known)
            for path in edit.old:
                known = _depth(after, path)
                edit.old_kept[path] = max(edit.old_kept[path], known)


def _order(place: Node, after: Mapping[str, Prop], edits: Sequence[Edit]) -> None:
    """Put old fields where the new ones stood.

    Bodies tell their fields in the schema's order, and the gate looks first for the
    next one: in another order it takes twice as long.
    """
    ranks = {name: rank for rank, name in enumerate(after)}
    for edit in edits:
        for old, new in zip(edit.old, edit.new):  # noqa: B905 - split and join differ
            ranks.setdefault(old[0], ranks.get(new[0], len(after)))
    last = len(after)
    place.properties = dict(
        sorted(place.properties.items(), key=lambda one: ranks.get(one[0], last))
    )


def _inner(node: Node, token: str) -> Node:
    prop = node.properties.get(token)
    if prop is not None:
        return prop.node
    if token == "*" and isinstance(node.extra, Node):
        return node.extra
    return node.items or Node()


def _missing(place: Node, paths: Iterable[Path]) -> str:
    if _is_open(place):
        return ""
    found = [place.properties.get(path[0]) for path in paths]
    return _absent(tuple(paths), found, place.properties)


def _absent(
    paths: Sequence[Path], props: Sequence[Prop | None], known: Mapping[str, Prop]
) -> str:
    for path, prop in zip(paths, props, strict=True):
        if prop is None:
            name = ".".join(path)
            return f"the schema has no {name}; {nearest(path[0], known)}"
    return ""


def _pop(place: Node, path: Path, fresh: Copy) -> Prop | None:
    """Take a property out, with parents that are then empty."""
    if len(path) == 1:
        return place.properties.pop(path[0], None)
    outer = place.properties.get(path[0])
    if outer is None:
        return None
    child = fresh(outer.node)
    found = _pop(child, path[1:], fresh)
    if found is not None:
        place.properties[path[0]] = Prop(child, outer.required, outer.aliases)
        if not child.properties and child.extra in (None, False):
            del place.properties[path[0]]
    return found


def _push(place: Node, path: Path, prop: Prop, fresh: Copy) -> None:
    if len(path) > 1:
        outer = place.properties.get(path[0])
        child = fresh(outer.node) if outer else Node(frozenset({"object"}), extra=None)
        is_required = prop.required if outer is None else outer.required
        place.properties[path[0]] = Prop(child, is_required)
        _push(child, path[1:], prop, fresh)
        return
    place.properties[path[0]] = prop


def _depth(properties: Mapping[str, Prop], path: Path) -> int:
    """Return how many leading tokens of a path there are."""
    depth = 0
    while depth < len(path) and path[depth] in properties:
        properties = properties[path[depth]].node.properties
        depth += 1
    return depth
