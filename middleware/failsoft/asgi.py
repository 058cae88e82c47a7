"""`Failsoft`: the ASGI middleware.  One frame, one `send` wrapper, no await of ours.

    app.add_middleware(Failsoft)            FastAPI or Starlette
    app = Failsoft(app)                     any ASGI application

The instance holds configuration; a request's state lives in its Exchange.
"""

from __future__ import annotations

import os
from asyncio import get_running_loop
from collections.abc import Awaitable, Callable, MutableMapping
from pathlib import Path
from time import perf_counter_ns
from typing import Any

from failsoft import clock
from failsoft.application import count_routes, opens_inside, root_path_of
from failsoft.bodyflow import may_watch, serve, watch
from failsoft.dice import getrandbits
from failsoft.endings import (
    ask_if_gone,
    count_failure,
    excuse,
    note_end,
    note_handshake,
    settle_more,
)
from failsoft.endpoints.health import Readiness
from failsoft.endpoints.openapi import serve_documents
from failsoft.endpoints.own import serve_own
from failsoft.errors import DefinitionError, FailsoftError
from failsoft.lifespan import Lifespan
from failsoft.pipeline import (
    CURRENT,
    Exchange,
    Rejection,
    Scope,
    in_turn,
)
from failsoft.problem import (
    answer_http,
    answer_websocket,
    hold,
    is_refused,
    release,
    unavailable,
)
from failsoft.routes.discover import find_routes, walk
from failsoft.routes.table import build_table
from failsoft.routes.trie import WEBSOCKET
from failsoft.runtime import Runtime
from failsoft.settings import load_settings
from failsoft.tracing._context import format_response
from failsoft.tracing._stage import Apart, Tracing

__all__ = ["Failsoft"]

Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
ASGIApp = Callable[[Scope, Receive, Send], Awaitable[None]]

# Marks a scope that an outer Failsoft already serves.
_MARK = "failsoft"
_SENT_BY_SERVER = ("http.response.pathsend", "http.response.zerocopysend")
_REDISCOVER_NS = 1_000_000_000


