"""A node without an application: beats, ticks, and enforces what it is told to."""

from __future__ import annotations

from collections.abc import Iterable

from failsoft.ops.sources.store import FleetStore
from failsoft.store.protocols import TickBatch
from failsoft.telemetry import (
    Definitions,
    Heartbeat,
    ModeDef,
    RouteTick,
    Tick,
    encode,
)

ROUTES = (
    ("GET /catalogue", "sheddable", ("shop",)),
    ("POST /checkout", "critical", ("shop", "pay")),
    ("GET /orders/{id}", "critical", ()),
)
DEFINITIONS = Definitions(
    routes=ROUTES,
    flags=(("checkout.new-pricing", "false"), ("shop.theme", '"blue"')),
    modes=(
        ModeDef("maintenance", "Maintenance", ("*",), "503 to everybody"),
        ModeDef("cart.read-only", "Cart is read-only", ("POST /cart*",), "503"),
    ),
)


def busy_routes() -> tuple[RouteTick, ...]:
    """Fifty calls a second; one in twenty is a checkout, none fails."""
    return (
        RouteTick("GET /catalogue", 47, hist={100: 47}),
        RouteTick("POST /checkout", 3, hist={120: 3}),
    )


class FakeNode:
    """One node, which beats and ticks when it is told to."""

    def __init__(self, store: FleetStore, name: str = "n1", *, held: int = -1) -> None:
        self.store = store
        self.name = name
        self.held = held  # never enforce beyond this revision; -1 = all
        self.bad: tuple[str, ...] = ()
        self.seq = 0

    async def beat(self, rev: int | None = None, epoch: str | None = None) -> None:
        """Say what is enforced: by default what the store holds."""
        loaded = await self.store.load()
        rev = loaded.rev if rev is None else rev
        if self.held >= 0:
            rev = min(rev, self.held)
        beat = Heartbeat(
            node=self.name,
            host="test",
            pid=1,
            epoch=loaded.epoch if epoch is None else epoch,
            rev=rev,
            state="live",
            started_ms=loaded.now_ms - 60_000,
            bad=self.bad,
            defs="d1",
        )
        await self.store.beat(self.name, encode(beat))

    async def tick(self, routes: Iterable[RouteTick] | None = None) -> None:
        """Report one second."""
        self.seq += 1
        shown = busy_routes() if routes is None else tuple(routes)
        tick = encode(Tick(self.name, self.seq, 1000, routes=shown))
        await self.store.write(TickBatch(self.name, tick))

    async def declare(self, definitions: Definitions = DEFINITIONS) -> None:
        """Publish what this release declares."""
        await self.store.publish_definitions("d1", encode(definitions))
