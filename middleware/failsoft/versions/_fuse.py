"""Runs of renames, additions and removals on one object, as one step.

Of a field that was renamed four times only the first and the last name matter, as
long as the body holds none of the names between: then all of them are one move.
Measured on 100 versions and a body of 2 KB: a third of the time.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from failsoft.versions._edits import Edit, OwnerOps
from failsoft.versions._model import ABSENT
from failsoft.versions._steps import Step, Trace, edit_steps

__all__ = ["Moves", "moves_of", "steps_of"]


def steps_of(versions: Sequence[OwnerOps], *, is_up: bool) -> tuple[Step, ...]:
    """Return the steps of versions in the order in which they are to be done."""
    steps: list[Step] = []
    run: list[list[Edit]] = []
    for ops in versions:
        if _is_simple(ops.edits, is_up=is_up):
            run.append(ops.edits)
            continue
        steps += _fused(run, is_up=is_up)
        steps += edit_steps(ops.edits, is_up=is_up)
        run = []
    return (*steps, *_fused(run, is_up=is_up))


def _is_simple(edits: Sequence[Edit], *, is_up: bool) -> bool:
    """Whether the edits of a version can be done one after the other, by key alone."""
    old = [path for edit in edits for path in edit.old]
    new = [path for edit in edits for path in edit.new]
    return (
        not {*old} & {*new}
        and all(len(path) == 1 for path in (*old, *new))
        and all(_is_plain(edit, is_up=is_up) for edit in edits)
    )


def _is_plain(edit: Edit, *, is_up: bool) -> bool:
    if edit.container:
        return False
    if edit.is_identity:
        return True
    fill = getattr(edit.op, "default", getattr(edit.op, "fill", None))
    return not (edit.old and edit.new) and not callable(fill)


def _fused(run: Sequence[Sequence[Edit]], *, is_up: bool) -> list[Step]:
    one_by_one = [step for edits in run for step in edit_steps(edits, is_up=is_up)]
    if len(one_by_one) < 2:
        return one_by_one
    return [Moves(run, is_up=is_up).step(one_by_one)]


def moves_of(versions: Sequence[OwnerOps], *, is_up: bool) -> Moves | None:
    """Return where the keys of an object go, None if more is done with them.

    versions: in the order in which they are to be done.
    """
    if any(ops.changes or not _is_simple(ops.edits, is_up=is_up) for ops in versions):
        return None
    return Moves([ops.edits for ops in versions], is_up=is_up)


class Moves:
    """Where each key ends.  ends: first name -> last one, None for removed.

    made: name -> value that is put there.  between: names that the body must not
    hold for this to be the same as step by step.
    """

    def __init__(self, run: Sequence[Sequence[Edit]], *, is_up: bool) -> None:
        self.ends: dict[str, str | None] = {}
        self.made: dict[str, Any] = {}
        self.between: set[str] = set()
        self._starts: dict[str, str] = {}  # name now -> first name
        for edit in (edit for edits in run for edit in edits):
            takes, gives = (edit.old, edit.new) if is_up else (edit.new, edit.old)
            fill = edit.fill_up if is_up else edit.fill_down
            self._move(*(path[0] if path else None for path in _firsts(takes, gives)))
            if fill is not None and not takes:
                self.made[gives[0][0]] = fill({})

    def _move(self, was: str | None, now: str | None) -> None:
        if now is not None and now not in self.ends:
            self.between.add(now)
        if was is None:
            return
        if was in self.made:
            value = self.made.pop(was)
            if now is not None:
                self.made[now] = value
            return
        start = self._starts.pop(was, was)
        self.ends[start] = now
        if now is not None:
            self._starts[now] = start

    def step(self, one_by_one: Sequence[Step]) -> Step:
        """Return the step; what it cannot do goes one by one."""
        pairs: tuple[tuple[str, Any], ...] = tuple(self.ends.items())
        made = tuple(self.made.items())
        ends = self.ends.values()
        is_apart = None not in ends and self.ends.keys().isdisjoint(ends)
        is_free = frozenset(self.between).isdisjoint

        def move(members: dict[str, Any], trace: Trace) -> None:
            if not is_free(members):
                for step in one_by_one:
                    step(members, trace)
                return
            if is_apart:
                for was, now in pairs:
                    if was in members:
                        members[now] = members.pop(was)
                        trace.has_changed = True
            else:
                # All are taken out first: one may end where another began.
                taken: list[tuple[Any, Any]] = [
                    (now, value)
                    for was, now in pairs
                    if (value := members.pop(was, ABSENT)) is not ABSENT
                ]
                if taken:
                    trace.has_changed = True
                    members.update(_kept(taken))
            if made and not trace.is_patch:
                trace.has_changed = True
                members.update(made)

        return move


def _kept(taken: Sequence[tuple[str | None, Any]]) -> list[tuple[str, Any]]:
    return [(name, value) for name, value in taken if name is not None]


def _firsts(takes: Any, gives: Any) -> tuple[Any, Any]:
    return (takes[0] if takes else None), (gives[0] if gives else None)
