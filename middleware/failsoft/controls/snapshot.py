"""The immutable, compiled state of all definitions and controls at one revision.

A node swaps one reference; a request keeps the snapshot it began with.  What the
parts are is known to the features that compiled them, not here.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

__all__ = ["Snapshot"]


@dataclass(frozen=True, slots=True)
class Snapshot:
    """One revision, compiled.

    plans: one per route of the table, same index.  flags: compiled flag state.
    bad: targets that this node cannot enforce.  modes: names of active modes.
    acting: kills and modes in force, as `modes` read them; None before any.
    """

    revision: int
    epoch: str
    state: str
    plans: tuple[Any, ...]
    flags: Any
    kills: int = 0
    modes: tuple[str, ...] = ()
    bad: tuple[str, ...] = ()
    acting: Any = None
