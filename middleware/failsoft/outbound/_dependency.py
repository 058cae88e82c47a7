"""`failsoft.dependency()`: any call to somebody else, with leave, time and retries."""

from __future__ import annotations

import asyncio
import functools
import inspect
import logging
import time
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from typing import Any, ParamSpec, TypeVar, cast

from failsoft.errors import (
    CallError,
    CallFailed,
    CallTimeout,
    DeadlineExceeded,
    DefinitionError,
)
from failsoft.outbound._attempt import Attempt, Ended, Tries, held_attempt
from failsoft.outbound._classify import (
    FAIL,
    IGNORED,
    LIMITED,
    OK,
    OUTCOMES,
    SLOW,
    outcome_of,
    outcome_of_error,
)
from failsoft.outbound._gate import DependencyState, Gate
from failsoft.outbound._quota import NOTHING, announcing, read_announced
from failsoft.outbound._stage import Dependencies

__all__ = ["Dependency"]

P = ParamSpec("P")
T = TypeVar("T")
Classify = Callable[[Any], str | None]
_FALLBACK_S = 0.25
_log = logging.getLogger("failsoft")


@dataclass(frozen=True, slots=True)
class _Work:
    """A call as it was asked for."""

    fn: Callable[..., Any]
    args: tuple[Any, ...]
    keywords: dict[str, Any]
    timeout_s: float | None
    classify: Classify | None

    def start(self) -> Any:
        return self.fn(*self.args, **self.keywords)

    def judged(self, attempt: Attempt, answer: Any, *, is_error: bool) -> Ended:
        """End an attempt with what the function returned or raised."""
        judge = outcome_of_error if is_error else outcome_of
        told = self._told(attempt.gate.name, answer)
        outcome = attempt.end(told or judge(answer), is_final=told is not None)
        said = _announced(answer, is_error=is_error)
        attempt.learn(said, outcome)
        if is_error:
            return Ended(outcome, None, answer, said.retry_after_s)
        return Ended(outcome, answer, None, said.retry_after_s)

    def _told(self, name: str, answer: Any) -> str | None:
        if self.classify is None:
            return None
        try:
            told = self.classify(answer)
        except Exception as fault:  # noqa: BLE001 - border: what was answered counts
            _log.warning("what classifies calls of %s failed: %r", name, fault)
            return None
        if told is not None and told not in OUTCOMES:
            raise ValueError(f"classify gave {told!r}; give one of {OUTCOMES} or None")
        return told


