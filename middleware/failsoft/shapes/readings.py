"""What a JSON value is, how a report names it, and what a lenient reader accepts."""

from __future__ import annotations

import re
from typing import Any

import msgspec

from failsoft.shapes.gate import NATIVE
from failsoft.shapes.graph import Node
from failsoft.shapes.pointer import escaped

__all__ = [
    "accepted",
    "expected_of",
    "folded",
    "got_of",
    "is_coerced",
    "label",
    "text_fault",
]

_KINDS = {
    type(None): ("null",),
    bool: ("boolean",),
    int: ("integer", "number"),
    float: ("number",),
    str: ("string",),
    list: ("array",),
    dict: ("object",),
}
_GOT = {
    type(None): "null",
    bool: "bool",
    int: "int",
    float: "float",
    list: "array",
    dict: "object",
}
_UUID = "[0-9a-fA-F]{8}(?:-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}"
_DATE = r"\d{4}-\d\d-\d\d"
_TIME = r"(?:[01]\d|2[0-3]):[0-5]\d(?::[0-5]\d(?:[.,]\d+)?)?"
_ZONE = r"(?:[Zz]|[+-](?:[01]\d|2[0-3]):?[0-5]\d)?"
_GOT_TEXT = (
    ("str:int", re.compile(r"[+-]?\d{1,4300}")),
    ("str:bool", re.compile("true|false", re.IGNORECASE)),
    ("str:date", re.compile(rf"{_DATE}(?:[T ].{{0,40}})?")),
    ("str:uuid", re.compile(_UUID)),
)
# What pydantic's lax mode reads beyond RFC 3339 and RFC 9562.
_LAX_TEXT = {
    "date-time": re.compile(rf"{_DATE}(?:[Tt_ ]{_TIME}{_ZONE})?"),
    "date": re.compile(rf"{_DATE}(?:[Tt_ ]00:00(?::00(?:\.0+)?)?{_ZONE})?"),
    "time": re.compile(rf"{_TIME}{_ZONE}"),
    "uuid": re.compile(rf"(?:urn:uuid:)?{_UUID}|{{{_UUID}}}|[0-9a-fA-F]{{32}}"),
}
_LAX_INT = re.compile(r"\s*[+-]?\d+(?:_\d+)*(?:\.0+)?\s*")
_LAX_NUMBER = re.compile(r"[+-]?(?:\d{1,30}(?:\.\d{0,30})?|\.\d{1,30})")
_LAX_BOOL = frozenset(
    ("0", "1", "off", "on", "f", "t", "false", "true", "n", "y", "no", "yes")
)
_FROM_NUMBER = frozenset({"date-time", "date", "time", "duration", "ipv4", "ipv6"})
# pydantic takes larger ones for milliseconds; beyond the year 9999 it takes none.
_MOST_EPOCH_S = 20_000_000_000
_MOST_EPOCH_MS = 253_402_300_799_999
_DAY_S = 86_400
# Keys that are data: naming them would tell about somebody, and never end.
_DATA_KEY = re.compile(
    rf"{_UUID}|[^@\s]+@[^@\s]+|\d+|(?=.*\d)[0-9a-fA-F]{{16,}}|[0-9a-fA-F]{{16,}}"
)
_CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028\u2029\ud800-\udfff]")
_MAX_LABEL = 64


def accepted(node: Node, value: Any) -> bool:
    """Tell whether a node takes values of this JSON type."""
    if node.is_opaque or not node.types:
        return True
    return not node.types.isdisjoint(_KINDS[type(value)])


def expected_of(node: Node) -> str:
    """Return the node's types as a report words them."""
    return "|".join(sorted(node.types))


def got_of(value: Any) -> str:
    """Return what a value is, never what it says."""
    got = _GOT.get(type(value))
    if got is not None:
        return got
    if not value:
        return "str:empty"
    short = value[:64]
    return next((name for name, form in _GOT_TEXT if form.fullmatch(short)), "str")


def folded(name: str) -> str:
    """Return a key without case, `_` and `-`."""
    return name.replace("_", "").replace("-", "").casefold()


def label(name: str, is_known: bool = False) -> str:
    """Return a key as a path shows it; `{*}` for one that looks like data.

    is_known: the schema names it.  Escaped as in RFC 6901.
    """
    if not is_known:
        if _DATA_KEY.fullmatch(name):
            return "{*}"
        name = _CONTROL.sub("?", name[:_MAX_LABEL])
    return escaped(name)


def text_fault(format_: str, value: str) -> str:
    """Return the kind of finding a text of a checked format is, "" for none."""
    if format_ not in NATIVE or _is_strict(format_, value):
        return ""
    return "coerced" if _is_lax_text(format_, value) else "format"


def _is_strict(format_: str, value: str) -> bool:
    """Ask msgspec, as the gate does."""
    try:
        msgspec.convert(value, NATIVE[format_])
    except (msgspec.MsgspecError, ValueError):
        return False
    return True


def _is_lax_text(format_: str, value: str) -> bool:
    if format_ in ("date-time", "date") and _LAX_NUMBER.fullmatch(value):
        return _is_lax_number(format_, float(value))
    if not _LAX_TEXT[format_].fullmatch(value):
        return False
    return format_ not in ("date-time", "date") or _is_strict("date", value[:10])


def _is_lax_number(format_: str, value: float) -> bool:
    """Tell whether a number is read as an instant, a day (at 00:00) or a time."""
    if format_ == "time":
        return 0 <= value < _DAY_S
    if format_ not in ("date-time", "date"):
        return format_ in _FROM_NUMBER
    if abs(value) > _MOST_EPOCH_MS:
        return False
    at_s = value if abs(value) <= _MOST_EPOCH_S else value / 1000
    return format_ == "date-time" or at_s % _DAY_S == 0


def is_coerced(node: Node, value: Any) -> bool:
    """Tell whether pydantic's lax mode turns the value into what is expected."""
    if node.branches:
        leaves = node.leaves()
        return any(is_coerced(leaf, value) for leaf in leaves if not leaf.branches)
    if node.members is not None:
        return False
    kind, types = type(value), node.types
    if kind is str:
        return _is_text_coerced(types, value)
    if kind is bool:
        return bool(types & {"integer", "number"})
    if kind is float and "integer" in types and value.is_integer():
        return True
    if kind in (int, float):
        if "boolean" in types and value in (0, 1):
            return True
        return "string" in types and _is_lax_number(node.format, value)
    return False


def _is_text_coerced(types: frozenset[str], value: str) -> bool:
    if "integer" in types and _LAX_INT.fullmatch(value):
        return True
    if "number" in types and _is_float(value):
        return True
    return "boolean" in types and value.lower() in _LAX_BOOL


def _is_float(value: str) -> bool:
    try:
        float(value)
    except ValueError:
        return False
    return value.isascii() and len(value) < 400
