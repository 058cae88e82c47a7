"""What a call came to: ok, slow, fail, limited or ignored."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from failsoft.errors import CallError, CallTimeout

__all__ = [
    "FAIL",
    "IGNORED",
    "LIMITED",
    "OK",
    "OUTCOMES",
    "SLOW",
    "late",
    "outcome_of",
    "outcome_of_error",
    "outcome_of_status",
    "paced",
    "slow_after",
]

OK, SLOW, FAIL, LIMITED, IGNORED = "ok", "slow", "fail", "limited", "ignored"
OUTCOMES = (OK, SLOW, FAIL, LIMITED, IGNORED)
_FAILING = frozenset((408, 500, 502, 503, 504))
_SLOW_RATIO = 0.8


def outcome_of_status(status: int, *, has_retry_after: bool = False) -> str:
    """Return what an answer of HTTP says; other 4xx show that somebody is alive."""
    if status in _FAILING:
        return FAIL
    # GitHub's secondary limit answers 403 with Retry-After.
    if status == 429 or (status == 403 and has_retry_after):
        return LIMITED
    return OK


def outcome_of(result: Any) -> str:
    """Return what a result says: one with `status_code` is an answer of HTTP."""
    status = getattr(result, "status_code", None)
    if not isinstance(status, int):
        return OK
    headers = getattr(result, "headers", None) if status == 403 else None
    names = headers if isinstance(headers, Mapping) else ()
    has_wait = any(str(name).lower() == "retry-after" for name in names)
    return outcome_of_status(status, has_retry_after=has_wait)


def outcome_of_error(error: BaseException) -> str:
    """Return what an exception of the called function says.

    One that carries an answer is judged by it.  What another dependency refused is no
    outcome of this one, and neither is a cancellation.
    """
    if isinstance(error, CallError):
        return FAIL if isinstance(error, CallTimeout) else IGNORED
    if not isinstance(error, Exception):
        return IGNORED
    answer = getattr(error, "response", None)
    return outcome_of(answer) if hasattr(answer, "status_code") else FAIL


def paced(outcome: str, took_s: float, slow_s: float | None) -> str:
    """Return `slow` in place of `ok` for what took too long."""
    if outcome == OK and slow_s is not None and took_s >= slow_s:
        return SLOW
    return outcome


def slow_after(timeout_s: float | None, slow_s: float | None) -> float | None:
    """Return from which duration on an answer is slow; None for never."""
    if slow_s is not None:
        return slow_s
    return None if timeout_s is None else timeout_s * _SLOW_RATIO


def late(bound_s: float, timeout_s: float | None) -> str:
    """Return what a call says that was cut off after `bound_s`.

    Shortened by the deadline to less than 0.8 of its own timeout, it says nothing.
    """
    if timeout_s is None or bound_s < timeout_s * _SLOW_RATIO:
        return IGNORED
    return FAIL
