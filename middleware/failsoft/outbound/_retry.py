"""Whether a call is made again, when, and how much of that is affordable."""

from __future__ import annotations

from collections.abc import Callable

from failsoft.outbound._classify import FAIL, LIMITED

__all__ = ["RetryBudget", "delay_s", "is_repeatable"]

_WINDOW_S = 10
_SHARE = 0.1
_FREE = 10
_MOST_S = 2.0
_FIRST_S = 0.1
_METHODS = frozenset(("GET", "HEAD", "OPTIONS", "PUT", "DELETE"))


def is_repeatable(method: str, *, has_key: bool, is_replayable: bool) -> bool:
    """Whether a request does the same twice, and can be sent twice.

    has_key: it carries an `Idempotency-Key`.  is_replayable: its body is in memory.
    """
    return is_replayable and (has_key or method in _METHODS)


def delay_s(
    nth: int, outcome: str, retry_after_s: float, rand: Callable[[], float]
) -> float | None:
    """Return how long to wait before retry `nth` (1, 2, 3); None for no retry.

    Not where it asks for more than the span that retries are counted over: without a
    deadline a caller would wait for an hour.
    """
    if outcome not in (FAIL, LIMITED) or retry_after_s > _WINDOW_S:
        return None
    jittered = rand() * min(_MOST_S, _FIRST_S * 2.0**nth)
    return max(jittered, retry_after_s)


class RetryBudget:
    """Retries of one node: a tenth of its first attempts, and one a second.

    Retries count from their decision on, so those that still wait are in (envoy
    issue 30205).
    """

    __slots__ = ("_at", "_firsts", "_retries")

    def __init__(self) -> None:
        self._at = 0
        self._firsts = [0] * _WINDOW_S
        self._retries = [0] * _WINDOW_S

    def first(self, now: float) -> None:
        """Count a first attempt."""
        self._advance(now)
        self._firsts[self._at % _WINDOW_S] += 1

    def take(self, now: float) -> bool:
        """Count a retry, if there is room for one."""
        self._advance(now)
        if self.left <= 0:
            return False
        self._retries[self._at % _WINDOW_S] += 1
        return True

    @property
    def left(self) -> float:
        """Retries there is room for."""
        return _SHARE * sum(self._firsts) + _FREE - sum(self._retries)

    def _advance(self, now: float) -> None:
        second = int(now)
        gone = min(second - self._at, _WINDOW_S)
        for old in range(second - gone + 1, second + 1):
            self._firsts[old % _WINDOW_S] = self._retries[old % _WINDOW_S] = 0
        self._at = max(self._at, second)
