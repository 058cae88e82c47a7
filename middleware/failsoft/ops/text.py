"""Makes every string from telemetry, Redis or a server harmless before it is shown.

A hostile route name may hold escape sequences, right-to-left overrides or a
megabyte of marks; what leaves here has visible characters only, on one line.  Widths
in cells and widget markup are the surface's business.
"""

from __future__ import annotations

import unicodedata
from functools import lru_cache
from typing import Any

__all__ = ["csv_cell", "safe"]

_NAMED = {0x09: " ", 0x0A: "\u23ce", 0x7F: "\u2421"}
# Draw nothing, yet are letters or marks to Unicode: CGJ, Hangul fillers, selectors.
_BLANKS = {0x034F, 0x115F, 0x1160, 0x3164, 0xFFA0}
_BLANKS |= {*range(0x180B, 0x1810), *range(0xFE00, 0xFE10), *range(0xE0100, 0xE01F0)}
_NAMED_CATEGORIES = ("Cf", "Zl", "Zp")
_LOST_CATEGORIES = ("Cs", "Co", "Cn")
_BARS = str.maketrans(
    "\u2581\u2582\u2583\u2584\u2585\u2586\u2587\u2588\u2591", "_.:-=+*#."
)
_MARKS_PER_BASE = 2


def _visible(char: str) -> str:
    code = ord(char)
    if code in _NAMED:
        return _NAMED[code]
    if code < 0x20:
        return chr(0x2400 + code)
    category = unicodedata.category(char)
    if category in _LOST_CATEGORIES:
        return "\ufffd"
    if code in _BLANKS or category in _NAMED_CATEGORIES or 0x80 <= code < 0xA0:
        return f"<{code:04X}>"
    return char


def _limit_marks(text: str) -> str:
    kept: list[str] = []
    marks = _MARKS_PER_BASE
    for char in text:
        if not unicodedata.category(char).startswith("M"):
            marks = 0
        elif not kept:
            kept.append("\u25cc")  # a leading mark would climb onto our own text
            marks = 1
        else:
            marks += 1
        if marks <= _MARKS_PER_BASE:
            kept.append(char)
    return "".join(kept)


def _cut(text: str, limit: int, lost: int) -> str:
    if not lost and len(text) <= limit:
        return text
    # Two rounds: the count's own digits take room and so raise the count.
    tail = f"...(+{len(text) - limit + lost:,})"
    tail = f"...(+{max(0, len(text) - limit) + len(tail) + lost:,})"
    keep = min(len(text), limit - len(tail))
    return text[:keep] + tail if keep > 0 else text[:limit]


def _clean(text: str, limit: int, lost: int) -> str:
    if text.isascii() and text.isprintable():
        return _cut(text, limit, lost)
    seen = "".join(map(_visible, unicodedata.normalize("NFC", text)))
    # Again NFC: an escape ends in ">" and may meet a mark that composes with it.
    return _cut(unicodedata.normalize("NFC", _limit_marks(seen)), limit, lost)


@lru_cache(maxsize=4096)
def _safe(head: str | bytes, lost: int, limit: int, ascii_only: bool) -> str:
    text = head.decode("utf-8", "backslashreplace") if isinstance(head, bytes) else head
    shown = _clean(text, limit, lost)
    if ascii_only and not shown.isascii():
        return "".join(c if c.isascii() else "?" for c in shown.translate(_BARS))
    return shown


def safe(value: Any, limit: int = 200, *, ascii_only: bool = False) -> str:
    """Return `value` as one line of visible characters, at most `limit` of them.

    bytes are read as UTF-8, bad ones shown as `\\xNN`; None is "".  A cut text ends
    in `...(+9,800)`, the count of what is missing.  Idempotent; cost is bounded by
    4 x limit whatever the input.  limit: at least 16.
    """
    if value is None:
        return ""
    if not isinstance(value, str | bytes):
        value = str(value)
    # Short plain text is most of what is shown: it needs no cache entry.
    plain = isinstance(value, str) and value.isascii() and value.isprintable()
    if plain and len(value) <= limit:
        return str(value)
    most = 4 * limit
    return _safe(value[:most], max(0, len(value) - most), limit, ascii_only)


def csv_cell(value: Any, limit: int = 200) -> str:
    """Return `safe(value)` such that no spreadsheet takes it for a formula."""
    text = safe(value, limit)
    return f"'{text}" if text[:1] in ("=", "+", "-", "@") else text
