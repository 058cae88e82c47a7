"""One traversal of a body: at each node that ops reach, its steps, then what is below.

A part is a run of versions whose ops may be done together: per node all of them, then
the children, which are found by the layout at the newest of these versions.  On the
way down the order is the reverse.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Any

from failsoft.shapes.graph import Node
from failsoft.shapes.rawjson import open_object, open_rows
from failsoft.versions._branches import Chooser, chooser_of
from failsoft.versions._edits import OwnerOps
from failsoft.versions._fuse import steps_of
from failsoft.versions._layouts import Layouts
from failsoft.versions._steps import (
    Step,
    Trace,
    code_step,
    run_code,
    strip_step,
)
from failsoft.versions._values import Unfit

__all__ = ["Part", "Visit", "build_visit"]


@dataclass(frozen=True, slots=True)
class Part:
    """What one traversal does.

    ops: owner -> what is done there, versions ascending.  told_apart: index of the
    version by whose layout branches of unions are known; None for the node's own.
    unions: id of the head's union -> property that tells its branches apart.
    is_strip: take out hidden fields, and nothing else.
    """

    ops: Mapping[str, Sequence[OwnerOps]]
    is_up: bool
    told_apart: int | None = None
    unions: Mapping[int, str] = field(default_factory=dict)
    is_strip: bool = False


class Visit:
    """What is done with the value at one node; nodes of a cycle refer to each other.

    steps: on the members of an object.  own: what they were made of, in the order in
    which it is done; None if of more than one schema.  codes: on the whole value.
    choose, branches: of a union.  items: of an array.
    """

    __slots__ = (
        "branches",
        "children",
        "choose",
        "codes",
        "extra",
        "is_up",
        "items",
        "named",
        "own",
        "steps",
    )

    def __init__(self, is_up: bool) -> None:
        self.is_up = is_up
        self.steps: tuple[Step, ...] = ()
        self.own: Sequence[OwnerOps] | None = ()
        self.codes: tuple[Callable[[Any], Any], ...] = ()
        self.children: tuple[tuple[str, Visit], ...] = ()
        self.extra: Visit | None = None
        self.named: frozenset[str] = frozenset()
        self.items: Visit | None = None
        self.choose: Chooser | None = None
        self.branches: tuple[Visit | None, ...] = ()

    @property
    def only(self) -> Step | None:
        """The one step that is all there is to do with an object, if so."""
        is_more = self.codes or self.children or self.extra or self.choose
        return None if is_more or len(self.steps) != 1 else self.steps[0]

    def __call__(self, value: Any, trace: Trace) -> Any:
        """Return the value with all done; what has another shape stays as it is."""
        members = open_object(value)
        if members is None:
            return self._other(value, trace)
        if not self.is_up:
            return self._down(members, trace)
        for step in self.steps:
            step(members, trace)
        if self.codes:
            value = self._coded(members, trace)
            members = open_object(value)
            if members is None:
                return value
        return self._below(members, trace)

    def _down(self, members: dict[str, Any], trace: Trace) -> Any:
        value = self._below(members, trace)
        if self.codes:
            value = self._coded(value, trace)
        if self.steps:
            inner = open_object(value)
            if inner is None:
                return value
            for step in self.steps:
                step(inner, trace)
            return inner
        return value

    def _coded(self, value: Any, trace: Trace) -> Any:
        for code in self.codes:
            value = code(value)
        trace.has_changed = True
        return value

    def _below(self, members: dict[str, Any], trace: Trace) -> Any:
        if self.choose is not None:
            chosen = self.branches[self.choose(members, trace)]
            return members if chosen is None else chosen(members, trace)
        key, found = "", trace.found
        count = len(found)
        try:
            for key, visit in self.children:
                inner = members.get(key)
                if inner is not None:
                    members[key] = visit(inner, trace)
                    if len(found) != count:
                        count = _placed(found, count, key)
            if self.extra is not None:
                for key in members.keys() - self.named:
                    members[key] = self.extra(members[key], trace)
                    if len(found) != count:
                        count = _placed(found, count, "*")
        except Unfit as unfit:
            unfit.tokens.append(key)
            raise
        return members

    def _other(self, value: Any, trace: Trace) -> Any:
        if self.is_up and self.codes:
            value = self._coded(value, trace)
        items = None if self.items is None else open_rows(value)
        if items is not None and self.items is not None:
            value = self._items(items, self.items, trace)
        if not self.is_up and self.codes:
            value = self._coded(value, trace)
        return value

    def _items(self, items: list[Any], visit: Visit, trace: Trace) -> list[Any]:
        index, found, only = 0, trace.found, visit.only
        count = len(found)
        try:
            for index, item in enumerate(items):
                if only is not None and type(item) is dict:
                    only(item, trace)
                else:
                    items[index] = visit(item, trace)
        except Unfit as unfit:
            unfit.tokens.append(index)
            raise
        if len(found) != count:
            _placed(found, count, "*")
        return items


def _placed(found: list[list[str]], count: int, token: str) -> int:
    """Say of the newest notes where they were made; return how many there are."""
    for note in found[count:]:
        note.append(token)
    return len(found)


def build_visit(layouts: Layouts, root: Node, part: Part) -> Visit | None:
    """Return the traversal of a layout's node, None where nothing is to be done."""
    return _Builder(layouts, part).of(root)


