"""A TCP proxy that misbehaves on demand: refuse, delay, cut, swallow, lose replies."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable, Coroutine
from types import TracebackType
from typing import Any
from urllib.parse import urlsplit, urlunsplit

__all__ = ["FaultProxy"]


class _Pair:
    """One client connection and the connection to the target behind it."""

    def __init__(self, client: asyncio.StreamWriter) -> None:
        self.client = client
        self.target: asyncio.StreamWriter | None = None
        self.asked = b""  # what the client sent last, to tell connections apart

    def abort(self) -> None:
        for writer in (self.client, self.target):
            if writer is not None:
                writer.transport.abort()


class FaultProxy:
    """`with FaultProxy("redis://127.0.0.1:6379/0") as proxy: connect(proxy.url)`.

    Runs on a thread of its own, so it works beside any event loop or none.
    """

    def __init__(self, target: str) -> None:
        self._parts = urlsplit(target)
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, daemon=True)
        self._server: asyncio.Server | None = None
        self._pairs: set[_Pair] = set()
        self._tasks: set[asyncio.Task[None]] = set()
        self._swallowing: bytes | None = None
        self._loses: Callable[[], bool] = bool
        self.port = 0
        self.delay_s = 0.0  # added to each chunk, either way

    @property
    def url(self) -> str:
        """The target's URL with the proxy's address in it."""
        user, at, _ = self._parts.netloc.rpartition("@")
        return urlunsplit(
            self._parts._replace(netloc=f"{user}{at}127.0.0.1:{self.port}")
        )

    def __enter__(self) -> FaultProxy:
        self._thread.start()
        self.accept()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.refuse()
        self._run(self._finish)
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()

    def refuse(self) -> None:
        """Close the listening port and every connection."""
        self._run(self._close_port)
        self.cut()

    def accept(self) -> None:
        """Listen (again) on the same port."""
        self._run(self._open_port)

    def cut(self, only: bytes = b"") -> None:
        """Reset connections; `only`: those whose last request holds these bytes."""

        async def abort() -> None:
            for pair in list(self._pairs):
                if only in pair.asked:
                    pair.abort()

        self._run(abort)

    def swallow(self, only: bytes = b"") -> None:
        """Black hole: requests are taken and never answered (`only`: as in `cut`)."""
        self._swallowing = only

    def lose_replies(self, loses: Callable[[], bool]) -> None:
        """Ask `loses` for each reply; if true drop it and reset the connection."""
        self._loses = loses

    def heal(self) -> None:
        """Stop every fault but `refuse`; swallowed connections are reset."""
        self.delay_s = 0.0
        self._loses = bool
        swallowing, self._swallowing = self._swallowing, None
        if swallowing is not None:
            self.cut(swallowing)

    def _run(self, act: Callable[[], Coroutine[Any, Any, None]]) -> None:
        asyncio.run_coroutine_threadsafe(act(), self._loop).result(timeout=10)

    async def _open_port(self) -> None:
        self._server = await asyncio.start_server(
            self._serve, "127.0.0.1", self.port, reuse_address=True
        )
        self.port = self._server.sockets[0].getsockname()[1]

    async def _close_port(self) -> None:
        if self._server is not None:
            self._server.close()
            self._server = None

    async def _finish(self) -> None:
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        # An aborted transport closes its socket in a later turn of the loop.
        for _ in range(5):
            await asyncio.sleep(0)

    def _serve(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> None:
        task = self._loop.create_task(self._relay(reader, writer))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _relay(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> None:
        pair = _Pair(writer)
        self._pairs.add(pair)
        try:
            host, port = self._parts.hostname or "127.0.0.1", self._parts.port or 6379
            target_reader, pair.target = await asyncio.open_connection(host, port)
            up = self._loop.create_task(self._ask(pair, reader, pair.target))
            down = self._loop.create_task(self._answer(pair, target_reader, writer))
            self._tasks |= {up, down}
            await asyncio.wait({up, down}, return_when=asyncio.FIRST_COMPLETED)
            up.cancel()
            down.cancel()
            await asyncio.gather(up, down, return_exceptions=True)
            self._tasks -= {up, down}
        except OSError:
            pass  # the target refuses: so does the proxy, by closing
        finally:
            self._pairs.discard(pair)
            pair.abort()

    async def _ask(
        self, pair: _Pair, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> None:
        while chunk := await reader.read(65536):
            pair.asked = chunk
            await asyncio.sleep(self.delay_s)
            writer.write(chunk)
            await writer.drain()

    async def _answer(
        self, pair: _Pair, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> None:
        while chunk := await reader.read(65536):
            await asyncio.sleep(self.delay_s)
            swallowing = self._swallowing
            if swallowing is not None and swallowing in pair.asked:
                continue
            if self._loses():
                return
            writer.write(chunk)
            await writer.drain()
