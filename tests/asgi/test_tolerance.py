"""Bodies that differ: counted, noticed, repaired or refused, as a team says."""

from __future__ import annotations

import json
import logging
import time
from collections.abc import Awaitable, Callable
from typing import Annotated, Any, Literal

import pytest
from fastapi import FastAPI
from fastapi.responses import JSONResponse
from pydantic import BaseModel, BeforeValidator, ConfigDict, Field
from starlette.requests import Request

from asgi.controls import put
from asgi.drive import Answer, drive, http_scope
from failsoft import Failsoft, route
from failsoft.clock import utc_date
from failsoft.controls.records import ModeDoc, ToleranceDoc
from failsoft.errors import DefinitionError
from failsoft.store.drift import DriftRow
from failsoft.versions import Contract, Header, Version, rename

Guard = Callable[..., Awaitable[Failsoft]]

pytestmark = pytest.mark.anyio

SOON = utc_date(time.time() + 30 * 86_400)
QTY = {
    "name": "old-qty",
    "route": "POST /orders",
    "path": "/items/*/qty",
    "kind": "string_to_number",
    "until": SOON,
    "reason": "app 3.x",
    "owner": "mobile",
}
CALLS: list[str] = []


def seen(value: Any) -> Any:
    CALLS.append("validator")
    return value


class Item(BaseModel):
    sku: str
    qty: int = Field(strict=True)


class Order(BaseModel):
    customer: str
    items: list[Item]
    note: str | None = None


class Tag(BaseModel):
    model_config = ConfigDict(extra="forbid")
    name: str


class Paint(BaseModel):
    hues: list[Literal["red", "green"]] = []
    by: dict[str, Literal["red"]] = {}


class Counted(BaseModel):
    plain: str
    odd: Annotated[str, BeforeValidator(seen)] = ""


def shop() -> FastAPI:
    app = FastAPI()

    @app.post("/orders")
    async def order(order: Order) -> dict[str, Any]:
        return {"qty": sum(item.qty for item in order.items)}

    @app.patch("/orders")
    async def edit(order: Order) -> dict[str, Any]:
        return order.model_dump()

    @app.post("/raw-orders", include_in_schema=False)
    async def raw(order: Order, request: Request) -> dict[str, Any]:
        return {"body": (await request.body()).decode()}

    @app.post("/tags")
    @route(handling="strict")
    async def tag(tag: Tag) -> Tag:
        return tag

    @app.post("/paints")
    async def paint(paint: Paint) -> dict[str, int]:
        return {}

    @app.post("/counted")
    async def counted(counted: Counted) -> dict[str, int]:
        return {}

    @app.get("/bypass", response_model=Item)
    async def bypass() -> JSONResponse:
        return JSONResponse({"sku": 7, "qty": 1})

    @app.get("/modelled")
    async def modelled() -> Item:
        return Item(sku="a", qty=1)

    return app


def body_of(qty: str = "1", **more: object) -> bytes:
    doc = {"customer": "ann", "items": [{"sku": "a", "qty": "@"}], **more}
    return json.dumps(doc).replace('"@"', qty).encode()


async def send(app: Any, body: bytes, path: str = "/orders", **headers: str) -> Answer:
    given = {"content-type": "application/json", **headers}
    pairs = [(k.replace("_", "-").encode(), v.encode()) for k, v in given.items() if v]
    pairs.append((b"content-length", str(len(body)).encode()))
    method = headers.get("method", "POST")
    scope = http_scope(method, path, headers=pairs)
    return await drive(app, scope, [{"type": "http.request", "body": body}])


@pytest.fixture
async def open_shop(guard: Guard) -> Callable[..., Awaitable[Failsoft]]:
    async def open_(**settings: Any) -> Failsoft:
        guarded = await guard(shop(), **settings)
        await guarded.runtime.learn(guarded.app)
        guarded.runtime.planner.compile_gates()
        return guarded

    return open_


Open = Callable[..., Awaitable[Failsoft]]


