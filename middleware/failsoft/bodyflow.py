"""Bodies of requests and answers: watched as they pass, or held, changed and sent on.

Nothing is read before the application reads; what is not plain, unsigned JSON within
the limits goes on untouched.  What is done with a body is said by the plan's
`BodyPlan`s, in synchronous functions; when they run is decided here.
"""

from __future__ import annotations

import zlib
from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any, NoReturn

from starlette.exceptions import HTTPException

from failsoft.bodies import (
    DIGESTS,
    ENCODED,
    FAILED,
    NOT_MIGRATABLE,
    TOO_LARGE,
    Bodies,
    Buffer,
    Facts,
    changed_body,
    look_at,
    read_facts,
    tell_elsewhere,
    worked,
)
from failsoft.pipeline import BodyPlan, Exchange, Headers, Rejection, Scope
from failsoft.problem import BODILESS, answer_http

__all__ = ["ContractRejected", "may_watch", "serve", "watch"]

Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
ASGIApp = Callable[[Scope, Receive, Send], Awaitable[None]]

_MAX_RATIO = 100
# What no longer holds, or is not offered, once an answer is made anew.
_STALE = frozenset((*DIGESTS, b"content-encoding", b"accept-ranges"))
_FILES = ("http.response.pathsend", "http.response.zerocopysend")
# What an inner layer must not see where the whole body is needed: a compressed one,
# or a part of it (RFC 9110, 14.2: a server may ignore Range).
_NOT_ASKED = (b"accept-encoding", b"range", b"if-range")
_NOTHING = BodyPlan()


class ContractRejected(HTTPException):
    """Ends an application's reading of a body that failsoft refuses.

    Frameworks let an HTTPException out of body reading as it is; whatever is then
    answered gives way to the problem in `Exchange.rejection`.
    """


# --- requests ---------------------------------------------------------------


class _Incoming(Buffer):
    """The `receive` of a request whose body concerns us.  Works from the first call."""

    __slots__ = ("_exchange", "_next", "_plan", "_server")

    def __init__(
        self, exchange: Exchange, plan: BodyPlan, server: Receive, bodies: Bodies
    ) -> None:
        limits, has_changes = bodies.limits, bool(plan.changes)
        most_bytes = limits.body_max_bytes if has_changes else bodies.looked_at_bytes
        self._bodies = bodies
        self._held = b""
        self._most_bytes = most_bytes
        self._exchange = exchange
        self._plan = plan
        self._server = server
        self._next: Receive | None = None

    def receive(self) -> Awaitable[Message]:
        """Return the next message, as an ASGI server does."""
        return (self._next or self._first())()

    def close(self) -> None:
        """Give back what is still held: the application stopped reading.

        A task that it left behind may still read, as without us.
        """
        if self._held:
            self.drop()
        self._next = self._server

    def _first(self) -> Receive:
        """Choose by its headers how the body is read."""
        headers = dict(self._exchange.scope.get("headers", ()))
        facts = read_facts(headers, self._bodies.marks)
        how = self._server
        if not facts.is_json:
            tell_elsewhere(self._exchange, self._plan)
        elif facts.is_signed:
            self._skip("signed")
            if self._plan.is_required:
                self._exchange.notice(b"not-migrated;reason=signed")
        elif facts.encoding:
            self._skip("encoding", ENCODED)
        elif facts.length > self._most_bytes:
            self._skip("size", TOO_LARGE)
        else:
            how = self._drain if self._plan.changes else self._tee
        self._next = how
        return how

    def _skip(self, word: str, refusal: Rejection | None = None) -> None:
        """Let the rest of the body pass, or refuse it where a change has to be made."""
        if refusal is not None and self._plan.is_required:
            self._refuse(refusal)
        self.drop()
        self._bodies.skip(word, self._plan)
        self._next = self._server

    def _refuse(self, rejection: Rejection) -> NoReturn:
        async def again() -> Message:
            raise ContractRejected(rejection.status, rejection.reason)

        self._next = again
        if self._exchange.phase == 0:
            self._exchange.rejection = rejection
        raise ContractRejected(rejection.status, rejection.reason)

    async def _tee(self) -> Message:
        """Hand each message on at once; look at the copy before the last one."""
        message = await self._server()
        if message["type"] != "http.request":
            self._next = self._server
            return message
        body = message.get("body", b"")
        if message.get("more_body"):
            if self.add(body):
                self._skip("size")
            return message
        self._next = self._server
        if self._held or len(body) > self._most_bytes:
            body = self.last(body)
        if isinstance(body, Rejection):
            self._skip("size")
        elif len(body) > self._bodies.limits.inline_max_bytes:
            work = look_at, self._exchange, self._plan, body
            await worked(self._bodies, len(body), *work)
        elif body:
            look_at(self._exchange, self._plan, body)
        return message

    async def _drain(self) -> Message:
        """Read all of it, work, return one message."""
        while True:
            message = await self._server()
            if message["type"] != "http.request":
                return self._replayed(message)
            part = message.get("body", b"")
            is_last = not message.get("more_body")
            held = self.last(part) if is_last else self.add(part)
            if isinstance(held, Rejection):
                body = self.take() + part
                self._skip("size", held)
                return {**message, "body": body}
            if held is not None:
                self._next = self._server
                work = changed_body, self._exchange, self._plan, held, NOT_MIGRATABLE
                if held:
                    found = await worked(self._bodies, len(held), *work)
                    message = {**message, "body": self._changed(held, found)}
                return message

    def _changed(self, body: bytes, found: bytes | Rejection) -> bytes:
        if isinstance(found, Rejection):
            self._refuse(found)
        if len(found) != len(body):
            _set_length(self._exchange.scope["headers"], len(found))
        return found

    def _replayed(self, end: Message) -> Message:
        """Return what came before the client left, then that it left."""
        if not self._held:
            self._next = self._server
            return end

        async def once() -> Message:
            self._next = self._server
            return end

        self._next = once
        body = self.take()
        return {"type": "http.request", "body": body, "more_body": True}


