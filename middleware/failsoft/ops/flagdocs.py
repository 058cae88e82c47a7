"""Makes the documents of simple edits: on, off, another default, a share of users.

What an edit does not touch keeps its bytes.  Documents with rules that fit no form
are left to `flags edit`.  Pure.
"""

from __future__ import annotations

from typing import Any

import msgspec

from failsoft.controls.targets import nearest
from failsoft.errors import Invalid
from failsoft.flags._form import Form, Split, read_form, write_form
from failsoft.flags._splice import replaced
from failsoft.ops.command import FlagEdit

__all__ = ["default_text", "edited", "flag_now", "new_document"]

_HASH_VERSION = 3
_BOOLEAN = {"on": True, "off": False}
_NEW = b'{"state":"ENABLED","variants":{"on":true,"off":false},"defaultVariant":"off"}'
_HUNDREDTHS = 10_000


def _decode(json: bytes) -> dict[str, Any]:
    try:
        return msgspec.json.decode(json, type=dict[str, Any])
    except (msgspec.DecodeError, UnicodeError, RecursionError):
        return {}


def _names(doc: dict[str, Any]) -> tuple[str, str] | None:
    """Return the names of the variants that are true and false, None if not so."""
    variants = doc.get("variants", _BOOLEAN)
    if not isinstance(variants, dict) or len(variants) != 2:
        return None
    by_value = {value: name for name, value in variants.items() if _is_bool(value)}
    return (by_value[True], by_value[False]) if len(by_value) == 2 else None


def _is_bool(value: object) -> bool:
    return isinstance(value, bool)


def default_text(coded: str) -> str:
    """Return how a coded default (JSON text) is shown."""
    return {"true": "on", "false": "off", "": "?"}.get(coded, coded)


def flag_now(json: bytes) -> tuple[str, float | None]:
    """Return (text, share of `on` in percent) of a flag document.

    The share is that of users no rule matches; None where the document is not
    boolean, or says it by a rule.
    """
    doc = _decode(json)
    names = _names(doc)
    if not doc:
        return "unreadable", None
    if doc.get("state") == "DISABLED":
        return "disabled", None
    if doc.get("targeting"):
        return _ruled(json, names)
    variant = doc.get("defaultVariant")
    if names is None or variant not in names:
        return str(variant), None
    return ("on", 100.0) if variant == names[0] else ("off", 0.0)


def _ruled(json: bytes, names: tuple[str, str] | None) -> tuple[str, float | None]:
    form = read_form(json)
    if form is None or names is None or not isinstance(form.otherwise, Split):
        return "rules", None
    arms = [name for name, _ in form.otherwise.arms]
    if set(arms) != set(names) or len(arms) != 2:
        return "rules", None
    share = round(form.otherwise.share(names[0]), 2)
    rules = f" +{len(form.rules)} rules" if form.rules else ""
    return f"{share:g}%{rules}", share


def edited(json: bytes, coded: str, edit: FlagEdit) -> bytes:
    """Return the document after an edit; `json` is empty where none exists.

    coded: the coded default as JSON text, "" when not declared.
    Raises Invalid for what the flag or the edit cannot be.
    """
    asked = (edit.enabled, edit.rollout, edit.default)
    if sum(one is not None for one in asked) != 1:
        raise Invalid(edit.target, "needs exactly one of on, off, default and rollout")
    json = json or new_document(edit.target, coded)
    doc = _decode(json)
    if not isinstance(doc.get("variants"), dict):
        raise Invalid(edit.target, "is not a boolean flag, and has no variants")
    if edit.rollout is not None:
        return _rolled_out(json, doc, edit, edit.rollout)
    if edit.default is not None:
        _check_variant(edit.target, doc, edit.default)
        return replaced(json, {"defaultVariant": msgspec.json.encode(edit.default)})
    names = _names(doc)
    if names is None:
        raise _not_boolean(edit.target)
    variant = names[0] if edit.enabled else names[1]
    default = msgspec.json.encode(variant)
    changes = {"state": b'"ENABLED"', "defaultVariant": default, "targeting": None}
    return replaced(json, changes)


