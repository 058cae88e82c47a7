"""A node's own part in getting over a store that lost everything."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from starlette.applications import Starlette
from starlette.routing import Route

from failsoft import Failsoft
from failsoft.store.redis.store import RedisStore
from failsoft.telemetry import Definitions, decode_definitions, decode_heartbeat
from failsoft.testing import RedisServer

pytestmark = pytest.mark.anyio


async def nothing(request: Any) -> None:
    raise AssertionError("never run")


async def declared(store: RedisStore) -> list[Definitions]:
    """Return what operators can learn of the nodes that live."""
    observed = await store.read(ticks_after="", flights_after="")
    digests = [decode_heartbeat(beat).defs for beat in observed.nodes.values()]
    blobs = [await store.definitions(digest) for digest in digests]
    return [decode_definitions(blob) for blob in blobs if blob is not None]


async def until_declared(store: RedisStore) -> list[Definitions]:
    async with asyncio.timeout(8):
        while True:
            if found := await declared(store):
                return found
            await asyncio.sleep(0.05)


async def test_a_store_that_lost_everything_is_told_routes_and_modes_again(
    redis_server: RedisServer, redis_url: str
) -> None:
    guarded = Failsoft(Starlette(routes=[Route("/x", nothing)]), redis_url=redis_url)
    store = RedisStore(redis_url, "default")
    await guarded.runtime.ensure()
    await until_declared(store)

    redis_server.ask("FLUSHALL")

    (definitions,) = await until_declared(store)
    assert "GET /x" in {key for key, _, _ in definitions.routes}
    assert "fs.read-only" in {mode.name for mode in definitions.modes}
    await guarded.runtime.stop()
    await store.aclose()
