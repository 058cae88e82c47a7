"""Limits while their store is away: nobody waits for it twice, nothing breaks."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from contextlib import AbstractContextManager
from types import SimpleNamespace
from typing import Any
from weakref import WeakSet

import pytest
from starlette.applications import Starlette
from starlette.responses import PlainTextResponse
from starlette.routing import Route

from asgi.drive import drive, http_scope
from asgi.eventually import eventually
from failsoft import Failsoft
from failsoft.resilience._lease import Lease, Quota
from failsoft.resilience._limits import RateLimits
from failsoft.resilience._rate_limit import Limiter
from failsoft.resilience._refill import Refiller
from failsoft.settings import RateLimitSettings
from failsoft.testing import RedisServer

pytestmark = pytest.mark.anyio

OwnRedis = Callable[[], AbstractContextManager[RedisServer]]
ROUTES = {
    "GET /often": {"rate_limit": "1000/second", "rate_limit_key": "route"},
    "GET /exact": {"rate_limit": "10000/hour", "rate_limit_key": "route"},
}


async def _ok(_request: Any) -> PlainTextResponse:
    return PlainTextResponse("ok")


def limits_of(app: Failsoft) -> RateLimits:
    limits = app.runtime.inbound.limits
    assert isinstance(limits, RateLimits)
    return limits


async def ask(app: Failsoft, count: int = 20) -> set[int]:
    paths = ["/often", "/exact"] * (count // 2)
    answers = [await drive(app, http_scope("GET", path)) for path in paths]
    return {answer.status for answer in answers}


def trips(app: Failsoft) -> int:
    return sum(row.trips for row in limits_of(app).rows())


async def test_without_the_store_requests_go_on_and_ask_it_no_more(
    own_redis: OwnRedis,
) -> None:
    with own_redis() as server:
        routes = [Route("/often", _ok), Route("/exact", _ok)]
        app = Failsoft(Starlette(routes=routes), redis_url=server.url, routes=ROUTES)
        assert await ask(app) == {200}
        refiller = limits_of(app).refiller
        assert refiller is not None
        store = refiller.store.server

        server.stop()
        assert await ask(app) == {200}
        assert refiller.link.is_lost
        before = trips(app)
        assert await ask(app, 200) == {200}
        assert trips(app) == before
        assert store.shown in limits_of(app).rows()[0].fault

        server.cont()
        await eventually(lambda: not refiller.link.is_lost, within_s=8)
        assert await ask(app) == {200}
        assert trips(app) > before
        await app.runtime.stop()


async def test_an_emptied_store_costs_nobody_anything(own_redis: OwnRedis) -> None:
    with own_redis() as server:
        routes = [Route("/often", _ok), Route("/exact", _ok)]
        app = Failsoft(Starlette(routes=routes), redis_url=server.url, routes=ROUTES)
        assert await ask(app) == {200}

        server.ask("FLUSHALL")
        server.ask("SCRIPT", "FLUSH")

        assert await ask(app, 100) == {200}
        assert app.runtime.own_errors == 0
        await app.runtime.stop()


async def test_a_flood_of_keys_leaves_nothing_behind(own_redis: OwnRedis) -> None:
    with own_redis() as server:
        now = 0.0
        loop = asyncio.get_running_loop()
        peers: Any = SimpleNamespace(live_nodes=_one_node)
        where: Any = server.url, "flood", peers, loop
        refiller = Refiller(*where, now=lambda: now, failed=_never)
        quota = Quota("often", 1000, 1, 1000, "leased", 1000.0)
        limiter = Limiter("often", RateLimitSettings(), (quota,), 10)
        seen: WeakSet[_Watched] = WeakSet()

        for start in range(0, 2_000, 50):
            names = [f"often:{start + n}" for n in range(50)]
            leases = [_Watched(now, name, quota) for name in names]
            seen.update(leases)
            asked = [refiller.ask(limiter, lease, quota, 1) for lease in leases]
            await asyncio.gather(*asked)
        del leases, asked
        now = 1.5

        # By 200 a tick it would take them 2.5 s.
        await eventually(lambda: not seen, within_s=1.5)
        await refiller.end()


class _Watched(Lease):
    """Without slots, so that weak references to it are possible."""


async def _one_node() -> int:
    return 1


def _never(what: str, error: BaseException) -> None:
    raise AssertionError(what) from error


async def test_a_copy_of_the_process_spends_none_of_its_tokens(
    own_redis: OwnRedis,
) -> None:
    with own_redis() as server:
        routes = [Route("/often", _ok), Route("/exact", _ok)]
        app = Failsoft(Starlette(routes=routes), redis_url=server.url, routes=ROUTES)
        requests = [drive(app, http_scope("GET", "/often")) for _ in range(40)]
        await asyncio.gather(*requests)
        limits = limits_of(app)
        refiller = limits.refiller
        assert refiller is not None

        limits.forget()

        assert limits.refiller is None
        assert not any(one.keys for one in limits._limiters.values())
        await asyncio.wait({refiller._task}, timeout=2)
        await app.runtime.stop()
