"""Fixtures every test may use: a real redis-server, stores of each kind."""

from __future__ import annotations

import itertools
import os
import socket
import threading
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from functools import partial
from pathlib import Path
from urllib.parse import urlsplit

import pytest
from hypothesis import HealthCheck, settings

from failsoft.store.memory import MemoryStore
from failsoft.store.redis.store import RedisStore
from failsoft.testing import RedisServer, RedisServerMissing, redis_server

AnyStore = MemoryStore | RedisStore
_counter = itertools.count()

# Speed is no law: on a busy machine drawing alone may take seconds.
settings.register_profile(
    "failsoft", deadline=None, suppress_health_check=[HealthCheck.too_slow]
)
settings.load_profile("failsoft")


def pytest_make_parametrize_id(val: object, argname: str) -> str | None:
    """Name packed bodies by their length: their bytes hold the time.

    Processes that share the tests must agree on the names.
    """
    if isinstance(val, bytes) and val.startswith(b"\x1f\x8b"):
        return f"{argname}-{len(val)}-packed"
    return None


@pytest.fixture(scope="session", autouse=True)
def no_state_at_home(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """Keep last-known-good files out of the home of whoever runs the tests."""
    home = tmp_path_factory.mktemp("state")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("XDG_STATE_HOME", str(home))
        yield home


@pytest.fixture(autouse=True)
def state_home(no_state_at_home: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Keep them apart: a store emptied between two tests would look rewound."""
    home = no_state_at_home / str(next(_counter))
    monkeypatch.setenv("XDG_STATE_HOME", str(home))
    return home


@pytest.fixture(scope="session")
def anyio_backend() -> str:
    return "asyncio"


@contextmanager
def server_or_skip(
    *config: tuple[str, str], persist: bool = False, own: bool = False
) -> Iterator[RedisServer]:
    """Yield a running server; skip without one, unless that is forbidden."""
    try:
        with redis_server(*config, persist=persist, own=own) as server:
            yield server
    except RedisServerMissing as error:
        if os.environ.get("FAILSOFT_REQUIRE_REDIS") == "1":
            pytest.fail(str(error))
        pytest.skip(f"needs redis-server: {error}")


@pytest.fixture(scope="session")
def own_redis() -> Callable[..., AbstractContextManager[RedisServer]]:
    """Make a server for one test, to be stopped, killed or configured."""
    return partial(server_or_skip, own=True)


@pytest.fixture(name="redis_server", scope="session")
def redis_server_fixture() -> Iterator[RedisServer]:
    with server_or_skip() as server:
        yield server


@pytest.fixture(scope="session")
def redis_cluster() -> Iterator[RedisServer]:
    """A real server as a cluster of one node: it answers CROSSSLOT."""
    with server_or_skip(("cluster-enabled", "yes")) as server:
        server.ask("CLUSTER", "ADDSLOTSRANGE", "0", "16383")
        for _ in range(200):
            if "cluster_state:ok" in server.ask("CLUSTER", "INFO"):
                break
            threading.Event().wait(0.02)
        yield server


@pytest.fixture
def redis_url(redis_server: RedisServer) -> str:
    """Address of the session's server, its database emptied."""
    flush(redis_server.url)
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
    parts = urlsplit(url)
    with socket.create_connection((parts.hostname, parts.port), timeout=2) as link:
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
