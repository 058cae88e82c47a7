"""A node that starts while its store is away: from its file, else as declared."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import PlainTextResponse
from starlette.routing import Route

import failsoft
from asgi.controls import put
from asgi.drive import get
from asgi.eventually import eventually
from asgi.lifespan import started
from failsoft import Failsoft
from failsoft.controls.lastgood import Shelf
from failsoft.controls.records import KillDoc
from failsoft.errors import StoreUnavailable
from failsoft.store.redis.store import RedisStore
from failsoft.telemetry import decode_heartbeat
from failsoft.testing import FaultProxy, RedisServer
from flagdoc import FlagDoc

pytestmark = pytest.mark.anyio

ENV = "cold-start"
ON = FlagDoc(variants={"on": True, "off": False}, defaultVariant="on")
DECLARED = {
    "kept": {"default": True, "fail": "last_known"},
    "coded": {"default": True, "fail": "default"},
    "gone": {"default": True, "fail": "off"},
    "vital": {"default": True, "fail": "refuse"},
}


async def price(request: Request) -> PlainTextResponse:
    return PlainTextResponse(str(failsoft.flag("price.new", default=False)))


async def declared(request: Request) -> PlainTextResponse:
    return PlainTextResponse(str(failsoft.flag(request.path_params["key"], True)))


def node(url: str, **store: Any) -> Failsoft:
    """A process of its own: nothing is shared but the files."""
    routes = [
        Route("/price", price),
        Route("/pay", price),
        Route("/declared/{key}", declared),
    ]
    flags = {"declare": DECLARED}
    return Failsoft(
        Starlette(routes=routes), redis_url=url, env=ENV, store=store, flags=flags
    )


@pytest.fixture
def shelf(state_home: Path) -> Shelf:
    return Shelf(state_home / "failsoft" / ENV)


@pytest.fixture
def proxy(redis_url: str) -> Iterator[FaultProxy]:
    with FaultProxy(redis_url) as proxy:
        yield proxy


async def leave_a_file(url: str, **kill: Any) -> None:
    """Run a node that holds an edit and a kill, and stop it."""
    async with started(first := node(url)):
        await put(first, "flag", "price.new", ON)
        await put(first, "kill", "route:GET /pay", KillDoc("ana", "INC-1", **kill))


class Stalls:
    """The longest time the loop did not come round."""

    def __init__(self) -> None:
        self.worst_s = 0.0

    async def watch(self) -> None:
        while True:
            before = time.monotonic()
            await asyncio.sleep(0.002)
            self.worst_s = max(self.worst_s, time.monotonic() - before - 0.002)


@asynccontextmanager
async def stalls() -> AsyncIterator[Stalls]:
    measured = Stalls()
    watching = asyncio.create_task(measured.watch())
    await asyncio.sleep(0.01)
    yield measured
    watching.cancel()


AWAY: dict[str, Callable[[FaultProxy], None]] = {
    "refused": FaultProxy.refuse,
    "black-holed": FaultProxy.swallow,
}
BACK: dict[str, Callable[[FaultProxy], None]] = {
    "refused": FaultProxy.accept,
    "black-holed": FaultProxy.heal,
}


@pytest.mark.parametrize("fault", AWAY)
async def test_without_the_store_values_and_kills_are_the_files(
    proxy: FaultProxy, fault: str, capsys: pytest.CaptureFixture[str]
) -> None:
    await leave_a_file(proxy.url)
    AWAY[fault](proxy)
    second = node(proxy.url)

    async with stalls() as measured:
        began = time.monotonic()
        first = await get(second, "/price")
        first_s = time.monotonic() - began
        killed = await get(second, "/pay")
        await asyncio.sleep(0.5)
    served = second.runtime.snapshot
    BACK[fault](proxy)
    back = time.monotonic()
    await eventually(lambda: second.runtime.snapshot.state == "live", 5)
    live_s = time.monotonic() - back
    await second.runtime.stop()

    with capsys.disabled():
        print(
            f"\nstart with Redis {fault}: first request {first_s:.3f} s, longest stall "
            f"{measured.worst_s * 1000:.1f} ms, live {live_s:.2f} s after its return"
        )
    assert (first.body, killed.status, served.state) == (b"True", 503, "stale")
    assert first_s < 1
    # Well below what any blocking call would take; the figure above is to be < 50.
    assert measured.worst_s < 0.1


async def test_without_a_file_each_flag_does_what_was_declared(
    proxy: FaultProxy,
) -> None:
    proxy.refuse()
    lone = node(proxy.url)

    answers = {key: await get(lone, f"/declared/{key}") for key in DECLARED}
    await lone.runtime.stop()

    found = {key: (answer.status, answer.body) for key, answer in answers.items()}
    assert found.pop("vital")[0] == 503
    assert found == {
        "kept": (200, b"True"),
        "coded": (200, b"True"),
        "gone": (200, b"False"),
    }


async def test_a_kill_from_the_file_ends_on_time_without_the_store(
    redis_url: str, shelf: Shelf
) -> None:
    await leave_a_file(redis_url)
    saved, _ = shelf.read(ENV)
    assert saved is not None
    key = ("kill", "route:GET /pay")
    record = saved.held.records[key]
    # The store's clock is an hour ahead of this host's.
    ahead_ms = 3_600_000.0
    until_ms = int((time.time() + 0.7) * 1000 + ahead_ms)
    head = f"{record.rev} {record.at_ms} {until_ms} ".encode()
    saved.held.take(key, head + record.json)
    shelf.write(type(saved)(ENV, saved.held, saved.saved_at, ahead_ms), always=True)
    second = node("redis://127.0.0.1:1/0")

    before = await get(second, "/pay")
    await eventually(lambda: second.runtime.snapshot.kills == 0, 2)
    after = await get(second, "/pay")
    await second.runtime.stop()

    assert (before.status, after.status) == (503, 200)


async def test_a_store_emptied_while_no_node_ran_is_rewound(
    redis_server: RedisServer, redis_url: str
) -> None:
    await leave_a_file(redis_url)
    redis_server.ask("FLUSHALL")

    async with started(second := node(redis_url)):
        await eventually(lambda: second.runtime.snapshot.state != "stale")
        killed = await get(second, "/pay")
        state = second.runtime.snapshot.state

    assert (state, killed.status) == ("rewound", 503)


async def test_kills_of_both_histories_outlive_a_restart_while_rewound(
    redis_server: RedisServer, redis_url: str, shelf: Shelf
) -> None:
    await leave_a_file(redis_url)
    redis_server.ask("FLUSHALL")
    async with started(second := node(redis_url)):
        await eventually(lambda: second.runtime.snapshot.state == "rewound")
        await put(second, "kill", "route:GET /price", KillDoc("ana", "INC-2"))
        await eventually(lambda: has_kill(shelf, "route:GET /price"))

    third = node("redis://127.0.0.1:1/0")
    answers = [await get(third, path) for path in ("/pay", "/price")]
    await third.runtime.stop()

    assert [answer.status for answer in answers] == [503, 503]


async def test_a_kill_is_on_disk_long_before_a_plain_edit(
    redis_url: str, shelf: Shelf, capsys: pytest.CaptureFixture[str]
) -> None:
    async with started(guarded := node(redis_url)):
        await eventually(shelf.path.exists)
        await put(guarded, "flag", "price.new", ON)  # a plain edit waits for its turn
        began = time.monotonic()
        await put(guarded, "kill", "route:GET /pay", KillDoc("ana", "INC-1"))
        await eventually(lambda: has_kill(shelf))
        took_s = time.monotonic() - began

    with capsys.disabled():
        print(f"\na kill is on disk, from its write, {took_s * 1000:.0f} ms")
    assert took_s < 0.5


def has_kill(shelf: Shelf, target: str = "route:GET /pay") -> bool:
    saved, _ = shelf.read(ENV)
    return saved is not None and ("kill", target) in saved.held.records


async def test_a_bootstrap_file_serves_where_no_node_has_run_before(
    redis_url: str, shelf: Shelf, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    await leave_a_file(redis_url)
    bootstrap = tmp_path / "bootstrap.lkg"
    bootstrap.write_bytes(shelf.path.read_bytes())
    elsewhere = {"state_dir": str(tmp_path / "new"), "bootstrap": str(bootstrap)}

    second = node("redis://127.0.0.1:1/0", require=True, **elsewhere)
    answer = await get(second, "/price")
    served = second.runtime.snapshot
    await second.runtime.stop()

    assert (answer.body, served.state, served.revision) == (b"True", "stale", 0)


async def test_any_history_of_the_store_comes_after_a_bootstrap_file(
    redis_server: RedisServer, redis_url: str, shelf: Shelf, tmp_path: Path
) -> None:
    await leave_a_file(redis_url)
    bootstrap = tmp_path / "bootstrap.lkg"
    bootstrap.write_bytes(shelf.path.read_bytes())
    redis_server.ask("FLUSHALL")
    elsewhere = {"state_dir": str(tmp_path / "new"), "bootstrap": str(bootstrap)}

    async with started(second := node(redis_url, **elsewhere)):
        await eventually(lambda: second.runtime.snapshot.state == "live")
        answer = await get(second, "/pay")

    assert answer.status == 200


async def test_require_refuses_to_start_only_with_no_set_at_all(
    redis_url: str, tmp_path: Path
) -> None:
    await leave_a_file(redis_url)
    away = "redis://127.0.0.1:1/0"
    with_file = node(away, require=True)
    without = node(away, require=True, state_dir=str(tmp_path / "new"))

    await with_file.runtime.ensure()
    await with_file.runtime.stop()
    with pytest.raises(StoreUnavailable, match="no controls at start"):
        await without.runtime.ensure()


async def test_operators_see_where_a_nodes_controls_are_from(redis_url: str) -> None:
    store = RedisStore(redis_url, ENV)

    async def sources() -> list[str]:
        observed = await store.read(ticks_after="", flights_after="")
        return [decode_heartbeat(beat).source for beat in observed.nodes.values()]

    async with started(node(redis_url)), asyncio.timeout(3):
        while True:
            if await sources() == ["redis"]:
                break
            await asyncio.sleep(0.02)
    await store.aclose()
