"""Who may write now.  Pure; bindings only grey out what this refuses."""

from __future__ import annotations

from failsoft.errors import Invalid, NotArmed, ReadOnly, Stale, Throttled
from failsoft.ops.stale import STALE_S

__all__ = [
    "WRITES_PER_MINUTE",
    "check_fresh",
    "check_rate",
    "check_reason",
    "check_role",
]

WRITES_PER_MINUTE = 60
_REASON = (3, 500)


def check_role(role: str, *, read_only: bool, armed: bool) -> None:
    """Raise ReadOnly or NotArmed unless this session may write."""
    if role != "operator":
        raise ReadOnly(
            f"role {role} may not write", todo="`failsoft acl` prints what it takes"
        )
    if read_only:
        raise ReadOnly("this session was opened read-only")
    if not armed:
        raise NotArmed("this session is not armed", todo="arm it with a reason first")


def check_fresh(age: float, *, link_up: bool) -> None:
    """Raise Stale when the view is too old to act on; age in seconds."""
    if age > STALE_S or not link_up:
        raise Stale(age)


def check_rate(writes: list[float], now: float) -> None:
    """Raise Throttled when the last minute holds 60 writes; drops older ones."""
    writes[:] = [at for at in writes if now - at < 60]
    if len(writes) >= WRITES_PER_MINUTE:
        wait_s = 60 - (now - writes[0])
        raise Throttled(
            f"{WRITES_PER_MINUTE} writes in a minute", todo=f"wait {wait_s:.0f} s"
        )


def check_reason(reason: str) -> str:
    """Return the reason without outer blanks; Invalid unless 3 to 500 characters."""
    text = reason.strip()
    if not text:
        raise Invalid("reason", "is empty; say why, in 3 to 500 characters")
    if not _REASON[0] <= len(text) <= _REASON[1]:
        raise Invalid("reason", f"has {len(text)} characters, allowed are 3 to 500")
    return text