def _set_length(headers: Headers, length: int) -> None:
    # In place: an application may have made its Headers from this list already.
    for index, (name, _) in enumerate(headers):
        if name == b"content-length":
            headers[index] = (name, str(length).encode())


# --- answers ----------------------------------------------------------------


class _Outgoing(Buffer):
    """The `send` of a request whose bodies concern us.  `_next` takes a message."""

    __slots__ = ("_exchange", "_next", "_plan", "_send", "_start")

    def __init__(self, exchange: Exchange, send: Send, bodies: Bodies) -> None:
        self._bodies = bodies
        self._held = b""
        self._most_bytes = bodies.limits.body_max_bytes
        self._exchange = exchange
        self._plan = exchange.plan.answer or _NOTHING
        self._send = send
        self._start: Message = {}
        self._next: Send = self._before

    def send(self, message: Message) -> Awaitable[None]:
        """Take a message of the application."""
        return self._next(message)

    def close(self) -> None:
        """Give back what is still held: the application ended before its answer."""
        if self._held:
            self.drop()
        self._next = self._send
        if self._exchange.phase == 0:
            self._exchange.status = 0

    async def answer(self, rejection: Rejection) -> None:
        """Answer in place of the application, whatever it goes on to send."""
        self._next = self._mute
        self._exchange.rejection = rejection
        await answer_http(self._exchange, rejection, self._send)

    async def _mute(self, message: Message) -> None:
        pass

    def _before(self, message: Message) -> Awaitable[None]:
        """Wait for the start; early hints and what we do not know pass."""
        if message["type"] != "http.response.start":
            return self._send(message)
        if self._exchange.rejection is not None:  # found in the request's body
            return self.answer(self._exchange.rejection)
        self._next = self._send
        plan, status = self._plan, message["status"]
        is_ours = plan.statuses is None or plan.statuses(status)
        if plan is _NOTHING or not is_ours or status in BODILESS:
            return self._send(message)
        return self._begin(message)

    async def _begin(self, start: Message) -> None:
        plan = self._plan
        facts = _facts_of(start, self._bodies.signatures)
        if not facts.is_json:
            await self._send(start)
        elif plan.changes:
            await self._hold_or_not(start, facts)
        else:
            self._watch_or_not(facts)
            await self._send(start)

    def _watch_or_not(self, facts: Facts) -> None:
        if facts.encoding:
            self._bodies.skip("encoding", self._plan)
        elif facts.length > self._bodies.limits.body_max_bytes:
            self._bodies.skip("size", self._plan)
        elif self._exchange.scope["method"] != "HEAD":
            self._next = self._watch

    async def _watch(self, message: Message) -> None:
        """Send each message on at once; look at the copy before the last one."""
        if message["type"] == "http.response.body":
            part = message.get("body", b"")
            is_last = not message.get("more_body")
            held = self.last(part) if is_last else self.add(part)
            if isinstance(held, Rejection):
                self.drop()
                self._bodies.skip("size", self._plan)
            elif held:
                work = look_at, self._exchange, self._plan, held
                await worked(self._bodies, len(held), *work)
            if held is not None:
                self._next = self._send
        await self._send(message)

    async def _hold_or_not(self, start: Message, facts: Facts) -> None:
        self._start = start
        self._exchange.status = start["status"]  # changes may ask which answer it is
        if facts.is_signed:
            self._bodies.skip("signed", self._plan)
            await self._send(_with_notice(start, b"signed"))
        elif self._exchange.scope["method"] == "HEAD":
            # The length would be that of a body which is not changed yet.
            await self._send(_made_anew(start, None))
        elif not self._can_read(facts.encoding) or start["status"] == 206:
            await self._give_up("encoding", FAILED)
        elif facts.length > self._bodies.limits.body_max_bytes:
            await self._give_up("size", FAILED)
        else:
            self._next = self._hold

    def _can_read(self, encoding: bytes) -> bool:
        return not encoding or (encoding == b"gzip" and self._plan.is_required)

    async def _hold(self, message: Message) -> None:
        """Keep the body until all of it is there; never a half-changed one."""
        kind = message["type"]
        if kind in _FILES:
            self._next = self._send
            await self._send(_with_notice(self._start, b"file"))
            await self._send(message)
        elif kind != "http.response.body":
            await self._send(message)
        else:
            part = message.get("body", b"")
            is_last = not message.get("more_body")
            held = self.last(part) if is_last else self.add(part)
            if isinstance(held, Rejection):
                refusal = FAILED if held is TOO_LARGE else held
                await self._give_up("size", refusal, message)
            elif held is not None:
                await self._finish(held)

    async def _give_up(
        self, word: str, refusal: Rejection, message: Message | None = None
    ) -> None:
        """Send the answer as it is, or ours where it has to be changed."""
        if self._plan.is_required:
            self.drop()
            await self.answer(refusal)
            return
        body = self.take()
        self._bodies.skip(word, self._plan)
        self._next = self._send
        await self._send(self._start)
        if message is not None:
            await self._send({**message, "body": body + message.get("body", b"")})

    async def _finish(self, body: bytes) -> None:
        is_encoded = _is_encoded(self._start)
        size = self._bodies.limits.inline_max_bytes + 1 if is_encoded else len(body)
        found = await worked(self._bodies, size, self._work, body, is_encoded)
        # A request's body may have been refused while the answer was held back.
        found = self._exchange.rejection or found
        if isinstance(found, Rejection):
            if found.status >= 500:
                found.is_refusal = False  # a version that fails is an error of ours
            await self.answer(found)
            return
        self._next = self._send
        await self._send(_made_anew(self._start, len(found)))
        await self._send({"type": "http.response.body", "body": found})

    def _work(self, body: bytes, is_encoded: bool) -> bytes | Rejection:
        plain = body
        if is_encoded:
            inflated = _inflate(body, self._bodies.limits.body_max_bytes)
            if inflated is None:
                return FAILED
            plain = inflated
        if not plain:
            return plain
        return changed_body(self._exchange, self._plan, plain, FAILED)


