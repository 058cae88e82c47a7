"""Run the terminal UI on pretended nodes: python tests/tui/pretend.py [healthy].

The nodes write to a memory store and obey its kills, so reader, session and
acknowledgement are the real ones; only the requests are made up.
"""

from __future__ import annotations

import asyncio
import sys
import time

import failsoft_tui
from failsoft.controls.targets import covers
from failsoft.ops.connect import open_session
from failsoft.ops.operator import Operator
from failsoft.ops.sources.fake import FakeFleet
from failsoft.store.memory import MemoryStore
from failsoft.store.protocols import TickBatch

BEAT_S = 0.05


class Pretenders:
    """Keeps a fleet's heartbeats and ticks in a store, about as real nodes do."""

    def __init__(self, store: MemoryStore, fleet: FakeFleet) -> None:
        self.store = store
        self.fleet = fleet

    async def run(self) -> None:
        """Beat twenty times a second, tick once."""
        await self.store.publish_definitions("fake-defs", self.fleet.definitions())
        beats = 0
        while True:
            await self.step(tick=beats % round(1 / BEAT_S) == 0)
            beats += 1
            await asyncio.sleep(BEAT_S)

    async def step(self, *, tick: bool) -> None:
        """Write one round."""
        held = await self.store.load()
        globs = [name for kind, name in held.records if kind == "kill"]
        routes = [key for key, _, _ in self.fleet.routes]
        killed = frozenset(
            key for key in routes for glob in globs if covers(glob[6:], key)
        )
        if tick:
            now_ms = int(1000 * time.time())
            second = self.fleet.second(now_ms, killed=killed)
            flights = list(second.flights)
            for node, blob in second.ticks.items():
                await self.store.write(TickBatch(node, blob, flights=flights))
                flights = []
        for node in self.fleet.nodes:
            await self.store.beat(node, self.fleet.beat(node, held.rev, held.epoch))


def main() -> int:
    """Run until it is left."""
    scenario = sys.argv[1] if len(sys.argv) > 1 else "incident"
    store = MemoryStore("shop-prod")
    nodes = Pretenders(store, FakeFleet(scenario))
    tasks: list[asyncio.Task[None]] = []

    async def connect() -> Operator:
        if not tasks:
            tasks.append(asyncio.create_task(nodes.run()))
        return await open_session(store, "memory")

    return failsoft_tui.run(connect)


if __name__ == "__main__":
    sys.exit(main())
