"""What the schemas looked like at each version: the head's, taken back op by op.

A layout is a graph of nodes.  One step back copies the nodes that reach a schema the
version touched and shares all others, so 100 versions cost what they changed.  While
stepping, every edit is held against the schema it applies to: that finds the faults,
and how much of its paths each side has.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping
from typing import Any

from failsoft.routes.models import base_name
from failsoft.shapes.graph import Node, Prop, reached
from failsoft.versions._edits import OwnerOps
from failsoft.versions._fields import Undo, editable, with_branches

__all__ = ["Layouts", "copied"]


def copied(node: Node) -> Node:
    """Return a copy whose properties may be exchanged."""
    # Not dataclasses.replace(): contracts copy ten thousands, and it takes 15 us.
    copy = Node()
    for name in _FIELDS:
        setattr(copy, name, getattr(node, name))
    copy.properties = dict(node.properties)
    return copy


_FIELDS = Node.__slots__


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
        self._framed: dict[tuple[int, int], Node] = {}
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
        found = dict.fromkeys(map(base_name, node.names))
        label = self._labels.get(id(node), "")
        return tuple(owner for owner in (*found, label) if owner in self._owners)

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
        made: dict[tuple[int, int], Node] = {}
        found = self._at(node, version, made)
        self._framed.update(made)
        return found

    def _at(self, node: Node, version: int, made: dict[tuple[int, int], Node]) -> Node:
        later = [index for index in self.relevant(node) if index > version]
        if not later:
            return node
        if self.owners(node):
            for index in later:
                node = self._back(node, index)
            return node
        # What merely contains a schema that changed is not taken through every
        # version: a hundred routes of a hundred versions would be ten thousand copies.
        key = id(node), later[-1]
        known = self._framed.get(key) or made.get(key)
        if known is not None:
            return known
        made[key] = copy = copied(node)
        self._keep(copy, node)
        _with_children(copy, lambda child: self._at(child, version, made))
        return copy

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
                    for place in editable(copy, path[:-1], self.fresh):
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
                Undo(self, copy).run(ops)
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
        return any(base_name(name) in self._owners for name in node.names)


def _reach(nodes: Mapping[int, Node], owners: set[str]) -> dict[int, frozenset[str]]:
    """Return which owners are at or below each node; nodes with none are left out."""
    parents: dict[int, list[int]] = defaultdict(list)
    named: dict[str, list[int]] = defaultdict(list)
    for key, node in nodes.items():
        for child in node.below():
            parents[id(child)].append(key)
        for name in map(base_name, node.names):
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
        with_branches(copy, [make(branch) for branch in copy.branches])
