"""`Failsoft`: the ASGI middleware.  One frame, one `send` wrapper, no await of ours.

    app.add_middleware(Failsoft)            FastAPI or Starlette
    app = Failsoft(app)                     any ASGI application

The instance holds configuration; a request's state lives in its Exchange.
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import Awaitable, Callable, Iterator, MutableMapping
from pathlib import Path
from time import perf_counter_ns
from typing import Any

from failsoft.errors import DefinitionError, FailsoftError
from failsoft.pipeline import CURRENT, SETTLED, Exchange, Rejection, Scope
from failsoft.problem import answer_http, answer_websocket
from failsoft.routes.discover import find_routes, walk
from failsoft.routes.table import RouteTable, build_table
from failsoft.routes.trie import WEBSOCKET
from failsoft.runtime import Runtime
from failsoft.settings import load_settings
from failsoft.tracing._context import format_response
from failsoft.tracing._stage import Tracing

__all__ = ["Failsoft"]

Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
ASGIApp = Callable[[Scope, Receive, Send], Awaitable[None]]

# Marks a scope that an outer Failsoft already serves.
_MARK = "failsoft"
_GONE = ("ClientDisconnect", "ClientDisconnected", "WebSocketDisconnect")
_REDISCOVER_NS = 1_000_000_000


class Failsoft:
    """Measure, alert, isolate, degrade: around an ASGI application.

    app: the application.  With no arguments it is configured by
    FAILSOFT_REDIS_URL, FAILSOFT_ENV and failsoft.toml; `redis_url`, `env`,
    `config` and sections as dicts (`store={...}`) win over both.

    Settings that cannot be used, and `store.require` without a store, stop the
    server at its start with the whole list.  Where no lifespan is run each request
    raises the same DefinitionError.
    """

    def __init__(self, app: ASGIApp, /, **overrides: Any) -> None:
        self.app = app
        self._fault: DefinitionError | None = None
        try:
            settings = load_settings(overrides, os.environ, Path.cwd())
        except DefinitionError as fault:
            # Starlette builds its middleware inside the lifespan, where servers
            # take an exception for "no lifespan here" and go on; so it waits.
            self._fault = fault
            return
        self._policies = settings.routes
        self._headers = settings.tracing
        self.runtime = Runtime(settings, self._discover(app))
        self._tracing = Tracing(_opens_inside(app))
        self._looked_at = 0
        self._route_count = _count_routes(app)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one ASGI scope; unknown types pass through untouched."""
        kind = scope["type"]
        if _MARK in scope or kind not in ("http", "websocket", "lifespan"):
            await self.app(scope, receive, send)
        elif kind == "lifespan":
            await self._lifespan(scope, receive, send)
        elif self._fault is not None:
            raise self._fault
        elif kind == "http":
            await self._http(scope, receive, send)
        else:
            await self._websocket(scope, receive, send)

    # --- routes -------------------------------------------------------------

    def _discover(self, app: Any) -> RouteTable:
        found = walk(find_routes(app) or ())
        return build_table(found, self._policies, _root_path_of(app))

    def _rediscover(self, method: str, scope: Scope, now_ns: int) -> int:
        """Look again for routes added while serving, at most once a second."""
        if now_ns - self._looked_at < _REDISCOVER_NS:
            return 0
        self._looked_at = now_ns
        count = _count_routes(self.app)
        if count == self._route_count:
            return 0
        self._route_count = count
        self.runtime.install(self._discover(self.app))
        return self.runtime.table.find(method, scope)

    # --- lifespan -----------------------------------------------------------

    async def _lifespan(self, scope: Scope, receive: Receive, send: Send) -> None:
        scope[_MARK] = True
        try:
            if self._fault is not None:
                raise self._fault
            await self.runtime.ensure()
        except FailsoftError as fault:
            await receive()
            await send({"type": "lifespan.startup.failed", "message": str(fault)})
            return
        try:
            await self.app(scope, receive, send)
        finally:
            await self.runtime.stop()

    # --- requests -----------------------------------------------------------

    def _open(self, scope: Scope, method: str, now_ns: int) -> Exchange:
        runtime = self.runtime
        index = runtime.table.find(method, scope)
        if not index:
            index = self._rediscover(method, scope, now_ns)
        exchange = Exchange(scope, runtime, now_ns)
        exchange.plan = exchange.snapshot.plans[index]
        scope[_MARK] = exchange
        try:
            self._tracing.open(exchange)
        except Exception as error:  # noqa: BLE001 - border: a request must go on
            runtime.failed("tracing", error)
        return exchange

    def _admit(self, exchange: Exchange) -> Rejection | None:
        for hook in exchange.plan.admit:
            try:
                rejection = hook(exchange)
            except Exception as error:  # noqa: BLE001 - border: a request must go on
                self.runtime.failed(f"admit {exchange.plan.key}", error)
                continue
            if rejection is not None:
                return rejection
        return None

    async def _http(self, scope: Scope, receive: Receive, send: Send) -> None:
        started_ns = perf_counter_ns()
        if self.runtime.loop is not asyncio.get_running_loop():
            await self.runtime.ensure()
        exchange = self._open(scope, scope["method"], started_ns)
        token = CURRENT.set(exchange)
        cell = exchange.plan.cell
        cell.enter()
        outgoing = self._sender(exchange, send)
        try:
            if exchange.plan.admit:
                exchange.rejection = self._admit(exchange)
            if exchange.rejection is None:
                await self.app(scope, receive, outgoing)
                if exchange.phase != 2:
                    await self._ask_if_gone(exchange, receive)
            else:
                await answer_http(exchange, exchange.rejection, outgoing)
        except BaseException as error:
            exchange.exception = error
            raise
        finally:
            CURRENT.reset(token)
            self._settle(exchange)
            scope.pop(_MARK, None)

    def _sender(self, exchange: Exchange, send: Send) -> Send:
        def forward(message: Message) -> Awaitable[None]:
            kind = message["type"]
            if kind == "http.response.body":
                exchange.sent_bytes += len(message.get("body", b""))
                if not message.get("more_body"):
                    exchange.phase = 2
                    exchange.ended_ns = perf_counter_ns()
            elif kind == "http.response.start":
                exchange.status = message["status"]
                exchange.phase = 1
                # A copy: a response object may be sent more than once.
                message = {**message, "headers": self._headers_of(exchange, message)}
            elif kind == "http.response.pathsend":
                exchange.phase = 2
                exchange.ended_ns = perf_counter_ns()
            return send(message)

        return forward

    def _headers_of(self, exchange: Exchange, message: Message) -> list[Any]:
        if exchange.token is None:
            self._tracing.started(exchange)
        headers = [*message.get("headers", ()), *exchange.plan.notices]
        wanted = self._headers
        if wanted.traceresponse and exchange.trace_id:
            ids = exchange.trace_id, exchange.span_id, exchange.trace_flags
            headers.append((b"traceresponse", format_response(*ids)))
        if wanted.request_id:
            headers.append((b"x-request-id", _request_id(exchange)))
        return headers

    @staticmethod
    async def _ask_if_gone(exchange: Exchange, receive: Receive) -> None:
        """Tell a client that left from an application that never answered."""
        if exchange.phase == 0:
            try:
                message = await asyncio.wait_for(receive(), 0.05)
            except (TimeoutError, RuntimeError):
                return  # the server will answer 500 for the application
            if message["type"] != "http.disconnect":
                return
        exchange.status = 499

    async def _websocket(self, scope: Scope, receive: Receive, send: Send) -> None:
        started_ns = perf_counter_ns()
        if self.runtime.loop is not asyncio.get_running_loop():
            await self.runtime.ensure()
        exchange = self._open(scope, WEBSOCKET, started_ns)
        token = CURRENT.set(exchange)
        exchange.plan.cell.enter()

        def forward(message: Message) -> Awaitable[None]:
            if not exchange.phase:
                _note_handshake(exchange, message)
            return send(message)

        try:
            exchange.rejection = self._admit(exchange)
            if exchange.rejection is None:
                await self.app(scope, receive, forward)
            else:
                await answer_websocket(exchange, exchange.rejection, receive, forward)
        except BaseException as error:
            exchange.exception = error
            raise
        finally:
            CURRENT.reset(token)
            self._settle(exchange)
            scope.pop(_MARK, None)

    # --- settle -------------------------------------------------------------

    def _settle(self, exchange: Exchange) -> None:
        try:
            if exchange.span is not None or exchange.token is not None:
                self._tracing.close(exchange)
            self._count(exchange)
        except Exception as error:  # noqa: BLE001 - border: the answer is out
            self.runtime.failed("settle", error)
        # Else the exception, its frames and the exchange keep each other alive.
        exchange.exception = None
        exchange.phase = SETTLED

    def _count(self, exchange: Exchange) -> None:
        cell = exchange.plan.cell
        # The answer's end, not the application's: background tasks come after it.
        ended_ns = exchange.ended_ns or perf_counter_ns()
        duration_us = (ended_ns - exchange.started_ns) // 1000
        rejection = exchange.rejection
        if rejection is not None and rejection.is_refusal:
            cell.inflight -= 1
            cell.refuse(rejection.reason)
            return
        is_plain = exchange.exception is None and exchange.status
        status = exchange.status if is_plain else _outcome(exchange)
        cell.leave(status, duration_us, exchange.sent_bytes)
        if status >= 500:
            runtime = self.runtime
            group = runtime.deck.fail(exchange, duration_us, int(runtime.now_ms()))
            cell.fail(group, is_exception=exchange.exception is not None)


