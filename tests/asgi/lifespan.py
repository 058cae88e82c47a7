"""Run an application's lifespan around a block, as a server does."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any


@asynccontextmanager
async def started(app: Any) -> AsyncIterator[list[str]]:
    """Start the application, give the kinds of what it says, shut it down."""
    to_app: asyncio.Queue[dict[str, Any]] = asyncio.Queue()
    said: list[str] = []
    heard = asyncio.Event()

    async def send(message: Any) -> None:
        said.append(message["type"])
        heard.set()

    to_app.put_nowait({"type": "lifespan.startup"})
    served = asyncio.create_task(app({"type": "lifespan"}, to_app.get, send))
    served.add_done_callback(lambda _: heard.set())
    await asyncio.wait_for(heard.wait(), 5)
    yield said
    to_app.put_nowait({"type": "lifespan.shutdown"})
    await asyncio.wait({served}, timeout=5)
    if not served.cancelled():
        served.exception()
