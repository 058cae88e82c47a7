"""A third party in this process: uvicorn in a thread, answers as asked for."""

from __future__ import annotations

import asyncio
import gzip
import json
import threading
from collections.abc import Iterator, MutableMapping
from contextlib import contextmanager
from typing import Any

import uvicorn

from load.servers import accepts, eventually, free_port

# Values that must stay in the bodies of answers.
CANARIES = ("canary-4711", "canary-key-4712", "canary-4713@example.org")
GOOD = {"id": "1", "amount": 5, "note": CANARIES[0]}
BAD = {"id": "1", "amount": CANARIES[0], CANARIES[2]: CANARIES[1], "note": None}


class ThirdParty:
    """An ASGI application; `released` lets `/held` send its second half."""

    def __init__(self) -> None:
        self.released = threading.Event()

    async def __call__(
        self, scope: MutableMapping[str, Any], receive: Any, send: Any
    ) -> None:
        kind = scope["path"].rpartition("/")[2]
        body = json.dumps(GOOD if kind == "good" else BAD).encode()
        headers = [(b"content-type", b"application/json")]
        if kind == "packed":
            body = gzip.compress(body)
            headers.append((b"content-encoding", b"gzip"))
        if kind == "port":
            body = json.dumps(GOOD | {"amount": scope["client"][1]}).encode()
        if kind == "ending":
            headers.append((b"sunset", b"Sat, 31 Oct 2020 23:59:59 GMT"))
            headers.append((b"api-version", b"v2"))
        await send({"type": "http.response.start", "status": 200, "headers": headers})
        half = len(body) // 2 if kind == "held" else 0
        if half:
            first = {"type": "http.response.body", "body": body[:half]}
            await send(first | {"more_body": True})
            await asyncio.to_thread(self.released.wait, 5)
        await send({"type": "http.response.body", "body": body[half:]})


@contextmanager
def serving(app: ThirdParty) -> Iterator[str]:
    """Serve it on a free port; yield its URL."""
    port = free_port()
    config = uvicorn.Config(app, port=port, log_level="warning", lifespan="off")
    server = uvicorn.Server(config)
    thread = threading.Thread(target=server.run)
    thread.start()
    try:
        eventually(lambda: accepts(port))
        yield f"http://127.0.0.1:{port}"
    finally:
        app.released.set()
        server.should_exit = True
        thread.join(timeout=5)
