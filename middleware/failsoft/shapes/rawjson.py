"""Surgery on JSON that keeps every byte of what it does not name.

A tree is what a body is opened into: dicts and lists where something is to be done,
`msgspec.Raw` (bytes as they came) everywhere else.  `Raw` is written back byte for
byte, so numbers such as 1e400, 2^70 or 25 digits, and strings, cannot change.
"""

from __future__ import annotations

import math
from decimal import Decimal
from typing import Any

import msgspec
from msgspec import Raw

__all__ = [
    "UNREADABLE",
    "close",
    "open_list",
    "open_object",
    "open_rows",
    "read",
    "scalar",
    "text_of",
    "write",
]

# All that opening, reading and closing may raise, whatever the bytes: msgspec on what
# is no JSON (BOM, UTF-16, NaN, lone surrogates) or nests too deep, text that is no
# UTF-8, and values of custom code that are no JSON.
UNREADABLE = (
    msgspec.MsgspecError,
    UnicodeError,
    RecursionError,
    TypeError,
    ValueError,
    OverflowError,
)

_OBJECT: msgspec.json.Decoder[dict[str, Any]] = msgspec.json.Decoder(dict[str, Raw])
_LIST: msgspec.json.Decoder[list[Any]] = msgspec.json.Decoder(list[Raw])
_ROWS: msgspec.json.Decoder[list[Any]] = msgspec.json.Decoder(list[dict[str, Raw]])
_LIST_START = 0x5B
_OBJECT_START = 0x7B
_BLANKS = b" \t\n\r"


def _number(text: str) -> float | Decimal:
    """Return a float where it says the same as the text, else all digits."""
    value = float(text)
    is_same = len(text) <= 16 and math.isfinite(value) and "e" not in text.lower()
    return value if is_same else Decimal(text)


_ANY = msgspec.json.Decoder(float_hook=_number)
_ENCODE = msgspec.json.Encoder(decimal_format="number").encode


def _first_byte(raw: Raw) -> int:
    view = memoryview(raw)
    first = view[0] if len(view) else 0
    # A value inside a container begins at once; a body may begin with blanks.
    return first if first not in _BLANKS else (bytes(view).lstrip(_BLANKS) or b"\0")[0]


def open_object(value: Any) -> dict[str, Any] | None:
    """Return the members of an object, or None for anything else.

    value: Raw, or part of a tree, which is returned as it is.  Of duplicate keys the
    last one stays, as with Python's own parser.  Raises one of UNREADABLE.
    """
    if type(value) is dict:
        return value
    if type(value) is Raw and _first_byte(value) == _OBJECT_START:
        return _OBJECT.decode(value)
    return None


def open_list(value: Any) -> list[Any] | None:
    """Return the items of an array, or None for anything else, as `open_object`."""
    if type(value) is list:
        return value
    if type(value) is Raw and _first_byte(value) == _LIST_START:
        return _LIST.decode(value)
    return None


def open_rows(value: Any) -> list[Any] | None:
    """Open an array whose items are most likely objects, and open these too."""
    if type(value) is Raw and _first_byte(value) == _LIST_START:
        try:
            return _ROWS.decode(value)
        except msgspec.ValidationError:  # an item of another kind
            return _LIST.decode(value)
    return value if type(value) is list else None


def read(value: Any) -> Any:
    """Decode a value whole; numbers keep all digits, as Decimal where needed."""
    return _ANY.decode(value if type(value) is Raw else _ENCODE(value))


def scalar(value: Any) -> Any:
    """Decode a value if it is no container, which is returned as it is."""
    if type(value) is not Raw or _first_byte(value) in (_OBJECT_START, _LIST_START):
        return value
    return _ANY.decode(value)


def text_of(value: Any) -> str:
    """Return the JSON text of a value, without blanks around it."""
    data = bytes(value) if type(value) is Raw else _ENCODE(value)
    return data.decode().strip()


def write(value: Any) -> Raw:
    """Encode a value for a tree; raises one of UNREADABLE for what JSON cannot say."""
    return Raw(_ENCODE(value))


def close(tree: Any) -> bytes:
    """Return the bytes of a tree."""
    return _ENCODE(tree)
