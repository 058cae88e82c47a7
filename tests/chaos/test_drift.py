"""The drift ledger with a real Redis: nothing of a body in it, gone and back."""

from __future__ import annotations

import json
import logging
import re
from collections.abc import Callable
from contextlib import AbstractContextManager
from typing import Any

import pytest
from fastapi import FastAPI
from pydantic import BaseModel

from asgi.drive import drive, http_scope
from failsoft import Failsoft
from failsoft.errors import StoreUnavailable
from failsoft.testing import RedisServer
from failsoft.tolerance._flush import DriftReporter

pytestmark = pytest.mark.anyio


class Order(BaseModel):
    customer: str
    kind: str = "a"
    items: list[dict[str, int]] = []


def shop() -> FastAPI:
    app = FastAPI()

    @app.post("/orders")
    async def order(order: Order) -> dict[str, int]:
        return {}

    return app


async def post(app: Any, body: bytes, **headers: str) -> None:
    pairs = [(name.encode(), value.encode()) for name, value in headers.items()]
    pairs += [(b"content-type", b"application/json")]
    scope = http_scope("POST", "/orders", headers=pairs)
    await drive(app, scope, [{"type": "http.request", "body": body}])


async def opened(url: str, **settings: Any) -> Failsoft:
    guarded = Failsoft(shop(), redis_url=url, env="test", **settings)
    await guarded.runtime.ensure()
    await guarded.runtime.learn(guarded.app)
    guarded.runtime.planner.compile_gates()
    return guarded


async def everything(guarded: Failsoft) -> bytes:
    """Return all that Redis holds, keys and values, as one text."""
    server = guarded.runtime.store.server
    found = []
    for key in await server.ask("a test", "KEYS", "*"):
        kind = (await server.ask("a test", "TYPE", key)).decode()
        read = {
            "hash": ("HGETALL", key),
            "zset": ("ZRANGE", key, 0, -1),
            "stream": ("XRANGE", key, "-", "+"),
            "string": ("GET", key),
        }[kind]
        found.append(repr((key, await server.ask("a test", *read))))
    return "\n".join(found).encode()


CANARY = "cAnArY"
CANARIES = [
    {"customer": [CANARY], "kind": CANARY, "items": [{"a": CANARY}]},
    {"customer": f"{CANARY}-1", "unknown": CANARY, "items": CANARY},
    {"customer": {CANARY: {CANARY: 1}}},
    {"items": [{f"{CANARY}@example.com": 1.5}]},
]


@pytest.mark.parametrize("handling", ["observe", "warn", "strict"])
async def test_no_value_of_a_body_leaves_the_process(
    redis_url: str, handling: str, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    guarded = await opened(redis_url, tolerance={"handling": handling})

    for body in CANARIES:
        await post(guarded, json.dumps(body).encode())
    await post(guarded, b'{"customer": "' + CANARY.encode())
    await DriftReporter(guarded.runtime.store, guarded.runtime.ledger).flush()

    held, rows = await everything(guarded), (await guarded.runtime.store.drift()).rows
    await guarded.runtime.stop()
    assert len(rows) >= 5
    assert b"drift:d" in held
    assert CANARY.encode() not in held
    assert CANARY not in caplog.text


async def test_redis_may_go_and_come_back(
    own_redis: Callable[..., AbstractContextManager[RedisServer]],
) -> None:
    with own_redis() as server:
        guarded = await opened(server.url)
        ledger, store = guarded.runtime.ledger, guarded.runtime.store
        reporter = DriftReporter(store, ledger)
        await post(guarded, b'{"customer": 7}')
        await reporter.flush()
        server.kill()
        await post(guarded, b'{"customer": 7}')
        with pytest.raises(StoreUnavailable):
            await reporter.flush()
        await post(guarded, b'{"customer": 7}')
        server.start()

        await reporter.flush()

        found = {row.entry.kind: row.count for row in (await store.drift()).rows}
        await guarded.runtime.stop()
    # An emptied server knows neither script nor entry: what was counted since is there.
    assert found["type"] in (2, 3)


async def test_a_hostile_flood_of_keys_stays_bounded(redis_url: str) -> None:
    guarded = await opened(
        redis_url, contracts={"walks_per_s": 10_000, "route_walks_per_s": 10_000}
    )

    for number in range(60):
        keys = {f"k{number}-{key}x": 1 for key in range(300)}
        agent = f"client{number}/1"
        body = json.dumps({"customer": "a", **keys}).encode()
        await post(guarded, body, **{"user-agent": agent})

    ledger = guarded.runtime.ledger
    held = len(ledger)
    await DriftReporter(guarded.runtime.store, ledger).flush()
    read = await guarded.runtime.store.drift()
    await guarded.runtime.stop()
    assert held <= 512
    assert read.total <= 512
    assert re.search(r"\{\*\}", " ".join(row.entry.path for row in read.rows))
