"""How a request ended: what is a failure, and who left before the end."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, MutableMapping
from time import perf_counter_ns
from typing import Any

from failsoft.pipeline import Exchange

__all__ = [
    "ask_if_gone",
    "count_failure",
    "excuse",
    "note_end",
    "note_handshake",
    "settle_more",
]

_GONE = (
    "ClientDisconnect",
    "ClientDisconnected",
    "WebSocketDisconnect",
    "CancelledError",
)


def note_end(exchange: Exchange, error: BaseException) -> None:
    """Keep what failed; a client that left before the end (499) is no failure."""
    if not _is_gone(error):
        exchange.exception = error
    elif exchange.scope["type"] == "websocket":
        exchange.status = exchange.status or 499
    elif exchange.phase != 2 or _is_late(exchange, error):
        exchange.status = 499


def _is_late(exchange: Exchange, error: BaseException) -> bool:
    """Whether a framework answered 500 to a client that was not there any more."""
    return exchange.status >= 500 and isinstance(error, Exception)


def _is_gone(error: BaseException) -> bool:
    if isinstance(error, BaseExceptionGroup):
        return all(_is_gone(member) for member in error.exceptions)
    names = (kind.__name__ for kind in type(error).__mro__)
    return any(name in _GONE for name in names)


async def ask_if_gone(
    exchange: Exchange, receive: Callable[[], Awaitable[MutableMapping[str, Any]]]
) -> None:
    """Tell a client that left from an application that never answered."""
    if exchange.phase == 0:
        exchange.task = None  # its deadline must not reach what the task does next
        try:
            message = await asyncio.wait_for(receive(), 0.05)
        except Exception:  # noqa: BLE001 - late, or a server that refuses to say
            return  # the server will answer 500 for the application
        if message["type"] != "http.disconnect":
            return
    exchange.status = 499


def excuse(exchange: Exchange, status: int, duration_us: int) -> None:
    """Take an answer of a drill, counted a moment ago, out of all SLOs."""
    rejection, cell = exchange.rejection, exchange.plan.cell
    if rejection is not None and rejection.is_refusal:
        cell.excuse(rejection.status, duration_us, is_refusal=True)
    else:
        cell.excuse(status, duration_us, is_refusal=False)


def note_handshake(exchange: Exchange, message: MutableMapping[str, Any]) -> None:
    """Note the answer to a handshake, before it is sent."""
    kind = message["type"]
    if kind == "websocket.accept":
        exchange.status = 101
    elif kind == "websocket.close":
        exchange.status = 403
    elif kind == "websocket.http.response.start":
        exchange.status = message["status"]
    exchange.phase = 1
    # The handshake is what is timed: a connection may stay for hours.
    exchange.ended_ns = perf_counter_ns()


def count_failure(exchange: Exchange, status: int, took_ns: int) -> None:
    """Count a failure, and keep it if it is of a kind not seen before."""
    runtime, cell = exchange.runtime, exchange.plan.cell
    cell.leave(status, took_ns, exchange.sent_bytes)
    group = runtime.deck.fail(exchange, took_ns // 1000, int(runtime.now_ms()))
    cell.fail(group, is_exception=exchange.exception is not None)


def settle_more(exchange: Exchange, status: int, duration_us: int) -> None:
    """Tell what few requests have: flags, calls, stand-ins."""
    runtime = exchange.runtime
    if exchange.degraded:
        exchange.plan.cell.degraded += 1
    if exchange.calls:
        runtime.calls.saw(exchange.plan.key, exchange.calls)
    if exchange.flags is not None and exchange.rejection is None:
        # What stood in for a failure hides it from clients, not from guards.
        judged = 500 if exchange.degraded else status
        runtime.guard.settle(exchange.flags, runtime.flags, judged, duration_us)
