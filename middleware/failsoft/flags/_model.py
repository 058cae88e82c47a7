"""The checked form of a flag: its variants, and its rule as a tree of nodes."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import msgspec

from failsoft.flags._guard import GuardRule

__all__ = ["Const", "Flag", "Items", "Node", "Op", "Rule", "RuleFault"]

# context -> result
Rule = Callable[[Any], Any]


class Const(msgspec.Struct, frozen=True):
    """A value that is the same for everybody."""

    value: Any


class Items(msgspec.Struct, frozen=True):
    """An array whose elements are rules."""

    items: tuple[Node, ...]


class Op(msgspec.Struct, frozen=True):
    """A known operator and its arguments.  path: where it stands in the document."""

    name: str
    args: tuple[Node, ...]
    path: str


Node = Const | Items | Op


class Flag(msgspec.Struct, frozen=True):
    """A document that passed every check.

    default: a variant, None = the coded default.  rule: None without targeting.
    refs: evaluators it was built of.  dangling: those that do not exist.
    prerequisites: keys of flags it asks for.  reads: first names of the context
    paths it reads, "*" where that shows only at evaluation.
    """

    key: str
    enabled: bool
    variants: dict[str, Any]
    default: str | None
    rule: Node | None
    hash_version: int
    metadata: dict[str, Any]
    refs: frozenset[str] = frozenset()
    dangling: frozenset[str] = frozenset()
    prerequisites: frozenset[str] = frozenset()
    reads: frozenset[str] = frozenset()
    guard: GuardRule | None = None


class RuleFault(Exception):
    """A rule cannot give a result here.  code: GENERAL or PARSE_ERROR."""

    def __init__(self, code: str, message: str) -> None:
        self.code = code
        super().__init__(message)
