"""One attempt at a call: its leave, its time and its outcome; and whether another."""

from __future__ import annotations

from contextvars import ContextVar, Token
from types import TracebackType
from typing import Any, NamedTuple

from failsoft import clock
from failsoft.errors import CallError, DeadlineExceeded
from failsoft.outbound._breaker import Permit
from failsoft.outbound._classify import (
    FAIL,
    IGNORED,
    LIMITED,
    OK,
    late,
    outcome_of_error,
    paced,
    slow_after,
)
from failsoft.outbound._gate import Gate
from failsoft.outbound._quota import NOTHING, Announced
from failsoft.outbound._retry import delay_s
from failsoft.pipeline import CURRENT, Exchange

__all__ = ["Attempt", "CallNote", "Ended", "Tries", "held_attempt"]

_MARGIN_S = 0.010  # an answer of ours still has to be written before the deadline
_NOTES_KEPT = 64
_BELOW_CRITICAL = frozenset(("sheddable_plus", "sheddable"))
_REFUSED = "refused"


class CallNote(NamedTuple):
    """What one attempt of a request came to; `refused` was never sent."""

    dependency: str
    outcome: str
    took_ms: float
    why: str = ""


class Ended(NamedTuple):
    """What an attempt came to.  retry_after_s: as asked for by the other side."""

    outcome: str
    result: Any = None
    error: Exception | None = None
    retry_after_s: float = 0.0

    def value(self) -> Any:
        """Return the result, or raise what was raised."""
        if self.error is not None:
            raise self.error
        return self.result


