"""What lives on one event loop: connections, watcher, tasks; and how it all ends."""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import Callable, Coroutine
from dataclasses import dataclass, field
from typing import Any

from failsoft.controls.lastgood import Keeper
from failsoft.controls.watcher import Watcher
from failsoft.errors import StoreError
from failsoft.resilience._stage import InboundStage
from failsoft.telemetry._flush import Flusher, Vitals

__all__ = ["Running"]

_log = logging.getLogger("failsoft")
_STOP_S = 1.0


@dataclass(slots=True, eq=False)
class Running:
    """What lives on one event loop, from its start to its end.

    failed: takes what ended a task that should have gone on, and the error.
    """

    loop: asyncio.AbstractEventLoop
    store: Any
    watcher: Watcher
    vitals: Vitals
    flusher: Flusher
    keeper: Keeper | None
    inbound: InboundStage
    failed: Callable[[str, BaseException], None]
    tasks: list[asyncio.Task[None]] = field(default_factory=list)
    is_ending: bool = False

    def spawn(self, work: Coroutine[Any, Any, None], name: str) -> None:
        """Run a task until the end; an error in it is told to `failed`."""
        task = self.loop.create_task(work, name=f"failsoft-{name}")
        task.add_done_callback(self._ended)
        self.tasks.append(task)

    def _ended(self, task: asyncio.Task[None]) -> None:
        if not self.is_ending:
            self.tasks.remove(task)
        if not task.cancelled() and (error := task.exception()) is not None:
            self.failed(f"task {task.get_name()} ended", error)

    async def keep(self) -> None:
        """End with the loop, where nobody runs a lifespan: it cancels its tasks."""
        try:
            await self.loop.create_future()
        finally:
            await self.end()

    def abandon(self) -> None:
        """Let go of it from another loop; it ends on its own, if it still can."""
        if self.loop.is_closed():
            self.cut_copies()  # unread: nobody is left to read them
            return
        with contextlib.suppress(RuntimeError):  # closed just now
            for task in self.tasks:  # one of them is `keep`
                self.loop.call_soon_threadsafe(task.cancel)

    def cut_copies(self) -> None:
        """Let go of sockets that this process will never use again."""
        if not self.store.local:
            self.store.server.cut_copies()
        self.inbound.limits.cut_copies()

    async def end(self) -> None:
        """Send the last second, end the tasks, leave the fleet, close the store."""
        if self.is_ending:
            return
        self.is_ending = True
        self.vitals.stop()
        me = asyncio.current_task()
        ends = [task for task in self.tasks if task is not me]
        for task in ends:
            task.cancel()
        last = [self.watcher.stop(), self.flusher.flush()]
        last.append(self.inbound.end(self.loop))
        if self.keeper is not None:
            last.append(self.keeper.finish())
        ends += [asyncio.ensure_future(work) for work in last]
        # Not gather: a stop must end, also where a task does not.
        done, late = await asyncio.wait(ends, timeout=_STOP_S)
        for task in late:
            task.cancel()
        for task in done:
            if not task.cancelled() and (error := task.exception()) is not None:
                _log.debug("at the stop: %s", error)
        if not self.store.local:
            with contextlib.suppress(StoreError, OSError):  # TimeoutError is one
                async with asyncio.timeout(_STOP_S):
                    await self.store.aclose()
