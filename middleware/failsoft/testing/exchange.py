"""One request to an ASGI application, without a server."""

from __future__ import annotations

from collections.abc import MutableMapping
from dataclasses import dataclass, field
from typing import Any

__all__ = ["Sent", "send"]


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
