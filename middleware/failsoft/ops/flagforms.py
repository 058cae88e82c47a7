"""What surfaces need to show and edit a flag: its form, rollout steps, differences.

A surface reads the form of a document, changes it, and sends `put_form(...)` as any
other command: preview, confirmation and compare-and-set are those of all writes.
Pure.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Iterator
from typing import Any

import msgspec

from failsoft.errors import Invalid
from failsoft.flags._form import (
    COMPARISONS,
    Condition,
    Form,
    FormRule,
    Outcome,
    Split,
    read_form,
    write_form,
)
from failsoft.ops.command import FlagPut

__all__ = [
    "COMPARISONS",
    "ROLLOUT_STEPS",
    "Condition",
    "Form",
    "FormRule",
    "Outcome",
    "Split",
    "condition_text",
    "diff_words",
    "next_step",
    "outcome_text",
    "put_form",
    "read_form",
    "rule_text",
    "write_form",
]

ROLLOUT_STEPS = (0.0, 1.0, 5.0, 10.0, 25.0, 50.0, 75.0, 100.0)  # percent
_SHOWN = 60


def next_step(percent: float | None, direction: int) -> float:
    """Return the next step of a rollout, up (+1) or down (-1)."""
    now = 0.0 if percent is None else percent
    if direction > 0:
        return next((step for step in ROLLOUT_STEPS if step > now), 100.0)
    return next((step for step in reversed(ROLLOUT_STEPS) if step < now), 0.0)


def put_form(
    target: str, json: bytes, form: Form, *, if_rev: int | None, rebucket: bool = False
) -> FlagPut:
    """Return the command that writes a changed form.

    json, if_rev: the document the form was read from and its record's revision (0 =
    no record).  Raises Invalid when the document has no form.
    """
    try:
        doc = write_form(json, form)
    except ValueError as error:
        raise Invalid(target, str(error)) from None
    return FlagPut(target, doc, if_rev=if_rev, rebucket=rebucket)


def condition_text(condition: Condition) -> str:
    """Return `country in [DE, AT]`."""
    values = [_scalar(value) for value in condition.values]
    if condition.comparison in ("in", "not in"):
        shown = f"[{', '.join(values)}]"
    else:
        shown = " ".join(values)
    return f"{condition.attribute} {condition.comparison} {shown}"


def _scalar(value: Any) -> str:
    return (
        value
        if isinstance(value, str) and value
        else msgspec.json.encode(value).decode()
    )


def outcome_text(outcome: Outcome | None) -> str:
    """Return `on`, `25% on, 75% off`, or `default`."""
    if outcome is None:
        return "default"
    if isinstance(outcome, str):
        return outcome
    total = sum(max(0, weight) for _, weight in outcome.arms) or 1
    arms = (f"{100 * max(0, w) / total:.4g}% {name}" for name, w in outcome.arms)
    by = f" by {outcome.bucket}" if outcome.bucket else ""
    return ", ".join(arms) + by


def rule_text(rule: FormRule) -> str:
    """Return `if country in [DE] and tier == gold then on`."""
    tests = " and ".join(condition_text(one) for one in rule.conditions)
    return f"if {tests} then {outcome_text(rule.then)}"


def diff_words(before: bytes, after: bytes) -> tuple[str, ...]:
    """Return what differs between two documents, in words; empty where equal.

    b"" stands for no document.  Rules are told as rules where both fit a form, else
    by their JSON path.  At most 50 lines, the last then says how many more.
    """
    if before == after:
        return ()
    if not before or not after:
        return ("the flag is new" if after else "the flag is gone",)
    old, new = _decoded(before), _decoded(after)
    if old is None or new is None:
        return ("one of the documents is no JSON object",)
    lines = list(_differences(before, after, old, new))
    if not lines:
        return ("only spacing or order of the text differs",)
    return (*lines[:50], *([f"and {len(lines) - 50} more"] if len(lines) > 50 else ()))


def _decoded(json: bytes) -> dict[str, Any] | None:
    try:
        return msgspec.json.decode(json, type=dict[str, Any])
    except (msgspec.DecodeError, UnicodeError, RecursionError):
        return None


def _differences(
    before: bytes, after: bytes, old: dict[str, Any], new: dict[str, Any]
) -> Iterator[str]:
    forms = read_form(before), read_form(after)
    if old.get("state") != new.get("state"):
        yield f"state {_shown(old.get('state'))} -> {_shown(new.get('state'))}"
    if old.get("defaultVariant") != new.get("defaultVariant"):
        was, now = (_shown(doc.get("defaultVariant")) for doc in (old, new))
        yield f"default {was} -> {now}"
    yield from _paths("variants", old.get("variants"), new.get("variants"))
    if forms[0] is not None and forms[1] is not None:
        yield from _rule_words(forms[0], forms[1])
    else:
        yield from _paths("targeting", old.get("targeting"), new.get("targeting"))
    rest = sorted({*old, *new} - {"state", "defaultVariant", "variants", "targeting"})
    for name in rest:
        yield from _paths(name, old.get(name), new.get(name))


def _rule_words(old: Form, new: Form) -> Iterator[str]:
    was = [rule_text(rule) for rule in old.rules]
    now = [rule_text(rule) for rule in new.rules]
    matcher = difflib.SequenceMatcher(None, was, now, autojunk=False)
    for what, a1, a2, b1, b2 in matcher.get_opcodes():
        if what == "replace" and a2 - a1 == b2 - b1:
            pairs = zip(range(a1, a2), range(b1, b2), strict=True)
            for a, b in pairs:
                yield f"rule {a + 1} was: {was[a]}; is: {now[b]}"
        elif what != "equal":
            yield from (f"rule {a + 1} gone: {was[a]}" for a in range(a1, a2))
            yield from (f"rule {b + 1} new: {now[b]}" for b in range(b1, b2))
    if old.otherwise != new.otherwise:
        yield f"others {outcome_text(old.otherwise)} -> {outcome_text(new.otherwise)}"


def _paths(path: str, old: Any, new: Any) -> Iterable[str]:
    """Yield a line for each place where two values differ."""
    if old == new and type(old) is type(new):
        return
    if isinstance(old, dict) and isinstance(new, dict):
        for name in dict.fromkeys([*old, *new]):
            yield from _paths(f"{path}.{name}", old.get(name), new.get(name))
    elif isinstance(old, list) and isinstance(new, list) and len(old) == len(new):
        for number, (one, two) in enumerate(zip(old, new, strict=True)):
            yield from _paths(f"{path}[{number}]", one, two)
    else:
        yield f"{path} {_shown(old)} -> {_shown(new)}"


def _shown(value: Any) -> str:
    if value is None:
        return "-"
    text = value if isinstance(value, str) else msgspec.json.encode(value).decode()
    return text if len(text) <= _SHOWN else f"{text[:_SHOWN]}..."