def _facts_of(start: Message, marks: frozenset[bytes]) -> Facts:
    # Applications may name headers in any case.
    headers = start.get("headers", ())
    return read_facts({name.lower(): value for name, value in headers}, marks)


def _is_encoded(start: Message) -> bool:
    return bool(_facts_of(start, frozenset()).encoding)


def _with_notice(start: Message, why: bytes) -> Message:
    notice = (b"failsoft-notice", b"not-migrated;reason=" + why)
    return {**start, "headers": [*start.get("headers", ()), notice]}


def _made_anew(start: Message, length: int | None) -> Message:
    """Return the start of an answer whose body is another now; None: not known."""
    kept = [
        (name, value)
        for name, value in start.get("headers", ())
        if (lower := name.lower()) not in _STALE and lower != b"content-length"
    ]
    if length is not None:
        kept.append((b"content-length", str(length).encode()))
    return {**start, "headers": kept}


def _inflate(body: bytes, most_bytes: int) -> bytes | None:
    """Return what a gzip body holds; None if broken, or out of all proportion."""
    most_bytes = min(most_bytes, _MAX_RATIO * len(body))
    inflater = zlib.decompressobj(wbits=31)
    try:
        plain = inflater.decompress(body, most_bytes)
    except zlib.error:
        return None
    # Of further members a reader of the answer would see the rest.
    is_whole = inflater.eof and not inflater.unused_data
    return plain if is_whole else None