class Failsoft:
    """Measure, alert, isolate, degrade: around an ASGI application.

    app: the application.  With no arguments it is configured by
    FAILSOFT_REDIS_URL, FAILSOFT_ENV and failsoft.toml; `redis_url`, `env`,
    `config` and sections as dicts (`store={...}`) win over both.  contract: API
    versions, a `failsoft.versions.Contract`.

    Settings that cannot be used, and `store.require` without a store, stop the
    server at its start with the whole list.  Where no lifespan is run each request
    raises the same DefinitionError.
    """

    def __init__(
        self, app: ASGIApp, /, *, contract: Any = None, **overrides: Any
    ) -> None:
        self.app = app
        self._fault: DefinitionError | None = None
        try:
            settings = load_settings(overrides, os.environ, Path.cwd())
            table = build_table((), settings.routes, "", settings.defaults)
            self.runtime = Runtime(settings, table, contract)
        except DefinitionError as fault:
            # Starlette builds its middleware inside the lifespan, where servers
            # take an exception for "no lifespan here" and go on; so it waits.
            self._fault = fault
            return
        self._policies, self._defaults = settings.routes, settings.defaults
        self._headers = settings.tracing
        self._tracing = Tracing()
        self.runtime.bad_headers = self._tracing.counts
        self.runtime.sender = self._sender
        self._readiness = Readiness(clock.unix)
        self._looked_at = 0
        self._route_count = 0
        self._root_path = ""
        self._look()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one ASGI scope; unknown types pass through untouched."""
        if scope["type"] != "http" or _MARK in scope or self._fault is not None:
            await self._rare(scope, receive, send)
            return
        if self.runtime.loop is not get_running_loop():
            await self._start()
        exchange = self._open(scope, scope["method"], perf_counter_ns())
        exchange.send = send
        token = CURRENT.set(exchange)
        plan, app = exchange.plan, self.app
        plan.cell.enter()
        outgoing = self._sender(exchange, send)
        try:
            if plan.ask is not None:
                try:
                    exchange.rejection = plan.ask(exchange)
                except Exception as error:  # noqa: BLE001 - border: it must go on
                    self.runtime.failed(f"admit {plan.key}", error)
            if exchange.pending is not None and exchange.rejection is None:
                exchange.rejection = await self._wait(exchange)
            if exchange.rejection is not None:
                await answer_http(exchange, exchange.rejection, outgoing)
            else:
                if exchange.task is None and (exchange.deadline_ns or plan.guard):
                    app = self.runtime.inbound.guarded(app, exchange)
                if plan.is_direct:
                    await app(scope, receive, outgoing)
                else:
                    bodies = self.runtime.bodies
                    await serve(app, exchange, receive, outgoing, bodies)
                if exchange.phase != 2 or exchange.late is not None:
                    await self._end(exchange, receive, send)
        except BaseException as error:
            if not await self._covers(exchange, error, send):
                raise
        finally:
            CURRENT.reset(token)
            self._settle(exchange)

    async def _end(self, exchange: Exchange, receive: Receive, send: Send) -> None:
        """See to an answer that the application left open, or gave too late."""
        if exchange.late is not None:
            await exchange.late.over()
        if exchange.phase != 2 and not await release(exchange, send):
            await ask_if_gone(exchange, receive)

    async def _covers(
        self, exchange: Exchange, error: BaseException, send: Send
    ) -> bool:
        """Answer for what was raised, if it is ours or was answered for already."""
        if exchange.late is not None and await exchange.late.over(error):
            return True
        rejection = unavailable(exchange, error)
        if rejection is None:
            note_end(exchange, error)
            await release(exchange, send)
            return False
        exchange.rejection = rejection
        await answer_http(exchange, rejection, self._sender(exchange, send))
        return True

    async def _rare(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve what is not an HTTP request of ours."""
        kind = scope["type"]
        if _MARK in scope or kind not in ("http", "websocket", "lifespan"):
            await self.app(scope, receive, send)
        elif kind == "lifespan":
            await self._lifespan(scope, receive, send)
        elif self._fault is not None:
            raise self._fault
        else:
            await self._websocket(scope, receive, send)

    # --- routes -------------------------------------------------------------

    def _look(self) -> None:
        """Read the application's routes, and who in it opens a server span.

        Again at the start, as both may be added after the application was wrapped.
        """
        app = self.app
        try:
            self._tracing.opens_inside = opens_inside(app)
            self._route_count = count_routes(app)
            found = list(walk(find_routes(app) or ()))
            added = [*serve_documents(app, found, self.runtime.planner)]
            added += serve_own(self.runtime, self._readiness)
            self._root_path = root_path_of(app)
            every, policies = [*added, *found], (self._policies, self._root_path)
            self.runtime.install(build_table(every, *policies, self._defaults))
        except Exception as error:  # noqa: BLE001 - border: it serves without names
            self.runtime.failed("routes of the application", error)

    def _rediscover(self, method: str, scope: Scope, now_ns: int) -> int:
        """Look again for routes added while serving, at most once a second."""
        if now_ns - self._looked_at < _REDISCOVER_NS:
            return 0
        self._looked_at = now_ns
        if count_routes(self.app) == self._route_count:
            return 0
        self._look()
        self.runtime.learn_later(self.app, self._root_path)
        return self.runtime.table.find(method, scope)

    # --- lifespan -----------------------------------------------------------

    async def _start(self) -> None:
        """Start the runtime on this loop; only what a setting demands is raised."""
        if self._fault is not None:
            raise self._fault
        self._look()
        if self.runtime.inbound.faults():  # others may be of routes that are added yet
            self._fault = DefinitionError(self.runtime.planner.faults())
            raise self._fault
        await self._learn()
        try:
            await self.runtime.ensure()
        except FailsoftError:
            raise
        except Exception as error:  # noqa: BLE001 - border: it serves without a store
            self.runtime.failed("start", error)
            self.runtime.loop = get_running_loop()  # not again each request
        self.runtime.learn_later(self.app, self._root_path)

    async def _learn(self) -> None:
        """Judge what is declared by the models, before any request is served."""
        if not self.runtime.planner.is_strict:
            return
        try:
            await self.runtime.learn(self.app, self._root_path)
        except DefinitionError as fault:
            self._fault = fault
            raise
        except Exception as error:  # noqa: BLE001 - border: it serves without versions
            self.runtime.failed("models of the application", error)

    async def _complete(self) -> None:
        """Take routes that the application's own startup added."""
        if count_routes(self.app) != self._route_count:
            self._look()
            await self._learn()
            self.runtime.learn_later(self.app, self._root_path)
        self.runtime.planner.check()

    async def _lifespan(self, scope: Scope, receive: Receive, send: Send) -> None:
        scope[_MARK] = True
        if self._fault is None:
            self._readiness.starting()
        try:
            await self._start()
        except FailsoftError as fault:
            await receive()
            await send({"type": "lifespan.startup.failed", "message": str(fault)})
            return
        lifespan = Lifespan(self._readiness, self._complete, self.runtime.stop)
        await lifespan.serve(self.app, scope, receive, send)

    # --- requests -----------------------------------------------------------

    def _open(self, scope: Scope, method: str, now_ns: int) -> Exchange:
        runtime = self.runtime
        resolved = None
        if runtime.versions is not None:
            resolved = self._resolve(scope)  # first: it may take a prefix off the path
        try:
            index = runtime.table.find(method, scope)
            if not index:
                index = self._rediscover(method, scope, now_ns)
        except Exception as error:  # noqa: BLE001 - a route's own `matches` may raise
            index = 0
            runtime.failed("finding the route", error)
        exchange = Exchange(scope, runtime, now_ns)
        exchange.plan = plan = exchange.snapshot.plans[index]
        scope[_MARK] = exchange
        try:
            self._tracing.open(exchange)
        except Exception as error:  # noqa: BLE001 - border: a request must go on
            runtime.failed("tracing", error)
            exchange.trace_id = exchange.trace_id or getrandbits(128) or 1
            exchange.span_id = exchange.span_id or getrandbits(64) or 1
        if resolved is not None:
            exchange.resolved, exchange.version = resolved, resolved.version
        if plan.choose is not None:  # it may ask for what the headers said
            try:
                exchange.plan = plan = plan.choose(exchange)
            except Exception as error:  # noqa: BLE001 - border: a request must go on
                runtime.failed(f"modes of {plan.key}", error)
        if resolved is not None and plan.by_version is not None:
            exchange.plan = plan.by_version.get(resolved.version) or plan
        return exchange

    def _resolve(self, scope: Scope) -> Any:
        """Return which version a request speaks, None where it speaks none."""
        try:
            return self.runtime.versions.resolve(scope)
        except Exception as error:  # noqa: BLE001 - border: a request must go on
            self.runtime.failed("finding the version", error)
            return None

    async def _wait(self, exchange: Exchange) -> Rejection | None:
        """Wait for what admits a request later, such as a limit that others share."""
        pending, exchange.pending = exchange.pending, None
        # Nobody answers for an application that was not asked yet.
        task, exchange.task = exchange.task, None
        try:
            return await pending() if pending is not None else None
        except Exception as error:  # noqa: BLE001 - border: a request must go on
            self.runtime.failed(f"admit {exchange.plan.key}", error)
            return None
        finally:
            exchange.task = task

    def _sender(self, exchange: Exchange, send: Send) -> Send:
        late = exchange.late  # who speaks: the application, or who answers for it
        is_watched = False

        def forward(message: Message) -> Awaitable[None]:
            nonlocal send, is_watched
            if exchange.late is not late:
                swallowed: Awaitable[None] = exchange.late.swallow(message)
                return swallowed
            if is_watched:
                return send(message)
            kind = message["type"]
            if kind == "http.response.body":
                exchange.sent_bytes += len(message.get("body", b""))
                if not message.get("more_body"):
                    exchange.phase = 2
                    exchange.ended_ns = perf_counter_ns()
                    if exchange.token is not None:
                        return Apart(send(message))
            elif kind == "http.response.start":
                exchange.status, watches = message["status"], exchange.plan.watches
                if watches is not None and watches(exchange.status):
                    is_watched = may_watch(exchange)
                if is_watched:  # what looks at it passes it on to a sender like this
                    sender = self._sender(exchange, send)
                    send = watch(exchange, sender, self.runtime.bodies)
                    return send(message)
                if exchange.status == 500 and is_refused(exchange):
                    send = hold(exchange, send)
                message = self._stamped(exchange, message)
            elif kind in _SENT_BY_SERVER and not message.get("more_body"):
                exchange.phase = 2
                exchange.ended_ns = perf_counter_ns()
            return send(message)

        return forward

    def _stamped(self, exchange: Exchange, message: Message) -> Message:
        """Return the start of the answer with our headers.

        A copy: a response object may be sent more than once.
        """
        exchange.phase = 1
        if exchange.task is not None and exchange.late is None:  # begun in time
            exchange.deadline_ns = 0
        if self._tracing.may_ride and exchange.token is None:
            try:
                self._tracing.started(exchange)
            except Exception as error:  # noqa: BLE001 - border: the answer must go out
                self.runtime.failed("tracing", error)
        headers = [*message.get("headers", ()), *exchange.plan.notices]
        wanted = self._headers
        if wanted.traceresponse:
            told = exchange.traceresponse or format_response(
                exchange.trace_id, exchange.span_id, exchange.trace_flags
            )
            headers.append((b"traceresponse", told))
        if wanted.request_id and not _has(headers, b"x-request-id"):
            headers.append((b"x-request-id", _request_id(exchange)))
        if exchange.limit is not None:
            headers.append(exchange.limit)
        if exchange.notices is not None:
            headers += [(b"failsoft-notice", value) for value in exchange.notices]
        if len(message) == 3 and "headers" in message:  # nearly all; copying costs more
            kind, status = message["type"], message["status"]
            message = {"type": kind, "status": status, "headers": headers}
        else:
            message = {**message, "headers": headers}
        if exchange.plan.start is not None:
            try:
                status = exchange.plan.start(exchange, message["status"], headers)
            except Exception as error:  # noqa: BLE001 - border: the answer must go out
                self.runtime.failed(f"headers of {exchange.plan.key}", error)
            else:
                exchange.status = message["status"] = status
        return message

    async def _websocket(self, scope: Scope, receive: Receive, send: Send) -> None:
        if self.runtime.loop is not get_running_loop():
            await self._start()
        exchange = self._open(scope, WEBSOCKET, perf_counter_ns())
        token = CURRENT.set(exchange)
        exchange.plan.cell.enter()

        def forward(message: Message) -> Awaitable[None]:
            if not exchange.phase:
                note_handshake(exchange, message)
                self.runtime.inbound.opened(exchange)
            return send(message)

        try:
            exchange.rejection = in_turn(*exchange.plan.admit)(exchange)
            if exchange.pending is not None and exchange.rejection is None:
                exchange.rejection = await self._wait(exchange)
            if exchange.rejection is None:
                await self.app(scope, receive, forward)
            else:
                await receive()  # the server expects `websocket.connect` to be taken
                await answer_websocket(exchange, exchange.rejection, forward)
        except BaseException as error:
            rejection = unavailable(exchange, error)
            if rejection is None:
                note_end(exchange, error)
                raise
            exchange.rejection = rejection
            await answer_websocket(exchange, rejection, forward)
        finally:
            CURRENT.reset(token)
            self._settle(exchange)

    # --- settle -------------------------------------------------------------

    def _settle(self, exchange: Exchange) -> None:
        # The answer's end, not the application's: background tasks come after it.
        ended_ns = exchange.ended_ns or perf_counter_ns()
        took_ns = ended_ns - exchange.started_ns
        plan, rejection = exchange.plan, exchange.rejection
        try:
            for inside in exchange.counted:
                inside.pop(exchange, None)
            if exchange.watched is not None:
                exchange.watched.close()
            # What raised, or never answered, is a 500: by the server if not by the app.
            status = exchange.status if exchange.exception is None else 500
            if plan.settled is not None:
                plan.settled(exchange, status or 500)
            if rejection is not None and rejection.is_refusal:
                plan.cell.inflight -= 1
                plan.cell.refuse(rejection.reason, rejection.status)
            elif 0 < status < 500:
                plan.cell.leave(status, took_ns, exchange.sent_bytes)
            else:
                count_failure(exchange, status or 500, took_ns)
            if plan.scalars.drill:
                excuse(exchange, status or 500, took_ns // 1000)
            e = exchange
            if e.calls or e.degraded or e.flags is not None:
                settle_more(exchange, status or 500, took_ns // 1000)
        except Exception as error:  # noqa: BLE001 - border: the answer is out
            self.runtime.failed("counting", error)
        try:
            if exchange.span is not None or exchange.token is not None:
                self._tracing.close(exchange)
        except Exception as error:  # noqa: BLE001 - processors and exporters are foreign
            self.runtime.failed("closing the span", error)
        exchange.scope.pop(_MARK, None)
        exchange.settle()


def _has(headers: list[Any], wanted: bytes) -> bool:
    return any(name.lower() == wanted for name, _ in headers)


def _request_id(exchange: Exchange) -> bytes:
    """Keep an inbound id of up to 128 visible ASCII characters, else make one."""
    for name, value in exchange.scope["headers"]:
        if name == b"x-request-id":
            if 0 < len(value) <= 128 and all(33 <= byte < 127 for byte in value):
                return bytes(value)
            break
    return b"%032x" % exchange.trace_id