class Dependency:
    """Somebody whom this application calls; made by `failsoft.dependency(name)`.

    find: returns the dependencies of the running request or process.
    """

    __slots__ = ("_find", "name")

    def __init__(self, name: str, find: Callable[[], Dependencies]) -> None:
        self.name = name
        self._find = find

    @property
    def _gate(self) -> Gate:
        return self._find().of(self.name)

    def state(self) -> DependencyState:
        """Return how it stands on this node; changes nothing."""
        return self._find().state(self.name)

    def attempt(self, *, timeout: float | None = None) -> Attempt:
        """Return one attempt, for `with` or `async with`, to be judged by you.

        timeout: seconds; else that of settings.
        """
        return Attempt(self._gate, timeout)

    async def call(
        self,
        fn: Callable[..., Awaitable[T]],
        /,
        *args: Any,
        timeout: float | None = None,
        idempotent: bool = False,
        fallback: Callable[[Exception], Any] | None = None,
        classify: Classify | None = None,
        **kw: Any,
    ) -> T:
        """Await `fn(*args, **kw)` if it may be called, and learn from its outcome.

        timeout: seconds of one attempt; then it is cancelled and CallTimeout raised.
        idempotent: it may be repeated, as often as setting `retries` says.  fallback:
        its value, also awaited, for 250 ms, stands in after a refusal or the last
        failure; it gets the error.  classify: gets the result or the exception, and
        returns ok, slow, fail, limited, ignored, or None for the usual judgement: an
        exception is a failure, an answer of HTTP what its status says.
        Raises CallError where nothing was sent, else what `fn` raises.
        """
        gate = self._gate
        work = _Work(fn, args, kw, timeout, classify)
        try:
            if held_attempt(gate) is not None:
                ended = await _within(gate, work)
            else:
                ended = await _tried(gate, work, may_repeat=idempotent)
        except CallError as refusal:
            ended = Ended(IGNORED, error=refusal)
        if (error := _fault_of(gate, ended, fallback)) is not None:
            return cast(T, await _fallen_back(gate, fallback, error, ended))
        return cast(T, ended.value())

    def call_sync(
        self,
        fn: Callable[..., T],
        /,
        *args: Any,
        timeout: float | None = None,
        idempotent: bool = False,
        fallback: Callable[[Exception], Any] | None = None,
        classify: Classify | None = None,
        **kw: Any,
    ) -> T:
        """Call `fn(*args, **kw)` where you are, as `call` does for what is awaited.

        It cannot be cut short: use `attempt` and its `timeout_s` to pass a bound on.
        On a thread with a running event loop it is never repeated.
        """
        gate = self._gate
        work = _Work(fn, args, kw, timeout, classify)
        try:
            if held_attempt(gate) is not None:
                ended = _within_sync(work)
            else:
                ended = _tried_sync(gate, work, may_repeat=idempotent)
        except CallError as refusal:
            ended = Ended(IGNORED, error=refusal)
        if (error := _fault_of(gate, ended, fallback)) is not None:
            return cast(T, _fallen_back_sync(gate, fallback, error, ended))
        return cast(T, ended.value())

    def __call__(self, fn: Callable[P, T]) -> Callable[P, T]:
        """Have every call of a function, `def` or `async def`, go through here."""
        if inspect.isgeneratorfunction(fn) or inspect.isasyncgenfunction(fn):
            todo = "its call ends before it begins; use `attempt()` within it"
            raise DefinitionError([f"{self!r} on the generator {fn!r}: {todo}"])
        if inspect.iscoroutinefunction(fn):

            @functools.wraps(fn)
            async def guarded(*args: P.args, **kw: P.kwargs) -> Any:
                return await self.call(functools.partial(fn, *args, **kw))

            return cast(Callable[P, T], guarded)

        @functools.wraps(fn)
        def guarded_sync(*args: P.args, **kw: P.kwargs) -> T:
            return self.call_sync(functools.partial(fn, *args, **kw))

        return guarded_sync

    def __repr__(self) -> str:
        """Return how it was asked for."""
        return f"failsoft.dependency({self.name!r})"


async def _within(gate: Gate, work: _Work) -> Ended:
    """Make a call that is part of another: it has bound and fallback of its own."""
    bound = asyncio.timeout(work.timeout_s)
    try:
        async with bound:
            result = await work.start()
    except Exception as error:  # noqa: BLE001 - border: raised again, or stood in for
        if not (bound.expired() and isinstance(error, TimeoutError)):
            return Ended(outcome_of_error(error), None, error)
        late = CallTimeout(gate.name, f"no answer within {work.timeout_s:g} s")
        late.__cause__ = error
        return Ended(FAIL, None, late)
    return Ended(outcome_of(result), result)


def _within_sync(work: _Work) -> Ended:
    try:
        result = work.start()
    except Exception as error:  # noqa: BLE001 - border: raised again, or stood in for
        return Ended(outcome_of_error(error), None, error)
    return Ended(outcome_of(result), result)


async def _tried(gate: Gate, work: _Work, *, may_repeat: bool) -> Ended:
    attempt = Attempt(gate, work.timeout_s).begin()
    tries = Tries(gate, may_repeat=may_repeat)
    ended = await _once(attempt, work)
    while (wait_s := tries.again_in(ended)) is not None:
        await asyncio.sleep(wait_s)
        try:
            attempt = Attempt(gate, work.timeout_s).begin()
        except CallError:
            break  # what was answered says more than that we do not ask again
        ended = await _once(attempt, work)
    return ended


