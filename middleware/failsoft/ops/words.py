"""What a verb of the grammar is made of; see `verbs`.  Pure."""

from __future__ import annotations

import argparse
from collections.abc import Callable
from typing import Literal

import msgspec

from failsoft.ops.command import Command

__all__ = ["Verb", "Word", "as_target"]


class Word(msgspec.Struct, frozen=True):
    """One argument.  name: `target`, `--for`; kind says how its text is read.

    texts: an option that may be said more than once.  json: a JSON value, else text.
    """

    name: str
    help: str
    kind: Literal[
        "text", "texts", "json", "span", "percent", "count", "switch", "pairs"
    ] = "text"
    required: bool = True


class Verb(msgspec.Struct, frozen=True):
    """One verb.  role: who may; make: builds the command, None for reads and undo."""

    name: str  # "kill", "mode enter"
    help: str
    words: tuple[Word, ...] = ()
    role: Literal["viewer", "operator"] = "viewer"
    make: Callable[[argparse.Namespace], Command] | None = None


def as_target(kind: str, name: str) -> str:
    """Return `kind:name` of a name that may be said as a target already."""
    return name if name.startswith(f"{kind}:") else f"{kind}:{name}"
