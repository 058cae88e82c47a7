"""One arming per incident: a reason that rides on every write for a while.  Pure."""

from __future__ import annotations

from failsoft.errors import Invalid
from failsoft.ops.permission import check_reason

__all__ = ["ARMED_MINUTES", "Arming"]

ARMED_MINUTES = 30.0
_MOST_MINUTES = 120.0


class Arming:
    """Whether this session may write; `now` is `clock.elapsed()`.

    needed: False for one-shot tools, which bring a reason with each write.
    """

    def __init__(self, *, needed: bool) -> None:
        self.needed = needed
        self.until: float | None = None
        self.reason = ""

    def arm(self, reason: str, minutes: float, now: float) -> None:
        """Arm for some minutes (1 to 120); Invalid on a bad reason or span."""
        if not 1 <= minutes <= _MOST_MINUTES:
            raise Invalid("minutes", f"{minutes:g} must be 1 to {_MOST_MINUTES:g}")
        self.reason = check_reason(reason)
        self.until = now + 60 * minutes

    def disarm(self) -> None:
        """Stop writes."""
        self.until = None
        self.reason = ""

    def is_armed(self, now: float) -> bool:
        """Whether writes are allowed; an arming that ran out is dropped."""
        if self.until is not None and now >= self.until:
            self.disarm()
        return not self.needed or self.until is not None