# --- both -------------------------------------------------------------------


async def serve(
    app: ASGIApp, exchange: Exchange, receive: Receive, send: Send, bodies: Bodies
) -> None:
    """Run the application with the bodies of its route watched or changed.

    A refusal found in a body is answered here, and is then in `exchange.rejection`.
    """
    plan, scope = exchange.plan, exchange.scope
    if plan.body is not None and not plan.is_held:
        reading = _Incoming(exchange, plan.body, receive, bodies)
        try:
            await app(scope, reading.receive, send)
        finally:
            reading.close()
        return
    headers = scope.get("headers", ())
    if plan.answer is not None and plan.answer.changes:
        scope["headers"] = [pair for pair in headers if pair[0] not in _NOT_ASKED]
    elif not isinstance(headers, list):
        scope["headers"] = list(headers)
    outgoing, incoming = _Outgoing(exchange, send, bodies), None
    if plan.body is not None:
        incoming = _Incoming(exchange, plan.body, receive, bodies)
        receive = incoming.receive
    try:
        await app(scope, receive, outgoing.send)
    except Exception as error:
        if not exchange.rejection:
            raise
        if exchange.phase == 0:
            await outgoing.answer(exchange.rejection)
        if not _is_ours(error):
            raise
    else:
        if exchange.rejection and exchange.phase == 0:  # the application kept silent
            await outgoing.answer(exchange.rejection)
    finally:
        outgoing.close()
        if incoming is not None:
            incoming.close()


def may_watch(exchange: Exchange) -> bool:
    """Whether an answer that starts is the application's, and its first one."""
    is_ours = exchange.rejection is not None or exchange.late is not None
    return not (is_ours or exchange.phase or exchange.watched is not None)


def watch(exchange: Exchange, send: Send, bodies: Bodies) -> Send:
    """Return the `send` that looks at an answer, from its start, as it passes."""
    outgoing = exchange.watched = _Outgoing(exchange, send, bodies)
    return outgoing.send


def _is_ours(error: BaseException) -> bool:
    """Whether nothing but our refusal came up, alone or in groups of tasks."""
    if isinstance(error, BaseExceptionGroup):
        return all(_is_ours(member) for member in error.exceptions)
    return isinstance(error, ContractRejected)
