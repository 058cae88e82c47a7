"""The app on a real session over a memory store that holds a fleet's ledgers."""

from __future__ import annotations

import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from failsoft.ops.sources.fake import FakeFleet
from failsoft.ops.sources.fakeledgers import fake_ledgers
from failsoft.store.drift import Counted
from failsoft.store.memory import MemoryStore
from failsoft.store.protocols import TickBatch
from failsoft.telemetry import Definitions, encode
from failsoft_tui.app import FailsoftApp
from tui.flagdesk import ENV, FlagDesk, session_on
from tui.fleet import ManualClock

__all__ = ["ContractDesk", "fill", "open_contract", "type_line"]

OLD, MIDDLE, NEW = "2025-01-15", "2025-06-01", "2026-02-01"


class ContractDesk(FlagDesk):
    """An open app at Versions or Drift."""

    async def at(self, words: str) -> None:
        """Put the cursor on the first row whose text has these words."""
        table: Any = self.app.screen.table  # type: ignore[attr-defined]
        order = table.order

        def found() -> list[str]:
            rows = order.rows
            return [k for k in order.listed if words in order.text_of(rows[k])]

        await self.until(lambda: bool(found()))
        await self.press("home")
        table.move(order.place(found()[0]))
        await self.settle()

    def active(self, kind: str) -> list[str]:
        """Return targets of this kind in force."""
        rows = self.app.desk.newest.controls
        return [row.target for row in rows if row.kind == kind and row.active]


async def type_line(desk: ContractDesk, text: str) -> None:
    """Replace the line under the form's cursor."""
    await desk.press("enter", "ctrl+u")
    await desk.write(text)
    await desk.press("enter")


async def fill(store: Any, now_ms: int) -> None:
    """Write what the pretended fleet counted of versions and drift."""
    told = fake_ledgers(frozenset({"versions", "drift"}), now_ms, now_ms - 600_000)
    assert told is not None
    assert told.drift is not None
    for counts in (told.usage or {}).values():
        await store.usage_add(counts)
    rows = told.drift.rows
    await store.drift_add([Counted(row.id, row.entry, row.count) for row in rows], {})
    await store.peer_notes_add(told.notes or {})


@asynccontextmanager
async def open_contract(
    size: tuple[int, int] = (120, 40), *, keys: str = "6", full: bool = True
) -> AsyncIterator[ContractDesk]:
    """Open the app, armed for INC-311, at Versions (6) or Drift (7) on two nodes."""
    clock, store, fleet = ManualClock(), MemoryStore(ENV), FakeFleet(nodes=2)
    definitions = fleet.definitions() if full else encode(Definitions())
    if full:
        await fill(store, int(1000 * time.time()))
    await store.publish_definitions("fake-defs", definitions)
    # Slower than on Flags: pages of many lines must come to rest between two views.
    ana = session_on(store, "ana", clock, 0.25)
    app = FailsoftApp(ana, clock=clock)
    desk = ContractDesk(app, None, ana, clock)  # type: ignore[arg-type]
    desk.store, desk.fleet, desk.bob = store, fleet, ana
    await desk.beat()
    await ana.ready()
    for _ in range(2):
        for node, tick in fleet.second(int(1000 * time.time())).ticks.items():
            await store.write(TickBatch(node, tick))
    await ana.arm("INC-311 slow pages")
    async with app.run_test(size=size) as pilot:
        desk.pilot = pilot
        await desk.until(app.desk.has_data)
        await desk.press(*keys)
        name = {"6": "versions", "7": "drift"}.get(keys, "modes")
        await desk.until(lambda: getattr(app.desk.newest, name) is not None)
        await desk.settle()
        yield desk
