"""Drive an ASGI application with raw messages, as a server would."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Iterable, MutableMapping
from dataclasses import dataclass, field
from typing import Any

Message = MutableMapping[str, Any]


@dataclass
class Answer:
    """What the application sent, in order."""

    messages: list[Message] = field(default_factory=list)
    raised: BaseException | None = None

    @property
    def status(self) -> int:
        return int(self.messages[0]["status"])

    @property
    def headers(self) -> dict[str, str]:
        pairs = self.messages[0].get("headers", ())
        return {k.decode().lower(): v.decode() for k, v in pairs}

    @property
    def body(self) -> bytes:
        return b"".join(m.get("body", b"") for m in self.messages[1:])

    @property
    def json(self) -> Any:
        return json.loads(self.body)


def http_scope(method: str, path: str, **more: Any) -> dict[str, Any]:
    return {
        "type": "http",
        "asgi": {"version": "3.0", "spec_version": "2.3"},
        "http_version": "1.1",
        "method": method,
        "scheme": "http",
        "path": path,
        "raw_path": path.encode(),
        "query_string": b"",
        "root_path": "",
        "headers": [(b"host", b"test")],
        "client": ("192.0.2.7", 50000),
        "server": ("test", 80),
        **more,
    }


async def drive(
    app: Any,
    scope: Message,
    received: Iterable[Message] = ({"type": "http.request", "body": b""},),
) -> Answer:
    """Run one exchange; after the given messages `receive` waits for ever."""
    answer = Answer()
    waiting = list(received)

    async def receive() -> Message:
        if waiting:
            return waiting.pop(0)
        await asyncio.Event().wait()
        raise AssertionError("never set")

    async def send(message: Message) -> None:
        answer.messages.append(message)

    try:
        await app(scope, receive, send)
    except Exception as error:  # noqa: BLE001 - the server would log it
        answer.raised = error
    return answer


async def get(app: Any, path: str, **more: Any) -> Answer:
    return await drive(app, http_scope("GET", path, **more))


async def post(app: Any, path: str, body: bytes = b"{}", **more: Any) -> Answer:
    scope = http_scope("POST", path, **more)
    return await drive(app, scope, [{"type": "http.request", "body": body}])
