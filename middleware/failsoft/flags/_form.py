"""The form of a flag: state, default, ordered rules, and what all others get.

A document fits the form when its targeting is `if` over comparisons with a variant
or a split of constant weights as results; anything else is edited as text.  What a
change of the form does not touch keeps its bytes.  Pure.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import msgspec

from failsoft.flags._splice import elements, members, replaced

__all__ = ["COMPARISONS", "Condition", "Form", "FormRule", "Outcome", "Split"]
__all__ += ["read_form", "write_form"]

# Comparisons a rule may make of one attribute, in the order a menu shows them.
_TWO_SIDED = ("in", "not in", "==", "!=", "<", "<=", ">", ">=")
COMPARISONS = (*_TWO_SIDED, "starts_with", "ends_with", "sem_ver")
_SEM_VER = ("=", "!=", "<", "<=", ">", ">=", "^", "~")
_Scalar = str | int | float | bool | None


class Condition(msgspec.Struct, frozen=True):
    """One comparison of an attribute (a context path such as `user.tier`).

    values: one value, or any number for `in` and `not in`; (operator, version) for
    `sem_ver`.
    """

    attribute: str
    comparison: str
    values: tuple[_Scalar, ...]


class Split(msgspec.Struct, frozen=True):
    """Users split by weight.  arms: (variant, weight); the order matters.

    bucket: JSON of what is hashed, "" = flag key and targeting key.
    """

    arms: tuple[tuple[str, int], ...]
    bucket: str = ""

    def share(self, variant: str) -> float:
        """Return the percentage of users one variant gets."""
        total = sum(weight for _, weight in self.arms)
        mine = sum(weight for name, weight in self.arms if name == variant)
        return 100 * mine / total if total else 0.0


Outcome = str | Split  # the name of a variant, or a split


class FormRule(msgspec.Struct, frozen=True):
    """If all conditions hold, then this outcome."""

    conditions: tuple[Condition, ...]
    then: Outcome


class Form(msgspec.Struct, frozen=True):
    """A flag as a form shows it.

    default: variant served where nothing else is said, None = the coded default.
    otherwise: what users get whom no rule matches, None = the default.
    """

    enabled: bool
    default: str | None
    variants: tuple[str, ...]
    rules: tuple[FormRule, ...] = ()
    otherwise: Outcome | None = None


class _Foreign(Exception):
    """The document has what no form can show."""


def read_form(json: bytes) -> Form | None:
    """Return the form of a document, None when it can only be edited as text."""
    try:
        doc = msgspec.json.decode(json, type=dict[str, Any])
        default = doc.get("defaultVariant") or None
        variants = doc["variants"]
        if doc.get("state") not in ("ENABLED", "DISABLED"):
            return None
        if not isinstance(default, str | None) or not isinstance(variants, dict):
            return None
        rules, otherwise = _rules(doc.get("targeting") or None)
    except (_Foreign, KeyError, RecursionError, UnicodeError, msgspec.DecodeError):
        return None
    enabled = doc["state"] == "ENABLED"
    return Form(enabled, default, tuple(variants), rules, otherwise)


def _rules(targeting: Any) -> tuple[tuple[FormRule, ...], Outcome | None]:
    if targeting is None:
        return (), None
    name, raw = _operator(targeting)
    if name == "fractional":
        return (), _outcome(targeting)
    if name != "if" or not isinstance(raw, list) or len(raw) < 2:
        raise _Foreign
    rules = tuple(
        FormRule(_conditions(test), _outcome(then))
        for test, then in zip(raw[0:-1:2], raw[1::2], strict=False)
    )
    rest = raw[-1] if len(raw) % 2 else None
    return rules, None if rest is None else _outcome(rest)


def _operator(node: Any) -> tuple[str, Any]:
    if not isinstance(node, dict) or len(node) != 1:
        raise _Foreign
    ((name, raw),) = node.items()
    return name, raw


def _conditions(test: Any) -> tuple[Condition, ...]:
    name, raw = _operator(test)
    if name == "and" and isinstance(raw, list) and raw:
        return tuple(_condition(*_operator(part)) for part in raw)
    return (_condition(name, raw),)


def _condition(name: str, raw: Any) -> Condition:
    if name == "!":
        inner, args = _operator(raw[0] if isinstance(raw, list) and raw else raw)
        if inner != "in" or (isinstance(raw, list) and len(raw) > 1):
            raise _Foreign
        return _compared("not in", args)
    return _compared(name, raw)


def _compared(comparison: str, args: Any) -> Condition:
    count = 3 if comparison == "sem_ver" else 2
    known = comparison in COMPARISONS and isinstance(args, list) and len(args) == count
    if not known:
        raise _Foreign
    inner, path = _operator(args[0])
    path = path[0] if isinstance(path, list) and len(path) == 1 else path
    if inner != "var" or not isinstance(path, str) or not path:
        raise _Foreign
    many = comparison in ("in", "not in")
    values = args[1] if many else args[1:]
    # A text on the right of `in` asks for a part of it, not for one of several.
    if not isinstance(values, list) or not all(isinstance(v, _Scalar) for v in values):
        raise _Foreign
    if comparison == "sem_ver" and values[0] not in _SEM_VER:
        raise _Foreign
    return Condition(path, comparison, tuple(values))


def _outcome(result: Any) -> Outcome:
    if isinstance(result, str):
        return result
    name, raw = _operator(result)
    if name != "fractional" or not isinstance(raw, list) or not raw:
        raise _Foreign
    shorthand = isinstance(raw[0], list)
    arms = tuple(_arm(arm) for arm in (raw if shorthand else raw[1:]))
    if not arms:
        raise _Foreign
    return Split(arms, "" if shorthand else msgspec.json.encode(raw[0]).decode())


def _arm(arm: Any) -> tuple[str, int]:
    if not isinstance(arm, list) or not 1 <= len(arm) <= 2:
        raise _Foreign
    weight = arm[1] if len(arm) == 2 else 1
    if not isinstance(arm[0], str) or type(weight) is not int:
        raise _Foreign
    return arm[0], weight


def write_form(json: bytes, form: Form) -> bytes:
    """Return the document as the form says it; what it does not touch keeps its bytes.

    json: the document the form was read from.  Raises ValueError where that has no
    form, so that a rule nobody saw is never dropped.
    """
    before = read_form(json)
    if before is None:
        raise ValueError("the targeting fits no form; edit it as text")
    changes: dict[str, bytes | None] = {}
    if form.enabled != before.enabled:
        changes["state"] = b'"ENABLED"' if form.enabled else b'"DISABLED"'
    if form.default != before.default:
        changes["defaultVariant"] = msgspec.json.encode(form.default)
    # By their text: 1, 1.0 and true are equal to Python, not to a rule.
    if repr((form.rules, form.otherwise)) != repr((before.rules, before.otherwise)):
        changes["targeting"] = _targeting(form, _known_bytes(json))
        if not form.rules and isinstance(form.otherwise, str):
            changes["defaultVariant"] = msgspec.json.encode(form.otherwise)
    return replaced(json, changes)


_Bytes = Mapping[str, bytes]  # repr of conditions or outcome -> how they are written


def _known_bytes(json: bytes) -> _Bytes:
    found = next((m for m in members(json) if m.name == "targeting"), None)
    if found is None or json[found.start : found.end] == b"null":
        return {}
    known: dict[str, bytes] = {}
    for member in members(json, found.start):
        if member.name == "fractional":
            whole = json[found.start : found.end]
            known[repr(_outcome(msgspec.json.decode(whole)))] = whole
        elif member.name == "if":
            parts = [json[a:b] for a, b in elements(json, member.start)]
            for number, part in enumerate(parts):
                known[repr(_part(part, number, len(parts)))] = part
    return known


def _part(raw: bytes, number: int, count: int) -> Any:
    value = msgspec.json.decode(raw)
    is_test = number % 2 == 0 and number + 1 < count
    if is_test:
        return _conditions(value)
    return None if value is None else _outcome(value)


def _targeting(form: Form, known: _Bytes) -> bytes | None:
    if not form.rules:
        is_split = isinstance(form.otherwise, Split)
        return _written(form.otherwise, known) if is_split else None
    parts = []
    for rule in form.rules:
        parts.append(known.get(repr(rule.conditions)) or _test(rule.conditions))
        parts.append(_written(rule.then, known))
    if form.otherwise is not None:
        parts.append(_written(form.otherwise, known))
    return b'{"if":[' + b",".join(parts) + b"]}"


def _written(outcome: Outcome | None, known: _Bytes) -> bytes:
    return known.get(repr(outcome)) or msgspec.json.encode(_tree(outcome))


def _tree(outcome: Outcome | None) -> Any:
    if not isinstance(outcome, Split):
        return outcome
    arms: list[Any] = [[name, weight] for name, weight in outcome.arms]
    first = [msgspec.Raw(outcome.bucket.encode())] if outcome.bucket else []
    return {"fractional": [*first, *arms]}


def _test(conditions: tuple[Condition, ...]) -> bytes:
    tests = [_comparison(condition) for condition in conditions]
    return msgspec.json.encode(tests[0] if len(tests) == 1 else {"and": tests})


def _comparison(condition: Condition) -> dict[str, Any]:
    read: dict[str, Any] = {"var": condition.attribute}
    values = list(condition.values)
    if condition.comparison == "not in":
        return {"!": {"in": [read, values]}}
    if condition.comparison == "in":
        return {"in": [read, values]}
    return {condition.comparison: [read, *values]}
