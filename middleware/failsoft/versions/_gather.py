"""The ops of a contract, sorted by what they are about."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable
from typing import Any

from failsoft.versions._edits import OwnerOps, edit_of, is_code
from failsoft.versions._model import (
    Brownout,
    Change,
    Contract,
    Drop,
    Envelope,
    Join,
    Op,
    UnionBy,
)
from failsoft.versions._targets import Place, owner_of, place_of

__all__ = ["Gathered", "gather", "target_of", "words_of"]


class Gathered:
    """ops: version index -> owner -> what it does there.  places: id of the op ->
    what it is about.  unions: (place, property).  alone: ids of ops that need their
    version to itself.  doubled: (op, key) of a second op on one key of a version.
    """

    def __init__(self) -> None:
        self.ops: dict[int, dict[str, OwnerOps]] = defaultdict(dict)
        self.places: dict[int, Place] = {}
        self.unions: list[tuple[Op, Place, str]] = []
        self.alone: set[int] = set()
        self.doubled: list[tuple[Op, str]] = []

    def at(self, index: int, owner: str) -> OwnerOps:
        """Return what a version does to an owner, empty at first."""
        return self.ops[index].setdefault(owner, OwnerOps())


def target_of(op: Op) -> Any:
    """Return what an op on bodies is about, None for other ops."""
    if isinstance(op, Join):
        return op.targets[0] if op.targets else ""
    return getattr(op, "target", getattr(op, "on", None))


def words_of(op: Op) -> str:
    """Return the op as a person would say it: `rename Order.email`."""
    name = type(op).__name__
    kind = "".join(f"_{c.lower()}" if c.isupper() else c for c in name).strip("_")
    if isinstance(op, Change):
        return f"change {op.name} on {op.on}"
    about = target_of(op) or getattr(op, "route", "") or getattr(op, "now", "")
    to = getattr(op, "to", "") or getattr(op, "into", "")
    to = ", ".join(to) if isinstance(to, tuple) else to
    if isinstance(op, Brownout):
        about = op.name
    return f"{kind.removesuffix('_edit')} {about}{f' to {to}' if to else ''}"


def gather(contract: Contract, names: Iterable[str]) -> Gathered:
    """Sort the ops of all versions; those with targets that name nothing too."""
    known = frozenset(names)
    found = Gathered()
    for index, version in enumerate(contract.versions):
        for op in version.ops:
            _sort(found, index, op, known)
    return found


def _sort(found: Gathered, index: int, op: Op, names: frozenset[str]) -> None:
    if isinstance(op, Envelope):
        found.at(index, owner_of(op.route, op.direction)).envelope = op.at
        found.alone.add(id(op))
        return
    target = target_of(op)
    if target is None:
        return
    place = found.places[id(op)] = place_of(target, names)
    if is_code(op):
        found.alone.add(id(op))
    if isinstance(op, UnionBy):
        found.unions.append((op, place, op.by))
    elif isinstance(op, Change):
        found.at(index, place.owner).changes.append((op, place.path))
    elif isinstance(op, Drop) and op.hidden:
        if place.path:
            found.at(index, place.owner).hidden.append((op, place.path))
    elif place.path and (edit := edit_of(op, place)) is not None:
        edits = found.at(index, place.owner).edits
        for other in edits:
            if other.container == edit.container:
                for path in {*other.old} & {*edit.old} or {*other.new} & {*edit.new}:
                    key = ".".join((place.owner, *edit.container, *path))
                    found.doubled.append((op, key))
        edits.append(edit)
