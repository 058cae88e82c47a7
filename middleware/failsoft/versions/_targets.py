"""What a target names: whose field it is, and the way to it."""

from __future__ import annotations

import difflib
from collections.abc import Iterable
from dataclasses import dataclass

from failsoft.shapes.pointer import unescaped
from failsoft.versions._model import Body, Target

__all__ = ["ERROR", "Path", "Place", "nearest", "owner_of", "place_of"]

Path = tuple[str, ...]

# The owner of every 4xx and 5xx JSON body.
ERROR = "@error"


@dataclass(frozen=True, slots=True)
class Place:
    """owner: schema name, `@error`, or `response GET /x`; path: tokens from there."""

    owner: str
    path: Path

    @property
    def is_root(self) -> bool:
        """Whether the owner is a body of one route, or of every error."""
        return " " in self.owner or self.owner == ERROR


def owner_of(route: str, direction: str) -> str:
    """Return the owner that stands for one route's bodies."""
    return f"{direction} {route}"


def place_of(target: Target, names: Iterable[str]) -> Place:
    """Read a target; the longest of the schemas' names wins, as they may hold dots."""
    if isinstance(target, Body):
        tokens = target.pointer.strip("/").split("/") if target.pointer else ()
        path = tuple(map(unescaped, tokens))
        return Place(owner_of(target.route, target.direction), path)
    parts = target.split(".")
    known = set(names)
    for count in range(len(parts), 0, -1):
        name = ".".join(parts[:count])
        if name in known:
            return Place(name, tuple(parts[count:]))
    return Place(parts[0], tuple(parts[1:]))


def nearest(name: str, known: Iterable[str]) -> str:
    """Return what to write instead of an unknown name."""
    names = sorted(set(known))
    close = difflib.get_close_matches(name, names, n=1, cutoff=0.6)
    if close:
        return f"did you mean {close[0]}?"
    shown = ", ".join(names[:8])
    return f"known: {shown}" if names else "nothing is known there"