def _outcome(exchange: Exchange) -> int:
    """Return the status that counts: 499 client gone, 500 for what never answered."""
    error = exchange.exception
    if error is None:
        return exchange.status or 500
    if type(error).__name__ in _GONE:
        return 101 if exchange.scope["type"] == "websocket" else 499
    if isinstance(error, asyncio.CancelledError):
        return 499 if exchange.phase != 2 else exchange.status
    return 500


def _note_handshake(exchange: Exchange, message: Message) -> None:
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


def _request_id(exchange: Exchange) -> bytes:
    """Keep an inbound id of up to 128 visible ASCII characters, else make one."""
    for name, value in exchange.scope["headers"]:
        if name == b"x-request-id":
            if 0 < len(value) <= 128 and all(33 <= byte < 127 for byte in value):
                return bytes(value)
            break
    return b"%032x" % exchange.trace_id


def _root_path_of(app: Any) -> str:
    inner = _application(app)
    root = getattr(inner, "root_path", "")
    return root if isinstance(root, str) else ""


def _application(app: Any) -> Any:
    """Return the framework's application inside wrapping middleware, else None."""
    return next((x for x in _layers(app) if hasattr(x, "user_middleware")), None)


def _count_routes(app: Any) -> int:
    routes = find_routes(app)
    return len(routes) if routes is not None else 0


def _opens_inside(app: Any) -> Callable[[], bool]:
    """Say how to ask whether the application opens a server span inside us."""
    inner = _application(app)
    classes = [m.cls for m in inner.user_middleware] if inner is not None else []
    classes += [type(layer) for layer in _layers(app)]
    names = [getattr(cls, "__name__", "") for cls in classes]
    instrumented = getattr(inner, "_is_instrumented_by_opentelemetry", False)
    if instrumented or "OpenTelemetryMiddleware" in names:
        return lambda: True
    # FastAPI 0.142 and newer decide per request, by the configured providers.
    native = getattr(inner, "_native_telemetry", None)
    enabled = getattr(native, "enabled", None)
    return enabled if callable(enabled) else (lambda: False)


def _layers(app: Any) -> Iterator[Any]:
    for _ in range(100):
        if app is None:
            return
        yield app
        app = getattr(app, "app", None)
