"""Ops on fields in one form: what is taken out, where it is put, how it changes.

Paths start at the owner's node.  `container` leads to the objects that are edited:
lists on the way are entered item by item, `*` also enters the values of a map.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from failsoft.shapes.rawjson import read, write
from failsoft.versions._model import (
    ABSENT,
    Add,
    Change,
    Drop,
    EnumMap,
    Join,
    Move,
    Op,
    Rename,
    Retype,
    Split,
    UnwrapList,
    WrapList,
)
from failsoft.versions._targets import Path, Place
from failsoft.versions._values import (
    Convert,
    cut,
    cut_all,
    first_of,
    glue,
    glue_all,
    list_of,
    mapped,
    retyped,
)

__all__ = ["Edit", "OwnerOps", "edit_of", "fill_of", "is_code", "is_lossy"]


@dataclass(eq=False, slots=True)
class Edit:
    """One op at its place.

    old, new: paths from the container before and after.  up, down: change the values
    on the way, None where they move as they are.  fill_up, fill_down: make the value
    of what nothing was taken for.  old_made, new_made: per path, how much of it the
    other layout has, which `_layouts` finds out: what lies below is made and removed.
    """

    op: Op
    container: Path
    old: tuple[Path, ...]
    new: tuple[Path, ...]
    up: Convert | None = None
    down: Convert | None = None
    fill_up: Callable[[dict[str, Any]], Any] | None = None
    fill_down: Callable[[dict[str, Any]], Any] | None = None
    old_kept: dict[Path, int] = field(default_factory=dict)
    new_kept: dict[Path, int] = field(default_factory=dict)

    @property
    def is_identity(self) -> bool:
        """Whether values move as they are."""
        return self.up is None and bool(self.old) and bool(self.new)


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


Maker = Callable[[Any, Place], Edit]


def fill_of(value: Any) -> Callable[[dict[str, Any]], Any]:
    """Return what makes a missing value; functions get the decoded node."""
    if callable(value):
        return lambda node: write(value(read(node)))
    raw = write(value)
    return lambda node: raw


def _sibling(path: Path, name: str) -> Path:
    return (*path[:-1], name)


def _apart(path: Path, other: Path) -> tuple[Path, Path, Path]:
    """Return what two paths share, without their last tokens, and the two rests."""
    count = 0
    while count < min(len(path), len(other)) - 1 and path[count] == other[count]:
        count += 1
    return path[:count], path[count:], other[count:]


def _rename(op: Rename, place: Place) -> Edit:
    return Edit(op, place.path[:-1], (place.path[-1:],), ((op.to,),))


def _move(op: Move, place: Place) -> Edit:
    shared, old, new = _apart(place.path, tuple(op.to.split(".")))
    return Edit(op, shared, (old,), (new,))


def _add(op: Add, place: Place) -> Edit:
    fill = fill_of(op.default) if op.required and op.default is not ABSENT else None
    return Edit(op, place.path[:-1], (), (place.path[-1:],), fill_up=fill)


def _drop(op: Drop, place: Place) -> Edit:
    fill = None if op.fill is ABSENT else fill_of(op.fill)
    return Edit(op, place.path[:-1], (place.path[-1:],), (), fill_down=fill)


def _split(op: Split, place: Place) -> Edit:
    new = tuple((name,) for name in op.into)
    up, down = cut(op.sep, len(new)), glue(op.sep)
    return Edit(op, place.path[:-1], (place.path[-1:],), new, up, down)


def _join(op: Join, place: Place) -> Edit:
    names = [str(target).rpartition(".")[2] for target in op.targets]
    if not isinstance(op.targets[0], str):
        names = [getattr(t, "pointer", "").rpartition("/")[2] for t in op.targets]
    old = tuple((name,) for name in names)
    up, down = glue_all(op.sep), cut_all(op.sep, [True] * len(old))
    return Edit(op, place.path[:-1], old, ((op.into,),), up, down)


def _retype(op: Retype, place: Place) -> Edit:
    up, down = retyped(op.was, op.now, op.lossy is not None) or (None, None)
    return _in_place(op, place, up, down)


def _enum_map(op: EnumMap, place: Place) -> Edit:
    back = {new: old for old, new in reversed(op.values)}
    up, down = mapped(dict(op.values)), mapped(back, op.fallback)
    return _in_place(op, place, up, down)


def _in_place(op: Op, place: Place, up: Any, down: Any, to: str = "") -> Edit:
    new = _sibling(place.path[-1:], to) if to else place.path[-1:]
    return Edit(op, place.path[:-1], (place.path[-1:],), (new,), up, down)


def _wrap(op: WrapList, place: Place) -> Edit:
    return _in_place(op, place, list_of, first_of(is_strict=False), op.to)


def _unwrap(op: UnwrapList, place: Place) -> Edit:
    up = first_of(is_strict=op.lossy is None)
    return _in_place(op, place, up, _listed, op.to)


def _listed(found: Sequence[Any], is_patch: bool) -> list[Any]:
    return list_of(found, False)


_MAKERS: Mapping[type[Op], Maker] = {
    Rename: _rename,
    Move: _move,
    Add: _add,
    Drop: _drop,
    Split: _split,
    Join: _join,
    Retype: _retype,
    EnumMap: _enum_map,
    WrapList: _wrap,
    UnwrapList: _unwrap,
}


def edit_of(op: Op, place: Place) -> Edit | None:
    """Return the op on a field as an edit, None for ops of another kind."""
    maker = _MAKERS.get(type(op))
    return None if maker is None else maker(op, place)


def is_code(op: Op) -> bool:
    """Whether the op must see its node in the layout of its own version."""
    if isinstance(op, Change):
        return True
    value = getattr(op, "default", getattr(op, "fill", None))
    return callable(value) or isinstance(value, dict | list)


def is_lossy(op: Op) -> bool:
    """Whether a body of the old version may come back from the head changed."""
    if isinstance(op, Drop):
        return not op.hidden
    return getattr(op, "lossy", None) in ("up", "both")
