"""A clock that moves only when told to."""

from __future__ import annotations

__all__ = ["ManualClock"]


class ManualClock:
    """Callable clock; `start` and steps in seconds.

    Stands in for any `Callable[[], float]`, e.g. `MemoryStore(env, now=clock)`.
    """

    def __init__(self, start: float = 1_800_000_000.0) -> None:
        self._now = start

    def __call__(self) -> float:
        """Return the present instant in seconds."""
        return self._now

    def advance(self, seconds: float) -> float:
        """Move forward (ValueError on a step back); return the new instant."""
        if seconds < 0:
            raise ValueError(f"a clock cannot advance by {seconds} s")
        self._now += seconds
        return self._now
