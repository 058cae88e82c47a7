"""What a fallback says, as an answer; and the request's body, kept for it to read."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, MutableMapping
from inspect import isawaitable
from typing import Any, NamedTuple

import msgspec

from failsoft.pipeline import Headers
from failsoft.settings import StaticAnswer

__all__ = ["Heard", "Spoken", "ask"]

Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]

_MOST_BYTES = 256 * 1024
_GONE = {"type": "http.disconnect"}
_NO_STORE = (b"cache-control", b"no-store")


class Spoken(NamedTuple):
    """An answer in whole; headers without its length.  after: to be run once sent."""

    status: int
    headers: Headers
    body: bytes
    after: Callable[[], Awaitable[None]] | None = None


async def ask(source: Any, request: Callable[[], Any]) -> Spoken | None:
    """Return what a `Static` or a function answers; None where it has no answer.

    request: makes the function's argument.  Raises what the function raises, and
    TypeError for what is no answer.
    """
    if isinstance(source, StaticAnswer):
        return _spoken(source)
    said = source(request())
    if isawaitable(said):
        said = await said
    return None if said is None else _spoken(said)


def _spoken(said: Any) -> Spoken:
    if isinstance(said, StaticAnswer):
        return _typed(said.body, said.media_type, said.status)
    if isinstance(said, bytes):
        return _typed(said, "application/octet-stream")
    if isinstance(said, str):
        return _typed(said.encode(), "text/plain; charset=utf-8")
    if hasattr(said, "raw_headers"):  # a Response of Starlette
        body = getattr(said, "body", None)
        if not isinstance(body, bytes):
            raise TypeError(f"{type(said).__name__} has no body to send at once")
        headers = [pair for pair in said.raw_headers if pair[0] != b"content-length"]
        after = getattr(said, "background", None)
        return Spoken(said.status_code, headers, body, after)
    dump = getattr(said, "model_dump", None)
    body = msgspec.json.encode(said if dump is None else dump(mode="json"))
    return _typed(body, "application/json")


def _typed(body: bytes, media_type: str, status: int = 200) -> Spoken:
    kind = (b"content-type", media_type.encode("latin-1", "replace"))
    return Spoken(status, [kind, _NO_STORE], body)


class Heard:
    """Notes a request's body as the application reads it, up to 256 KiB."""

    __slots__ = ("_parts", "_server", "_size_bytes", "is_whole")

    def __init__(self, server: Receive) -> None:
        self._server = server
        self._parts: list[bytes] = []
        self._size_bytes = 0
        self.is_whole = False

    async def receive(self) -> Message:
        """Return the server's next message."""
        message = await self._server()
        if message["type"] == "http.request" and self._size_bytes <= _MOST_BYTES:
            part = message.get("body", b"")
            self._size_bytes += len(part)
            self._parts.append(part)
            self.is_whole = not message.get("more_body")
            if self._size_bytes > _MOST_BYTES:
                self._parts.clear()
                self.is_whole = False
        return message

    def again(self, *, is_alone: bool) -> Receive:
        """Return a `receive` that begins anew.

        is_alone: nobody else reads any more, so what was not read yet follows; else
        a body that is not whole ends as if the client had left.
        """
        waiting: list[Message] = []
        if self._parts:
            body, more = b"".join(self._parts), not self.is_whole
            waiting.append({"type": "http.request", "body": body, "more_body": more})
        is_lost = self._size_bytes > _MOST_BYTES

        async def receive() -> Message:
            if waiting:
                return waiting.pop(0)
            if is_lost or not (is_alone or self.is_whole):
                return dict(_GONE)
            return await self._server()

        return receive
