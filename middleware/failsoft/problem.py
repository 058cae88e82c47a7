"""RFC 9457 problem answers: prepared once, sent before any body is read."""

from __future__ import annotations

import math
from collections.abc import Awaitable, Callable, MutableMapping
from time import perf_counter_ns
from typing import Any

import msgspec

from failsoft import dice
from failsoft.errors import CallError, DeadlineExceeded, FlagUnavailable
from failsoft.pipeline import Exchange, Rejection, Scope

__all__ = [
    "BODILESS",
    "LATE",
    "REFUSED",
    "answer_http",
    "answer_websocket",
    "hold",
    "is_refused",
    "late_answer",
    "problem",
    "release",
    "retry_after",
    "unavailable",
    "violating",
]

_Send = Callable[[dict[str, Any]], Awaitable[None]]
_Outgoing = Callable[[MutableMapping[str, Any]], Awaitable[None]]

_JSON = (b"content-type", b"application/problem+json")
_NO_STORE = (b"cache-control", b"no-store")

# Neither a body nor its length goes with these (RFC 9110, 8.6).
BODILESS = (204, 205, 304)

# RFC 6455 registry: "try again later".
_CLOSE_TRY_AGAIN = 1013

# What a request notes of a flag that raised by its fail policy.
REFUSED = "(refused)"
_HELD = "failsoft.held"
# Of calls: what raises nothing.  Of very many not every one is noted.
_FINE = ("ok", "slow")
_MANY_CALLS = 64


def problem(
    reason: str,
    status: int,
    *,
    title: str,
    type_uri: str,
    detail: str | None = None,
    headers: tuple[tuple[bytes, bytes], ...] = (),
) -> Rejection:
    """Prepare a problem+json refusal; the trace id is added when it is sent."""
    doc: dict[str, Any] = {"type": type_uri, "title": title, "status": status}
    if detail:
        doc["detail"] = detail
    body = msgspec.json.encode(doc)[:-1]
    return Rejection(reason, status, (_JSON, _NO_STORE, *headers), body)


def violating(rejection: Rejection, *policies: str) -> Rejection:
    """Name the policies a refusal is for, as draft-ietf-httpapi-ratelimit-headers."""
    named = b',"violated-policies":' + msgspec.json.encode(policies)
    body = rejection.body + named
    return Rejection(rejection.reason, rejection.status, rejection.headers, body)


def retry_after(seconds: float, dice: Callable[[], float]) -> tuple[bytes, bytes]:
    """Return the header: whole seconds, 0-30 % more so that not all come at once.

    dice: 0..1.  1 to 3600.
    """
    jittered = min(3600.0, max(0.0, seconds) * (1 + 0.3 * dice()))
    return b"retry-after", str(max(1, math.ceil(jittered))).encode()


_UNAVAILABLE = problem(
    "flag",
    503,
    title="Temporarily unavailable",
    type_uri="urn:failsoft:problem:flag-unavailable",
    headers=((b"retry-after", b"5"),),
)


LATE = problem(
    "deadline",
    504,
    title="It took longer than this request may take",
    type_uri="urn:failsoft:problem:deadline-exceeded",
)
LATE.is_refusal = False  # a missed deadline is an error, not a choice


def late_answer(exchange: Exchange, now_ns: int) -> Rejection:
    """Return what a client gets whose request ran out of time."""
    elapsed_ms = (now_ns - exchange.started_ns) // 1_000_000
    body = LATE.body + b',"elapsed_ms":%d' % elapsed_ms
    return Rejection(LATE.reason, LATE.status, LATE.headers, body, is_refusal=False)


def _without(error: CallError, *, may_name: bool) -> Rejection:
    """Return the answer to a call that could not be made, and that nobody caught."""
    wait_s = error.retry_after_s
    headers = (retry_after(wait_s, dice.random),) if wait_s > 0 else ()
    return problem(
        "dependency",
        503,
        title="Something this needs is not available",
        type_uri="urn:failsoft:problem:dependency-unavailable",
        detail=f"dependency {error.dependency}" if may_name else None,
        headers=headers,
    )


