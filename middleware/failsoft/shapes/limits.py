"""The least and the greatest number that a schema allows.  Pure."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

__all__ = ["Ends", "limits"]

Ends = tuple[Any, Any]


def limits(schema: Mapping[str, Any]) -> tuple[Ends, Ends]:
    """Return (at least, above) and (at most, below), None where there is no limit.

    OpenAPI 3.0 says exclusive as a bool, which equals a limit of 0 or 1.
    """
    found: list[Ends] = []
    for word in ("Minimum", "Maximum"):
        limit, beyond = (schema.get(w) for w in (word.lower(), f"exclusive{word}"))
        if isinstance(beyond, bool):
            limit, beyond = (None, limit) if beyond else (limit, None)
        found.append((limit, beyond))
    return found[0], found[1]
