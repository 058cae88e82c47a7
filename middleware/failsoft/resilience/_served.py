"""One request behind the guard: what of the application's answer goes out.

Until the answer has begun, it may be another's: kept, a fallback's, a mode's, or the
504 of a missed deadline.  Then whatever the application says is swallowed.
"""

from __future__ import annotations

import asyncio
import logging
import sys
from asyncio import CancelledError, current_task
from collections.abc import Awaitable, Callable, Iterator, MutableMapping
from contextvars import Context, copy_context
from dataclasses import dataclass
from functools import partial
from time import perf_counter_ns
from typing import TYPE_CHECKING, Any

from failsoft.errors import DeadlineMissed
from failsoft.pipeline import CURRENT, Exchange, Headers, InPlace, Scope
from failsoft.problem import BODILESS, answer_http, late_answer
from failsoft.resilience._stale import Key, is_keepable, key_of, replay
from failsoft.resilience._standin import Heard, Spoken, ask
from failsoft.routes.standins import HANDLERS
from failsoft.settings import StaticAnswer

if TYPE_CHECKING:
    from failsoft.resilience._guard import Guard

__all__ = ["ASGIApp", "RouteGuard", "Served"]

Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
ASGIApp = Callable[[Scope, Receive, Send], Awaitable[None]]

_log = logging.getLogger("failsoft")
_FAILED = frozenset((500, 502, 503, 504))
_FILES = ("http.response.pathsend", "http.response.zerocopysend")
_NEVER_NS = sys.maxsize
_NS = 1_000_000_000
_TOGETHER_NS = 100_000_000
# Whose the answer is: nobody's yet, the application's, ours.
_OPEN, _BEGUN, _TAKEN = 0, 1, 2


@dataclass(frozen=True, slots=True)
class RouteGuard:
    """What stands before the application on one plan.

    grace_s: None = as elsewhere.  covers_body: the deadline holds to the last byte.
    keeps: good answers are kept, by_consumer = per caller.  stale_s: age that may
    stand in for a failure, 0 for none.
    """

    grace_s: float | None = None
    covers_body: bool = False
    keeps: bool = False
    stale_s: float = 0.0
    by_consumer: bool = False
    fallback: Any = None
    in_place: InPlace | None = None

    @property
    def is_idle_in_time(self) -> bool:
        """Whether it does nothing about an answer that begins in time."""
        return not (self.covers_body or self.keeps or self.has_stand_in)

    @property
    def has_stand_in(self) -> bool:
        """Whether anything may answer for an application that fails."""
        return bool(self.stale_s or self.fallback is not None or self.in_place)


class _Noting:
    """An answer that is kept as it passes."""

    __slots__ = ("headers", "key", "parts", "room_bytes")

    def __init__(self, key: Key, headers: Headers, room_bytes: int) -> None:
        self.key, self.headers, self.room_bytes = key, headers, room_bytes
        self.parts: list[bytes] = []


