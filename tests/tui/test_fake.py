"""The pretended fleet through the real reader, and the UI over it."""

from __future__ import annotations

import asyncio

import pytest

from failsoft.ops.command import Kill
from failsoft.ops.connect import open_session
from failsoft.ops.reader import Reader
from failsoft.ops.sources.fake import FAILING, FakeFleet, FakeSource
from failsoft.ops.views import FleetView
from failsoft.store.memory import MemoryStore
from failsoft_tui.app import FailsoftApp
from tui.fleet import ManualClock
from tui.paper import Desk
from tui.pretend import Pretenders

pytestmark = pytest.mark.anyio


async def watch(scenario: str, seconds: int, *, seed: int = 1) -> FleetView:
    clock = ManualClock()
    source = FakeSource(FakeFleet(scenario, seed=seed), lambda: asyncio.sleep(0))
    reader = Reader(source, now=clock)
    for _ in range(seconds):
        await reader.take(source.next_batch())
        clock.advance(1)
    return reader.view


async def test_the_same_seed_gives_the_same_view() -> None:
    first, second = await watch("incident", 8), await watch("incident", 8)

    assert first == second


async def test_a_healthy_fleet_is_live_and_named() -> None:
    view = await watch("healthy", 12)

    assert (view.totals.nodes_live, view.env) == (4, "shop-prod")
    assert view.totals.err_rate is not None
    assert view.totals.err_rate < 0.02
    assert {row.target for row in view.controls} >= {"mode:read_only"}


async def test_the_incident_puts_the_failing_route_first() -> None:
    view = await watch("incident", 20)

    worst = view.routes[0]
    assert worst.key == FAILING
    assert worst.err_rate == pytest.approx(0.4, abs=0.1)
    assert view.flights[0].frames[0].file == "shop/pay.py"


def test_an_unknown_scenario_is_refused() -> None:
    with pytest.raises(ValueError, match="known are healthy, incident"):
        FakeFleet("deploy")


async def test_a_kill_from_the_ui_is_enforced_by_the_whole_fleet() -> None:
    store = MemoryStore("shop-prod")
    nodes = Pretenders(store, FakeFleet("incident"))
    await store.publish_definitions("fake-defs", nodes.fleet.definitions())
    for _ in range(8):
        await nodes.step(tick=True)
    session = await open_session(store, "memory")
    app = FailsoftApp(session)
    async with app.run_test(size=(120, 40)) as pilot:
        desk = Desk(app, pilot, session, ManualClock())
        running = asyncio.create_task(nodes.run())
        try:
            await session.arm("INC-311")
            await eventually(desk, "4/4")
            app.screen.command(Kill(f"route:{FAILING}"))  # type: ignore[attr-defined]
            await eventually(desk, "tier 2")
            code = desk.text().split("type ")[1][:2]
            await eventually_press(desk, *code, "enter")
            await eventually(desk, "4 of 4 nodes enforce it")
            await eventually(desk, "K KILLED")
        finally:
            running.cancel()

    (entry,) = await store.log()
    assert (entry.op, entry.name, entry.why) == ("put", f"route:{FAILING}", "INC-311")


async def eventually(desk: Desk, text: str) -> None:
    """Wait in real time: the session reads the store once a second."""
    async with asyncio.timeout(10):
        while text not in desk.text():
            await desk.pilot.pause(0.05)


async def eventually_press(desk: Desk, *keys: str) -> None:
    await desk.pilot.pause(0.2)  # a dialog is deaf at first
    for key in keys:
        await desk.pilot.press(key)
