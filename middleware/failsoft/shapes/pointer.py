"""JSON Pointers (RFC 6901) and the local references that are made of them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

__all__ = ["escaped", "pointed", "unescaped"]


def escaped(token: str) -> str:
    """Return a member's name as it stands in a pointer."""
    return token.replace("~", "~0").replace("/", "~1")


def unescaped(step: str) -> str:
    """Return the name of a member that stands in a pointer."""
    return step.replace("~1", "/").replace("~0", "~")


def pointed(document: Mapping[str, Any], ref: str) -> Any:
    """Return what `#/a/b` leads to in a document, None for nothing or elsewhere."""
    if not ref.startswith("#/"):
        return None
    place: Any = document
    for step in ref[2:].split("/"):
        place = place.get(unescaped(step)) if isinstance(place, Mapping) else None
    return place
