"""Fixtures every test may use: a real redis-server, stores of each kind."""

from __future__ import annotations

import os
import socket
import threading
from collections.abc import AsyncIterator, Iterator

import pytest

from failsoft.store.memory import MemoryStore
from failsoft.store.redis.store import RedisStore
from failsoft.testing import RedisServer, RedisServerMissing, redis_server

AnyStore = MemoryStore | RedisStore


@pytest.fixture(scope="session")
def anyio_backend() -> str:
    return "asyncio"


def server_or_skip(*config: tuple[str, str]) -> Iterator[RedisServer]:
    """Yield a running server; skip without one, unless that is forbidden."""
    try:
        with redis_server(*config) as server:
            yield server
    except RedisServerMissing as error:
        if os.environ.get("FAILSOFT_REQUIRE_REDIS") == "1":
            pytest.fail(str(error))
        pytest.skip(f"needs redis-server: {error}")


@pytest.fixture(name="redis_server", scope="session")
def redis_server_fixture() -> Iterator[RedisServer]:
    yield from server_or_skip()


@pytest.fixture(scope="session")
def redis_cluster() -> Iterator[RedisServer]:
    """A real server as a cluster of one node: it answers CROSSSLOT."""
    for server in server_or_skip(("cluster-enabled", "yes")):
        server.ask("CLUSTER", "ADDSLOTSRANGE", "0", "16383")
        for _ in range(200):
            if "cluster_state:ok" in server.ask("CLUSTER", "INFO"):
                break
            threading.Event().wait(0.02)
        yield server


@pytest.fixture
def redis_url(redis_server: RedisServer) -> str:
    """Address of the session's server, its database emptied."""
    redis_server.ask("FLUSHALL")
    return redis_server.url


@pytest.fixture(scope="session")
def fake_redis_url() -> Iterator[str]:
    """Address of fakeredis's TCP server; its threads end with the session."""
    from fakeredis import TcpFakeServer

    server = TcpFakeServer(("127.0.0.1", 0), server_type="redis", server_version=(7, 0))
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    yield f"redis://127.0.0.1:{server.server_address[1]}/0"
    server.shutdown()
    server.server_close()
    thread.join(timeout=5)
    assert not thread.is_alive()


def flush(url: str) -> None:
    """Empty the server at `redis://host:port/0`."""
    host, port = url.removeprefix("redis://").removesuffix("/0").split(":")
    with socket.create_connection((host, int(port)), timeout=2) as link:
        link.sendall(b"*1\r\n$8\r\nFLUSHALL\r\n")
        assert link.recv(64) == b"+OK\r\n"


REDIS_LIKE = ("fakeredis", "redis", "cluster")
_URLS = {
    "fakeredis": "fake_redis_url",
    "redis": "redis_server",
    "cluster": "redis_cluster",
}


async def open_for_test(
    name: str, request: pytest.FixtureRequest
) -> AsyncIterator[AnyStore]:
    if name == "memory":
        yield MemoryStore("test")
        return
    place = request.getfixturevalue(_URLS[name])
    url = place if isinstance(place, str) else place.url
    flush(url)
    opened = RedisStore(url, "test")
    try:
        yield opened
    finally:
        await opened.aclose()


@pytest.fixture(params=["memory", *REDIS_LIKE])
async def store(
    request: pytest.FixtureRequest, anyio_backend: str
) -> AsyncIterator[AnyStore]:
    """One store after the other: memory, fakeredis, Redis, Redis as a cluster."""
    async for opened in open_for_test(request.param, request):
        yield opened
