"""An event loop for processes that have none: Celery, scripts, sync applications."""

from __future__ import annotations

import asyncio
import contextlib
import os
import selectors
import socket
import threading
from collections.abc import Coroutine
from concurrent.futures import Future
from typing import Any
from weakref import WeakSet

__all__ = ["PrivateLoop"]


class _Loop(asyncio.SelectorEventLoop):
    """Knows its sockets from their first step: a fork may come amid a connect."""

    def __init__(self, selector: selectors.BaseSelector) -> None:
        super().__init__(selector)
        self.connected: WeakSet[socket.socket] = WeakSet()

    async def sock_connect(self, sock: socket.socket, address: Any) -> None:
        self.connected.add(sock)
        await super().sock_connect(sock, address)


class PrivateLoop:
    """A loop in a daemon thread, from its making to `end`.

    OSError without file descriptors, RuntimeError without threads.
    """

    def __init__(self) -> None:
        self._selector = selectors.DefaultSelector()
        self._ready = threading.Event()
        self._thread = threading.Thread(target=self._live, name="failsoft", daemon=True)
        try:
            # Made here: who asks for it hears why there is none, and waits for nothing.
            self.loop = _Loop(self._selector)
            self._thread.start()
        except BaseException:
            self._selector.close()
            raise
        self._ready.wait()

    def run(self, work: Coroutine[Any, Any, None]) -> Future[None]:
        """Run a coroutine on it; its outcome is in the future."""
        return asyncio.run_coroutine_threadsafe(work, self.loop)

    def end(self, wait_s: float = 0.0) -> None:
        """End its tasks and the thread, waiting up to `wait_s` for it."""
        with contextlib.suppress(RuntimeError):  # it has ended
            self.loop.call_soon_threadsafe(self._last.set)
        if threading.current_thread() is not self._thread:
            self._thread.join(wait_s)

    def cut_copies(self) -> None:
        """In a forked child: let go of the sockets that are the parent's.

        Not by closing: see `store.redis.connect.Server.cut_copies`.
        """
        numbers = [key.fd for key in self._selector.get_map().values()]
        open_ones = (sock.fileno() for sock in list(self.loop.connected))
        numbers += [number for number in open_ones if number >= 0]
        if hasattr(self._selector, "fileno"):
            numbers.append(self._selector.fileno())
        null = os.open(os.devnull, os.O_RDWR)
        for number in numbers:
            os.dup2(null, number)
        os.close(null)

    def _live(self) -> None:
        with asyncio.Runner(loop_factory=lambda: self.loop) as runner:
            runner.run(self._main())

    async def _main(self) -> None:
        self._last = asyncio.Event()
        self._ready.set()
        await self._last.wait()
