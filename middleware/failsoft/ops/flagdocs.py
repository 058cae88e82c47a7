"""Reads and writes the documents of boolean flags: on, off, or a share of users.

Other documents are shown as what they are and left alone.  Keys this file does not
know are kept.  Pure.
"""

from __future__ import annotations

from typing import Any

import msgspec

from failsoft.errors import Invalid
from failsoft.ops.command import FlagEdit

__all__ = ["default_text", "edited", "flag_now"]

_HASH_VERSION = 3
_BOOLEAN = {"on": True, "off": False}


def _decode(json: bytes) -> dict[str, Any]:
    try:
        return msgspec.json.decode(json, type=dict[str, Any])
    except msgspec.DecodeError:
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

    The share is None where the document is not boolean or has rules.
    """
    doc = _decode(json)
    names = _names(doc)
    if not doc:
        return "unreadable", None
    if doc.get("state") == "DISABLED":
        return "disabled", None
    if doc.get("targeting"):
        share = _rollout(doc["targeting"], names)
        return ("rules", None) if share is None else (f"{share:g}%", share)
    variant = doc.get("defaultVariant")
    if names is None or variant not in names:
        return str(variant), None
    return ("on", 100.0) if variant == names[0] else ("off", 0.0)


def _rollout(targeting: Any, names: tuple[str, str] | None) -> float | None:
    rule = targeting.get("fractional") if isinstance(targeting, dict) else None
    if names is None or not isinstance(rule, list) or len(targeting) != 1:
        return None
    try:
        weights = {str(name): float(weight) for name, weight in rule}
    except (TypeError, ValueError):
        return None
    total = sum(weights.values())
    if set(weights) != set(names) or total <= 0:
        return None
    return round(100 * weights[names[0]] / total, 2)


def edited(json: bytes, coded: str, edit: FlagEdit) -> bytes:
    """Return the document after an edit; `json` is empty where none exists.

    coded: the coded default as JSON text, "" when not declared.
    Raises Invalid for flags that are not boolean and for edits that are not one.
    """
    doc = _decode(json) if json else {}
    names = _names(doc)
    if names is None or (json and not doc) or coded not in ("", "true", "false"):
        raise Invalid(edit.target, "is not a boolean flag; only on, off and rollout")
    if (edit.enabled is None) == (edit.rollout is None):
        raise Invalid(edit.target, "needs exactly one of enabled and rollout")
    on, off = names
    doc |= {"state": "ENABLED", "variants": doc.get("variants", _BOOLEAN)}
    if edit.rollout is None:
        doc["defaultVariant"] = on if edit.enabled else off
        doc.pop("targeting", None)
    else:
        share, whole = _weights(edit.target, edit.rollout)
        doc["defaultVariant"] = off
        doc["targeting"] = {"fractional": [[on, share], [off, whole - share]]}
        doc["metadata"] = {"x.hash": _HASH_VERSION} | doc.get("metadata", {})
    return msgspec.json.encode(doc)


def _weights(target: str, percent: float) -> tuple[int, int]:
    if not 0 <= percent <= 100:
        raise Invalid(target, f"rollout {percent:g} must be 0 to 100 percent")
    if float(percent).is_integer():
        return int(percent), 100
    parts = round(percent * 100)
    if abs(parts - percent * 100) > 1e-6:
        raise Invalid(target, f"rollout {percent:g} is finer than 0.01 percent")
    return parts, 10_000
