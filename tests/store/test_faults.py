"""What the store says when the server is away, refuses, or loses replies."""

from __future__ import annotations

import asyncio
import contextlib
import random
import time
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import AbstractContextManager, asynccontextmanager

import pytest

from failsoft.errors import DefinitionError, StoreRefused, StoreUnavailable
from failsoft.settings import mask_url
from failsoft.store.memory import MemoryStore
from failsoft.store.open import open_store
from failsoft.store.protocols import Call, Change
from failsoft.store.redis.connect import Timeouts
from failsoft.store.redis.store import RedisStore
from failsoft.testing import FaultProxy, RedisServer

pytestmark = pytest.mark.anyio

OwnRedis = Callable[..., AbstractContextManager[RedisServer]]

_ids = iter(range(10**9))
QUICK = Timeouts(connect_s=0.2, command_s=0.2)


def kill(name: str = "x") -> Call:
    change = Change("kill", name, "put", json=b"{}")
    return Call(f"fault-{next(_ids)}", "ana", "a test", (change,))


async def apply_until_known(store: RedisStore, call: Call) -> None:
    for _ in range(50):
        with contextlib.suppress(StoreUnavailable):
            await store.apply(call)
            return
    raise AssertionError("no answer in 50 calls")


@asynccontextmanager
async def opened(url: str, timeouts: Timeouts = QUICK) -> AsyncIterator[RedisStore]:
    store = RedisStore(url, "test", timeouts)
    try:
        yield store
    finally:
        await store.aclose()


@pytest.fixture
def proxy(redis_url: str) -> Iterator[FaultProxy]:
    with FaultProxy(redis_url) as running:
        yield running


async def test_a_refused_connection_is_told_with_a_masked_url() -> None:
    async with opened("redis://ana:s3cret@127.0.0.1:1/0") as store:
        with pytest.raises(StoreUnavailable) as caught:
            await store.apply(kill())

    assert "Redis at redis://ana:***@127.0.0.1:1/0: no answer" in str(caught.value)
    assert "s3cret" not in str(caught.value)
    assert caught.value.op_id == "", "nothing was sent: the outcome is known"


async def test_a_write_without_an_answer_has_an_unknown_outcome(
    proxy: FaultProxy,
) -> None:
    async with opened(proxy.url) as store:
        await store.apply(kill("first"))
        proxy.swallow(only=b"EVAL")
        call = kill()

        with pytest.raises(StoreUnavailable, match="outcome unknown") as caught:
            await store.apply(call)

        proxy.heal()
        again = await store.apply(call)
    assert caught.value.op_id == call.op_id
    assert (again.revision, again.duplicate) == (2, True)


async def test_lost_replies_never_apply_a_write_twice(proxy: FaultProxy) -> None:
    async with opened(proxy.url) as store:
        dice = random.Random(7)
        proxy.lose_replies(lambda: dice.random() < 0.15)

        for n in range(20):
            await apply_until_known(store, kill(f"k{n}"))

        proxy.heal()
        held, log = await store.load(), await store.log()
    assert (held.rev, len(held.records), len(log)) == (20, 20, 20)


async def test_a_frozen_server_ends_every_call_in_bounded_time(
    own_redis: OwnRedis,
) -> None:
    with own_redis() as server:
        async with opened(server.url) as store:
            await store.load()
            server.stop()
            began = time.monotonic()
            with pytest.raises(StoreUnavailable):
                await store.beat("n1", b"")
            took_s = time.monotonic() - began
            server.cont()
            assert (await store.beat("n1", b"")).rev == 0

    assert took_s < 0.6


async def test_a_replica_is_refused_as_read_only(own_redis: OwnRedis) -> None:
    with own_redis() as server:
        server.ask("REPLICAOF", "127.0.0.1", "1")
        async with opened(server.url) as store:
            with pytest.raises(StoreRefused) as caught:
                await store.apply(kill())

    assert "is read-only (a replica?)" in str(caught.value)
    assert "point store.url (FAILSOFT_REDIS_URL) at the primary" in str(caught.value)


async def test_a_wrong_password_is_refused_without_showing_it(
    own_redis: OwnRedis,
) -> None:
    with own_redis(("requirepass", "right")) as server:
        async with opened(server.url.replace("//", "//:wr0ng@")) as store:
            with pytest.raises(StoreRefused) as caught:
                await store.load()
        async with opened(server.url) as store:
            with pytest.raises(StoreRefused, match="refused the user or password"):
                await store.load()

    assert "refused the user or password" in str(caught.value)
    assert "wr0ng" not in str(caught.value)


