"""Rules of a flag's form as lines that people type, and back.  Pure.

`if country in [DE, AT] and user.tier == gold then 25% on, 75% off`.  Texts that are
no plain words, or that look like numbers, stand in quotes as in JSON; shares are
percents that add up to 100, or plain weights.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any

import msgspec

from failsoft.controls.targets import nearest
from failsoft.errors import Invalid
from failsoft.ops.flagforms import (
    COMPARISONS,
    Condition,
    FormRule,
    Outcome,
    Split,
)

__all__ = ["outcome_line", "parse_outcome", "parse_rule", "rule_line"]

_TOKEN = re.compile(r'\s*("(?:[^"\\]|\\.)*"|[\[\],]|[^\s,\[\]"]+)')
_PLAIN = re.compile(r"[A-Za-z_][\w.@/:+-]*")
_NUMBER = re.compile(r"-?(?:0|[1-9]\d*)(?:\.\d+)?(?:[eE][+-]?\d+)?")
_ARM = re.compile(r"(\d+(?:\.\d{1,2})?)(%?)")
_VERSION = re.compile(r"v?\d[\w.+-]*")
_WORDS = {"and", "then", "true", "false", "null", "by"}
_MANY = ("in", "not in")
_SHAPE = "write it like: if country in [DE, AT] then on"


# -- to text -------------------------------------------------------------------


def rule_line(rule: FormRule) -> str:
    """Return a rule as `parse_rule` reads it."""
    tests = " and ".join(_condition_line(one) for one in rule.conditions)
    return f"if {tests} then {outcome_line(rule.then)}"


def _condition_line(condition: Condition) -> str:
    attribute = _value_text(condition.attribute)
    if condition.comparison == "sem_ver":
        operator, version = map(str, condition.values)
        plain = _VERSION.fullmatch(version) is not None
        shown = version if plain else msgspec.json.encode(version).decode()
        return f"{attribute} sem_ver {operator} {shown}"
    values = [_value_text(value) for value in condition.values]
    many = condition.comparison in _MANY
    shown = f"[{', '.join(values)}]" if many else " ".join(values)
    return f"{attribute} {condition.comparison} {shown}"


def _value_text(value: Any) -> str:
    plain = isinstance(value, str) and _PLAIN.fullmatch(value) and value not in _WORDS
    return str(value) if plain else msgspec.json.encode(value).decode()


def outcome_line(outcome: Outcome | None) -> str:
    """Return an outcome as `parse_outcome` reads it."""
    if not isinstance(outcome, Split):
        return "default" if outcome is None else _value_text(outcome)
    total = sum(weight for _, weight in outcome.arms)
    unit = {100: 1, 10_000: 100}.get(total)
    arms = (
        f"{weight / unit:g}% {_value_text(name)}" if unit
        else f"{weight} {_value_text(name)}"
        for name, weight in outcome.arms
    )  # fmt: skip
    by = f" by {outcome.bucket}" if outcome.bucket else ""
    return ", ".join(arms) + by


# -- from text -----------------------------------------------------------------


class _Tokens:
    """The words of a line, taken one after the other."""

    def __init__(self, text: str) -> None:
        self.texts: list[str] = []
        self.starts: list[int] = []
        self.source = text
        at = 0
        while at < len(text.rstrip()):
            found = _TOKEN.match(text, at)
            if found is None:
                raise Invalid("rule", f"{text[at:].strip()!r} has no closing quote")
            self.texts.append(found.group(1))
            self.starts.append(found.start(1))
            at = found.end()
        self.at = 0

    def peek(self) -> str:
        return self.texts[self.at] if self.at < len(self.texts) else ""

    def take(self, expected: str) -> str:
        text = self.peek()
        if not text:
            raise Invalid("rule", f"ends where {expected} should follow; {_SHAPE}")
        self.at += 1
        return text

    def rest(self) -> str:
        """Return what is left of the line as it was typed."""
        left = self.source[self.starts[self.at] :] if self.peek() else ""
        self.at = len(self.texts)
        return left


def parse_rule(text: str, variants: Sequence[str]) -> FormRule:
    """Return the rule of a line; Invalid says where it is wrong and what to write."""
    tokens = _Tokens(text)
    if tokens.peek() == "if":
        tokens.take("if")
    conditions = [_condition(tokens)]
    while tokens.peek() == "and":
        tokens.take("and")
        conditions.append(_condition(tokens))
    word = tokens.take("then")
    if word != "then":
        raise Invalid("rule", f"{word!r} must be `and` or `then`; {_SHAPE}")
    then = parse_outcome(tokens.rest(), variants)
    if then is None:
        raise Invalid("rule", "must give a variant or shares, not default")
    return FormRule(tuple(conditions), then)


def _condition(tokens: _Tokens) -> Condition:
    attribute = _value(tokens.take("an attribute"))
    if not isinstance(attribute, str):
        raise Invalid("rule", f"{attribute!r} is no attribute; {_SHAPE}")
    comparison = tokens.take("a comparison")
    if comparison == "not":
        comparison = f"not {tokens.take('in')}"
    if comparison not in COMPARISONS:
        close = nearest(comparison, COMPARISONS, 1)
        known = ", ".join(COMPARISONS)
        message = f"{comparison!r} must be one of {known}"
        raise Invalid("rule", message, nearest=close[0] if close else "")
    if comparison in _MANY:
        return Condition(attribute, comparison, _list(tokens))
    if comparison == "sem_ver":
        operator = tokens.take("= != < <= > >= ^ or ~")
        return Condition(attribute, comparison, (operator, _text(tokens)))
    return Condition(attribute, comparison, (_value(tokens.take("a value")),))


def _text(tokens: _Tokens) -> str:
    word = tokens.take("a version")
    return str(_value(word)) if word.startswith('"') else word


def _list(tokens: _Tokens) -> tuple[Any, ...]:
    if tokens.take("[") != "[":
        raise Invalid("rule", "in wants a list: country in [DE, AT]")
    values: list[Any] = []
    while tokens.peek() != "]":
        if values and tokens.take("a comma or ]") != ",":
            raise Invalid("rule", "values of a list need commas between them")
        values.append(_value(tokens.take("a value or ]")))
    tokens.take("]")
    return tuple(values)


def _value(word: str) -> Any:
    if word.startswith('"') or word in ("true", "false", "null"):
        return _json(word)
    if _NUMBER.fullmatch(word):
        return _json(word)
    if word in ("[", "]", ","):
        raise Invalid("rule", f"{word!r} stands where a value should; {_SHAPE}")
    return word


def _json(text: str) -> Any:
    try:
        return msgspec.json.decode(text)
    except (msgspec.DecodeError, UnicodeError) as error:
        raise Invalid("rule", f"{text} is no value: {error}") from None


def parse_outcome(text: str, variants: Sequence[str]) -> Outcome | None:
    """Return a variant, a split, or None for `default`; Invalid as `parse_rule`."""
    tokens = _Tokens(text)
    first = tokens.take("a variant or shares")
    if _ARM.fullmatch(first) and tokens.peek() not in ("", ","):
        return _split(tokens, first, variants)
    if tokens.peek():
        raise Invalid("rule", f"{tokens.rest()!r} is too much after {first}")
    if first == "default" and first not in variants:
        return None
    return _variant(first, variants)


def _variant(word: str, variants: Sequence[str]) -> str:
    name = str(_json(word)) if word.startswith('"') else word
    if name not in variants:
        close = nearest(name, variants, 1)
        message = f"{name!r} is no variant; there are {', '.join(variants)}"
        raise Invalid("rule", message, nearest=close[0] if close else "")
    return name


def _split(tokens: _Tokens, first: str, variants: Sequence[str]) -> Split:
    arms: list[tuple[float, str, str]] = []
    word = first
    while True:
        found = _ARM.fullmatch(word)
        if found is None:
            raise Invalid("rule", f"{word!r} must be a share such as 25%")
        name = _variant(tokens.take("a variant"), variants)
        arms.append((float(found.group(1)), found.group(2), name))
        if tokens.peek() != ",":
            break
        tokens.take(",")
        word = tokens.take("a share")
    bucket = ""
    if tokens.peek() == "by":
        tokens.take("by")
        bucket = tokens.rest()
        _json(bucket)
    if tokens.peek():
        raise Invalid("rule", f"{tokens.rest()!r} must be a comma or `by`")
    return Split(_weights(arms), bucket)


def _weights(arms: list[tuple[float, str, str]]) -> tuple[tuple[str, int], ...]:
    units = {unit for _, unit, _ in arms}
    if len(units) > 1:
        raise Invalid("rule", "write all shares in percent, or none")
    total = sum(share for share, _, _ in arms)
    percent = units == {"%"}
    if percent and abs(total - 100) > 1e-6:
        raise Invalid("rule", f"shares add up to {total:g}%, they must make 100%")
    whole = all(share.is_integer() for share, _, _ in arms)
    if not percent and not whole:
        raise Invalid("rule", "weights are whole numbers; shares end with %")
    times = 1 if whole else 100
    return tuple((name, round(share * times)) for share, _, name in arms)
