"""A TCP proxy that misbehaves on demand: refuse, delay, cut, swallow, lose replies."""

from __future__ import annotations

import asyncio
import socket
import threading
from collections.abc import Callable, Coroutine
from types import TracebackType
from typing import Any
from urllib.parse import urlsplit, urlunsplit

__all__ = ["FaultProxy"]


class _Pair:
    """One client connection and the connection to the target behind it."""

    def __init__(self) -> None:
        self.writers: list[asyncio.StreamWriter] = []
        self.asked = b""  # what the client sent last, to tell connections apart

    def abort(self) -> None:
        for writer in self.writers:
            writer.transport.abort()


class FaultProxy:
    """`with FaultProxy("redis://127.0.0.1:6379/0") as proxy: connect(proxy.url)`.

    Runs on a thread of its own, so it works beside any event loop or none.
    """

    def __init__(self, target: str) -> None:
        self._parts = urlsplit(target)
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, daemon=True)
        self._listener: socket.socket | None = None
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
        self._listener = socket.create_server(("127.0.0.1", self.port))
        self._listener.setblocking(False)
        self.port = self._listener.getsockname()[1]
        # Not asyncio.Server: closed amid an accept it forgets the connection.
        self._loop.add_reader(self._listener, self._take, self._listener)

    async def _close_port(self) -> None:
        if self._listener is not None:
            self._loop.remove_reader(self._listener)
            self._listener.close()
            self._listener = None

    async def _finish(self) -> None:
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        # An aborted transport closes its socket in a later turn of the loop.
        for _ in range(5):
            await asyncio.sleep(0)

    def _take(self, listener: socket.socket) -> None:
        try:
            link, _ = listener.accept()
        except OSError:
            return  # gone before it was taken
        task = self._loop.create_task(self._relay(link))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        task.add_done_callback(lambda _: link.close())  # even if it never ran

    async def _relay(self, link: socket.socket) -> None:
        pair = _Pair()
        self._pairs.add(pair)
        host, port = self._parts.hostname or "127.0.0.1", self._parts.port or 6379
        try:
            reader, writer = await asyncio.open_connection(sock=link)
            pair.writers.append(writer)
            answers, target = await asyncio.open_connection(host, port)
            pair.writers.append(target)
            both = {
                self._loop.create_task(self._ask(pair, reader, target)),
                self._loop.create_task(self._answer(pair, answers, writer)),
            }
            try:
                await asyncio.wait(both, return_when=asyncio.FIRST_COMPLETED)
            finally:
                for task in both:
                    task.cancel()
                await asyncio.gather(*both, return_exceptions=True)
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
