"""What tests lay over the flags of a process; nothing in production."""

from __future__ import annotations

from typing import Protocol

from failsoft.flags._evaluate import FlagDetails
from failsoft.flags._state import FlagState

__all__ = ["OVERLAYS", "Overlay"]


class Overlay(Protocol):
    """Stands between handlers and the flags in force.  age_s: pretended."""

    @property
    def age_s(self) -> float: ...

    def over(self, state: FlagState) -> FlagState:
        """Return the flags to evaluate instead."""

    def saw(self, key: str, details: FlagDetails, state: FlagState) -> None:
        """Take note of an evaluation."""


# One at most.  Process-wide, so that it reaches the threads of test clients.
OVERLAYS: list[Overlay] = []