def new_document(target: str, coded: str) -> bytes:
    """Return what a first edit starts from; Invalid unless the flag is boolean.

    coded: the coded default as JSON text, "" when not declared.
    """
    if coded not in ("", "true", "false"):
        raise _not_boolean(target)
    return _NEW.replace(b'"off"}', b'"on"}') if coded == "true" else _NEW


def _not_boolean(target: str) -> Invalid:
    return Invalid(target, "is not a boolean flag; use flags set --default VARIANT")


def _check_variant(target: str, doc: dict[str, Any], variant: str) -> None:
    if variant not in doc["variants"]:
        known = ", ".join(doc["variants"])
        close = nearest(variant, doc["variants"], 1)
        message = f"variant {variant!r} is not one of {known}"
        raise Invalid(target, message, nearest=close[0] if close else "")


def _rolled_out(
    json: bytes, doc: dict[str, Any], edit: FlagEdit, percent: float
) -> bytes:
    names = _names(doc)
    variant = edit.variant or (names[0] if names else "")
    if not variant:
        raise Invalid(edit.target, "is not a boolean flag; say --variant NAME")
    _check_variant(edit.target, doc, variant)
    form = read_form(json)
    if form is None:
        raise Invalid(edit.target, "has rules that fit no form; use flags edit")
    share, whole = _weights(edit.target, percent)
    rest = _rest(edit.target, doc, variant)
    split = _split(form, variant, rest, share, whole)
    default = rest if form.default in (None, variant) or names else form.default
    form = msgspec.structs.replace(form, enabled=True, default=default, otherwise=split)
    return _hashed(write_form(json, form), doc)


def _rest(target: str, doc: dict[str, Any], variant: str) -> str:
    """Return the variant of all others."""
    others = [name for name in doc["variants"] if name != variant]
    default = doc.get("defaultVariant")
    if default in others:
        return str(default)
    if len(others) != 1:
        message = f"serves {variant} by default; set another default first"
        raise Invalid(target, message)
    return str(others[0])


def _split(form: Form, variant: str, rest: str, share: int, whole: int) -> Split:
    """Return the new split; the order of the arms stays, or users would move."""
    before = form.otherwise
    if not isinstance(before, Split):
        return Split(((variant, share), (rest, whole - share)))
    arms = [name for name, _ in before.arms]
    if sorted(arms) == sorted((variant, rest)):
        weights = {variant: share, rest: whole - share}
        return Split(tuple((name, weights[name]) for name in arms), before.bucket)
    return Split(_scaled(before, variant, share * _HUNDREDTHS // whole), before.bucket)


def _scaled(before: Split, variant: str, share: int) -> tuple[tuple[str, int], ...]:
    """Give one of several arms its share; the others divide the rest as before."""
    others = [(name, max(0, w)) for name, w in before.arms if name != variant]
    total = sum(weight for _, weight in others) or 1
    left, weights = _HUNDREDTHS - share, {variant: share}
    for name, weight in others:
        weights[name] = left * weight // total
    weights[others[0][0]] += left - sum(weights[name] for name, _ in others)
    return (
        tuple(weights.items())
        if variant not in dict(before.arms)
        else tuple((name, weights[name]) for name, _ in before.arms)
    )


def _hashed(json: bytes, doc: dict[str, Any]) -> bytes:
    """Freeze the hash of a flag whose users are split for the first time."""
    metadata = doc.get("metadata") or {}
    if not isinstance(metadata, dict) or "x.hash" in metadata:
        return json
    frozen = {"x.hash": _HASH_VERSION} | metadata
    return replaced(json, {"metadata": msgspec.json.encode(frozen)})


def _weights(target: str, percent: float) -> tuple[int, int]:
    if not 0 <= percent <= 100:
        raise Invalid(target, f"rollout {percent:g} must be 0 to 100 percent")
    if float(percent).is_integer():
        return int(percent), 100
    parts = round(percent * 100)
    if abs(parts - percent * 100) > 1e-6:
        raise Invalid(target, f"rollout {percent:g} is finer than 0.01 percent")
    return parts, _HUNDREDTHS
