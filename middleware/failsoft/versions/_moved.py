"""Routes that older versions reach under another path; pure."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass

__all__ = ["Moved", "compile_moved"]

_PARAM = re.compile(r"{([a-zA-Z_]\w*)(?::[a-zA-Z_]\w*)?}")


@dataclass(frozen=True, slots=True)
class Moved:
    """One route's old place, compiled.  method: of the request, `*` for any."""

    method: str
    old: re.Pattern[str]
    parts: tuple[str, ...]
    params: tuple[int, ...]

    def path(self, method: str, path: str) -> str | None:
        """Return where a request of an older version is served now, None = there."""
        if self.method not in (method, "*") and (self.method, method) != (
            "GET",
            "HEAD",
        ):
            return None
        found = self.old.fullmatch(path)
        if found is None:
            return None
        values = [found[index] for index in self.params]
        pairs = zip(self.parts, (*values, ""), strict=True)
        return "".join(text for pair in pairs for text in pair)


def compile_moved(moves: Iterable[tuple[str, str]]) -> tuple[Moved, ...]:
    """Compile (old `METHOD /template`, head's).

    Parameters go over by name, or by place where the names differ.
    """
    return tuple(_compile(old, new) for old, new in moves)


def _compile(old: str, new: str) -> Moved:
    method, _, was = old.partition(" ")
    template = new.partition(" ")[2]
    names = _PARAM.findall(was)
    pieces = _PARAM.split(was)[::2]
    regex = "([^/]+)".join(map(re.escape, pieces))
    wanted = _PARAM.findall(template)
    params = (
        [names.index(name) + 1 for name in wanted]
        if set(wanted) <= set(names)
        else range(1, len(wanted) + 1)
    )
    return Moved(
        method, re.compile(regex), tuple(_PARAM.split(template)[::2]), tuple(params)
    )