async def rows(guarded: Failsoft) -> dict[tuple[str, str], DriftRow]:
    from failsoft.tolerance._flush import DriftReporter

    await DriftReporter(guarded.runtime.store, guarded.runtime.ledger).flush()
    found = await guarded.runtime.store.drift()
    return {(row.entry.path, row.entry.kind): row for row in found.rows}


async def tallies(guarded: Failsoft) -> dict[str, int]:
    await rows(guarded)
    return dict((await guarded.runtime.store.drift()).tallies)


def qty(**fields: Any) -> dict[str, Any]:
    return {"allow": [QTY | fields]}


async def test_differences_are_counted_by_types_and_nothing_changes(
    open_shop: Open,
) -> None:
    guarded, bare = await open_shop(), shop()
    body = body_of('"three"', colour="red")

    answer, plain = await send(guarded, body), await send(bare, body)
    await send(guarded, body_of())

    found = await rows(guarded)
    assert (
        (answer.status, answer.body) == (plain.status, plain.body) == (422, plain.body)
    )
    assert found.keys() == {
        ("/colour", "unknown"),
        ("/items/*/qty", "type"),
        ("/items/*/qty", "rejected"),
    }
    entry = found["/items/*/qty", "type"].entry
    assert (entry.route, entry.expected, entry.got) == (
        "POST /orders",
        "integer",
        "str",
    )


async def test_a_quiet_mode_looks_at_no_body_and_repairs_what_it_is_to(
    open_shop: Open,
) -> None:
    calm = {"title": "Calm", "routes": ["* *"], "actions": [{"quiet": True}]}
    looking = await open_shop(mode={"calm": calm})
    repairing = await open_shop(mode={"calm": calm}, tolerance=qty())
    for guarded in (looking, repairing):
        await put(guarded, "mode", "calm", ModeDoc("ana", "INC-1"))

    assert (await send(looking, body_of('"2"'))).status == 422
    assert (await send(repairing, body_of('"2"'))).status == 200
    assert await rows(looking) == {}
    assert ("/items/*/qty", "coerced") in await rows(repairing)


async def test_the_models_of_the_application_run_once(open_shop: Open) -> None:
    guarded = await open_shop()
    CALLS.clear()

    await send(guarded, b'{"plain": 1, "odd": "x"}', "/counted")

    assert CALLS == ["validator"]


@pytest.mark.parametrize(
    "body",
    [
        b'\xef\xbb\xbf{"customer": "a"}',
        '{"customer": "a"}'.encode("utf-16"),
        b'{"customer": "a", "customer": "b", "items": []}',
        b'{"customer": "\\ud800", "items": []}',
        b'{"customer": "a", "items": [], "n": 1e400, "m": 1180591620717411303424}',
        b"[" * 20_000,
        b'{"a": NaN}',
        b"",
        b"nope",
        b'{"items": {}, ' + b", ".join(b'"k%d": 1' % n for n in range(5_000)) + b"}",
    ],
)
@pytest.mark.parametrize("handling", ["observe", "tolerate"])
async def test_hostile_bodies_get_the_bare_answer(
    open_shop: Open, body: bytes, handling: str
) -> None:
    settings = {"handling": handling, **(qty() if handling == "tolerate" else {})}
    guarded, bare = await open_shop(tolerance=settings), shop()

    answer, plain = await send(guarded, body), await send(bare, body)

    assert (answer.status, answer.body) == (plain.status, plain.body)
    assert guarded.runtime.own_errors == 0


async def test_a_tolerance_in_force_repairs_and_is_counted(open_shop: Open) -> None:
    guarded = await open_shop(tolerance=qty())

    answer = await send(guarded, body_of('"3"'))

    assert (answer.status, answer.json) == (200, {"qty": 3})
    assert (await tallies(guarded))["repaired:old-qty"] == 1


async def test_what_a_model_ignores_does_not_stop_a_repair(open_shop: Open) -> None:
    guarded = await open_shop(tolerance=qty())

    answer = await send(guarded, body_of('"3"', colour="red"))

    assert (answer.status, answer.json) == (200, {"qty": 3})


