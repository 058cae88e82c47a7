"""What differs between a body and its schema: types and places, never values."""

from __future__ import annotations

from dataclasses import dataclass

__all__ = ["KINDS", "Finding"]

# Closed: the wire, alerts and the terminal know these words and no others.
KINDS = (
    "unknown",
    "missing",
    "null",
    "type",
    "coerced",
    "enum",
    "format",
    "case",
    "alias",
    "array_scalar",
    "duplicate",
    "number",
    "encoding",
    "content_type",
    "not_json",
    "too_deep",
    "ambiguous",
    "rejected",
    "status",
    "media_type",
)


@dataclass(frozen=True, slots=True)
class Finding:
    """One difference.

    path: `/items/*/qty` in schema terms: `*` for list items, `{*}` for keys that
    look like data, "" for the body itself.  kind: of KINDS.  expected: the
    schema's types joined by `|`, "" if it has none.  got: null bool int float str
    array object absent, or `str:int`, `str:bool`, `str:date`, `str:uuid`,
    `str:empty`.
    """

    path: str
    kind: str
    expected: str = ""
    got: str = ""
