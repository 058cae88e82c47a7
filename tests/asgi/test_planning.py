"""How plans come about: when models are read, what faults do, what wins over what."""

from __future__ import annotations

import logging
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest
from fastapi import APIRouter, FastAPI, WebSocket
from pydantic import BaseModel
from starlette.middleware.gzip import GZipMiddleware

import failsoft
from asgi.controls import enter, kill
from asgi.drive import drive, get, http_scope, post
from asgi.eventually import eventually
from asgi.lifespan import started
from failsoft import Failsoft, logs
from failsoft.errors import DefinitionError
from failsoft.versions import Contract, PathPrefix, Version, rename

pytestmark = pytest.mark.anyio

OLD = (b"x-api-version", b"2025-01-01")
JSON = (b"content-type", b"application/json")
BODY = b'{"qty": 3}'


class Item(BaseModel):
    quantity: int


def shop(lifespan: Any = None) -> FastAPI:
    app = FastAPI(lifespan=lifespan)

    @app.post("/items")
    def make(item: Item) -> Item:
        return item

    @app.get("/version")
    def spoken() -> dict[str, str]:
        exchange = failsoft.current()
        return {"version": exchange.version if exchange else "?"}

    @app.get("/broken")
    def broken() -> None:
        raise ValueError

    @app.websocket("/socket")
    async def socket(link: WebSocket) -> None:
        await link.accept()
        await link.close()

    return app


def contract(*, target: str = "Item.qty", **more: Any) -> Contract:
    newer = Version("2026-01-01", rename(target, to="quantity"))
    oldest = Version(
        "2025-01-01",
        deprecated=more.pop("deprecated", None),
        sunset=more.pop("sunset", None),
    )
    return Contract([oldest, newer], **more)


async def test_a_contract_that_does_not_fit_stops_the_start_with_every_fault() -> None:
    wrong = Contract(
        [
            Version("2025-01-01"),
            Version("2026-01-01", rename("Itm.qty", to="quantity")),
            Version("2026-02-01", rename("Item.a", to="b")),
        ]
    )
    guarded = Failsoft(shop(), contract=wrong)
    sent: list[Any] = []

    async def receive() -> Any:
        return {"type": "lifespan.startup"}

    async def send(message: Any) -> None:
        sent.append(message)

    await guarded({"type": "lifespan"}, receive, send)

    assert [message["type"] for message in sent] == ["lifespan.startup.failed"]
    assert "Itm" in sent[0]["message"]
    assert "2026-02-01" in sent[0]["message"]


async def test_without_a_lifespan_each_request_raises_it() -> None:
    guarded = Failsoft(shop(), contract=contract(target="Nothing.qty"))

    for _ in range(2):
        answer = await get(guarded, "/version")
        assert isinstance(answer.raised, DefinitionError)


async def test_a_contract_holds_for_the_first_request_without_a_lifespan() -> None:
    guarded = Failsoft(shop(), contract=contract())

    answer = await post(guarded, "/items", BODY, headers=[JSON, OLD])

    assert answer.json == {"qty": 3}
    await guarded.runtime.stop()


async def test_routes_that_the_applications_startup_adds_are_versioned() -> None:
    late = APIRouter()

    @late.post("/late")
    def make(item: Item) -> Item:
        return item

    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        app.include_router(late)
        yield

    guarded = Failsoft(shop(lifespan), contract=contract())

    async with started(guarded) as said:
        answer = await post(guarded, "/late", BODY, headers=[JSON, OLD])

    assert said[0] == "lifespan.startup.complete"
    assert answer.json == {"qty": 3}


async def test_faults_that_show_after_the_applications_startup_stop_the_start() -> None:
    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        app.router.routes.clear()
        yield

    guarded = Failsoft(shop(lifespan), contract=contract())

    async with started(guarded) as said:
        pass

    assert said[0] == "lifespan.startup.failed"


async def test_drift_is_seen_soon_after_the_start() -> None:
    guarded = Failsoft(shop())
    body = b'{"quantity": 1, "colour": "red"}'

    async with started(guarded):
        planner = guarded.runtime.planner
        await eventually(lambda: planner.stages and not planner.wants_gates)
        await post(guarded, "/items", body, headers=[JSON])

    assert len(guarded.runtime.ledger) == 1


