"""RFC 9457 problem answers: prepared once, sent before any body is read."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any

import msgspec

from failsoft.pipeline import Exchange, Rejection, Scope

__all__ = ["answer_http", "answer_websocket", "problem"]

_Send = Callable[[dict[str, Any]], Awaitable[None]]

_JSON = (b"content-type", b"application/problem+json")
_NO_STORE = (b"cache-control", b"no-store")

# Neither a body nor its length goes with these (RFC 9110, 8.6).
_BODILESS = (204, 205, 304)

# RFC 6455 registry: "try again later".
_CLOSE_TRY_AGAIN = 1013


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
    if rejection.status in _BODILESS:
        headers.pop()
    if exchange.scope["method"] == "HEAD" or rejection.status in _BODILESS:
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
    exchange: Exchange,
    rejection: Rejection,
    receive: Callable[[], Awaitable[Any]],
    send: _Send,
) -> None:
    """Refuse a handshake: denial response where the server can, else close 1013."""
    await receive()  # the server expects `websocket.connect` to be taken first
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


def _can_deny(scope: Scope) -> bool:
    return "websocket.http.response" in (scope.get("extensions") or ())