def _body_of(rejection: Rejection, exchange: Exchange) -> bytes:
    if not rejection.is_problem:
        return rejection.body
    if not exchange.trace_id:
        return rejection.body + b"}"
    return rejection.body + b',"trace_id":"%032x"}' % exchange.trace_id


async def answer_http(exchange: Exchange, rejection: Rejection, send: _Send) -> None:
    """Send the refusal as an HTTP response; HEAD gets no body (RFC 9110, 9.3.2)."""
    body = _body_of(rejection, exchange)
    headers = [*rejection.headers, (b"content-length", str(len(body)).encode())]
    if rejection.status in BODILESS:
        headers.pop()
    if exchange.scope["method"] == "HEAD" or rejection.status in BODILESS:
        body = b""
    await send(
        {
            "type": "http.response.start",
            "status": rejection.status,
            "headers": headers,
        }
    )
    await send({"type": "http.response.body", "body": body, "more_body": False})


async def answer_websocket(
    exchange: Exchange, rejection: Rejection, send: _Send
) -> None:
    """Refuse a handshake: denial response where the server can, else close 1013."""
    if not _can_deny(exchange.scope):
        await send({"type": "websocket.close", "code": _CLOSE_TRY_AGAIN})
        return
    await send(
        {
            "type": "websocket.http.response.start",
            "status": rejection.status,
            "headers": [*rejection.headers, *exchange.plan.notices],
        }
    )
    body = _body_of(rejection, exchange)
    await send({"type": "websocket.http.response.body", "body": body})


def is_refused(exchange: Exchange) -> bool:
    """Whether something raised in this request that an answer of ours may be for.

    A flag of fail policy `refuse`, or a call to a dependency that went wrong.
    """
    calls = exchange.calls or ()
    if len(calls) >= _MANY_CALLS or any(one.outcome not in _FINE for one in calls):
        return True
    return bool(exchange.flags) and REFUSED in (exchange.flags or {}).values()


def unavailable(exchange: Exchange, error: BaseException) -> Rejection | None:
    """Return the answer to an uncaught FlagUnavailable or CallError.

    Alone or in a group of one.  None for other errors, and where the answer has
    started.
    """
    while isinstance(error, BaseExceptionGroup) and len(error.exceptions) == 1:
        error = error.exceptions[0]
    if not isinstance(error, FlagUnavailable | CallError):
        return None
    if exchange.phase != 0 and exchange.scope.pop(_HELD, None) is None:
        return None
    if isinstance(error, FlagUnavailable):
        return _UNAVAILABLE
    if isinstance(error, DeadlineExceeded):
        return late_answer(exchange, perf_counter_ns())
    endpoints = exchange.runtime.settings.endpoints
    return _without(error, may_name=endpoints.expose_dependencies)


def hold(exchange: Exchange, send: _Outgoing) -> _Outgoing:
    """Keep back a 500 after a flag or a call raised, until it shows whose it is.

    Frameworks that lie within us answer 500 for what nobody caught, and then raise
    it: that one gives way to our answer.  A handler's own 500 goes out.
    """
    held = exchange.scope[_HELD] = []

    async def take(message: MutableMapping[str, Any]) -> None:
        if _HELD not in exchange.scope:
            await send(message)
            return
        held.append(message)
        exchange.phase = 1  # so that the end of the request asks for it
        if message.get("more_body"):  # a stream is no framework's error
            await release(exchange, send)

    return take


async def release(exchange: Exchange, send: _Outgoing) -> bool:
    """Send what was kept back; whether there was anything."""
    held = exchange.scope.pop(_HELD, None)
    if held is None:
        return False
    for message in held:
        await send(message)
    last = held[-1]
    is_end = last["type"] == "http.response.body" and not last.get("more_body")
    exchange.phase = 2 if is_end else 1
    return True


def _can_deny(scope: Scope) -> bool:
    return "websocket.http.response" in (scope.get("extensions") or ())
