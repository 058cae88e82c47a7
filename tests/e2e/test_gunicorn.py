"""Workers forked from a process that loaded the application, and followed the store."""

from __future__ import annotations

import asyncio
import os
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx
import msgspec
import pytest

from failsoft.controls.records import KillDoc
from failsoft.store.protocols import Call, Change
from failsoft.store.redis.store import RedisStore
from failsoft.telemetry import Heartbeat, decode_heartbeat

pytestmark = pytest.mark.anyio

ENV = "preload"


@contextmanager
def gunicorn(redis_url: str, port: socket.socket, log: Path) -> Iterator[int]:
    """Serve tests/e2e/preloaded.py with two workers; give the master's process id."""
    port.set_inheritable(True)
    command = [sys.executable, "-m", "gunicorn", "--preload", "--workers", "2"]
    command += ["--worker-class", "uvicorn_worker.UvicornWorker", "--no-control-socket"]
    command += ["--bind", f"fd://{port.fileno()}", "preloaded:app"]
    environ = {
        **os.environ,
        "FAILSOFT_REDIS_URL": redis_url,
        "FAILSOFT_ENV": ENV,
        "PYTHONPATH": str(Path(__file__).parent),
    }
    with log.open("wb") as out:
        process = subprocess.Popen(
            command,
            env=environ,
            pass_fds=[port.fileno()],
            stdout=out,
            stderr=subprocess.STDOUT,
        )
    try:
        yield process.pid
    finally:
        process.terminate()
        process.wait(timeout=10)


async def fleet(store: RedisStore) -> list[Heartbeat]:
    observed = await store.read(ticks_after="", flights_after="")
    return [decode_heartbeat(beat) for beat in observed.nodes.values()]


async def until_all_live(store: RedisStore, count: int) -> list[Heartbeat]:
    async with asyncio.timeout(15):
        while True:
            beats = await fleet(store)
            if [beat.state for beat in beats] == ["live"] * count:
                return beats
            await asyncio.sleep(0.05)


async def test_preloaded_workers_are_nodes_of_their_own_and_follow_a_kill(
    redis_url: str, tmp_path: Path
) -> None:
    store = RedisStore(redis_url, ENV)
    with socket.create_server(("127.0.0.1", 0)) as port:
        url = f"http://127.0.0.1:{port.getsockname()[1]}/who"
        with gunicorn(redis_url, port, tmp_path / "log") as master:
            beats = await until_all_live(store, 3)
            async with httpx.AsyncClient() as client:
                workers = {(await client.get(url)).text for _ in range(5)}
                await kill(store, "route:GET /who")
                answers: set[Any] = set()
                for _ in range(60):
                    answers = {(await fresh(url)).status_code for _ in range(8)}
                    if answers == {503}:
                        break
                    await asyncio.sleep(0.05)
            left = await until_all_live(store, 3)
    await eventually_empty(store)
    await store.aclose()

    assert len({beat.node for beat in beats}) == 3
    assert {str(beat.pid) for beat in beats} >= {str(master), *workers}
    assert answers == {503}, (tmp_path / "log").read_text()
    assert {beat.rev for beat in left} == {1}


async def fresh(url: str) -> httpx.Response:
    """Ask over a new connection: any worker may take it."""
    async with httpx.AsyncClient() as client:
        return await client.get(url)


async def kill(store: RedisStore, target: str) -> None:
    doc = msgspec.json.encode(KillDoc("ana", "INC-1"))
    change = Change("kill", target, "put", json=doc)
    await store.apply(Call("op-1", "ana", "test", (change,)))


async def eventually_empty(store: RedisStore) -> None:
    async with asyncio.timeout(5):
        while True:
            if not await fleet(store):
                break
            await asyncio.sleep(0.05)