class Attempt:
    """One attempt at a call, made by your own code.

        with failsoft.dependency("bank").attempt(timeout=2) as attempt:
            answer = bank.ask(timeout=attempt.timeout_s)
            if answer.is_busy:
                attempt.fail("busy")

    Entering raises BreakerOpen, CallThrottled, QuotaReserved or DeadlineExceeded:
    then nothing may be sent.  Leaving without a word means ok, an exception that it
    failed, a cancellation nothing.  timeout_s: what the call may take, None for no
    bound.  Of one thread or task; used once.
    """

    __slots__ = (
        "_began",
        "_credential",
        "_exchange",
        "_held",
        "_own_s",
        "_permit",
        "gate",
        "inner",
        "is_over",
        "is_shortened",
        "timeout_s",
    )

    def __init__(
        self, gate: Gate, timeout_s: float | None = None, credential: int = 0
    ) -> None:
        self.gate = gate
        self.timeout_s: float | None = None
        self.is_shortened = self.is_over = False
        self.inner = ""
        own_s = gate.settings.timeout_s if timeout_s is None else timeout_s
        self._own_s = own_s
        self._credential = credential
        self._exchange: Exchange | None = None
        self._permit: Permit | None = None
        self._held: Token[Attempt | None] | None = None
        self._began = 0.0

    def begin(self) -> Attempt:
        """Take the permit; raises CallError where nothing may be sent."""
        self._began = clock.monotonic()
        exchange = self._exchange = CURRENT.get()
        try:
            self._bound(exchange)
            self._permit = self.gate.admit(
                self._began,
                is_critical=_criticality(exchange) not in _BELOW_CRITICAL,
                credential=self._credential,
            )
        except CallError as error:
            self._note(_REFUSED, 0.0, error.code)
            raise
        return self

    def _bound(self, exchange: Exchange | None) -> None:
        bound_s = self._own_s
        left_s = exchange.remaining() if exchange is not None else None
        if left_s is not None:
            left_s -= _MARGIN_S
            if left_s <= 0:
                raise DeadlineExceeded(self.gate.name, "the request has no time left")
            if bound_s is None or left_s < bound_s:
                bound_s, self.is_shortened = left_s, True
        self.timeout_s = bound_s

    def end(
        self,
        outcome: str,
        why: str = "",
        *,
        slow_s: float | None = None,
        is_final: bool = False,
    ) -> str:
        """Give the permit back, the first time; returns the outcome that counts.

        slow_s: from when on it is slow where neither the call nor settings say so.
        is_final: whoever calls said so, whatever calls within it came to.
        """
        permit, self._permit = self._permit, None
        if permit is None:
            return outcome
        self.is_over = True
        now = clock.monotonic()
        took_s = now - self._began
        if outcome == OK:
            after_s = slow_after(self._own_s, self.gate.settings.slow_s)
            heard = OK if is_final else self.inner or OK
            outcome = paced(heard, took_s, after_s or slow_s)
        self.gate.settle(permit, outcome, took_s, now)
        self._note(outcome, took_s, why)
        return outcome

    def hear(self, outcome: str, why: str = "", *, slow_s: float | None = None) -> str:
        """Note what a call within this one came to; it counts unless worse is said."""
        if outcome not in (OK, IGNORED):
            self.inner = outcome
        return outcome

    def cut(self) -> str:
        """Return the outcome of a call that ran out of time."""
        if self.is_shortened and self.timeout_s is not None:
            return late(self.timeout_s, self._own_s)
        return FAIL

    def learn(self, said: Announced, outcome: str) -> None:
        """Take what an answer says of the quota."""
        if said is not NOTHING or outcome == LIMITED:
            now = clock.monotonic()
            self.gate.announced(self._credential, said, outcome, now)

    def ok(self) -> None:
        """It ended well; slow, if it took too long."""
        self.end(OK, is_final=True)

    def fail(self, why: str = "") -> None:
        """It failed."""
        self.end(FAIL, why)

    def ignore(self) -> None:
        """It says nothing about the dependency."""
        self.end(IGNORED)

    def quota(self, limit: int, remaining: int, reset_s: float) -> None:
        """Say what the answer told of the quota: calls, and seconds to its reset."""
        self.learn(Announced(limit, remaining, reset_s), OK)

    def left_s(self) -> float | None:
        """Return the seconds left until the request's deadline, None without one."""
        return self._exchange.remaining() if self._exchange is not None else None

    @property
    def criticality(self) -> str:
        """The class of the request it is made for."""
        return _criticality(self._exchange)

    def hold(self) -> None:
        """Until `release`, calls of this task to the same dependency are part of it."""
        self._held = _HELD.set(self)

    def release(self) -> None:
        """End what `hold` began."""
        held, self._held = self._held, None
        if held is not None:
            try:
                _HELD.reset(held)
            except ValueError:  # a generator that another task closes
                return

    def __enter__(self) -> Attempt:
        """Take leave for the call."""
        if self._began:
            raise RuntimeError("an attempt is used once: ask for another one")
        self.begin()
        self.hold()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Judge what was not judged."""
        self.release()
        if error is None:
            self.end(OK)
        elif isinstance(error, TimeoutError) and not isinstance(error, CallError):
            self.end(self.cut(), type(error).__name__)
        else:
            self.end(outcome_of_error(error), type(error).__name__)

    async def __aenter__(self) -> Attempt:
        """Take leave for the call."""
        return self.__enter__()

    async def __aexit__(self, *raised: Any) -> None:
        """Judge what was not judged."""
        self.__exit__(*raised)

    def _note(self, outcome: str, took_s: float, why: str) -> None:
        exchange = self._exchange
        if exchange is None:
            return
        if exchange.calls is None:
            exchange.calls = []
        if len(exchange.calls) < _NOTES_KEPT:
            note = CallNote(self.gate.name, outcome, took_s * 1000, why)
            exchange.calls.append(note)


_HELD: ContextVar[Attempt | None] = ContextVar("failsoft.attempt", default=None)


def held_attempt(gate: Gate) -> Attempt | None:
    """Return the attempt that a call made here belongs to, None for none.

    A call of `call` through a client with our transport would else count twice, and
    a half-open breaker with one permit would refuse the second for ever.
    """
    held = _HELD.get()
    if held is None or held.gate is not gate or held.is_over:
        return None  # also in a task that outlived the attempt
    return held


def _criticality(exchange: Exchange | None) -> str:
    if exchange is None:
        return "critical"
    return exchange.criticality or exchange.plan.criticality


class Tries:
    """The attempts of one call.  may_repeat: it does the same when made twice."""

    __slots__ = ("_gate", "_left", "_nth")

    def __init__(self, gate: Gate, *, may_repeat: bool) -> None:
        self._gate = gate
        self._left = gate.settings.retries if may_repeat else 0
        self._nth = 0
        gate.retries.first(clock.monotonic())

    def again_in(self, ended: Ended) -> float | None:
        """Return after how many seconds to try once more, None for never.

        Not without budget, and not if it would begin past the deadline.
        """
        if not self._left:
            return None
        wait_s = delay_s(
            self._nth + 1, ended.outcome, ended.retry_after_s, self._gate.rand
        )
        if wait_s is None:
            return None
        exchange = CURRENT.get()
        if exchange is not None:
            left_s = exchange.remaining()
            is_late = left_s is not None and wait_s >= left_s - _MARGIN_S
            if is_late or exchange.plan.scalars.no_retries:
                return None
        if not self._gate.retries.take(clock.monotonic()):
            return None
        self._nth += 1
        self._left -= 1
        return wait_s
