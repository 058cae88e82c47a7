"""Limits of clients, through the whole middleware."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator
from typing import Any

import pytest
from fastapi import FastAPI
from starlette.applications import Starlette
from starlette.responses import PlainTextResponse
from starlette.routing import Route, WebSocketRoute
from starlette.websockets import WebSocket

import failsoft
from asgi.conftest import Guard
from asgi.controls import enter
from asgi.drive import Answer, drive, http_scope
from failsoft import Failsoft
from failsoft.errors import DefinitionError
from failsoft.resilience._limits import RateLimits
from failsoft.versions import Contract, Version, gone

pytestmark = pytest.mark.anyio


async def _ok(_request: Any) -> PlainTextResponse:
    return PlainTextResponse("ok")


def shop() -> Starlette:
    return Starlette(routes=[Route("/a", _ok), Route("/b", _ok)])


async def get(app: Any, path: str = "/a", **headers: str) -> Answer:
    pairs = [(name.encode(), value.encode()) for name, value in headers.items()]
    return await drive(app, http_scope("GET", path, headers=pairs))


async def statuses(app: Any, count: int, path: str = "/a", **headers: str) -> list[int]:
    return [(await get(app, path, **headers)).status for _ in range(count)]


async def test_a_client_over_its_rate_is_told_when_to_come_back(guard: Guard) -> None:
    app = await guard(shop(), routes={"GET /a": {"rate_limit": "2/minute"}})

    first = await get(app)
    await get(app)
    over = await get(app)

    assert first.headers["ratelimit-policy"] == '"GET /a";q=2;w=60'
    assert first.headers["ratelimit"] == '"GET /a";r=1;t=30'
    assert over.status == 429
    assert over.headers["ratelimit"] == '"GET /a";r=0;t=30'
    assert 30 <= int(over.headers["retry-after"]) <= 39
    assert over.headers["cache-control"] == "no-store"
    assert over.json["violated-policies"] == ["GET /a"]
    assert len(over.json["trace_id"]) == 32
    assert "ratelimit-policy" not in (await get(app, "/b")).headers


async def test_routes_share_a_limit_by_its_name_and_have_one_each_by_a_rate(
    guard: Guard,
) -> None:
    both = {"GET /a": {"rate_limit": "api"}, "GET /b": {"rate_limit": "api"}}
    shared = await guard(shop(), rate_limit={"api": {"rate": "3/hour"}}, routes=both)
    alone = await guard(shop(), defaults={"rate_limit": "2/hour"})

    assert await statuses(shared, 2) + await statuses(shared, 2, "/b") == [
        *(200, 200),
        *(200, 429),
    ]
    assert await statuses(alone, 3) == [200, 200, 429]
    assert await statuses(alone, 3, "/b") == [200, 200, 429]


async def test_consumers_have_a_rate_each_and_the_exempt_none(guard: Guard) -> None:
    limit = {"rate": "1/hour", "key": "header:x-team", "exempt": ["staff"]}
    routes = {"GET /a": {"rate_limit": "api"}}
    app = await guard(shop(), rate_limit={"api": limit}, routes=routes)

    assert await statuses(app, 2, **{"x-team": "blue"}) == [200, 429]
    assert await statuses(app, 2, **{"x-team": "red"}) == [200, 429]
    assert await statuses(app, 3, **{"x-team": "staff"}) == [200, 200, 200]


@pytest.mark.parametrize("what", ["rate_limit_key", "rate_limit_cost"])
def test_functions_of_a_limit_cannot_wait(what: str) -> None:
    async def read(_scope: Any) -> Any:
        return "1"

    said: Any = {"rate_limit": "1/hour", what: read}
    with pytest.raises(ValueError, match=f"{what} .* is an async function"):
        failsoft.route(**said)


async def test_dear_requests_cost_more_and_a_refused_one_nothing(guard: Guard) -> None:
    def cost(scope: Any) -> int:
        return 8 if scope["query_string"] else 1

    routes = {"GET /a": {"rate_limit": "10/hour;50/day", "rate_limit_cost": cost}}
    app = await guard(shop(), routes=routes)

    dear = http_scope("GET", "/a", query_string=b"all")
    assert (await drive(app, {**dear})).status == 200
    assert (await drive(app, {**dear})).status == 429
    assert await statuses(app, 3) == [200, 200, 429]


async def test_a_key_that_cannot_be_told_lets_the_request_pass(guard: Guard) -> None:
    def broken(scope: Any) -> str:
        raise KeyError("user")

    routes = {"GET /a": {"rate_limit": "1/hour", "rate_limit_key": broken}}
    app = await guard(shop(), routes=routes)

    assert await statuses(app, 3) == [200, 200, 200]
    assert "KeyError" in app.runtime.own_error


async def test_a_limit_that_nobody_declares_stops_the_start() -> None:
    @failsoft.route(rate_limit="serch")
    async def found(_request: Any) -> PlainTextResponse:
        return PlainTextResponse("ok")

    inner = Starlette(routes=[Route("/a", found)])
    app = Failsoft(inner, rate_limit={"search": {"rate": "1/hour"}})

    raised = (await get(app)).raised

    assert isinstance(raised, DefinitionError)
    assert "rate_limit = 'serch' is not declared; did you mean search?" in str(raised)


async def test_old_clients_are_counted_once_like_all_others(guard: Guard) -> None:
    first, newest = Version("2025-01-15"), Version("2025-06-01", gone("GET /legacy"))
    inner = FastAPI()
    inner.get("/a")(lambda: {"id": 1})
    inner.get("/legacy")(lambda: "old")
    routes = {"GET /a": {"rate_limit": "2/hour", "concurrency_limit": 5}}
    app = await guard(inner, contract=Contract([first, newest]), routes=routes)
    await get(app, "/nothing")

    old = {"x-api-version": "2025-01-15"}
    answer = await get(app, **old)

    names = [name for name, _ in answer.messages[0]["headers"]]
    assert names.count(b"ratelimit-policy") == names.count(b"ratelimit") == 1
    assert await statuses(app, 2, **old) == [200, 429]


async def test_a_handshake_over_the_rate_is_denied(guard: Guard) -> None:
    async def hello(socket: WebSocket) -> None:
        await socket.accept()
        await socket.close()

    inner = Starlette(routes=[WebSocketRoute("/ws", hello)])
    app = await guard(inner, routes={"WS /ws": {"rate_limit": "1/hour"}})
    scope = http_scope("GET", "/ws") | {"type": "websocket", "subprotocols": []}
    scope |= {"extensions": {"websocket.http.response": {}}}

    answers = [
        await drive(app, {**scope}, [{"type": "websocket.connect"}]) for _ in range(2)
    ]

    assert answers[0].messages[0]["type"] == "websocket.accept"
    assert answers[1].status == 429
    assert answers[1].headers["ratelimit"] == '"WS /ws";r=0;t=3600'


async def test_a_mode_turns_rates_down_for_as_long_as_it_holds(guard: Guard) -> None:
    app = await guard(shop(), routes={"GET /a": {"rate_limit": "10/hour"}})

    await enter(app, "fs.rate-limits", scale=0.2)
    said = await statuses(app, 3)
    policy = (await get(app)).headers["ratelimit-policy"]

    assert (said, policy) == ([200, 200, 429], '"GET /a";q=2;w=3600')


# --- shared ---------------------------------------------------------------------

FAST = {"rate": "600/second", "key": "route"}
ROUTES = {"GET /a": {"rate_limit": "fast"}, "GET /b": {"rate_limit": "3/minute"}}


@pytest.fixture
async def nodes(redis_url: str) -> AsyncIterator[list[Failsoft]]:
    """Two nodes that share a store."""
    apps = [
        Failsoft(shop(), redis_url=redis_url, rate_limit={"fast": FAST}, routes=ROUTES)
        for _ in range(2)
    ]
    for app in apps:
        await app.runtime.ensure()
    yield apps
    for app in apps:
        await app.runtime.stop()


async def test_an_exact_limit_holds_over_nodes_and_refuses_from_memory(
    nodes: list[Failsoft],
) -> None:
    one, other = nodes

    said = [*await statuses(one, 2, "/b"), *await statuses(other, 2, "/b")]
    trips = _trips(other, "GET /b")
    again = await get(other, "/b")

    assert said == [200, 200, 200, 429]
    assert (again.status, _trips(other, "GET /b")) == (429, trips)
    assert again.headers["ratelimit"].startswith('"GET /b";r=0;t=')
    assert 1 <= int(again.headers["retry-after"]) <= 78


async def test_an_exact_limit_tells_what_remains_for_a_second_trip(
    redis_url: str,
) -> None:
    limit = {"rate": "3/minute", "key": "route", "headers": "full"}
    routes = {"GET /a": {"rate_limit": "api"}}
    app = Failsoft(
        shop(), redis_url=redis_url, rate_limit={"api": limit}, routes=routes
    )

    answers = [await get(app) for _ in range(2)]
    await app.runtime.stop()

    said = [answer.headers["ratelimit"].split(";t=")[0] for answer in answers]
    assert said == ['"api";r=2', '"api";r=1']
    assert _trips(app, "api") == 4


async def test_a_leased_limit_holds_over_nodes_for_few_trips(
    nodes: list[Failsoft],
) -> None:
    began = time.monotonic()

    said = await asyncio.gather(*(statuses(app, 900) for app in nodes))

    most = 600 + 600 * (time.monotonic() - began)
    count = sum(one.count(200) for one in said)
    assert 600 <= count <= most
    assert {status for one in said for status in one} <= {200, 429}
    assert sum(_trips(app, "fast") for app in nodes) < 0.1 * 1800


async def test_what_a_node_did_not_use_goes_back_when_it_stops(
    nodes: list[Failsoft], redis_url: str
) -> None:
    one, other = nodes
    await asyncio.gather(*(get(one) for _ in range(60)))  # so many wait for a refill

    await one.runtime.stop()
    answer = await get(other)

    left = int(answer.headers["ratelimit"].split("r=")[1].split(";")[0])
    assert left >= 600 - 61


def _trips(app: Failsoft, name: str) -> int:
    limits = app.runtime.inbound.limits
    assert isinstance(limits, RateLimits)
    return sum(row.trips for row in limits.rows() if row.name == name)


# --- without the store ------------------------------------------------------------


@pytest.mark.parametrize(
    ("policy", "expected"),
    [
        ("local", [200, 200, 200, 429, 429]),
        ("open", [200] * 5),
        ("closed", [503] * 5),
    ],
)
async def test_without_the_store_a_limit_does_as_it_says(
    policy: str, expected: list[int]
) -> None:
    limit = {"rate": "3/hour", "key": "route", "on_store_error": policy}
    app = Failsoft(
        shop(),
        store={"limits_url": "redis://127.0.0.1:1/0"},
        rate_limit={"api": limit},
        routes={"GET /a": {"rate_limit": "api"}},
    )
    await app.runtime.ensure()

    said = await statuses(app, 5)
    last = await get(app)
    await app.runtime.stop()

    assert said == expected
    if policy == "closed":
        assert last.json["type"] == "urn:failsoft:problem:limit-unavailable"
        assert last.headers["retry-after"] == "5"
