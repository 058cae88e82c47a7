"""What users of an API are told of it, and what a platform's probes are."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Awaitable, Callable
from typing import Any

import pytest
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import PlainTextResponse
from starlette.routing import Route

from asgi.controls import enter, kill, put
from asgi.drive import Answer, drive, get, http_scope
from asgi.eventually import eventually
from asgi.lifespan import started
from failsoft import Failsoft
from failsoft.controls.alarms import Alarm, Alarms
from failsoft.controls.records import ModeDoc

pytestmark = pytest.mark.anyio

Guard = Callable[..., Awaitable[Failsoft]]
PREFIX = "/_failsoft"


async def hello(_: Request) -> PlainTextResponse:
    return PlainTextResponse("hello")


def shop() -> Starlette:
    paths = ("/search", "/orders", "/orders/{id}")
    return Starlette(routes=[Route(path, hello) for path in paths])


COMPONENTS = {
    "search": {"name": "Search", "routes": ["GET /search*"]},
    "orders": {"name": "Orders & <pay>", "routes": ["* /orders*"]},
    "internal": {"routes": ["* *"], "public": False},
}
MODES = {
    "stale-search": {
        "title": "Search results may be <5 minutes> old",
        "severity": "minor",
        "routes": ["GET /search*"],
        "actions": [{"banner": "old"}],
    },
    "secret-orders": {
        "title": "Fraud wave from mallory",
        "severity": "major",
        "routes": ["* /orders*"],
        "actions": [{"banner": "x"}],
        "public": False,
    },
}


async def ask(app: Any, path: str = "status", **headers: str) -> Answer:
    sent = [(k.replace("_", "-").encode(), v.encode()) for k, v in headers.items()]
    sent.append((b"host", b"test"))
    return await drive(app, http_scope("GET", f"{PREFIX}/{path}", headers=sent))


def states(answer: Answer) -> dict[str, str]:
    return {one["id"]: one["status"] for one in answer.json["components"]}


async def test_a_healthy_api_says_so_to_anybody(guard: Guard) -> None:
    app = await guard(shop(), env="shop-prod")

    answer = await ask(app)

    assert answer.status == 200
    assert answer.headers["cache-control"] == "public, max-age=10, stale-if-error=60"
    assert answer.headers["access-control-allow-origin"] == "*"
    assert answer.json["schema"] == 1
    assert answer.json["page"]["name"] == "shop-prod"
    assert re.fullmatch(r"[\d-]{10}T[\d:]{8}Z", answer.json["page"]["updated_at"])
    assert answer.json["status"]["indicator"] == "none"
    assert states(answer) == {"api": "operational"}
    assert answer.json["control"]["state"] == "local"


async def test_a_mode_degrades_the_components_that_it_reaches(guard: Guard) -> None:
    app = await guard(shop(), component=COMPONENTS, mode=MODES)
    await enter(app, "stale-search")

    told = (await ask(app)).json

    search, orders = told["components"]
    assert (search["status"], search["modes"]) == (
        "degraded_performance",
        ["stale-search"],
    )
    assert orders["status"] == "operational"
    assert told["status"] == {
        "indicator": "minor",
        "description": "Search results may be <5 minutes> old",
    }
    (mode,) = told["modes"]
    assert (mode["id"], mode["severity"]) == ("stale-search", "minor")
    assert mode["components"] == ["search"]
    assert mode["since"] == search["since"]


async def test_a_mode_that_gave_every_request_back_is_told_no_more(
    guard: Guard,
) -> None:
    app = await guard(shop(), component=COMPONENTS, mode=MODES)
    await put(app, "mode", "stale-search", ModeDoc("", "", via="auto", share=0.0))

    told = (await ask(app)).json

    assert told["status"]["indicator"] == "none"
    assert told["modes"] == []


async def test_what_is_not_public_counts_but_is_never_named(guard: Guard) -> None:
    app = await guard(shop(), component=COMPONENTS, mode=MODES)
    doc = ModeDoc("mallory@host", "INC-9 fraud", trigger="breaker payments")
    await put(app, "mode", "secret-orders", doc)

    json, page = await ask(app), await ask(app, "status.html")

    assert states(json) == {"search": "operational", "orders": "partial_outage"}
    assert json.json["modes"] == []
    for secret in (b"secret", b"mallory", b"INC-9", b"Fraud", b"payments", b"internal"):
        assert secret not in json.body + page.body


async def test_an_end_is_told_and_a_kill_of_all_routes_is_an_outage(
    guard: Guard,
) -> None:
    app = await guard(shop(), component=COMPONENTS, mode=MODES)
    await put(app, "mode", "stale-search", ModeDoc("ana", "x"), until="+60000")
    await kill(app, "route:GET /orders")
    one_of_two = states(await ask(app))["orders"]
    await kill(app, "route:GET /orders/*")

    told = await ask(app)

    assert one_of_two == "operational"
    assert states(told)["orders"] == "major_outage"
    assert told.json["status"]["indicator"] == "critical"
    assert told.json["modes"][0]["until"] > told.json["modes"][0]["since"]


async def test_without_components_the_whole_api_is_one(guard: Guard) -> None:
    app = await guard(Starlette(routes=[Route("/search", hello)]))
    await kill(app, "route:GET /search")

    assert states(await ask(app)) == {"api": "major_outage"}


async def test_maintenance_of_everything_is_an_outage(guard: Guard) -> None:
    app = await guard(shop())
    await enter(app, "fs.maintenance")

    told = await ask(app)
    page = await get(app, "/search")

    assert states(told) == {"api": "major_outage"}
    assert told.status == 200
    assert page.status == 503


async def test_alarms_count_by_what_they_say(guard: Guard) -> None:
    app = await guard(shop(), component=COMPONENTS)
    now_ms = int(app.runtime.now_ms())
    pages = Alarm("search", ("GET /search*",), pages=True, since_ms=now_ms)
    fails = Alarm("orders", ("* /orders*",), is_failing=True, since_ms=now_ms)
    app.runtime.alarms = Alarms(now_ms, (pages, fails))

    told = await ask(app)

    assert states(told) == {
        "search": "degraded_performance",
        "orders": "partial_outage",
    }


async def test_old_observations_are_told_as_unknown_never_as_fine(
    guard: Guard,
) -> None:
    app = await guard(shop(), component=COMPONENTS, mode=MODES)
    app.runtime.alarms = Alarms(int(app.runtime.now_ms()) - 61_000)
    await enter(app, "stale-search")

    told = await ask(app)

    assert states(told) == {"search": "degraded_performance", "orders": "unknown"}
    assert told.json["status"]["indicator"] == "minor"


async def test_who_never_reached_its_store_knows_nothing() -> None:
    app = Failsoft(shop(), redis_url="redis://127.0.0.1:1/0")

    told = (await ask(app)).json

    assert told["control"]["state"] == "cold"
    assert told["components"][0]["status"] == "unknown"
    assert told["status"]["indicator"] == "minor"
    await app.runtime.stop()


async def test_an_unchanged_status_is_not_sent_again(guard: Guard) -> None:
    app = await guard(shop(), mode=MODES)
    tag = (await ask(app)).headers["etag"]

    same = await ask(app, if_none_match=f'"other", {tag}')
    await enter(app, "stale-search")
    changed = await ask(app, if_none_match=tag)

    assert (same.status, same.body, same.headers["etag"]) == (304, b"", tag)
    assert changed.status == 200


async def test_the_page_says_the_same_without_a_script(guard: Guard) -> None:
    app = await guard(shop(), component=COMPONENTS, mode=MODES)
    await enter(app, "stale-search")

    page = await ask(app, "status.html")
    html = page.body.decode()

    csp = page.headers["content-security-policy"]
    assert csp.startswith("default-src 'none'; style-src 'unsafe-inline'")
    assert "Orders &amp; &lt;pay&gt;" in html
    assert "Search results may be &lt;5 minutes&gt; old" in html
    assert ("Degraded" in html, "Operational" in html) == (True, True)
    assert 'http-equiv="refresh" content="30"' in html
    assert "<script" not in html


async def test_own_answers_are_no_traffic_and_cannot_be_refused(guard: Guard) -> None:
    app = await guard(shop())
    await kill(app, "route:* *")

    told = await ask(app)
    window = app.runtime.window

    assert told.status == 200
    assert not [key for key in window.cells if PREFIX in key]
    assert (await get(app, "/search")).status == 503


async def test_each_can_be_moved_and_switched_off(guard: Guard) -> None:
    names = ("status", "status_html", "live", "ready")
    off = await guard(shop(), endpoints=dict.fromkeys(names, False))
    moved = await guard(shop(), endpoints={"prefix": "/ops"})

    silent = [(await ask(off, name.replace("_", "."))).status for name in names]

    assert silent == [404] * 4
    assert (await get(moved, "/ops/status")).status == 200
    assert (await get(moved, "/ops/ready")).status == 200


# --- probes ------------------------------------------------------------------


async def test_a_node_is_ready_between_its_start_and_its_end() -> None:
    said = asyncio.Event()

    async def app(scope: Any, receive: Any, send: Any) -> None:
        await receive()
        await said.wait()
        await send({"type": "lifespan.startup.complete"})
        await receive()
        stopping.append((await ask(guarded, "ready")).json)
        await send({"type": "lifespan.shutdown.complete"})

    stopping: list[Any] = []
    guarded = Failsoft(app)
    async with asyncio.TaskGroup() as group:
        serving = group.create_task(_serve(guarded))
        await asyncio.sleep(0)
        early = await ask(guarded, "ready")
        alive = await ask(guarded, "live")
        said.set()
        await serving

    assert (early.status, early.json["reason"]) == (503, "starting")
    assert (alive.status, alive.json["status"]) == (200, "ok")
    assert stopping[0]["reason"] == "stopping"


async def _serve(guarded: Failsoft) -> None:
    async with started(guarded):
        answer = await ask(guarded, "ready")
        assert (answer.status, answer.headers["cache-control"]) == (200, "no-store")


async def test_without_a_lifespan_a_node_is_ready_at_once() -> None:
    guarded = Failsoft(shop())

    answer = await ask(guarded, "ready")

    assert (answer.status, answer.json["control"]["state"]) == (200, "local")
    await guarded.runtime.stop()


async def test_a_lost_store_takes_no_node_from_the_balancer() -> None:
    app = Failsoft(shop(), redis_url="redis://127.0.0.1:1/0")

    answer = await ask(app, "ready")
    await eventually(lambda: app.runtime.is_up)

    assert (answer.status, answer.json["control"]["state"]) == (200, "cold")
    await app.runtime.stop()
