"""Brownouts and pins on four uvicorn workers, and with Redis gone."""

from __future__ import annotations

import asyncio
import math
import time
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path

import httpx
import pytest

from failsoft.controls.records import BrownoutDoc, PinDoc, encode_doc
from failsoft.store.protocols import Call, Change
from failsoft.store.redis.store import RedisStore
from failsoft.testing import RedisServer
from load.servers import accepts, eventually, free_port, running

pytestmark = pytest.mark.anyio

WORKERS = 4
OwnRedis = Callable[..., AbstractContextManager[RedisServer]]


@dataclass(frozen=True)
class Fleet:
    """Four workers behind one port.  window_at: when the first planned window opens."""

    url: str
    client: httpx.AsyncClient
    redis: RedisServer
    window_at: int

    async def ask(self, path: str, **headers: str) -> dict[str, set[str]]:
        """Return what each worker answers: its status, with 200 the text too."""

        found: dict[str, set[str]] = {}
        asked = (self.client.get(self.url + path, headers=headers) for _ in range(8))
        for answer in await asyncio.gather(*asked):
            told = found.setdefault(answer.headers["x-worker"], set())
            told.add(answer.text if answer.is_success else str(answer.status_code))
        return found

    async def until(self, path: str, wanted: str, **headers: str) -> float:
        """Return when all workers had answered so, and none otherwise any more."""
        agreed: set[str] = set()
        deadline = time.time() + 10
        while len(agreed) < WORKERS:
            assert time.time() < deadline, f"{path}: {agreed} of {WORKERS}"
            for worker, told in (await self.ask(path, **headers)).items():
                agreed = agreed | {worker} if told == {wanted} else agreed - {worker}
        return time.time()

    async def put(self, kind: str, name: str, json: bytes) -> None:
        store = RedisStore(self.redis.url, "default")
        change = Change(kind, name, "put", until="+3600000", json=json)
        await store.apply(Call(f"op-{kind}-{name}", "ana", "a test", (change,)))
        await store.aclose()


@pytest.fixture
async def fleet(
    own_redis: OwnRedis, tmp_path: Path, anyio_backend: str
) -> AsyncIterator[Fleet]:
    port, window_at = free_port(), int(time.time())
    with own_redis() as redis:
        env = {
            "FAILSOFT_REDIS_URL": redis.url,
            "BROWNOUT_AT": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(window_at)),
        }
        words = ["--app-dir", str(Path(__file__).parent), "--port", str(port)]
        words += ["--workers", str(WORKERS), "--log-level", "warning"]
        app = ("-m", "uvicorn", "browned_out:app")
        with running(*app, *words, home=tmp_path, env=env):
            eventually(lambda: accepts(port), within_s=40)
            # A connection of its own each: workers share those, not requests.
            limits = httpx.Limits(max_keepalive_connections=0)
            async with httpx.AsyncClient(limits=limits, timeout=10) as client:
                url = f"http://127.0.0.1:{port}"
                made = Fleet(url, client, redis, window_at)
                await made.until("/hand", "2025-01-15")
                yield made


async def test_brownouts_reach_all_workers_within_2_s_and_pins_outlive_redis(
    fleet: Fleet,
) -> None:
    started_at = time.time()
    doc = BrownoutDoc("ana", "try", routes=("GET /hand",))
    await fleet.put("brownout", "try", encode_doc(doc))
    by_hand_s = await fleet.until("/hand", "503") - started_at
    await fleet.put("pin", "slow", encode_doc(PinDoc("ana", "slow", "2025-06-01")))
    await fleet.until("/pinned", "2025-06-01", **{"x-app": "slow"})
    edge = fleet.window_at + math.ceil((time.time() + 2 - fleet.window_at) / 5) * 5
    await asyncio.sleep(edge - 1.5 - time.time())
    before = await fleet.ask("/window")
    assert time.time() < edge
    by_window_s = await fleet.until("/window", "503") - edge
    fleet.redis.kill()
    await asyncio.sleep(1)

    assert by_hand_s < 2
    assert set().union(*before.values()) == {"2025-01-15"}
    assert 0 <= by_window_s < 2
    await fleet.until("/pinned", "2025-06-01", **{"x-app": "slow"})
    await fleet.until("/hand", "503")
    print(f"by hand {by_hand_s:.2f} s, by window {by_window_s:.2f} s")
