"""A versioned FastAPI application: what clients of each version send and get."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any

import pytest
from fastapi import FastAPI, Request, Response
from fastapi.middleware.cors import CORSMiddleware
from fastapi.responses import StreamingResponse
from pydantic import BaseModel

import failsoft
from asgi.controls import kill, put
from asgi.drive import drive as drive_raw
from asgi.drive import get, http_scope, post
from failsoft import Failsoft
from failsoft.controls.records import BrownoutDoc, PinDoc
from failsoft.versions import (
    Contract,
    PathPrefix,
    Version,
    add,
    change,
    gone,
    rename,
)
from flagdoc import FlagDoc

pytestmark = pytest.mark.anyio

Serve = Callable[..., Awaitable[Failsoft]]

OLD, NEW = "2025-01-15", "2025-06-01"


class Order(BaseModel):
    id: int
    customer_email: str
    currency: str


def shop() -> FastAPI:
    api = FastAPI()
    api.add_middleware(CORSMiddleware, allow_origins=["*"], expose_headers=["X-Total"])

    @api.api_route("/orders/{id}", methods=["GET", "HEAD"])
    def order(id: int, response: Response) -> Order:
        response.headers["etag"] = '"o1"'
        return Order(id=id, customer_email="a@b", currency="EUR")

    @api.delete("/orders/{id}")
    def cancel(id: int, request: Request) -> Response:
        found = request.headers.get("if-match", "")
        return Response(status_code=204, headers={"if-match": found})

    @api.post("/orders")
    def create(order: Order) -> Order:
        return order

    @api.get("/version")
    def version() -> dict[str, Any]:
        exchange = failsoft.current()
        assert exchange is not None
        is_old = failsoft.flag("is-old", default=False)
        return {"version": exchange.version, "is_old": is_old}

    @api.get("/legacy")
    def legacy() -> str:
        return "old"

    @api.get("/stream")
    def stream() -> StreamingResponse:
        async def parts() -> AsyncIterator[str]:
            yield "a"
            await asyncio.sleep(0)
            yield "b"

        return StreamingResponse(parts(), media_type="text/event-stream")

    @api.websocket("/ws")
    async def ws(socket: Any) -> None:
        await socket.accept()

    return api


def contract(**options: Any) -> Contract:
    newest = Version(
        NEW,
        rename("Order.email", to="customer_email"),
        add("Order.currency", default="EUR"),
        gone("GET /legacy"),
    )
    return Contract([Version(OLD), newest], **options)


def speaking(version: str, *more: tuple[bytes, bytes]) -> dict[str, Any]:
    headers = [(b"host", b"test"), (b"x-api-version", version.encode()), *more]
    return {"headers": [*headers, (b"content-type", b"application/json")]}


@pytest.fixture
async def serve(monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Serve]:
    """Wrap the shop under a contract; its first request starts the runtime."""
    for name in ("FAILSOFT_REDIS_URL", "FAILSOFT_ENV", "FAILSOFT_CONFIG"):
        monkeypatch.delenv(name, raising=False)
    started: list[Failsoft] = []

    async def wrap(made: Contract | None = None, **options: Any) -> Failsoft:
        guarded = Failsoft(shop(), contract=made or contract(), **options)
        started.append(guarded)
        await get(guarded, "/nothing")
        return guarded

    yield wrap
    for guarded in started:
        await guarded.runtime.stop()


async def test_each_client_gets_and_sends_the_shape_of_its_version(
    serve: Serve,
) -> None:
    guarded = await serve()

    old = await get(guarded, "/orders/7", **speaking(OLD))
    new = await get(guarded, "/orders/7", **speaking(NEW))
    body = json.dumps({"id": 8, "email": "c@d"}).encode()
    sent = await post(guarded, "/orders", body, **speaking(OLD))

    assert old.json == {"id": 7, "email": "a@b"}
    assert new.json == {"id": 7, "customer_email": "a@b", "currency": "EUR"}
    assert sent.json == {"id": 8, "email": "c@d"}
    assert old.headers["x-api-version"] == OLD
    assert new.headers["vary"] == "Origin, X-API-Version"


async def test_handlers_read_the_version_of_their_request(serve: Serve) -> None:
    guarded = await serve()

    answers = [await get(guarded, "/version", **speaking(v)) for v in (OLD, NEW)]

    assert [answer.json["version"] for answer in answers] == [OLD, NEW]


async def test_rules_of_flags_read_version_and_caller(serve: Serve) -> None:
    guarded = await serve()
    both = [
        {"==": [{"var": "failsoft.version"}, OLD]},
        {"==": [{"var": "failsoft.consumer"}, "(anonymous)"]},
    ]
    variants = {"on": True, "off": False}
    doc = FlagDoc("ENABLED", variants, "off", {"if": [{"and": both}, "on", "off"]})
    await put(guarded, "flag", "is-old", doc)

    answers = [await get(guarded, "/version", **speaking(v)) for v in (OLD, NEW)]

    assert [answer.json["is_old"] for answer in answers] == [True, False]


async def test_a_422_speaks_of_the_fields_the_client_sent(serve: Serve) -> None:
    guarded = await serve()

    answer = await post(guarded, "/orders", b'{"id": 1, "email": 5}', **speaking(OLD))

    assert answer.status == 422
    assert [error["loc"] for error in answer.json["detail"]] == [["body", "email"]]
    assert answer.headers["x-api-version"] == OLD


async def test_entity_tags_tell_versions_apart_and_come_back(serve: Serve) -> None:
    guarded = await serve()
    old = await get(guarded, "/orders/7", **speaking(OLD))
    new = await get(guarded, "/orders/7", **speaking(NEW))

    seen: list[bytes] = []

    async def spy(scope: Any, receive: Any, send: Any) -> None:
        seen.extend(v for k, v in scope["headers"] if k == b"if-none-match")
        start = {"type": "http.response.start", "status": 304}
        await send({**start, "headers": [(b"etag", b'"o1"')]})
        await send({"type": "http.response.body"})

    guarded.app = spy
    tag = old.headers["etag"]
    asked = speaking(OLD, (b"if-none-match", tag.encode()))
    again = await get(guarded, "/orders/7", **asked)
    head = await drive_raw(guarded, http_scope("HEAD", "/orders/7", **speaking(OLD)))

    assert new.headers["etag"] == '"o1"'
    assert tag.startswith('"o1-fs.')
    assert len(tag) == len('"o1-fs.12345678"')
    assert seen == [b'"o1"']
    assert (again.headers["etag"], head.headers["etag"]) == (tag, tag)


async def test_a_tag_comes_back_on_a_route_whose_answers_are_alike(
    serve: Serve,
) -> None:
    """Else every conditional DELETE of an old client is a 412."""
    guarded = await serve()
    tag = (await get(guarded, "/orders/7", **speaking(OLD))).headers["etag"]

    asked = speaking(OLD, (b"if-match", tag.encode()))
    answer = await drive_raw(guarded, http_scope("DELETE", "/orders/7", **asked))

    assert answer.headers["if-match"] == '"o1"'


async def test_a_route_that_is_gone_is_a_problem_with_its_trace_id(
    serve: Serve,
) -> None:
    guarded = await serve()

    old = await get(guarded, "/legacy", **speaking(OLD))
    new = await get(guarded, "/legacy", **speaking(NEW))

    assert (old.status, new.status) == (200, 410)
    assert new.json["type"] == "urn:failsoft:problem:endpoint-gone"
    assert len(new.json["trace_id"]) == 32
    assert new.json["supported"] == [OLD, NEW]


async def test_a_wrong_version_is_refused_also_where_no_route_is(serve: Serve) -> None:
    guarded = await serve()

    found = [await get(guarded, path, **speaking("x")) for path in ("/version", "/no")]

    assert [answer.status for answer in found] == [400, 400]
    refused = guarded.runtime.window.cell("GET /version", "critical")
    assert refused.refused == {"version_invalid": 1}


async def test_a_preflight_is_answered_by_the_application(serve: Serve) -> None:
    guarded = await serve(contract(default="required"))
    asked = [
        (b"origin", b"https://a"),
        (b"access-control-request-method", b"GET"),
    ]

    scope = http_scope("OPTIONS", "/orders/7", headers=asked)
    preflight = await drive_raw(guarded, scope)

    assert preflight.status == 200
    assert "x-api-version" not in preflight.headers
    assert (await get(guarded, "/version")).status == 400


async def test_a_path_prefix_says_the_version_and_links_keep_it(serve: Serve) -> None:
    guarded = await serve(contract(read=[PathPrefix("v")]))

    old = await get(guarded, f"/v{OLD}/orders/7")
    plain = await get(guarded, "/v1/orders/7")

    assert old.json == {"id": 7, "email": "a@b"}
    assert plain.status == 404
    assert plain.headers["x-api-version"] == OLD


async def test_a_kill_of_the_route_comes_before_the_version(serve: Serve) -> None:
    guarded = await serve()
    await kill(guarded, "route:GET /legacy")

    assert (await get(guarded, "/legacy", **speaking(NEW))).status == 503
    assert (await get(guarded, "/legacy", **speaking("x"))).status == 503


async def test_controls_pin_and_brown_out_while_serving(serve: Serve) -> None:
    guarded = await serve(**{"consumer.header": "X-App"})
    web = {"headers": [(b"x-app", b"web")]}
    await put(guarded, "pin", "web", PinDoc("ana", "slow", NEW))

    pinned = await get(guarded, "/version", **web)
    doc = BrownoutDoc("ana", "try", routes=("GET /version",), versions=(NEW,))
    await put(guarded, "brownout", "try", doc)
    hit = await get(guarded, "/version", **web)

    assert pinned.json["version"] == NEW
    assert pinned.headers["vary"] == "Origin, X-API-Version, X-App"
    assert (hit.status, hit.json["type"]) == (503, "urn:failsoft:problem:brownout")
    assert (await get(guarded, "/version")).status == 200


async def test_usage_reaches_the_store_by_version_route_and_caller(
    serve: Serve,
) -> None:
    guarded = await serve()
    store = guarded.runtime.store
    await get(guarded, "/orders/7", **speaking(NEW))
    await get(guarded, "/version")
    await guarded.runtime.stop()

    (today,) = (await store.usage()).values()

    assert today[NEW, "GET /orders/{id}", "(anonymous)"] == 1
    assert today[OLD, "GET /version", "(anonymous)"] == 1


async def test_a_stream_of_an_old_version_passes_as_it_comes(serve: Serve) -> None:
    guarded = await serve()

    answer = await get(guarded, "/stream", **speaking(OLD))

    parts = [m["body"] for m in answer.messages[1:] if m["body"]]
    assert parts == [b"a", b"b"]
    assert answer.headers["x-api-version"] == OLD


async def test_a_socket_of_a_wrong_version_is_refused_before_it_is_accepted(
    serve: Serve,
) -> None:
    guarded = await serve()
    scope = http_scope("GET", "/ws", **speaking("x"))
    scope |= {"type": "websocket", "subprotocols": []}
    del scope["method"]

    answer = await drive_raw(guarded, scope, [{"type": "websocket.connect"}])

    assert [message["type"] for message in answer.messages] == ["websocket.close"]


async def test_scripts_may_read_the_version(serve: Serve) -> None:
    guarded = await serve()

    answer = await get(guarded, "/version", **speaking(OLD, (b"origin", b"https://a")))

    exposed = answer.headers["access-control-expose-headers"]
    assert exposed == "X-Total, X-API-Version"


class Broken:
    """A migration with a fault in it."""

    @staticmethod
    def down(order: Any) -> None:
        raise KeyError("no such field")


@pytest.mark.parametrize(
    ("setting", "status", "version"), [("problem", 500, OLD), ("head", 200, NEW)]
)
async def test_an_answer_that_cannot_be_migrated(
    serve: Serve, setting: Any, status: int, version: str
) -> None:
    """It is a problem, or with `on_down_error="head"` the head's, and says so."""
    broken = change(on="Order", lossy="down")(Broken)
    made = Contract([Version(OLD), Version(NEW, broken)], on_down_error=setting)
    guarded = await serve(made)

    answer = await get(guarded, "/orders/7", **speaking(OLD))

    assert (answer.status, answer.headers["x-api-version"]) == (status, version)
    assert ("fs." in answer.headers.get("etag", "")) is False
