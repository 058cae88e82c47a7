"""The app on a real session over a memory store, with nodes that pretend."""

from __future__ import annotations

import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from textual.widgets import Input

from failsoft.ops.command import Command
from failsoft.ops.reader import Reader
from failsoft.ops.session import Session
from failsoft.ops.sources.fake import FakeFleet
from failsoft.ops.sources.store import StoreSource
from failsoft.ops.views import Identity
from failsoft.store.memory import MemoryStore
from failsoft.store.protocols import TickBatch
from failsoft_tui.app import FailsoftApp
from tui.fleet import ManualClock
from tui.paper import Desk

ENV = "shop"


class FlagDesk(Desk):
    """An open app at Controls; `bob` is somebody else who writes."""

    store: MemoryStore
    fleet: FakeFleet
    bob: Session

    async def beat(self) -> None:
        """Let the nodes say that they enforce what the store holds."""
        held = await self.store.load()
        for node in self.fleet.nodes:
            await self.store.beat(node, self.fleet.beat(node, held.rev, held.epoch))

    async def press(self, *keys: str) -> None:
        """Press keys on views that stay fresh; dialogs are past their deaf moment."""
        await self.beat()
        for key in keys:
            if self.app.desk.age() > 1:
                await self.until(lambda: self.app.desk.age() < 1)
            await self.pilot.press(key)
            self.clock.advance(0.2)
        await self.settle()

    async def write(self, text: str) -> None:
        """Type a text into the input that is open."""
        entry = self.app.focused
        assert isinstance(entry, Input)
        entry.insert_text_at_cursor(text)
        await self.settle()

    async def goto(self, target: str, kind: str = "flag") -> None:
        """Put the cursor on a row."""
        key = f"kill {target}" if kind == "kill" else target
        table: Any = self.app.screen.table  # type: ignore[attr-defined]
        await self.until(lambda: key in table.order.rows)
        await self.press("home")
        table.move(table.order.place(key))
        await self.settle()
        assert table.cursor_key == key

    async def by_bob(self, command: Command, reason: str = "his own") -> None:
        """Let bob write, and wait until the screen knows."""
        await self.until(lambda: self.bob.view().revision == self.revision())
        applied = await self.bob.apply(command, reason=reason, confirm=ENV)
        await self.until(lambda: self.revision() == applied.revision)

    def revision(self) -> int:
        return self.app.desk.newest.revision

    async def doc(self, key: str) -> bytes:
        """Return the stored document of a flag."""
        held = await self.store.load()
        return held.records["flag", key].split(b" ", 3)[3]

    async def confirm(self) -> None:
        """Type what the tier asks for, then ENTER; wait until it is on screen."""
        before = self.revision()
        asks: Any = self.app.screen._asks  # type: ignore[attr-defined]
        digits = asks._code if asks.tier == 2 else ""
        await self.press(*digits, "enter")
        await self.until(lambda: self.revision() > before)
        await self.beat()
        await self.settle()


def session_on(
    store: MemoryStore, who: str, clock: ManualClock, period_s: float = 0.05
) -> Session:
    reader = Reader(StoreSource(store, "memory", period_s=period_s), ENV, now=clock)
    reader.start()
    identity = Identity(who, True, f"{who}@desk")
    return Session(store, reader, identity, "operator", needs_arming=who != "bob")


@asynccontextmanager
async def open_flags(size: tuple[int, int] = (120, 40)) -> AsyncIterator[FlagDesk]:
    """Open the app, armed for INC-311, at Controls on two nodes."""
    clock, store, fleet = ManualClock(), MemoryStore(ENV), FakeFleet(nodes=2)
    await store.publish_definitions("fake-defs", fleet.definitions())
    ana, bob = session_on(store, "ana", clock), session_on(store, "bob", clock)
    app = FailsoftApp(ana, clock=clock)
    desk = FlagDesk(app, None, ana, clock)  # type: ignore[arg-type]
    desk.store, desk.fleet, desk.bob = store, fleet, bob
    await desk.beat()
    await ana.ready()
    for _ in range(2):
        for node, tick in fleet.second(int(1000 * time.time())).ticks.items():
            await store.write(TickBatch(node, tick))
    await ana.arm("INC-311 slow pages")
    async with app.run_test(size=size) as pilot:
        desk.pilot = pilot
        await desk.until(lambda: bool(app.desk.newest.controls))
        await desk.press("3")
        yield desk
    await bob.aclose()