async def test_what_stays_wrong_goes_on_as_it_came(open_shop: Open) -> None:
    guarded, bare = await open_shop(tolerance=qty()), shop()
    body = b'{"customer": 7, "items": [{"sku": "a", "qty": "3"}]}'

    answer, plain = await send(guarded, body), await send(bare, body)

    assert (answer.status, answer.body) == (422, plain.body)
    assert "repaired:old-qty" not in await tallies(guarded)


async def test_a_tolerance_is_for_its_route_and_consumer(open_shop: Open) -> None:
    guarded = await open_shop(tolerance=qty(consumer="ios-3"))

    mine = await send(guarded, body_of('"3"'), user_agent="ios/3.2")
    other = await send(guarded, body_of('"3"'), user_agent="ios/4.0")
    elsewhere = await send(guarded, body_of('"3"'), "/raw-orders", user_agent="ios/3.1")

    assert (mine.status, other.status, elsewhere.status) == (200, 422, 422)


async def test_an_expired_tolerance_is_counted_told_and_not_applied(
    open_shop: Open, caplog: pytest.LogCaptureFixture
) -> None:
    guarded = await open_shop(tolerance=qty(until="2020-01-01"))
    caplog.set_level(logging.INFO, "failsoft.drift")

    answer = await send(guarded, body_of('"3"'))
    guarded.runtime.planner.tick()
    guarded.runtime.planner.tick()

    told = [json.loads(r.getMessage()) for r in caplog.records]
    expired = [event for event in told if event["event"] == "tolerance.expired"]
    assert answer.status == 422
    assert (await tallies(guarded))["would_repair:old-qty"] == 1
    assert [event["name"] for event in expired] == ["old-qty"]


async def test_a_control_adds_extends_and_ends_tolerances(open_shop: Open) -> None:
    guarded = await open_shop(tolerance=qty(until="2020-01-01"))
    doc = ToleranceDoc(
        "ana",
        "a test",
        route="POST /orders",
        path="/items/*/qty",
        kind="string_to_number",
    )
    body = body_of('"3"')

    before = await send(guarded, body)
    await put(guarded, "tolerance", "old-qty", doc, until="+60000")
    extended = await send(guarded, body)
    ended = ToleranceDoc("ana", "a test", stop=True)
    await put(guarded, "tolerance", "old-qty", ended, until="+60000")
    after = await send(guarded, body)

    assert (before.status, extended.status, after.status) == (422, 200, 422)


async def test_a_control_may_set_the_handling(open_shop: Open) -> None:
    guarded = await open_shop(tolerance=qty())
    doc = ToleranceDoc("ana", "a test", route="POST /orders", handling="off")

    await put(guarded, "tolerance", "orders-off", doc, until="+60000")
    answer = await send(guarded, body_of('"3"'))

    assert answer.status == 422
    assert await rows(guarded) == {}


async def test_warn_names_what_differs_in_a_header(open_shop: Open) -> None:
    guarded = await open_shop(tolerance={"handling": "warn"})

    answer = await send(guarded, body_of("1", **{"cölour\r\nX: 1": 1}))

    assert answer.status == 200
    assert answer.headers["failsoft-notice"] == 'unknown;path="/c_lour__X__1"'


async def test_strict_refuses_with_pointers_and_kinds(open_shop: Open) -> None:
    guarded = await open_shop()

    answer = await send(guarded, b'{"name": "a", "hue": 1}', "/tags")
    twice = await send(guarded, b'{"name": "a", "name": "b"}', "/tags")
    fine = await send(guarded, b'{"name": "a"}', "/tags")

    assert (answer.status, twice.status, fine.status) == (422, 422, 200)
    assert answer.headers["content-type"] == "application/problem+json"
    assert answer.json["type"] == "urn:failsoft:problem:strict-violation"
    assert answer.json["errors"] == [{"pointer": "/hue", "kind": "unknown"}]
    assert twice.json["errors"][0]["kind"] == "duplicate"
    assert answer.json["trace_id"]