async def test_kills_and_modes_come_before_refusals_of_versions() -> None:
    guarded = Failsoft(shop(), contract=contract())
    async with started(guarded):
        bad = await get(guarded, "/version", headers=[(b"x-api-version", b"zebra")])
        await kill(guarded, "route:GET /version")
        killed = await get(guarded, "/version", headers=[(b"x-api-version", b"zebra")])
        await enter(guarded, "fs.read-only")
        paused = await post(guarded, "/items", BODY, headers=[JSON, OLD])

    assert (bad.status, killed.status, paused.status) == (400, 503, 503)
    assert bad.json["type"] == "urn:failsoft:problem:version-invalid"
    assert killed.json["type"] == "urn:failsoft:problem:killed"
    assert paused.json["type"] == "urn:failsoft:problem:read-only"


async def test_a_prefix_is_taken_off_before_the_route_is_found() -> None:
    guarded = Failsoft(shop(), contract=contract(read=[PathPrefix("v")]))
    async with started(guarded):
        old = await post(guarded, "/v2025-01-01/items", BODY, headers=[JSON])
        await kill(guarded, "route:POST /items")
        killed = await post(guarded, "/v2025-01-01/items", BODY, headers=[JSON])

    assert old.json == {"qty": 3}
    assert killed.status == 503


async def test_handlers_flights_and_logs_know_version_and_consumer(
    caplog: pytest.LogCaptureFixture,
) -> None:
    guarded = Failsoft(shop(), contract=contract())
    logs.install(caplog.handler)
    headers = [OLD, (b"user-agent", b"ios/3.1")]
    async with started(guarded):
        told = await get(guarded, "/version", headers=headers)
        await get(guarded, "/broken", headers=headers)
        (flight,) = guarded.runtime.deck.take()

    assert told.json == {"version": "2025-01-01"}
    assert flight.version == "2025-01-01"


async def test_a_log_record_names_the_version(caplog: pytest.LogCaptureFixture) -> None:
    app = FastAPI()

    @app.get("/logs")
    def write() -> None:
        logging.getLogger("shop").warning("something")

    logs.install(caplog.handler)
    guarded = Failsoft(app, contract=Contract([Version("2025-01-01")]))
    async with started(guarded):
        await get(guarded, "/logs", headers=[OLD])

    (record,) = [r for r in caplog.records if r.name == "shop"]
    assert record.__dict__["version"] == "2025-01-01"
    assert record.__dict__["consumer"] == ""


async def test_a_websocket_of_a_retired_version_is_refused_before_it_is_accepted() -> (
    None
):
    ended = contract(deprecated="2025-06-01", sunset="2025-09-01")
    guarded = Failsoft(shop(), contract=ended)
    scope = {**http_scope("GET", "/socket", headers=[OLD]), "type": "websocket"}
    connect = [{"type": "websocket.connect"}]
    async with started(guarded):
        refused = await drive(guarded, scope, connect)
        fresh = {**scope, "headers": [(b"x-api-version", b"2026-01-01")]}
        accepted = await drive(guarded, fresh, connect)

    assert refused.messages[0]["type"] == "websocket.close"
    assert accepted.messages[0]["type"] == "websocket.accept"


async def test_a_kill_does_not_undress_the_other_routes() -> None:
    guarded = Failsoft(shop())
    async with started(guarded):
        await eventually(lambda: len(guarded.runtime.planner.stages) == 1)
        await kill(guarded, "route:GET /version")
        plans = {plan.key: plan for plan in guarded.runtime.snapshot.plans}

    assert plans["POST /items"].body is not None
    assert plans["GET /version"].admit


async def test_compression_inside_is_warned_of_and_around_it_is_not(
    caplog: pytest.LogCaptureFixture,
) -> None:
    inside, around = shop(), shop()
    inside.add_middleware(GZipMiddleware)
    inside.add_middleware(Failsoft, contract=contract())
    around.add_middleware(Failsoft, contract=contract())
    around.add_middleware(GZipMiddleware)

    async with started(inside):
        warned = [r.message for r in caplog.records if "compresses" in r.message]
    caplog.clear()
    async with started(around):
        quiet = [r.message for r in caplog.records if "compresses" in r.message]

    assert (len(warned), quiet) == (1, [])
    assert "GZipMiddleware" in warned[0]
