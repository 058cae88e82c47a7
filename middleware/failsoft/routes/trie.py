"""Find the route of a path without asking the framework's routes one by one.

The order of registration decides, as in Starlette: of all entries that match path
and method the one registered first wins.  Pure; a match costs about the number of
segments, not the number of routes.
"""

from __future__ import annotations

import operator
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

__all__ = ["WEBSOCKET", "Entry", "Trie", "segments_of", "template_of"]

# The "method" of a handshake: `*` of HTTP routes does not cover it.
WEBSOCKET = "WS"

Guard = Callable[[Mapping[str, Any]], bool]

_PARAM = re.compile(r"{([a-zA-Z_]\w*)(?::([a-zA-Z_]\w*))?}")

# Convertors of Starlette whose text holds no slash; any other makes the whole
# route a regular expression.
_SEGMENT_PATTERNS = {
    "str": "[^/]+",
    "int": "[0-9]+",
    "float": r"[0-9]+(?:\.[0-9]+)?",
    "uuid": "[0-9a-fA-F]{8}-?(?:[0-9a-fA-F]{4}-?){3}[0-9a-fA-F]{12}",
}


@dataclass(frozen=True, slots=True)
class Entry:
    """One registered route: for each method (or `*`) the index of its plan.

    guard: an extra condition on the scope (a host), None for none.
    """

    order: int
    plans: Mapping[str, int]
    guard: Guard | None = None


class _Node(dict[str, "_Node"]):
    """Literal children by text, and what else may follow or end here.

    any_text: `{name}`, one non-empty segment.  patterns: segments with a
    convertor or literal parts.  tails: whole-path expressions below this node.
    """

    __slots__ = ("any_text", "entries", "patterns", "tails")

    def __init__(self) -> None:
        self.any_text: _Node | None = None
        self.patterns: list[tuple[re.Pattern[str], _Node]] = []
        self.tails: list[tuple[re.Pattern[str], Entry]] = []
        self.entries: list[Entry] = []


class _Sure(dict[str, "_Sure"]):
    """The part of a node in which one walk, without a way back, finds the route.

    any_text: after any text that is no key here, None = it is not sure.  only: plans
    by method, where just one unguarded entry ends here.
    """

    __slots__ = ("any_text", "only")

    def __init__(self, node: _Node | None = None) -> None:
        self.any_text: _Sure | None = None
        self.only: Mapping[str, int] = {}
        if node is None or node.tails or node.patterns:
            return
        if len(node.entries) == 1 and node.entries[0].guard is None:
            self.only = node.entries[0].plans
        if node.any_text is not None:
            self.any_text = _Sure(node.any_text)
        for text, child in node.items():  # a literal beside `{name}`: either may match
            self[text] = _Sure(child if node.any_text is None else None)


def segments_of(path: str) -> list[str] | None:
    """Split a route's path into segment patterns, None if a part may hold slashes."""
    for _, kind in _PARAM.findall(path):
        if (kind or "str") not in _SEGMENT_PATTERNS:
            return None
    return path.split("/")


def template_of(path: str) -> str:
    """Return a path without its convertors: `/a/{id:int}` -> `/a/{id}`."""
    return _PARAM.sub(r"{\1}", path)


def _segment_regex(segment: str) -> re.Pattern[str]:
    out, last = [], 0
    for match in _PARAM.finditer(segment):
        out.append(re.escape(segment[last : match.start()]))
        out.append(_SEGMENT_PATTERNS[match.group(2) or "str"])
        last = match.end()
    out.append(re.escape(segment[last:]))
    return re.compile("".join(out), re.DOTALL)


_by_order = operator.attrgetter("order")


class Trie:
    """A set of routes; `add` at start-up, `find` on the request path."""

    __slots__ = ("_root", "_sure")

    def __init__(self) -> None:
        self._root = _Node()
        self._sure = _Sure()

    def add(self, path: str, entry: Entry, regex: re.Pattern[str] | None) -> None:
        """Register a path template; `regex` serves where segments do not."""
        segments = segments_of(path)
        if segments is None:
            if regex is None:
                raise ValueError(f"path {path!r} needs a regular expression")
            self._add_tail(path, entry, regex)
            return
        node = self._root
        for segment in segments:
            node = self._child(node, segment)
        node.entries.append(entry)

    def _add_tail(self, path: str, entry: Entry, regex: re.Pattern[str]) -> None:
        """Hang a regex route at its literal prefix, so others never try it."""
        prefix = path.split("{", 1)[0].split("/")[:-1]
        node = self._root
        for segment in prefix:
            node = node.setdefault(segment, _Node())
        node.tails.append((regex, entry))

    @staticmethod
    def _child(node: _Node, segment: str) -> _Node:
        if "{" not in segment:
            return node.setdefault(segment, _Node())
        if _PARAM.fullmatch(segment) and segment.rpartition(":")[2] in (
            segment,
            "str}",
        ):
            if node.any_text is None:  # not `or`: a node without children is false
                node.any_text = _Node()
            return node.any_text
        regex = _segment_regex(segment)
        for known, child in node.patterns:
            if known.pattern == regex.pattern:
                return child
        child = _Node()
        node.patterns.append((regex, child))
        return child

    def freeze(self) -> None:
        """Prepare for `find`; no route is added afterwards."""
        self._sure = _Sure(self._root)

    def find(self, method: str, path: str, scope: Mapping[str, Any]) -> int:
        """Return the plan's index for method and path, 0 without a full match.

        Walks literals and `{name}`s; anything else is left to `_find_hard`.
        """
        node = self._sure
        for part in path.split("/"):
            child = node.get(part)
            if child is None:
                child = node.any_text
                if child is None or not part or part[-1] == "\n":
                    return self._find_hard(method, path, scope)
            node = child
        return node.only.get(method) or self._find_hard(method, path, scope)

    def _find_hard(self, method: str, path: str, scope: Mapping[str, Any]) -> int:
        """Try every entry that matches the path, in the order of registration.

        `$` of Starlette's expressions also matches before one trailing newline; without
        this `%0A` would slip past a kill.
        """
        entries = self._matching(path)
        if path.endswith("\n"):  # of one mount, its routes go before the mount itself
            entries = self._matching(path[:-1]) + entries
        if len(entries) > 1:
            entries.sort(key=_by_order)
        for entry in entries:
            plan = _plan_of(entry, method, scope)
            if plan:
                return plan
        return 0

    def _matching(self, path: str) -> list[Entry]:
        found: list[Entry] = []
        parts = path.split("/")
        last = len(parts)
        stack = [(self._root, 0)]
        while stack:
            node, at = stack.pop()
            if node.tails:
                found += [entry for regex, entry in node.tails if regex.match(path)]
            if at == last:
                found += node.entries
                continue
            part = parts[at]
            at += 1
            if part in node:
                stack.append((node[part], at))
            if part and node.any_text is not None:
                stack.append((node.any_text, at))
            if node.patterns:
                stack += [(c, at) for r, c in node.patterns if r.fullmatch(part)]
        return found


def _plan_of(entry: Entry, method: str, scope: Mapping[str, Any]) -> int:
    plan = entry.plans.get(method, 0)
    if not plan and method != WEBSOCKET:
        plan = entry.plans.get("*", 0)
    if plan and entry.guard is not None and not entry.guard(scope):
        return 0
    return plan
