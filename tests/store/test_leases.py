"""Leased tokens and exact counts on real servers, and with a node's rights."""

from __future__ import annotations

import shlex
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractContextManager

import pytest

from conftest import flush
from failsoft.errors import StoreUnavailable
from failsoft.store.redis.acl import acl_line
from failsoft.store.redis.limits import RedisLimits
from failsoft.testing import RedisServer

pytestmark = pytest.mark.anyio

SLOW = (0.001, 1000)  # a rate at which nothing is added while a test runs


@pytest.fixture(params=["redis_server", "redis_cluster"])
async def limits(
    request: pytest.FixtureRequest, anyio_backend: str
) -> AsyncIterator[RedisLimits]:
    server: RedisServer = request.getfixturevalue(request.param)
    flush(server.url)
    opened = RedisLimits(server.url, "test")
    yield opened
    await opened.aclose()


async def test_a_bucket_gives_what_it_has_and_then_tells_how_long_to_wait(
    limits: RedisLimits,
) -> None:
    first = await limits.lease("api:k", *SLOW, want=900)
    second = await limits.lease("api:k", *SLOW, want=900)

    assert first == (900, 0, 100)
    assert second[0] == 100
    assert 990_000 <= second[1] <= 1_000_000


async def test_tokens_that_come_back_are_there_for_others(limits: RedisLimits) -> None:
    await limits.lease("api:k", *SLOW, want=1000)

    assert (await limits.lease("api:k", *SLOW, back=300))[2] == 300
    assert (await limits.lease("api:k", *SLOW, back=9_999))[2] == 1000


async def test_what_was_let_pass_without_the_store_is_paid_back(
    limits: RedisLimits,
) -> None:
    granted, wait_ms, left = await limits.lease("api:k", *SLOW, want=10, back=-1_200)

    assert (granted, left) == (0, -200)
    assert 200_000_000 <= wait_ms <= 202_000_000


async def test_a_bucket_in_use_fills_up_to_four_fifths(limits: RedisLimits) -> None:
    await limits.lease("api:k", *SLOW, want=1000)

    assert (await limits.lease("api:k", 1e9, 1000, want=0))[2] == 800


async def test_an_exact_count_refuses_what_is_over_and_does_not_count_it(
    limits: RedisLimits,
) -> None:
    said = [await limits.hit("api", "k", (3, 60), 1) for _ in range(5)]
    remaining, reset_s = await limits.window("api", "k", (3, 60))

    assert said == [True, True, True, False, False]
    assert remaining == 0
    assert 50 < reset_s <= 60
    assert await limits.hit("api", "k", (4, 60), 1)  # a raised limit goes on


async def test_what_is_dearer_than_the_whole_limit_takes_all_of_it(
    limits: RedisLimits,
) -> None:
    assert await limits.hit("api", "k", (3, 60), 50)
    assert await limits.window("api", "other", (3, 60)) == (3, 0.0)


async def test_a_node_has_the_rights_that_limits_need(
    own_redis: Callable[[], AbstractContextManager[RedisServer]],
) -> None:
    with own_redis() as server:
        words = shlex.split(
            acl_line("app", "shop", "app").replace("PASSWORD", "secret")
        )
        assert server.ask(*words) == "OK"
        url = server.url.replace("redis://", "redis://app:secret@")
        limits = RedisLimits(url, "shop")

        assert (await limits.lease("api:k", *SLOW, want=1))[0] == 1
        assert await limits.hit("api", "k", (3, 60), 1)
        assert (await limits.window("api", "k", (3, 60)))[0] == 2

        server.stop()
        with pytest.raises(StoreUnavailable, match="leasing tokens"):
            await limits.lease("api:k", *SLOW, want=1)
        server.cont()
        await limits.aclose()