async def _once(attempt: Attempt, work: _Work) -> Ended:
    attempt.hold()
    try:
        bound = asyncio.timeout(attempt.timeout_s)
        try:
            async with bound:
                result = await work.start()
        except Exception as error:  # noqa: BLE001 - border: whatever it is, it is judged
            if bound.expired() and isinstance(error, TimeoutError):
                return _out_of_time(attempt, error)
            return work.judged(attempt, error, is_error=True)
        return work.judged(attempt, result, is_error=False)
    finally:
        attempt.release()
        attempt.end(IGNORED)  # the first word counts; this one is for cancellations


def _out_of_time(attempt: Attempt, cause: Exception) -> Ended:
    name, span_s = attempt.gate.name, attempt.timeout_s or 0.0
    outcome = attempt.end(attempt.cut(), "timeout")
    error: CallError
    if attempt.is_shortened:
        error = DeadlineExceeded(name, f"the deadline came after {span_s:.3f} s")
    else:
        error = CallTimeout(name, f"no answer within {span_s:g} s")
    error.__cause__ = cause
    return Ended(outcome, error=error)


def _tried_sync(gate: Gate, work: _Work, *, may_repeat: bool) -> Ended:
    attempt = Attempt(gate, work.timeout_s).begin()
    tries = Tries(gate, may_repeat=may_repeat and not is_on_loop())
    ended = _once_sync(attempt, work)
    while (wait_s := tries.again_in(ended)) is not None:
        time.sleep(wait_s)
        try:
            attempt = Attempt(gate, work.timeout_s).begin()
        except CallError:
            break
        ended = _once_sync(attempt, work)
    return ended


def _once_sync(attempt: Attempt, work: _Work) -> Ended:
    attempt.hold()
    try:
        try:
            result = work.start()
        except Exception as error:  # noqa: BLE001 - border: whatever it is, it is judged
            return work.judged(attempt, error, is_error=True)
        return work.judged(attempt, result, is_error=False)
    finally:
        attempt.release()
        attempt.end(IGNORED)  # the first word counts


def is_on_loop() -> bool:
    """Whether this thread runs an event loop: sleeping here would stop it."""
    try:
        asyncio.get_running_loop()
    except RuntimeError:
        return False
    return True


def _announced(answer: Any, *, is_error: bool) -> Any:
    response = getattr(answer, "response", None) if is_error else answer
    headers = getattr(response, "headers", None)
    if not hasattr(response, "status_code") or not isinstance(headers, Mapping):
        return NOTHING
    pairs = announcing(headers)
    return read_announced(pairs, time.time()) if pairs else NOTHING


def _fault_of(gate: Gate, ended: Ended, fallback: Any) -> Exception | None:
    """Return what the fallback stands in for; None to go on without it."""
    if fallback is None:
        return None
    if ended.error is None and ended.outcome in (FAIL, LIMITED):
        return CallFailed(gate.name, f"it answered: {ended.outcome}")
    return None if ended.outcome in (OK, SLOW) else ended.error  # a 404 is an answer


async def _fallen_back(
    gate: Gate, fallback: Any, error: Exception, ended: Ended
) -> Any:
    try:
        async with asyncio.timeout(_FALLBACK_S):
            value = fallback(error)
            if inspect.isawaitable(value):
                value = await value
    except Exception as fault:  # noqa: BLE001 - border: the first error says more
        _log.warning("the fallback of %s failed: %r", gate.name, fault)
        return ended.value()
    gate.fallbacks += 1
    return value


def _fallen_back_sync(gate: Gate, fallback: Any, error: Exception, ended: Ended) -> Any:
    try:
        value = fallback(error)
        if inspect.iscoroutine(value):
            value.close()
            raise TypeError("call_sync awaits nothing: give it a plain function")
    except Exception as fault:  # noqa: BLE001 - border: the first error says more
        _log.warning("the fallback of %s failed: %r", gate.name, fault)
        return ended.value()
    gate.fallbacks += 1
    return value
