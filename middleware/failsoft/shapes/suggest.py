"""Which change of a contract would cover a difference.  Pure."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from difflib import SequenceMatcher

from failsoft.shapes.diff import Difference, breaking

__all__ = ["Suggestion", "suggest", "toml_lines"]

_DEFAULTS = {
    "string": '""',
    "integer": "0",
    "number": "0",
    "boolean": "false",
    "array": "[]",
    "object": "{}",
}
_WORDS = {
    "string": "str",
    "string:date-time": "date-time",
    "integer": "int",
    "number": "number",
    "boolean": "bool",
}


# As TOML writes it: `GET /orders/{id} response /items/*/colour`.
_BODY = re.compile(r'Body\("([^"]*)", "([^"]*)", "([^"]*)"\)')


@dataclass(frozen=True, slots=True)
class Suggestion:
    """One op.

    op: its name, `change` for what has to be written by hand.  target: as a contract
    names it.  value: its side in TOML.  why: the difference it answers.  is_guess: a
    person must say whether it is so, and fill in each `...`.
    """

    op: str
    target: str
    value: str = ""
    why: str = ""
    is_guess: bool = False


def suggest(found: Iterable[Difference]) -> tuple[Suggestion, ...]:
    """Return the ops that would cover all breaking differences, each once.

    A field that went and one that came in the same object with the same type
    become a `rename`, marked as a guess.  What no op can express is told as
    `change`, to be written by hand.
    """
    every = list(found)
    renames = dict(_renames(every))
    statuses = dict(_statuses(every))
    out: dict[tuple[str, str], Suggestion] = {}
    for one in every:
        made = _suggestion(one, renames, statuses)
        if made is not None:
            out.setdefault((made.op, made.target), made)
    return tuple(out.values())


def toml_lines(found: Iterable[Suggestion]) -> list[str]:
    """Return the lines below `[[version]]`; comments for what TOML has no word for."""
    tables: dict[str, list[str]] = {}
    lists: dict[str, list[str]] = {}
    notes = []
    for one in found:
        if one.is_guess:
            notes.append(f"# {one.op} {one.target} is a guess: {one.why}")
        target = _BODY.sub(r"\1 \2 \3", one.target)
        key = _quoted(target)
        if one.op == "change":
            notes.append(f"# in Python: change of {target}: {one.why}")
        elif one.value:
            tables.setdefault(one.op, []).append(f"{key} = {one.value}")
        else:
            lists.setdefault(one.op, []).append(key)
    lines = [f"{op} = {{ {', '.join(pairs)} }}" for op, pairs in tables.items()]
    lines += [f"{op} = [{', '.join(names)}]" for op, names in lists.items()]
    return notes + lines


def _quoted(text: str) -> str:
    """Return a text as TOML writes it; what JSON writes is that too."""
    return json.dumps(text, ensure_ascii=False).replace("\x7f", "\\u007f")


def _renames(found: list[Difference]) -> Iterator[tuple[str, str]]:
    """Pair (removed target, added target), each with the most alike of its type."""
    gone = {o.target: o for o in found if o.id.endswith("property-removed")}
    came = {o.target: o for o in found if _is_added(o)}
    for target, one in gone.items():
        news = [t for t, o in came.items() if _fits(o, one)]
        if not news:
            continue
        best = max(news, key=lambda new: _likeness(target, new))
        rivals = [t for t, o in gone.items() if _fits(came[best], o)]
        if max(rivals, key=lambda old: _likeness(old, best)) == target:
            yield target, best


def _fits(came: Difference, gone: Difference) -> bool:
    same_object = _parent(came.target) == _parent(gone.target)
    return same_object and came.now == gone.was


def _likeness(old: str, new: str) -> float:
    return SequenceMatcher(None, _name(old), _name(new)).ratio()


def _statuses(found: list[Difference]) -> Iterator[tuple[str, str]]:
    """Pair operation -> the success status that came, if there is one only."""
    came: dict[str, list[str]] = {}
    for one in found:
        if one.id == "response-success-status-added":
            came.setdefault(one.operation, []).append(one.now)
    for operation, statuses in came.items():
        if len(statuses) == 1:
            yield operation, statuses[0]


def _is_added(one: Difference) -> bool:
    return one.id.endswith(("-request-property", "property-added"))


def _parent(target: str) -> str:
    return target.rpartition("/" if target.startswith("Body(") else ".")[0]


def _name(target: str) -> str:
    cut = "/" if target.startswith("Body(") else "."
    return target.rpartition(cut)[2].removesuffix('")')


def _suggestion(
    one: Difference, renames: dict[str, str], statuses: dict[str, str]
) -> Suggestion | None:
    if one.target in renames:
        was, now = _name(one.target), _name(renames[one.target])
        why = f"{was} went and {now} came, both {one.was}"
        return Suggestion("rename", one.target, _quoted(now), why, is_guess=True)
    if one.target in renames.values() or not breaking((one,)):
        return None
    if one.id == "response-success-status-removed":
        now = statuses.get(one.operation, '"..."')
        value = f"{{ was = {one.was}, now = {now} }}"
        return Suggestion("status", one.operation, value, str(one))
    for ending, make in _BY_ENDING:
        if one.id.endswith(ending):
            return make(one)
    return _by_hand(one)


def _constant(words: str) -> str:
    return _DEFAULTS.get(words.partition(":")[0].partition("|")[0], '""')


def _add(one: Difference) -> Suggestion:
    value = f"{{ default = {_constant(one.now)} }}"
    return Suggestion("add", one.target, value, str(one))


def _drop(one: Difference) -> Suggestion:
    return Suggestion(
        "drop", one.target, f"{{ fill = {_constant(one.was)} }}", str(one)
    )


def _type(one: Difference) -> Suggestion:
    was, now = one.was, one.now
    if was in _WORDS and now in _WORDS and _WORDS[was] != _WORDS[now]:
        value = f'{{ was = "{_WORDS[was]}", now = "{_WORDS[now]}" }}'
        return Suggestion("retype", one.target, value, str(one))
    if "array" in (was, now) and one.target.rpartition(".")[0]:
        op = "wrap_list" if now == "array" else "unwrap_list"
        return Suggestion(op, one.target, "", str(one))
    return _by_hand(one)


def _enum(one: Difference) -> Suggestion:
    pair = f"{_quoted(one.was or '...')} = {_quoted(one.now or '...')}"
    return Suggestion("enum_map", one.target, f"{{ {pair} }}", str(one), is_guess=True)


def _parameter(one: Difference) -> Suggestion:
    place, _, name = one.path.partition("/")
    op = "header" if place == "header" else "query"
    is_removed = one.id.endswith("removed")
    was, now = (name, "...") if is_removed else ("...", name)
    value = f"{{ was = {_quoted(was)}, now = {_quoted(now)} }}"
    return Suggestion(op, one.operation, value, str(one), is_guess=True)


def _gone(one: Difference) -> Suggestion:
    why = f"{one}; keep the route in the code"
    return Suggestion("gone", one.operation, "", why, is_guess=True)


def _by_hand(one: Difference) -> Suggestion:
    return Suggestion("change", one.target or one.operation, "", str(one))


_BY_ENDING = (
    ("required-request-property", _add),
    ("request-property-became-required", _add),
    ("property-removed", _drop),
    ("property-became-optional", _drop),
    ("type-changed", _type),
    ("enum-value-removed", _enum),
    ("enum-value-added", _enum),
    ("request-parameter-removed", _parameter),
    ("required-request-parameter", _parameter),
    ("deprecation", _gone),
)