class _Builder:
    def __init__(self, layouts: Layouts, part: Part) -> None:
        self._layouts = layouts
        self._part = part
        self._made: dict[int, Visit] = {}

    def of(self, node: Node) -> Visit | None:
        if not self._layouts.reach(node) & self._part.ops.keys():
            return None
        if id(node) in self._made:
            return self._made[id(node)]
        visit = self._made[id(node)] = Visit(self._part.is_up)
        for owner in self._layouts.owners(node):
            self._own(visit, self._part.ops.get(owner, ()))
        children = ((name, self.of(p.node)) for name, p in node.properties.items())
        visit.children = tuple((name, inner) for name, inner in children if inner)
        if isinstance(node.extra, Node):
            visit.extra = self.of(node.extra)
            visit.named = frozenset(node.properties)
        visit.items = self.of(node.items) if node.items is not None else None
        if node.branches:
            self._union(visit, node)
        return visit

    def _union(self, visit: Visit, node: Node) -> None:
        layouts, part = self._layouts, self._part
        visit.branches = tuple(self.of(branch) for branch in node.branches)
        origin, known = layouts.origin(node), node
        if part.told_apart is not None:
            known = layouts.at(origin, part.told_apart)
        visit.choose = chooser_of(known, part.unions.get(id(origin), ""))
        visit.items = next((b.items for b in visit.branches if b and b.items), None)

    def _own(self, visit: Visit, ops: Sequence[OwnerOps]) -> None:
        if self._part.is_strip:
            visit.own = None
            visit.steps += tuple(
                strip_step(path) for one in ops for _, path in one.hidden
            )
            return
        is_up = self._part.is_up
        key = is_up, *map(id, ops)
        ops = ops if is_up else ops[::-1]
        visit.own = None if visit.own else ops
        steps = self._layouts.steps.get(key)
        if steps is None:
            steps = steps_of(ops, is_up=is_up)
            self._layouts.steps[key] = steps
        deep = [step for one in ops for step in self._code(visit, one)]
        # Code stands alone in its version, and sees the node after that one's edits.
        visit.steps += (*steps, *deep) if is_up else (*deep, *steps)

    def _code(self, visit: Visit, ops: OwnerOps) -> list[Step]:
        is_up = self._part.is_up
        deep: list[Step] = []
        for change, path in ops.changes if is_up else reversed(ops.changes):
            function = change.up if is_up else change.down
            if function is None:
                continue
            source = "up" if is_up else "down"
            run = partial(run_code, function, name=change.name, source=source)
            if path:
                deep.append(code_step(path, run))
            else:
                visit.codes += (run,)
        return deep
