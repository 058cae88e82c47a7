"""One request to an ASGI application, without a server."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, MutableMapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

__all__ = ["Sent", "send", "send_started"]


@dataclass
class Sent:
    """What an application answered.  headers: lower case, the last of a name."""

    status: int = 0
    headers: dict[str, str] = field(default_factory=dict)
    body: bytes = b""


async def send(app: Any, scope: MutableMapping[str, Any], body: bytes) -> Sent:
    """Send one body; an exception of the application is a status of 500."""
    sent = Sent()
    received = [{"type": "http.request", "body": body}]
    scope["headers"] = [
        *scope["headers"],
        (b"content-length", str(len(body)).encode()),
    ]

    async def receive() -> MutableMapping[str, Any]:
        return received.pop() if received else {"type": "http.disconnect"}

    async def keep(message: MutableMapping[str, Any]) -> None:
        if message["type"] == "http.response.start":
            sent.status = message["status"]
            pairs = message.get("headers", ())
            sent.headers = {k.decode().lower(): v.decode() for k, v in pairs}
        elif message["type"] == "http.response.body":
            sent.body += message.get("body", b"")

    try:
        await app(scope, receive, keep)
    except Exception as error:  # noqa: BLE001 - border: that is what is tested
        sent.status = 500
        sent.body = repr(error).encode()
    return sent


async def send_started(app: Any, scope: MutableMapping[str, Any], body: bytes) -> Sent:
    """Send one body to an application that is started for it, and stopped after."""
    try:
        async with _lifespan(app) as state:
            return await send(app, {**scope, "state": state}, body)
    except _StartFailed as failed:
        return Sent(500, body=f"the application did not start: {failed}".encode())


class _StartFailed(Exception):
    """What the application says of it."""


@asynccontextmanager
async def _lifespan(app: Any) -> AsyncIterator[dict[str, Any]]:
    """Start and stop; an application that knows no lifespan runs without one."""
    state: dict[str, Any] = {}
    asked: asyncio.Queue[Any] = asyncio.Queue()
    told: asyncio.Queue[Any] = asyncio.Queue()
    scope = {"type": "lifespan", "asgi": {"version": "3.0"}, "state": state}
    life = asyncio.ensure_future(app(scope, asked.get, told.put))

    async def ask(phase: str) -> Any:
        asked.put_nowait({"type": f"lifespan.{phase}"})
        answer = asyncio.ensure_future(told.get())
        await asyncio.wait((life, answer), return_when=asyncio.FIRST_COMPLETED)
        if answer.done():
            return answer.result()
        answer.cancel()
        return None if told.empty() else told.get_nowait()

    try:
        started = await ask("startup")
        if started and started["type"] == "lifespan.startup.failed":
            raise _StartFailed(started.get("message", ""))
        yield dict(state)
        if started:
            await ask("shutdown")
    finally:
        life.cancel()
        await asyncio.gather(life, return_exceptions=True)
