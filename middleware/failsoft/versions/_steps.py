"""Edits of one version on one object, as functions on its opened members.

All sources are taken out, then everything is put: so two fields can swap names.  A
key that the older side does not know is dropped on the way up, before something is
put there, and counted: an old body cannot set fields its version lacks.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import Any

from msgspec import Raw

from failsoft.shapes.findings import Finding
from failsoft.shapes.rawjson import open_list, open_object, read, write
from failsoft.versions._edits import Edit
from failsoft.versions._model import ABSENT, Add, Drop
from failsoft.versions._targets import Path
from failsoft.versions._values import Convert, Unfit

__all__ = ["Step", "Trace", "code_step", "edit_steps", "run_code", "strip_step"]


class Trace:
    """What one migration notes.  found: (path tokens, innermost first) of dropped keys.

    is_patch: the body tells only what changes.  has_changed: something was edited.
    guesses: unions whose branch had to be guessed among equals.
    """

    __slots__ = ("found", "guesses", "has_changed", "is_patch")

    def __init__(self, is_patch: bool) -> None:
        self.is_patch = is_patch
        self.has_changed = False
        self.found: list[list[str]] = []
        self.guesses: list[list[str]] = []

    def findings(self) -> tuple[Finding, ...]:
        """Return the notes as findings, 100 at most."""
        if not self.found and not self.guesses:
            return ()
        return tuple(
            Finding("".join(f"/{token}" for token in reversed(tokens)), kind)
            for kind, notes in (("unknown", self.found), ("ambiguous", self.guesses))
            for tokens in notes[:100]
        )


Step = Callable[[dict[str, Any], Trace], None]


def edit_steps(edits: Sequence[Edit], *, is_up: bool) -> list[Step]:
    """Return what does these edits of one version, in either direction."""
    by_container: dict[Path, list[Edit]] = {}
    for edit in edits:
        by_container.setdefault(edit.container, []).append(edit)
    steps = [
        _entered(container, _group(group, is_up=is_up))
        for container, group in by_container.items()
    ]
    return steps if is_up else steps[::-1]


def _group(edits: Sequence[Edit], *, is_up: bool) -> Step:
    if len(edits) == 1:
        short = _short(edits[0], is_up=is_up)
        if short is not None:
            return short
    return _general([_side(edit, is_up=is_up) for edit in edits], is_up=is_up)


# --- the short forms: one edit on one key -------------------------------------------


def _short(edit: Edit, *, is_up: bool) -> Step | None:
    if edit.is_identity and len(edit.old[0]) == 1 and len(edit.new[0]) == 1:
        was, now = edit.old[0][0], edit.new[0][0]
        return _renamed(was, now) if is_up else _renamed_back(now, was)
    if isinstance(edit.op, Add) and not callable(edit.op.default):
        return _added(edit) if is_up else strip_step(edit.new[0])
    if isinstance(edit.op, Drop) and edit.fill_down is None:
        return strip_step(edit.old[0]) if is_up else None
    return None


def _renamed(was: str, now: str) -> Step:
    def rename(members: dict[str, Any], trace: Trace) -> None:
        if now in members:
            del members[now]
            trace.has_changed = True
            trace.found.append([now])
        if was in members:
            members[now] = members.pop(was)
            trace.has_changed = True

    return rename


def _renamed_back(now: str, was: str) -> Step:
    def rename(members: dict[str, Any], trace: Trace) -> None:
        if now in members:
            members[was] = members.pop(now)
            trace.has_changed = True

    return rename


def _added(edit: Edit) -> Step:
    key, fill = edit.new[0][0], edit.fill_up
    value = fill({}) if fill is not None else None

    def add(members: dict[str, Any], trace: Trace) -> None:
        if key in members:
            del members[key]
            trace.found.append([key])
        if value is not None and not trace.is_patch:
            members[key] = value
        trace.has_changed = True

    return add


def strip_step(path: Path) -> Step:
    """Return what takes a member out, if it is there."""
    key = path[-1]

    def strip(members: dict[str, Any], trace: Trace) -> None:
        if members.pop(key, ABSENT) is not ABSENT:
            trace.has_changed = True

    return _entered(path[:-1], strip)


# --- the general form ---------------------------------------------------------------


class _Side:
    """One edit seen in one direction."""

    __slots__ = ("convert", "fill", "gives", "kept", "later", "takes")

    def __init__(self, edit: Edit, *, is_up: bool) -> None:
        self.takes = edit.old if is_up else edit.new
        self.gives = edit.new if is_up else edit.old
        self.convert: Convert | None = edit.up if is_up else edit.down
        self.fill = edit.fill_up if is_up else edit.fill_down
        # How much of what is taken stands in the layout we go to.
        self.kept = edit.old_kept if is_up else edit.new_kept
        kept = edit.new_kept if is_up else edit.old_kept
        self.later = [
            path[: kept.get(path, 0) + 1]
            for path in self.gives
            if kept.get(path, 0) < len(path)
        ]


def _side(edit: Edit, *, is_up: bool) -> _Side:
    return _Side(edit, is_up=is_up)


def _general(sides: Sequence[_Side], *, is_up: bool) -> Step:
    def step(members: dict[str, Any], trace: Trace) -> None:
        fills = [
            side.fill(members) if side.fill and not (is_up and trace.is_patch) else None
            for side in sides
        ]
        taken = [
            [_take(members, path, side.kept.get(path, 0)) for path in side.takes]
            for side in sides
        ]
        _clear(members, sides, trace, is_up)
        for side, values, fill in zip(sides, taken, fills, strict=True):
            for path, value in zip(
                side.gives, _given(side, values, fill, trace), strict=True
            ):
                if value is not ABSENT:
                    _put(members, path, value, is_up=is_up)
        trace.has_changed = True

    return step


def _given(side: _Side, values: list[Any], fill: Any, trace: Trace) -> Sequence[Any]:
    if not side.takes:
        return [ABSENT if fill is None else fill] * len(side.gives)
    if side.convert is None:
        return values if side.gives else ()
    try:
        return side.convert(values, trace.is_patch)
    except Unfit as unfit:
        unfit.tokens += reversed(side.takes[unfit.source])
        raise


def _clear(
    members: dict[str, Any], sides: Sequence[_Side], trace: Trace, is_up: bool
) -> None:
    """Remove what stands where only the other layout has something."""
    for side in sides:
        for path in side.later:
            if _take(members, path, len(path)) is not ABSENT and is_up:
                trace.found.append([*reversed(path)])


def _take(members: dict[str, Any], path: Path, kept: int) -> Any:
    """Take a value out, with the parents that only it was left in.

    kept: how many leading tokens stand in the other layout, and so stay.
    """
    if len(path) == 1:
        return members.pop(path[0], ABSENT)
    inner = open_object(members.get(path[0]))
    if inner is None:
        return ABSENT
    value = _take(inner, path[1:], kept - 1)
    if value is not ABSENT:
        members[path[0]] = inner
        if not inner and kept < 1:
            del members[path[0]]
    return value


def _put(members: dict[str, Any], path: Path, value: Any, *, is_up: bool) -> None:
    for depth, token in enumerate(path[:-1]):
        inner = open_object(members.get(token))
        if inner is None:
            if token in members and is_up:
                unfit = Unfit("type", "must be an object")
                unfit.tokens += reversed(path[: depth + 1])
                raise unfit
            inner = {}
        members[token] = inner
        members = inner
    members[path[-1]] = value


# --- deeper places ------------------------------------------------------------------


def _entered(container: Path, step: Step) -> Step:
    """Return the step at every object the container path leads to."""
    if not container:
        return step

    def enter(members: dict[str, Any], trace: Trace) -> None:
        _each(members, container, lambda inner: step(inner, trace), trace)

    return enter


def _each(
    value: Any, path: Path, act: Callable[[dict[str, Any]], Any], trace: Trace
) -> Any:
    """Return the value with `act` done on every object at the path."""
    items = open_list(value)
    if items is not None:
        rest = path[1:] if path[:1] == ("*",) else path
        for index, item in enumerate(items):
            with_index = _Guard(trace, "*", index)
            items[index] = with_index.run(_each, item, rest, act, trace)
        return items
    members = open_object(value)
    if members is None:
        return value
    if not path:
        act(members)
        return members
    for key in _keys(members, path[0]):
        guard = _Guard(trace, path[0], key)
        members[key] = guard.run(_each, members[key], path[1:], act, trace)
    return members


def _keys(members: dict[str, Any], token: str) -> Iterable[str]:
    if token in members:
        return (token,)
    return tuple(members) if token == "*" else ()


class _Guard:
    """Adds where it happened to what a call notes, or fails with."""

    __slots__ = ("exact", "token", "trace")

    def __init__(self, trace: Trace, token: str, exact: str | int) -> None:
        self.trace = trace
        self.token = token
        self.exact = exact

    def run(self, call: Callable[..., Any], *args: Any) -> Any:
        before = len(self.trace.found)
        try:
            result = call(*args)
        except Unfit as unfit:
            unfit.tokens.append(self.exact)
            raise
        for note in self.trace.found[before:]:
            note.append(self.token)
        return result


# --- code of the application ----------------------------------------------------------


def run_code(
    function: Callable[[Any], Any], value: Any, *, name: str, source: str
) -> Raw:
    """Run code of the application on a decoded node; it may fail in any way.

    source: what was to be done, for the message; no value and no text of the
    exception goes into it, as both may hold data of the body.
    """
    node = read(value)
    try:
        result = function(node)
        return write(node if result is None else result)
    except Exception as error:
        detail = f"{name}.{source} raised {type(error).__name__}"
        raise Unfit("type", detail) from error


def code_step(path: Path, run: Callable[[Any], Any]) -> Step:
    """Return the step that gives the value at a path to `run`."""

    def step(members: dict[str, Any], trace: Trace) -> None:
        trace.has_changed = True
        _at(members, path, run)

    return step


def _at(value: Any, path: Path, run: Callable[[Any], Any]) -> Any:
    if not path:
        return run(value)
    items = open_list(value)
    if items is not None:
        rest = path[1:] if path[:1] == ("*",) else path
        return [_at(item, rest, run) for item in items]
    members = open_object(value)
    if members is None:
        return value
    for key in _keys(members, path[0]):
        members[key] = _at(members[key], path[1:], run)
    return members
