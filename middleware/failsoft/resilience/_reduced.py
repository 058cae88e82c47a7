"""Refusals for want of capacity, as bytes prepared once for the process."""

from __future__ import annotations

from collections.abc import Callable

from failsoft.pipeline import Rejection
from failsoft.problem import problem, violating

__all__ = ["CAPACITY", "Reduced"]

CAPACITY = "https://iana.org/assignments/http-problem-types#temporary-reduced-capacity"
_LONGEST_S = 10


class Reduced:
    """The 503 of one cause, one for each `Retry-After`.

    reason: word for telemetry, and the policy that is named.  dice: 0..1.  timing:
    of `Server-Timing`, b"" for none.
    """

    __slots__ = ("_by_s", "_dice")

    def __init__(
        self, reason: str, title: str, dice: Callable[[], float], timing: bytes = b""
    ) -> None:
        self._dice = dice
        more = ((b"server-timing", timing),) if timing else ()
        self._by_s = tuple(
            violating(
                problem(
                    reason,
                    503,
                    title=title,
                    type_uri=CAPACITY,
                    headers=((b"retry-after", str(seconds).encode()), *more),
                ),
                reason,
            )
            for seconds in range(_LONGEST_S + 1)
        )

    def answer(self, *, is_long: bool = False) -> Rejection:
        """Return one to wait 1-3 s, or 2-10 s where it has gone on for long."""
        low, width = (2, 9) if is_long else (1, 3)
        return self._by_s[low + min(width - 1, int(self._dice() * width))]