async def test_a_client_may_prefer_to_be_read_strictly(open_shop: Open) -> None:
    guarded = await open_shop(tolerance={"prefer": "both"})
    odd = body_of(colour="red")

    plain = await send(guarded, odd)
    strict = await send(guarded, odd, prefer='respond-async, Handling="strict"')
    lenient = await send(
        guarded, b'{"name": "a", "x": 1}', "/tags", prefer="handling=lenient"
    )

    assert (plain.status, strict.status) == (200, 422)
    assert "preference-applied" not in plain.headers
    assert strict.headers["preference-applied"] == "handling=strict"
    assert plain.headers["vary"] == strict.headers["vary"] == "Prefer"
    # The application's own refusal: failsoft's is off for this request.
    assert lenient.json["detail"][0]["type"] == "extra_forbidden"


async def test_a_preference_counts_only_where_it_is_honoured(open_shop: Open) -> None:
    guarded = await open_shop()

    answer = await send(guarded, body_of(colour="red"), prefer="handling=strict")

    assert answer.status == 200
    assert "vary" not in answer.headers


async def test_a_missing_content_type_is_only_counted(open_shop: Open) -> None:
    guarded, bare = await open_shop(tolerance=qty()), shop()

    answer = await send(guarded, body_of(), **{"content-type": ""})
    plain = await send(bare, body_of(), **{"content-type": ""})
    await send(guarded, body_of(), **{"content-type": "text/secret-value"})

    found = await rows(guarded)
    assert (answer.status, answer.body) == (plain.status, plain.body)
    assert found["", "content_type"].entry.got in ("absent", "other")


async def test_answers_past_a_response_model_are_judged(open_shop: Open) -> None:
    guarded = await open_shop()

    answer = await drive(guarded, http_scope("GET", "/bypass"))
    await drive(guarded, http_scope("GET", "/modelled"))

    found = await rows(guarded)
    assert answer.json == {"sku": 7, "qty": 1}
    assert found.keys() == {("/sku", "type")}
    assert found["/sku", "type"].entry.direction == "response"


async def test_a_merge_patch_may_null_and_leave_out(open_shop: Open) -> None:
    guarded = await open_shop()

    await send(guarded, b'{"note": null}', method="PATCH")
    await send(guarded, b'[{"op": "add"}]', content_type="application/json-patch+json")

    kinds = {kind for _, kind in await rows(guarded)}
    assert kinds <= {"rejected"}


async def test_a_tolerance_that_can_never_work_stops_the_start(guard: Guard) -> None:
    bad = qty(path="/itmes/*/qty")["allow"] + qty(name="b", route="POST /x")["allow"]

    guarded = await guard(shop(), tolerance={"allow": bad})

    with pytest.raises(DefinitionError) as refused:
        await guarded.runtime.learn(guarded.app)

    said = "\n".join(refused.value.findings)
    assert "'/itmes/*/qty' is not in the schema" in said
    assert "'POST /x' covers none" in said


async def test_bodies_of_older_versions_are_repaired_as_the_heads(guard: Guard) -> None:
    contract = Contract(
        versions=[
            Version("2025-01-01"),
            Version("2026-01-01", rename("Order.mail", to="customer")),
        ],
        read=[Header("X-API-Version")],
    )
    guarded = await guard(shop(), contract=contract, tolerance=qty())
    await guarded.runtime.learn(guarded.app)
    guarded.runtime.planner.compile_gates()
    old = {"x-api-version": "2025-01-01"}

    answer = await send(guarded, body_of('"3"').replace(b"customer", b"mail"), **old)
    refused = await send(guarded, body_of('"x"').replace(b"customer", b"mail"), **old)

    found = await rows(guarded)
    assert (answer.status, answer.json) == (200, {"qty": 3})
    assert refused.status == 422
    assert found["/items/*/qty", "type"].entry.version == "2025-01-01"
    assert found["/items/*/qty", "type"].count == 1  # not by both stages
    assert guarded.runtime.own_errors == 0


async def test_a_control_nobody_understands_is_named(open_shop: Open) -> None:
    guarded = await open_shop()
    doc = ToleranceDoc("ana", "a test", path="/a", kind="guess")

    await put(guarded, "tolerance", "odd", doc, until="+60000")

    assert guarded.runtime.snapshot.bad == ("tolerance:odd",)
