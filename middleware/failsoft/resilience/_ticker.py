"""The 10 ms beat of a node's event loop: how late it is, and what is due.

It runs only while there is work, and stops after 5 s without any.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import asyncio

__all__ = ["BEAT_S", "Ticker"]

BEAT_S = 0.01
_IDLE_S = 5.0


class Ticker:
    """Calls `beat(now_s, lag_s)` every 10 ms on the loop of `begin`.

    beat: returns whether there is work; now_s is the loop's time, lag_s how much
    later than asked the loop came round.  is_on: cheap to read; `wake` when it is
    False and there is work.
    """

    __slots__ = ("_beat", "_due_s", "_loop", "_worked_s", "is_on")

    def __init__(self, beat: Callable[[float, float], bool]) -> None:
        self._beat = beat
        self._loop: asyncio.AbstractEventLoop | None = None
        self._due_s = self._worked_s = 0.0
        self.is_on = False

    def begin(self, loop: asyncio.AbstractEventLoop) -> None:
        """Belong to a loop from now on; a beat on another one ends there."""
        self._loop, self.is_on = loop, False

    def wake(self) -> None:
        """Start to beat, on the loop; nothing before `begin` and after `end`."""
        loop = self._loop
        if loop is None or self.is_on:
            return
        self.is_on = True
        self._worked_s = loop.time()
        self._again(loop, self._worked_s)

    def belongs_to(self, loop: asyncio.AbstractEventLoop) -> bool:
        """Whether `begin` named this loop last, and no `end` came."""
        return self._loop is loop

    def end(self) -> None:
        """Stop for good."""
        self._loop, self.is_on = None, False

    def _again(self, loop: asyncio.AbstractEventLoop, now_s: float) -> None:
        # From now, not from the due time: after a stall it must not catch up.
        self._due_s = now_s + BEAT_S
        loop.call_at(self._due_s, self._come_round, loop)

    def _come_round(self, loop: asyncio.AbstractEventLoop) -> None:
        if loop is not self._loop or not self.is_on:
            return
        now_s = loop.time()
        if self._beat(now_s, max(0.0, now_s - self._due_s)):
            self._worked_s = now_s
        elif now_s - self._worked_s >= _IDLE_S:
            self.is_on = False
            return
        self._again(loop, now_s)
