"""Ended controls are cleared by whoever may write; who may not asks once."""

from __future__ import annotations

import asyncio

import pytest

from failsoft.controls.watcher import Watcher
from failsoft.errors import StoreRefused
from failsoft.store.memory import MemoryStore
from failsoft.store.protocols import Answer, Call, Change
from failsoft.testing import ManualClock

pytestmark = pytest.mark.anyio


class NoWrites(MemoryStore):
    """A store whose user may read controls and not write them."""

    asked = 0

    async def apply(self, call: Call) -> Answer:
        if not call.changes:
            self.asked += 1
            raise StoreRefused("no right")
        return await super().apply(call)


async def test_who_may_not_write_asks_for_one_sweep_only(
    caplog: pytest.LogCaptureFixture,
) -> None:
    clock = ManualClock()
    store = NoWrites("test", now=clock)
    until = str(int((clock() + 10) * 1000))
    change = Change("kill", "x", "put", until=until, json=b"{}")
    await store.apply(Call("op-1", "ana", "a test", (change,)))
    watcher = Watcher(
        store,
        node_id="n1",
        heartbeat=lambda: b"",
        on_change=lambda state: None,
        beat_s=0.01,
        elapsed=clock,
        rand=lambda: 0.0,
    )
    watcher.start()
    await watcher.first_sync(1.0)
    before = dict(watcher.current.records)

    for _ in range(40):  # real seconds too: the timer sleeps on the loop's clock
        clock.advance(0.5)
        await asyncio.sleep(0.08)
    await watcher.stop()

    assert (len(before), len(watcher.current.records)) == (1, 0)
    assert store.asked == 1
    assert not caplog.records
