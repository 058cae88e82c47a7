"""The one exception to "types, never values": unknown members of enums, where asked.

Only short tokens, eight of each place; a team opts in, by route.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Sequence
from dataclasses import replace
from typing import Any

from failsoft.shapes.findings import Finding
from failsoft.shapes.graph import Node
from failsoft.shapes.repair import nodes_at

__all__ = ["EnumNames"]

_TOKEN = re.compile(r"[A-Za-z0-9_-]{1,32}")
_MOST_TOKENS = 8
_MOST_PLACES = 64
_MOST_VALUES = 1_000


class EnumNames:
    """Names the unknown members of one route's enums: `got` becomes `str=TOKEN`."""

    def __init__(self) -> None:
        self._known: dict[str, set[str]] = {}

    def named(
        self, node: Node, body: bytes, findings: Iterable[Finding]
    ) -> tuple[Finding, ...]:
        """Return the findings of a body, those of kind enum with what was sent."""
        told = tuple(findings)
        if not any(map(_is_enum, told)):
            return told
        doc = json.loads(body)  # the walk could read it, too
        found: list[Finding] = []
        for finding in told:
            tokens = self._tokens(node, doc, finding.path) if _is_enum(finding) else ()
            found += [replace(finding, got=f"str={token}") for token in tokens]
            found += () if tokens else (finding,)
        return tuple(found)

    def _tokens(self, node: Node, doc: Any, path: str) -> list[str]:
        members = {m for each in nodes_at(node, path) for m in each.members or ()}
        if path not in self._known and len(self._known) >= _MOST_PLACES:
            return []
        known = self._known.setdefault(path, set())
        found = []
        for value in _values(doc, path.split("/")[1:]):
            if not isinstance(value, str) or not _TOKEN.fullmatch(value):
                continue
            if value in members or (value not in known and len(known) >= _MOST_TOKENS):
                continue
            known.add(value)
            found.append(value)
        return sorted(set(found))


def _is_enum(finding: Finding) -> bool:
    return finding.kind == "enum" and finding.got.startswith("str")


def _values(value: Any, names: Sequence[str]) -> list[Any]:
    here = [value]
    for name in names:
        further: list[Any] = []
        for each in here[:_MOST_VALUES]:
            if isinstance(each, list) and name == "*":
                further += each[:_MOST_VALUES]
            elif isinstance(each, dict):
                further += each.values() if name == "{*}" else [each.get(name)]
        here = further
    return here[:_MOST_VALUES]
