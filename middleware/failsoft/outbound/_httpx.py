"""What is taken of httpx or httpx2, whichever made a request: classes and time-outs."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import AsyncIterator, Callable, Coroutine, Iterator
from functools import cache, lru_cache, partial
from types import ModuleType
from typing import Any

from failsoft.errors import CallError, CallTimeout, DeadlineExceeded
from failsoft.outbound._attempt import Attempt
from failsoft.outbound._classify import FAIL, IGNORED, outcome_of_error
from failsoft.outbound._gate import Gate
from failsoft.outbound._tap import Copy

__all__ = [
    "Body",
    "OutOfTime",
    "as_theirs",
    "bounded",
    "leave_behind",
    "module_of",
    "outcome_of_theirs",
    "send_detachable",
    "streams",
]

_MODULES = ("httpx", "httpx2")
_PHASES = ("connect", "read", "write")
_LEFT_S = 10.0
Bounds = dict[str, float | None]


def module_of(request: Any) -> ModuleType:
    """Return httpx or httpx2, whichever made a request."""
    kind: Any = type(request)
    return _module_of_kind(kind)


@lru_cache(maxsize=64)
def _module_of_kind(request: Any) -> ModuleType:
    for kind in request.__mro__:
        name = kind.__module__.partition(".")[0]
        if name in _MODULES:
            return sys.modules[name]
    raise TypeError(f"{request!r} is no request of {' or '.join(_MODULES)}")


# --- errors -----------------------------------------------------------------


def as_theirs(error: CallError, request: Any) -> CallError:
    """Return a refusal that is also an error of the client's module.

    So `except httpx.HTTPError` catches it, as it does when the other side is away.
    """
    kind: Any = type(error)
    made: CallError = _joined(module_of(request), kind)(
        error.dependency, error.why, retry_after_s=error.retry_after_s
    )
    made.request = request  # type: ignore[attr-defined]
    return made


@cache
def _joined(module: Any, kind: Any) -> type[CallError]:
    is_late = issubclass(kind, CallTimeout | DeadlineExceeded)
    theirs = module.ReadTimeout if is_late else module.TransportError
    made: type[CallError] = type(
        kind.__name__, (kind, theirs), {"__module__": kind.__module__}
    )
    return made


def outcome_of_theirs(error: Exception, attempt: Attempt, request: Any) -> str:
    """Return what an exception of the inner transport says of the other side."""
    if isinstance(error, CallError):
        return outcome_of_error(error)  # of a transport of ours within this one
    module: Any = module_of(request)
    ours = (module.PoolTimeout, module.UnsupportedProtocol, module.LocalProtocolError)
    if isinstance(error, ours):
        return IGNORED  # nothing reached it
    if isinstance(error, module.TimeoutException):
        return attempt.cut()
    return FAIL


# --- time -------------------------------------------------------------------


def bounded(request: Any, attempt: Attempt) -> tuple[Any, Bounds]:
    """Return a request with bounded time-outs, and these by phase.

    The given one stays as it is: it may be sent once more, or somewhere else.
    """
    kind: Any = type(request)
    made = kind.__new__(kind)
    made.__dict__.update(request.__dict__)
    bounds = _bounds(request, attempt)
    made.extensions = {**request.extensions, "timeout": bounds}
    return made, bounds


def _bounds(request: Any, attempt: Attempt) -> Bounds:
    bounds: Bounds = dict(request.extensions.get("timeout") or {})
    bound_s = attempt.timeout_s
    if bound_s is not None:
        for phase in _PHASES:
            own_s = bounds.get(phase)
            bounds[phase] = bound_s if own_s is None else min(own_s, bound_s)
        # httpx 0.28.1 loses a connection for good where a call gives up its place in
        # the queue of the pool just when one is handed to it: 1,000 late calls killed
        # a client of 5.  The attempt is bounded in whole here, so the place is kept.
        waits_s = bounds.get("pool")
        if waits_s is not None and waits_s >= bound_s:
            bounds["pool"] = None
    return bounds


class OutOfTime(TimeoutError):
    """The head of an answer did not come within the bound of the whole attempt."""


async def send_detachable(
    gate: Gate,
    sending: Coroutine[Any, Any, Any],
    bound_s: float | None,
    bounds: Bounds,
) -> Any:
    """Return the answer; OutOfTime after `bound_s`.

    A caller that goes away only leaves the call behind: its own time-outs end it.
    httpx 0.28.1 loses a connection of its pool for good with some cancelled calls: a
    client of 5 was dead after 50 of them.
    """
    read_s = bounds.get("read")
    loop = asyncio.get_running_loop()
    task, ended = loop.create_task(sending), loop.create_future()
    # By hand: `asyncio.wait` takes a third longer.
    task.add_done_callback(wake := partial(_wake, ended))
    timer = loop.call_later(bound_s, wake) if bound_s is not None else None
    try:
        await ended
    except BaseException:
        _detach(gate, task, bounds, 0.0 if read_s is None else read_s + _LEFT_S)
        raise
    finally:
        if timer is not None:
            timer.cancel()
    if not task.done():
        _detach(gate, task, bounds, (read_s or 0.0) + _LEFT_S)
        raise OutOfTime
    return task.result()


def _wake(ended: asyncio.Future[None], _: object = None) -> None:
    if not ended.done():
        ended.set_result(None)


def _detach(gate: Gate, task: asyncio.Task[Any], bounds: Bounds, most_s: float) -> None:
    # Read at the start of each phase: what was not sent yet ends there unsent.
    bounds.update(dict.fromkeys(_PHASES, 0.0))
    gate.detached.add(task)
    # A transport that knows no time-outs would keep its place for ever.
    ending = task.get_loop().call_later(most_s, task.cancel)
    task.add_done_callback(partial(_left_behind, gate, ending))


def _left_behind(
    gate: Gate, ending: asyncio.TimerHandle, task: asyncio.Task[Any]
) -> None:
    ending.cancel()
    gate.detached.discard(task)
    if task.cancelled() or task.exception() is not None:
        return
    leave_behind(gate, task.result())


def leave_behind(gate: Gate, response: Any) -> None:
    """Close an answer that nobody will read, later."""
    closing = asyncio.get_running_loop().create_task(response.aclose())
    gate.detached.add(closing)
    closing.add_done_callback(partial(_closed, gate))


def _closed(gate: Gate, task: asyncio.Task[Any]) -> None:
    gate.detached.discard(task)
    if not task.cancelled():
        task.exception()  # looked at, so that nobody is told of it


# --- bodies -----------------------------------------------------------------


class Body:
    """What is done with the body of an answer as the caller reads it.

    copy: of the tap.  broke: told when it does not come to its end.  left_s: time to
    the deadline; refuse: raises once there is none.
    """

    __slots__ = ("_attempt", "_copy", "_request", "_theirs")

    def __init__(
        self, copy: Copy | None, attempt: Attempt | None, request: Any
    ) -> None:
        self._copy = copy
        self._attempt = attempt
        self._request = request
        self._theirs = module_of(request).TransportError

    def add(self, chunk: bytes) -> None:
        """Take a chunk that the caller is about to get."""
        if self._copy is not None:
            self._copy.add(chunk)
        attempt = self._attempt
        if attempt is not None and attempt.left_s() == 0.0:
            error = DeadlineExceeded(attempt.gate.name, "it came amid the answer")
            raise as_theirs(error, self._request)

    def end(self) -> None:
        """It is complete."""
        if self._copy is not None:
            self._copy.end()

    def close(self) -> None:
        """The caller reads no further."""
        if self._copy is not None:
            self._copy.close()

    def broken(self, error: Exception, now: Callable[[], float]) -> None:
        """It broke off on the other side."""
        is_theirs = isinstance(error, self._theirs) and not isinstance(error, CallError)
        if is_theirs and self._attempt is not None:
            self._attempt.gate.broke_off(now())


@cache
def streams(module: Any, now: Callable[[], float]) -> tuple[type, type]:
    """Return the sync and the async stream, which clients of a module accept."""

    class WatchedStream(module.SyncByteStream):  # type: ignore[misc]
        def __init__(self, inner: Any, body: Body) -> None:
            self._inner = inner
            self._body = body

        def __iter__(self) -> Iterator[bytes]:
            add = self._body.add
            try:
                for chunk in self._inner:
                    add(chunk)
                    yield chunk
            except Exception as error:
                self._body.broken(error, now)
                raise
            self._body.end()

        def close(self) -> None:
            self._body.close()
            self._inner.close()

    class AsyncWatchedStream(module.AsyncByteStream):  # type: ignore[misc]
        def __init__(self, inner: Any, body: Body) -> None:
            self._inner = inner
            self._body = body

        async def __aiter__(self) -> AsyncIterator[bytes]:
            add = self._body.add
            try:
                async for chunk in self._inner:
                    add(chunk)
                    yield chunk
            except Exception as error:
                self._body.broken(error, now)
                raise
            self._body.end()

        async def aclose(self) -> None:
            self._body.close()
            await self._inner.aclose()

    return WatchedStream, AsyncWatchedStream
