"""What requests that ask for flags cost Redis: nothing, by its own count."""

from __future__ import annotations

from collections import Counter

import pytest
from openfeature import api
from redis import Redis
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse
from starlette.routing import Route

from asgi.controls import kill
from asgi.drive import get
from failsoft import Failsoft, current, flag
from failsoft.openfeature import FailsoftProvider
from provider.world import put_flags

pytestmark = pytest.mark.anyio

REQUESTS = 200
PLAIN = {"state": "ENABLED", "variants": {"on": True, "off": False}}
HALF = {"fractional": [["on", 50], ["off", 50]]}
FLAGS = {
    "plain": {**PLAIN, "defaultVariant": "on"},
    "half": {**PLAIN, "targeting": {"if": [{"==": [{"var": "at"}, "x"]}, HALF]}},
    "needs": {**PLAIN, "targeting": {"if": [{"$flag": ["plain", "on"]}, "on"]}},
    "killed": {**PLAIN, "defaultVariant": "on"},
}


async def ask(request: Request) -> JSONResponse:
    exchange = current()
    assert exchange is not None
    exchange.targeting_key = request.query_params["user"]
    exchange.context["at"] = "x"
    found = {key: flag(key, False) for key in (*FLAGS, "nobody")}
    found["client"] = api.get_client().get_boolean_value("plain", False)
    return JSONResponse(found)


def calls(redis: Redis) -> Counter[str]:
    """Commands that the server has carried out, but for this question."""
    found: dict[str, dict[str, int]] = redis.info("commandstats")
    return Counter({n: s["calls"] for n, s in found.items() if n != "cmdstat_info"})


async def test_requests_that_ask_flags_send_no_redis_command(redis_url: str) -> None:
    app = Starlette(routes=[Route("/", ask)])
    # The node's own beat is rare here, so that windows without it are many.
    rare = {"url": redis_url, "beat": "2s", "block": "60s", "stale_after": "10s"}
    guarded = Failsoft(app, store=rare)
    await guarded.runtime.ensure()
    await put_flags(guarded, FLAGS)
    await kill(guarded, "flag:killed")
    api.set_provider_and_wait(FailsoftProvider())
    windows: list[Counter[str]] = []
    answers = set()

    with Redis.from_url(redis_url) as redis:
        calls(redis)
        while len(windows) < 30 and Counter() not in windows:
            before = calls(redis)
            for n in range(REQUESTS):
                answer = await get(guarded, "/", query_string=b"user=u-%d" % n)
                answers.add(answer.body)
            windows.append(calls(redis) - before)
    api.shutdown()
    await guarded.runtime.stop()

    assert windows[-1] == Counter()
    told = b'{"plain":true,"half":%b,"needs":true,"killed":false,'
    told += b'"nobody":false,"client":true}'
    assert answers == {told % b"true", told % b"false"}