async def test_a_full_server_is_refused_as_out_of_memory(own_redis: OwnRedis) -> None:
    with own_redis(("maxmemory", "1")) as server:
        async with opened(server.url) as store:
            with pytest.raises(StoreRefused, match="is out of memory"):
                await store.apply(kill())
            assert (await store.load()).rev == 0


async def test_a_full_server_still_takes_kills(own_redis: OwnRedis) -> None:
    ends = Change("kill", "x", "put", until="+60000", json=b"{}")
    with own_redis() as server:
        async with opened(server.url) as store:
            await store.apply(kill("first"))
            server.ask("CONFIG", "SET", "maxmemory", "1")

            answer = await store.apply(Call("k", "ana", "a test", (ends,)))
            beat = await store.beat("n1", b"beat")

    assert answer.revision == beat.rev == 2
    assert "is out of memory: sending a heartbeat" in beat.refused


async def test_a_restarted_server_needs_the_script_again(own_redis: OwnRedis) -> None:
    with own_redis(persist=True) as server:
        async with opened(server.url) as store:
            await store.apply(kill("a"))
            server.kill()
            server.start()
            answer = await store.apply(kill("b"))

    assert answer.revision == 2


async def test_the_store_works_over_a_unix_socket(redis_server: RedisServer) -> None:
    redis_server.ask("FLUSHALL")
    async with opened(redis_server.unix_url) as store:
        assert (await store.apply(kill())).revision == 1
        assert store.address == redis_server.unix_url


async def test_renewing_the_push_connection_frees_who_waits(redis_url: str) -> None:
    async with opened(redis_url) as store:
        waiting = asyncio.create_task(store.wait("0-0", 5.0))
        for _ in range(200):
            if "xread" in await clients(store):
                break
            await asyncio.sleep(0.005)

        await store.renew_push()

        with pytest.raises(StoreUnavailable):
            await asyncio.wait_for(waiting, 1.0)
        assert await store.wait("0-0", 0.01) == []


async def clients(store: RedisStore) -> str:
    return str(await store.server.ask("listing", "CLIENT LIST"))


@pytest.mark.parametrize(
    ("url", "shown"),
    [
        ("redis://ana:pw@host:6379/0", "redis://ana:***@host:6379/0"),
        ("redis://:pw@host/0", "redis://:***@host/0"),
        ("rediss://host:6380/1?password=pw", "rediss://host:6380/1"),
        ("unix:///run/redis.sock?db=1&password=pw", "unix:///run/redis.sock"),
        ("localhost:6379", "localhost:6379"),
    ],
)
def test_a_shown_url_has_no_password(url: str, shown: str) -> None:
    assert mask_url(url) == shown


@pytest.mark.parametrize(
    "url", ["redis://[::1/0", "redis://ana:s/3@h", "redis://ana:s#3@h", "ana:s3@h"]
)
def test_a_url_whose_password_cannot_be_told_apart_is_not_shown(url: str) -> None:
    with pytest.raises(DefinitionError, match="is not a Redis URL") as caught:
        open_store(url, "test")

    assert "not shown" in str(caught.value)
    assert "ana" not in str(caught.value)


@pytest.mark.parametrize("url", ["localhost:6379", "http://host/", "redis://h:port/0"])
def test_a_url_that_is_not_redis_is_told_at_once(url: str) -> None:
    with pytest.raises(DefinitionError, match="is not a Redis URL"):
        open_store(url, "test")


def test_without_a_url_the_store_is_this_process_and_says_so(
    caplog: pytest.LogCaptureFixture,
) -> None:
    caplog.set_level("INFO", "failsoft.store")

    assert isinstance(open_store(None, "test"), MemoryStore)

    assert "set FAILSOFT_REDIS_URL to share them" in caplog.text


@pytest.mark.parametrize("env", ["", "Shop", "-a", "a" * 64, "a_b", "a}b", "a\n"])
def test_an_environment_name_is_checked(env: str) -> None:
    with pytest.raises(DefinitionError, match="must be 1 to 63"):
        open_store(None, env)
    with pytest.raises(DefinitionError, match="must be 1 to 63"):
        open_store("redis://127.0.0.1:1", env)
