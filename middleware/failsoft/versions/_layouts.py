"""What the schemas looked like at each version: the head's, taken back op by op.

A layout is a graph of nodes.  One step back copies the nodes that reach a schema the
version touched and shares all others, so 100 versions cost what they changed.  While
stepping, every edit is held against the schema it applies to: that finds the faults,
and how much of its paths each side has.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any

from failsoft.routes.models import base_name
from failsoft.shapes.graph import Node, Prop, reached
from failsoft.versions._edits import Edit
from failsoft.versions._model import (
    Change,
    Drop,
)
from failsoft.versions._olds import Copy, old_of_code, olds_of, unmapped
from failsoft.versions._targets import Path, nearest

__all__ = ["Layouts", "OwnerOps", "copied"]


class OwnerOps:
    """What one version does to one owner's node.

    edits: on its fields.  changes: code, with the path to the value.  envelope: key
    the whole body went below.  hidden: fields that newer versions do not see.
    """

    __slots__ = ("changes", "edits", "envelope", "hidden")

    def __init__(self) -> None:
        self.edits: list[Edit] = []
        self.changes: list[tuple[Change, Path]] = []
        self.envelope = ""
        self.hidden: list[tuple[Drop, Path]] = []


def copied(node: Node) -> Node:
    """Return a copy whose properties may be exchanged."""
    copy = replace(node)
    copy.properties = dict(node.properties)
    return copy


class Layouts:
    """Layouts of the head's nodes.

    ops: version index -> owner -> what it does there.  complaints: op -> what does
    not fit, one a node it was tried on, "" where it fits.
    """

    def __init__(
        self, roots: Iterable[Node], ops: Mapping[int, Mapping[str, OwnerOps]]
    ) -> None:
        self._ops = ops
        self._nodes = reached(roots)
        self._labels: dict[int, str] = {}
        owners = {owner for by_owner in ops.values() for owner in by_owner}
        self._owners = frozenset(owners)
        self._reach = _reach(self._nodes, owners)
        self._origin: dict[int, Node] = {}
        self._made: dict[tuple[int, int], Node] = {}
        self._kept: list[Node] = []  # so that an id stays its node's own
        self._by_owner: dict[str, list[int]] = defaultdict(list)
        for index in sorted(ops, reverse=True):
            for owner in ops[index]:
                self._by_owner[owner].append(index)
        self.complaints: dict[int, list[str]] = defaultdict(list)
        self.crossing: set[int] = set()
        # Steps by what they do: all routes that reach a schema share them.
        self.steps: dict[tuple[Any, ...], tuple[Any, ...]] = {}

    # --- who is touched -----------------------------------------------------------

    def label(self, node: Node | None, owner: str) -> Node:
        """Return a root that also stands for the bodies of one route."""
        root = copied(node) if node is not None else Node()
        self._kept.append(root)
        self._labels[id(root)] = owner
        below = self.reach(node) if node is not None else frozenset()
        self._reach[id(root)] = below | {owner}
        return root

    def owners(self, node: Node) -> tuple[str, ...]:
        """Return the owners whose ops apply right at the node."""
        found = base_name(node.name)
        label = self._labels.get(id(node), "")
        return tuple(owner for owner in (found, label) if owner in self._owners)

    def reach(self, node: Node) -> frozenset[str]:
        """Return the owners that are at the node or below it."""
        origin = self._origin.get(id(node), node)
        return self._reach.get(id(origin), frozenset())

    def relevant(self, node: Node) -> list[int]:
        """Return the indexes of versions that touch the node, newest first."""
        found = {i for owner in self.reach(node) for i in self._by_owner[owner]}
        return sorted(found, reverse=True)

    # --- layouts --------------------------------------------------------------------

    def at(self, node: Node, version: int) -> Node:
        """Return the node as it was in the version of this index."""
        for index in self.relevant(node):
            if index <= version:
                break
            node = self._back(node, index)
        return node

    def public(self, node: Node, version: int) -> Node:
        """Return `at`, without the fields hidden from the version."""
        layout = self.at(node, version)
        hidden = {
            owner
            for index in self._ops
            if index <= version
            for owner, ops in self._ops[index].items()
            if ops.hidden
        }
        if not hidden & self.reach(node):
            return layout
        return self._without(layout, version, {})

    def _without(self, node: Node, version: int, made: dict[int, Node]) -> Node:
        if not self.reach(node):
            return node
        if id(node) in made:
            return made[id(node)]
        made[id(node)] = copy = copied(node)
        _with_children(copy, lambda child: self._without(child, version, made))
        self._keep(copy, node)
        for index in (i for i in self._ops if i <= version):
            for owner in self.owners(node):
                ops = self._ops[index].get(owner)
                for _, path in ops.hidden if ops else ():
                    for place in _editable(copy, path[:-1], self.fresh):
                        place.properties.pop(path[-1], None)
        return copy

    def _back(self, node: Node, index: int) -> Node:
        """Return the node just before a version.

        All copies are made before they may be seen, so threads may ask at once.
        """
        known = self._made.get((id(node), index))
        if known is not None:
            return known
        made: dict[tuple[int, int], Node] = {}
        root = self._copy(node, index, made)
        self._made.update(made)
        return root

    def _copy(self, node: Node, index: int, made: dict[tuple[int, int], Node]) -> Node:
        key = id(node), index
        known = self._made.get(key) or made.get(key)
        if known is not None:
            return known
        if not self.reach(node) & self._ops[index].keys():
            return node
        copy = copied(node)
        made[key] = copy
        self._keep(copy, node)
        _with_children(copy, lambda child: self._copy(child, index, made))
        mine = [self._ops[index].get(owner) for owner in self.owners(node)]
        for ops in mine:
            if ops is not None:
                _Undo(self, copy).run(ops)
                if ops.envelope:
                    made[key] = copy = self._unwrapped(copy, node, ops.envelope)
        return copy

    def _unwrapped(self, copy: Node, node: Node, at: str) -> Node:
        inner = copy.properties.get(at)
        found = copied(inner.node) if inner is not None else Node()
        self._keep(found, node)
        if inner is not None:
            # What lies inside is reached as it is; the label goes with the root.
            self._reach[id(found)] = self.reach(inner.node) | self.reach(node)
            self._origin[id(found)] = found
        return found

    def fresh(self, node: Node) -> Node:
        """Return a copy that counts as the node it was made of."""
        copy = copied(node)
        self._keep(copy, node)
        return copy

    def origin(self, node: Node) -> Node:
        """Return the head's node that a layout's node came from."""
        return self._origin.get(id(node), node)

    def listed(self, node: Node) -> Node:
        """Return an array of the node."""
        found = Node(frozenset({"array"}), items=node, schema={"type": "array"})
        self._kept.append(found)
        self._reach[id(found)] = self.reach(node)
        return found

    def _keep(self, copy: Node, node: Node | None) -> None:
        self._kept.append(copy)
        if node is not None:
            self._origin[id(copy)] = self._origin.get(id(node), node)
            if id(node) in self._labels:
                self._labels[id(copy)] = self._labels[id(node)]

    def has_ops(self, node: Node) -> bool:
        """Whether ops of any version apply right at the node, by its own name."""
        return base_name(node.name) in self._owners


def _reach(nodes: Mapping[int, Node], owners: set[str]) -> dict[int, frozenset[str]]:
    """Return which owners are at or below each node; nodes with none are left out."""
    parents: dict[int, list[int]] = defaultdict(list)
    named: dict[str, list[int]] = defaultdict(list)
    for key, node in nodes.items():
        for child in _children(node):
            parents[id(child)].append(key)
        name = base_name(node.name)
        if name in owners:
            named[name].append(key)
    found: dict[int, set[str]] = defaultdict(set)
    for name, todo in named.items():
        todo = list(todo)
        while todo:
            key = todo.pop()
            if name not in found[key]:
                found[key].add(name)
                todo += parents[key]
    # Most nodes reach the same few owners: one set for all of them.
    pool: dict[frozenset[str], frozenset[str]] = {}
    return {
        key: pool.setdefault(frozenset(reach), frozenset(reach))
        for key, reach in found.items()
    }


def _children(node: Node) -> Iterator[Node]:
    for prop in node.properties.values():
        yield prop.node
    yield from node.branches
    for each in (node.items, node.extra):
        if isinstance(each, Node):
            yield each


def _with_children(copy: Node, make: Any) -> None:
    """Replace what a copied node leads to."""
    for name, prop in copy.properties.items():
        child = make(prop.node)
        if child is not prop.node:
            copy.properties[name] = Prop(child, prop.required, prop.aliases)
    if copy.items is not None:
        copy.items = make(copy.items)
    if isinstance(copy.extra, Node):
        copy.extra = make(copy.extra)
    if copy.branches:
        _with_branches(copy, [make(branch) for branch in copy.branches])


def _with_branches(copy: Node, branches: Sequence[Node]) -> None:
    swapped = dict(zip(map(id, copy.branches), branches, strict=True))
    if copy.tag is not None:
        name, by_value = copy.tag
        copy.tag = name, {value: swapped[id(n)] for value, n in by_value.items()}
    copy.branches = tuple(branches)


def _editable(node: Node, path: Path, fresh: Copy) -> Iterator[Node]:
    """Yield the objects at a path below a fresh copy, copied on the way."""
    if node.items is not None:
        node.items = fresh(node.items)
        rest = path[1:] if path[:1] == ("*",) else path
        yield from _editable(node.items, rest, fresh)
        return
    if node.branches:
        _with_branches(node, [fresh(branch) for branch in node.branches])
        for branch in node.branches:
            yield from _editable(branch, path, fresh)
        return
    if not path:
        if not node.types or "object" in node.types:
            yield node
        return
    prop = node.properties.get(path[0])
    if prop is not None:
        child = fresh(prop.node)
        node.properties[path[0]] = Prop(child, prop.required, prop.aliases)
        yield from _editable(child, path[1:], fresh)
    elif isinstance(node.extra, Node) and path[0] == "*":
        node.extra = fresh(node.extra)
        yield from _editable(node.extra, path[1:], fresh)


def _is_open(node: Node) -> bool:
    return not node.properties and (node.extra is not None or node.is_opaque)


class _Undo:
    """Takes the edits of one version back on one copied node."""

    def __init__(self, layouts: Layouts, node: Node) -> None:
        self._layouts = layouts
        self._node = node

    def run(self, ops: OwnerOps) -> None:
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
        places = list(_editable(self._node, path, self._layouts.fresh))
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
        for edit in edits:
            for path in edit.new:
                known = _depth(place.properties, path)
                edit.new_kept[path] = max(edit.new_kept[path], known)
            for path in edit.old:
                known = _depth(after, path)
                edit.old_kept[path] = max(edit.old_kept[path], known)


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
