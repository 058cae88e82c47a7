"""The runtime's start and end: what waits for it, what it leaves, on which loop."""

from __future__ import annotations

import asyncio
import threading
from typing import Any

import pytest
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import PlainTextResponse
from starlette.routing import Route

from asgi.controls import kill
from asgi.drive import get
from asgi.eventually import eventually
from asgi.lifespan import started
from failsoft import Failsoft
from failsoft.store.redis.store import RedisStore

pytestmark = pytest.mark.anyio

ENV = "start-and-stop"


async def hello(request: Request) -> PlainTextResponse:
    return PlainTextResponse("hello")


def guarded_at(url: str) -> Failsoft:
    app = Starlette(routes=[Route("/hello", hello)])
    return Failsoft(app, redis_url=url, env=ENV)


async def fleet(url: str) -> list[bytes]:
    """The heartbeats in the store, read by somebody else."""
    store = RedisStore(url, ENV)
    try:
        observed = await store.read(ticks_after="", flights_after="")
    finally:
        await store.aclose()
    return list(observed.nodes.values())


async def kill_hello(url: str) -> None:
    """Kill the route from another node, then leave."""
    other = guarded_at(url)
    await other.runtime.ensure()
    await kill(other, "route:GET /hello")
    await other.runtime.stop()


async def test_a_node_that_was_shut_down_is_off_the_fleet(redis_url: str) -> None:
    guarded = guarded_at(redis_url)

    async with started(guarded):
        await get(guarded, "/hello")
        while_up = await fleet(redis_url)

    assert (len(while_up), await fleet(redis_url)) == (1, [])


async def test_requests_that_come_while_it_starts_meet_the_kills_in_force(
    redis_url: str,
) -> None:
    await kill_hello(redis_url)
    guarded = guarded_at(redis_url)

    answers = await asyncio.gather(*(get(guarded, "/hello") for _ in range(5)))
    await guarded.runtime.stop()

    assert [answer.status for answer in answers] == [503] * 5


async def test_a_first_request_that_is_cancelled_leaves_a_started_runtime() -> None:
    guarded = guarded_at("redis://127.0.0.1:1/0")  # nobody is there
    first = asyncio.create_task(get(guarded, "/hello"))
    await asyncio.sleep(0.02)

    first.cancel()
    await asyncio.wait({first})
    answer = await asyncio.wait_for(get(guarded, "/hello"), 0.25)
    await guarded.runtime.stop()

    assert answer.status == 200


async def test_the_last_second_is_sent_at_the_stop(redis_url: str) -> None:
    async with started(guarded := guarded_at(redis_url)):
        watcher = RedisStore(redis_url, ENV)
        await watcher.read(ticks_after="", flights_after="")  # somebody watches
        running = guarded.runtime._running
        assert running is not None
        await eventually(lambda: running.watcher.current.watched)
        await running.flusher.flush()
        before = await watcher.read(ticks_after="", flights_after="")
        await get(guarded, "/hello")

    after = await watcher.read(ticks_after="0-0", flights_after="")
    await watcher.aclose()

    assert any(b"GET /hello" in raw for raw in ticks_of(after))
    assert not any(b"GET /hello" in raw for raw in ticks_of(before))


def ticks_of(observed: Any) -> list[bytes]:
    return [raw for _, raw in observed.ticks]


async def test_each_loop_has_its_own_start_and_the_old_one_ends(redis_url: str) -> None:
    guarded = guarded_at(redis_url)
    await get(guarded, "/hello")
    here = guarded.runtime._running
    assert here is not None

    def elsewhere() -> None:
        async def serve() -> None:
            await get(guarded, "/hello")
            await guarded.runtime.stop()

        asyncio.run(serve())

    thread = threading.Thread(target=elsewhere)
    thread.start()
    await asyncio.to_thread(thread.join)

    await eventually(lambda: all(task.done() for task in here.tasks))
    assert guarded.runtime.loop is None


def test_a_loop_for_each_request_serves_and_leaves_nothing_behind(
    redis_url: str,
) -> None:
    guarded = guarded_at(redis_url)

    answers = [asyncio.run(get(guarded, "/hello")) for _ in range(3)]

    assert [answer.status for answer in answers] == [200] * 3
    assert asyncio.run(fleet(redis_url)) == []
