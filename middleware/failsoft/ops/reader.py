"""The one long-lived task that turns batches into views.

It survives its source and its own faults; surfaces compare `view.received` with the
clock, so a reader that is dead looks stale, not alive.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator, Callable, Iterable
from contextlib import suppress

import msgspec

from failsoft import clock
from failsoft.ops.merge import FleetMerge
from failsoft.ops.sources.ledgers import Section
from failsoft.ops.sources.source import Batch, Source
from failsoft.ops.views import FleetView, Link

__all__ = ["Reader"]

_log = logging.getLogger("failsoft.ops")


class Reader:
    """Keeps the newest `FleetView`; one task, started by `start`.

    now: `clock.elapsed`, the clock that ages are measured on.
    """

    def __init__(
        self, source: Source, env: str = "", now: Callable[[], float] = clock.elapsed
    ) -> None:
        self.merge = FleetMerge()
        self.view = FleetView(
            seq=0,
            env=env,
            link=Link(state="connecting", since=now()),
            received=0.0,
            server_ms=0,
        )
        self._source = source
        self.now = now
        self._changed = asyncio.Event()
        self._task: asyncio.Task[None] | None = None

    def start(self) -> None:
        """Start reading; further calls do nothing."""
        if self._task is None:
            self._task = asyncio.create_task(self._run(), name="failsoft-reader")

    async def _run(self) -> None:
        while True:
            try:
                async for batch in self._source.batches():
                    await self.take(batch)
            except Exception:  # noqa: BLE001 -- a fault of ours must not end the picture
                _log.exception("the reader starts again after a fault")
            await asyncio.sleep(1.0)

    async def take(self, batch: Batch) -> FleetView:
        """Merge one batch, node by node, and publish the view."""
        received = self.now() if batch.proof else self.view.received
        if batch.is_of_link():
            return self._publish(
                msgspec.structs.replace(
                    self.view, seq=self.view.seq + 1, link=batch.link
                )
            )
        self.merge.begin(batch)
        for tick_id, blob in batch.observed.ticks if batch.observed else ():
            self.merge.take_tick(tick_id, blob)
            await asyncio.sleep(0)  # keys are answered between two nodes
        self.merge.settle()
        if batch.ledgers is not None:
            await asyncio.to_thread(self.merge.join_contract)
        await asyncio.sleep(0)
        if self.merge.observed is None:  # controls came first: no picture yet
            return self.view
        return self._publish(self.merge.view(self.view.seq + 1, batch.link, received))

    def _publish(self, view: FleetView) -> FleetView:
        self.view = view
        self._changed.set()
        self._changed = asyncio.Event()
        return view

    def want(self, sections: Iterable[Section]) -> None:
        """Read these sections too, at once and then each 5 s, and no others."""
        self._source.want(sections)

    async def watch(self) -> AsyncIterator[FleetView]:
        """Yield the newest view, then each newer one; skips, never queues."""
        seq = -1
        while True:
            changed = self._changed
            if self.view.seq != seq:
                seq = self.view.seq
                yield self.view
            else:
                await changed.wait()

    async def aclose(self) -> None:
        """Stop the task and release the source; idempotent."""
        if self._task is not None:
            self._task.cancel()
            with suppress(asyncio.CancelledError):
                await self._task
            self._task = None
        await self._source.aclose()
