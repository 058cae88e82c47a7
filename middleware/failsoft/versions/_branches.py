"""Which branch of a union an object is."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from failsoft.shapes.graph import Node
from failsoft.shapes.rawjson import scalar
from failsoft.versions._steps import Trace

__all__ = ["Chooser", "chooser_of"]

# Returns the index of the branch.
Chooser = Callable[[dict[str, Any], Trace], int]


def chooser_of(union: Node, by: str = "") -> Chooser:
    """Return what tells the branches of a union apart.

    By the property named, or the discriminator, or one whose constants are another
    set in each branch; else the branch all of whose required keys are there and that
    knows most of the keys.  Equal ones: the first, and that is noted.
    """
    tags = _tags(union, by)
    guess = _guesser(union.branches)
    if tags is None:
        return guess
    name, by_value = tags

    def choose(members: dict[str, Any], trace: Trace) -> int:
        value = scalar(members.get(name))
        found = by_value.get(value) if isinstance(value, str | int) else None
        return guess(members, trace) if found is None else found

    return choose


def _tags(union: Node, by: str) -> tuple[str, dict[Any, int]] | None:
    branches = union.branches
    if union.tag is not None and not by:
        name, mapping = union.tag
        if all(name in b.properties for b in mapping.values()):
            index = {id(branch): i for i, branch in enumerate(branches)}
            return name, {value: index[id(b)] for value, b in mapping.items()}
    names = [by] if by else [n for b in branches[:1] for n in b.properties]
    for name in names:
        found = _constants(name, branches)
        if found:
            return name, found
    return None


def _constants(name: str, branches: Sequence[Node]) -> dict[Any, int]:
    """Return value -> branch if the constants of a property differ in all branches."""
    found: dict[Any, int] = {}
    for index, branch in enumerate(branches):
        prop = branch.properties.get(name)
        members = prop.node.members if prop is not None else None
        for value in members or (None,):
            if not isinstance(value, str | int) or value in found:
                return {}
            found[value] = index
    return found


def _guesser(branches: Sequence[Node]) -> Chooser:
    known = [frozenset(branch.properties) for branch in branches]
    needed = [
        frozenset(name for name, prop in branch.properties.items() if prop.required)
        for branch in branches
    ]

    def choose(members: dict[str, Any], trace: Trace) -> int:
        keys = members.keys()
        scores = [
            (needed[i] <= keys, len(known[i] & keys)) for i in range(len(branches))
        ]
        best = max(scores, default=(False, 0))
        if scores.count(best) > 1:
            trace.guesses.append([])
        return scores.index(best) if scores else 0

    return choose