class Served:
    """An application as one request sees it.

    due_ns: when it is to be looked at, by `perf_counter_ns`.  task: that runs it.
    """

    __slots__ = (
        "_app",
        "_cancelling",
        "_context",
        "_exchange",
        "_guard",
        "_heard",
        "_last",
        "_noting",
        "_own",
        "_send",
        "_state",
        "due_ns",
        "is_late",
        "task",
    )

    def __init__(
        self, guard: Guard, app: Any, exchange: Exchange, own: RouteGuard
    ) -> None:
        self._guard = guard
        self._app = app
        self._exchange = exchange
        self._own = own
        self._state = _OPEN
        self._cancelling = -1
        self._send: Send
        self._last: asyncio.Task[None] | None = None
        self._context: Context | None = None
        self._heard: Heard | None = None
        self._noting: _Noting | None = None
        self.due_ns = _NEVER_NS
        self.is_late = False
        self.task: asyncio.Task[Any] | None = None

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve the request, as the application does."""
        own, app, self._send = self._own, self._app, send
        place = own.in_place
        first = place if place is not None and not place.is_probe else None
        if first is not None and await self._from_shelf(first.stale_s or 0.0):
            return
        if own.fallback is not None or (place is not None and place.reroute):
            self._heard = heard = Heard(receive)
            receive = heard.receive
            if first is not None and first.reroute:
                app = partial(self._rerouted, first.reroute, heard)
        if self._exchange.deadline_ns:
            self._time()
        try:
            await app(scope, receive, self._take)
        except BaseException as error:
            if not await self.over(error):
                raise
        else:
            await self.over()

    async def over(self, error: BaseException | None = None) -> bool:
        """End with the application; whether an error of its is dealt with."""
        try:
            if isinstance(error, CancelledError):
                if not self._took_back():
                    if self._last is not None:
                        self._last.cancel()  # nobody waits for it any more
                    return False
                if not self.is_late:  # amid a body: nobody may take it for whole
                    raise DeadlineMissed(self._exchange.plan.key) from None
            elif error is not None and (
                not isinstance(error, Exception) or not await self._cover(error)
            ):
                return False
        finally:
            self._guard.timed.discard(self)
            self._took_back()
        if self._last is not None:
            await self._last
        return True

    @classmethod
    def late(cls, guard: Guard, exchange: Exchange) -> Served:
        """Return who answers for an application that was asked without a guard.

        Made for what is late alone: one for each request would cost 2 us.
        """
        own = exchange.plan.guard or RouteGuard()
        self = exchange.late = cls(guard, None, exchange, own)
        self._send = exchange.runtime.sender(exchange, exchange.send)
        self.task = exchange.task
        self._context = Context()
        self._context.run(CURRENT.set, exchange)
        self.due_ns = exchange.deadline_ns
        guard.timed.add(self)
        return self

    @property
    def since_ns(self) -> int:
        """When the request began, by `perf_counter_ns`."""
        return self._exchange.started_ns

    # --- the deadline -------------------------------------------------------

    def _time(self) -> None:
        self.task = current_task()
        self._context = copy_context()
        self.due_ns = self._exchange.deadline_ns
        self._guard.timed.add(self)

    def expire(self, now_ns: int) -> bool:
        """Answer a request that is late; False if only cancelling it is left."""
        self.due_ns = _NEVER_NS
        if self._state != _OPEN:
            return False
        exchange, grace_s = self._exchange, self._own.grace_s
        self.is_late, self._state = True, _TAKEN
        exchange.is_late = True
        if grace_s is None:
            timeout_s = (exchange.deadline_ns - exchange.started_ns) / _NS
            grace_s = min(timeout_s, self._guard.settings.grace_s)
        # Those of one incident come together, so that the newest can go first.
        self.due_ns = -(-(now_ns + int(grace_s * _NS)) // _TOGETHER_NS) * _TOGETHER_NS
        self._last = self._guard.spawn(self._answer_late(), self._context)
        return True

    def cancel(self) -> bool:
        """Cancel the handler, once; False if it is over, or was cancelled before."""
        task = self.task
        if task is None or self not in self._guard.timed or self._cancelling >= 0:
            return False
        self._cancelling = task.cancelling()
        return task.cancel()

    def _took_back(self) -> bool:
        """Take our cancellation back; whether it was the only one."""
        if self._cancelling < 0 or self.task is None:
            return False
        before, self._cancelling = self._cancelling, -1
        return self.task.uncancel() <= before

    async def _answer_late(self) -> None:
        exchange = self._exchange
        try:
            if not await self._stand_in():
                # Said as long as it is sent: versions change the application's only.
                late = exchange.rejection = late_answer(exchange, perf_counter_ns())
                await answer_http(exchange, late, self._send)
                exchange.rejection = None
        except Exception as error:  # noqa: BLE001 - border: the handler's end waits
            exchange.runtime.failed(f"late answer of {exchange.plan.key}", error)

    # --- the application's answer -------------------------------------------

    def _take(self, message: Message) -> Awaitable[None]:
        kind = message["type"]
        if self._state == _TAKEN:
            return self.swallow(message)
        if kind == "http.response.start":
            if message["status"] in _FAILED and self._own.has_stand_in:
                return self._swap(message)
            self._begin(message)
        elif kind == "http.response.body" and self._state == _BEGUN:
            self._pass(message)
        elif kind in _FILES:
            self._noting = None
            if self._own.covers_body and not message.get("more_body"):
                self._end_deadline()
        return self._send(message)

    def _begin(self, start: Message) -> None:
        self._state = _BEGUN
        own, exchange = self._own, self._exchange
        if not own.covers_body:
            self._end_deadline()
        if own.keeps and start["status"] == 200 and exchange.scope["method"] == "GET":
            headers: Headers = list(start.get("headers", ()))
            key = self._key()
            if key is not None and is_keepable(headers, by_consumer=own.by_consumer):
                self._noting = _Noting(key, headers, self._guard.shelf.most_bytes)

    def _pass(self, message: Message) -> None:
        """Look at a part of the body that goes on."""
        noting, is_last = self._noting, not message.get("more_body")
        if noting is not None:
            part = message.get("body", b"")
            noting.parts.append(part)
            noting.room_bytes -= len(part)
            if noting.room_bytes < 0 or is_last:
                self._noting = None
            if noting.room_bytes >= 0 and is_last:
                scope, body = self._exchange.scope, b"".join(noting.parts)
                said = noting.headers, body, perf_counter_ns()
                self._guard.shelf.keep(noting.key, scope, *said)
        if is_last and self._own.covers_body:
            self._end_deadline()

    def _end_deadline(self) -> None:
        self._guard.timed.discard(self)
        self._exchange.deadline_ns = 0

    async def swallow(self, message: Message) -> None:
        if message["type"] == "http.response.body" and not message.get("more_body"):
            # What comes after an answer, such as background tasks, is not timed.
            self._guard.timed.discard(self)

    async def _swap(self, start: Message) -> None:
        self._state = _TAKEN
        self._guard.timed.discard(self)
        if not await self._stand_in():
            if self._own.covers_body and self.task is not None:
                self._guard.timed.add(self)
            self._begin(start)
            await self._send(start)

    async def _cover(self, error: Exception) -> bool:
        """Answer in place of an error, if the application's answer has not begun."""
        key = self._exchange.plan.key
        if self._state == _TAKEN:
            level = logging.INFO if self.is_late else logging.WARNING
            _log.log(level, "%s failed, answered already", key, exc_info=error)
            return True
        is_gone = type(error).__name__ == "ClientDisconnect"
        if self._state == _BEGUN or is_gone or not self._own.has_stand_in:
            return False
        self._state = _TAKEN
        self._guard.timed.discard(self)
        if not await self._stand_in():
            return False
        word = self._exchange.degraded
        _log.warning("%s failed, answered by %s", key, word, exc_info=error)
        return True

    # --- what stands in -----------------------------------------------------

    async def _stand_in(self) -> bool:
        """Answer by the first that can: kept, a mode's, a fallback."""
        own, exchange, place = self._own, self._exchange, self._own.in_place
        by_mode_s = (place.stale_s or 0.0) if place is not None else 0.0
        if await self._from_shelf(max(own.stale_s, by_mode_s)):
            return True
        for source, word in self._sources():
            said = await self._ask(source, word)
            if said is not None:
                await self._give(said, word)
                return True
        refusal = place.refuse(exchange) if place is not None and place.refuse else None
        if refusal is None:
            return False
        exchange.rejection, exchange.degraded = refusal, refusal.reason
        await answer_http(exchange, refusal, self._send)
        return True

    def _sources(self) -> Iterator[tuple[Any, str]]:
        place, fallback = self._own.in_place, self._own.fallback
        if place is not None and place.reroute and place.is_probe:
            yield HANDLERS.get(place.reroute), "reroute"
        if isinstance(fallback, StaticAnswer):
            yield fallback, "static"
        elif fallback is not None:
            named = HANDLERS.get(fallback) if isinstance(fallback, str) else fallback
            yield named, "fallback"

    async def _ask(self, source: Any, word: str) -> Spoken | None:
        key, guard, heard = self._exchange.plan.key, self._guard, self._heard
        receive = heard.again(is_alone=False) if heard is not None else None
        try:
            async with asyncio.timeout(guard.settings.fallback_s):
                said = await ask(source, partial(self._request, receive))
        except (Exception, CancelledError) as error:  # border: the first one counts
            task = current_task()
            is_ours = task is not None and task.cancelling() > 0
            if is_ours and isinstance(error, CancelledError):
                raise  # else it awaited what somebody cancelled
            self._exchange.runtime.failed(f"{word} of {key}", error)
            return None
        if said is not None:
            guard.exercised[key] = self._exchange.runtime.now_ms()
        return said

    def _request(self, receive: Receive | None) -> Any:
        from starlette.requests import Request

        scope = dict(self._exchange.scope)
        return Request(scope, receive) if receive is not None else Request(scope)

    async def _rerouted(
        self, name: str, heard: Heard, scope: Scope, receive: Receive, send: Send
    ) -> None:
        """Have a mode's handler answer; the application does where it cannot."""
        key, said = self._exchange.plan.key, None
        try:
            said = await ask(HANDLERS[name], partial(self._request, receive))
        except Exception as error:  # noqa: BLE001 - border: the application is asked
            self._exchange.runtime.failed(f"reroute of {key}", error)
        if said is None:
            await self._app(scope, heard.again(is_alone=True), send)
        elif self._state == _OPEN:
            self._state = _TAKEN
            self._end_deadline()
            self._guard.exercised[name] = self._exchange.runtime.now_ms()
            await self._give(said, "reroute")

    async def _from_shelf(self, age_s: float) -> bool:
        """Answer with what is kept, if it is not older."""
        key = self._key() if age_s else None
        if key is None:
            return False
        scope, now_ns = self._exchange.scope, perf_counter_ns()
        kept = self._guard.shelf.find(key, scope, age_s, now_ns)
        if kept is None:
            return False
        await self._give(Spoken(*replay(kept, scope, now_ns)), "stale")
        return True

    def _key(self) -> Key | None:
        app_ids, by_consumer = self._guard.app_ids, self._own.by_consumer
        return key_of(self._exchange, app_ids, by_consumer=by_consumer)

    async def _give(self, said: Spoken, word: str) -> None:
        exchange = self._exchange
        exchange.degraded = word
        if not any(n == b"failsoft-notice" for n, _ in exchange.plan.notices):
            exchange.notice(b"degraded")
        status, headers, body, after = said
        if status not in BODILESS:
            headers = [*headers, (b"content-length", b"%d" % len(body))]
        if status in BODILESS or exchange.scope["method"] == "HEAD":
            body = b""
        await self._send(
            {"type": "http.response.start", "status": status, "headers": headers}
        )
        await self._send({"type": "http.response.body", "body": body})
        if after is not None:
            await after()
