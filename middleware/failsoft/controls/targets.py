"""Targets `kind:name`: which routes and flags a glob covers.

Only `*` (any run) and `?` (one character) are special.  Route names are
`METHOD template`; a method of `*` covers all.  Pure; O(patterns x names), done at
compile time, never in a request.
"""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterable
from functools import lru_cache

__all__ = ["covers", "literal_weight", "nearest", "routes_of", "split_target"]


@lru_cache(maxsize=4096)
def _pattern(glob: str) -> re.Pattern[str]:
    # `*` and `?` only: fnmatch would give `[` a meaning, and templates may hold it.
    first, *further = (
        "".join("." if c == "?" else re.escape(c) for c in part)
        for part in re.sub(r"\*+", "*", glob).split("*")
    )
    if not further:
        return re.compile(first, re.DOTALL)
    # The nearest place of each part will do: looking for further ones would take
    # hours for some names, and names of consumers are what clients say.
    middle = "".join(f"(?>.*?{part})" for part in further[:-1])
    return re.compile(f"{first}{middle}.*{further[-1]}", re.DOTALL)


def covers(glob: str, name: str) -> bool:
    """Whether the glob covers the whole name."""
    return _pattern(glob).fullmatch(name) is not None


def literal_weight(glob: str) -> int:
    """Return the number of literal characters: the most literal glob wins."""
    return sum(c not in "*?" for c in glob)


def split_target(target: str) -> tuple[str, str]:
    """Split `kind:name`; ValueError when there is no kind or no name."""
    kind, sep, name = target.partition(":")
    if not sep or not kind or not name:
        raise ValueError(f"target {target!r} must be kind:name, e.g. route:POST /x")
    return kind, name


def routes_of(
    target: str, routes: Iterable[tuple[str, str, tuple[str, ...]]]
) -> tuple[str, ...]:
    """Return keys of the routes a `route:` or `tag:` target covers.

    routes: (key, criticality, tags) as in `telemetry.Definitions`.
    """
    kind, name = split_target(target)
    if kind == "route":
        return tuple(key for key, _, _ in routes if covers(name, key))
    if kind == "tag":
        return tuple(key for key, _, tags in routes if name in tags)
    return ()


def nearest(name: str, known: Iterable[str], count: int = 3) -> tuple[str, ...]:
    """Return up to `count` known names close to `name`, best first."""
    return tuple(difflib.get_close_matches(name, list(known), n=count, cutoff=0.6))
