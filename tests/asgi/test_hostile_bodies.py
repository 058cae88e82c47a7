"""Bodies meant to break parsers get the bare application's answer, byte for byte."""

from __future__ import annotations

import json
import logging
from typing import Any

import pytest
from fastapi import Depends, FastAPI, Request
from fastapi.responses import Response
from pydantic import BaseModel, field_validator

from asgi.drive import Answer, drive, http_scope, post
from failsoft import Failsoft
from failsoft.versions import Contract, Version, rename

pytestmark = pytest.mark.anyio

CANARY = "canary-7f3a"
COUNTS = {"dependency": 0, "validator": 0}


class Item(BaseModel):
    qty: int
    price: float = 1.0
    name: str = ""
    more: dict[str, Any] = {}

    @field_validator("qty")
    @classmethod
    def count(cls, value: int) -> int:
        COUNTS["validator"] += 1
        return value


def depends() -> None:
    COUNTS["dependency"] += 1


def shop() -> FastAPI:
    app = FastAPI()

    @app.post("/items", dependencies=[Depends(depends)])
    def make(item: Item) -> dict[str, Any]:
        return {"qty": str(item.qty), "price": str(item.price), "name": item.name}

    @app.post("/raw")
    async def raw(item: Item, request: Request) -> Response:
        return Response(await request.body(), media_type="text/plain")

    return app


BODIES = {
    "valid": b'{"qty": 1, "price": 2.5, "name": "a", "more": {"x": [1, null]}}',
    "empty": b"",
    "null": b"null",
    "scalar": b"7",
    "truncated": b'{"qty": 1',
    "garbage after": b'{"qty": 1} x',
    "bom": b"\xef\xbb\xbf" + b'{"qty": 1}',
    "utf-16": '{"qty": 1}'.encode("utf-16"),
    "utf-16 without bom": '{"qty": 1}'.encode("utf-16-le"),
    "broken utf-8": b'{"qty": 1, "name": "\xff\xfe"}',
    "duplicate keys": b'{"qty": 1, "qty": 2, "name": "a", "name": "b"}',
    "1e400": b'{"qty": 1, "price": 1e400}',
    "nan": b'{"qty": 1, "price": NaN}',
    "infinity": b'{"qty": 1, "price": -Infinity}',
    "2^70": b'{"qty": 1180591620717411303424}',
    "5000 digits": b'{"qty": ' + b"9" * 5000 + b"}",
    "25 digits": b'{"qty": 1, "price": 0.1234567890123456789012345}',
    "lone surrogate": b'{"qty": 1, "name": "\\ud800"}',
    "lone surrogate as a key": b'{"qty": 1, "\\udfff": 1}',
    "nul in a key": b'{"qty": 1, "\\u0000": 1}',
    "proto": b'{"qty": 1, "__proto__": {"qty": 2}, "constructor": 1}',
    "deep array": b'{"qty": 1, "more": {"x": ' + b"[" * 5000 + b"]" * 5000 + b"}}",
    "deeper array": b"[" * 100_000,
    "deep object": b'{"a":' * 20_000 + b"1" + b"}" * 20_000,
    "many unknown keys": json.dumps(
        {"qty": 1, **{f"key{n}": n for n in range(50_000)}}
    ).encode(),
    "coerced": b'{"qty": "1", "price": "2"}',
    "wrong": b'{"qty": "one", "price": [], "name": 5}',
}

HEAD = Contract(
    versions=[Version("2025-01-01"), Version("2026-01-01", rename("Item.n", to="qty"))],
    default="newest",
)
MODES: dict[str, dict[str, Any]] = {
    "as it comes": {},
    "off": {"tolerance": {"handling": "off"}},
    "observe": {"tolerance": {"handling": "observe"}},
    "tolerate": {"tolerance": {"handling": "tolerate"}},
    "versioned at head": {"contract": HEAD},
}
OURS = ("traceresponse", "x-api-version", "vary")
JSON = (b"host", b"t"), (b"content-type", b"application/json")


async def learnt(guard: Any, app: FastAPI, **settings: Any) -> Failsoft:
    """A node that knows the models of its application, gates and all."""
    guarded: Failsoft = await guard(app, **settings)
    await guarded.runtime.learn(app)
    guarded.runtime.planner.compile_gates()
    return guarded


async def send(app: Any, body: bytes, path: str = "/items", **more: Any) -> Answer:
    headers = [*JSON, (b"content-length", str(len(body)).encode()), *more.values()]
    return await post(app, path, body, headers=headers)


def said(answer: Answer) -> tuple[Any, ...]:
    if not answer.messages:
        return (type(answer.raised),)
    start = answer.messages[0]
    headers = [pair for pair in start["headers"] if pair[0].decode() not in OURS]
    return start["status"], headers, answer.body, type(answer.raised)


@pytest.mark.parametrize("mode", MODES)
async def test_a_hostile_body_gets_the_bare_answer(guard: Any, mode: str) -> None:
    bare = shop()
    guarded = await learnt(guard, shop(), **MODES[mode])

    for name, body in BODIES.items():
        expected, found = await send(bare, body), await send(guarded, body)
        assert said(found) == said(expected), name

    assert (guarded.runtime.own_errors, guarded.runtime.own_error) == (0, "")


@pytest.mark.parametrize("mode", MODES)
async def test_in_parts_too(guard: Any, mode: str) -> None:
    bare = shop()
    guarded = await learnt(guard, shop(), **MODES[mode])
    headers = [*JSON]

    for name in ("valid", "utf-16", "truncated", "2^70", "many unknown keys"):
        body = BODIES[name]
        cuts = [body[: len(body) // 2], body[len(body) // 2 :]]
        parts = [
            {"type": "http.request", "body": cut, "more_body": cut is cuts[0]}
            for cut in cuts
        ]
        expected, found = [
            await drive(app, http_scope("POST", "/items", headers=headers), parts)
            for app in (bare, guarded)
        ]
        assert said(found) == said(expected), name


@pytest.mark.parametrize("mode", MODES)
async def test_validators_and_dependencies_run_once(guard: Any, mode: str) -> None:
    guarded = await learnt(guard, shop(), **MODES[mode])
    COUNTS.update(dependency=0, validator=0)

    await send(guarded, BODIES["valid"])
    await send(guarded, BODIES["coerced"])

    assert COUNTS == {"dependency": 2, "validator": 2}


async def test_drift_is_seen_without_any_configuration(guard: Any) -> None:
    guarded = await learnt(guard, shop())

    await send(guarded, b'{"qty": "1", "colour": "red"}')

    counted = guarded.runtime.ledger.take(10).counted
    seen = {(one.entry.route, one.entry.path, one.entry.kind) for one in counted}
    assert seen == {
        ("POST /items", "/qty", "coerced"),
        ("POST /items", "/colour", "unknown"),
    }


async def test_many_unknown_keys_collapse_in_the_ledger(guard: Any) -> None:
    guarded = await learnt(guard, shop(), contracts={"gate_full_max": "8MiB"})

    await send(guarded, BODIES["many unknown keys"])

    assert 0 < len(guarded.runtime.ledger) <= 100


@pytest.mark.parametrize(
    ("body", "expected"),
    [
        (
            b'{"n": 1, "more": {"a": 1e400, "b": 1180591620717411303424}}',
            b'"more":{"a": 1e400, "b": 1180591620717411303424}',
        ),
        (
            b'{"n": 1, "price": 0.1234567890123456789012345}',
            b"0.1234567890123456789012345",
        ),
        (b'{"n": 1, "name": "\\u00e9\\/"}', b'"\\u00e9\\/"'),
    ],
)
async def test_a_migration_writes_what_it_does_not_touch_as_it_was(
    guard: Any, body: bytes, expected: bytes
) -> None:
    guarded = await learnt(guard, shop(), contract=HEAD)

    answer = await send(guarded, body, "/raw", v=(b"x-api-version", b"2025-01-01"))

    assert b'"qty":1' in answer.body
    assert expected in answer.body


@pytest.mark.parametrize(
    "name", ["bom", "utf-16", "nan", "lone surrogate", "truncated"]
)
async def test_what_a_required_migration_cannot_read_is_refused(
    guard: Any, name: str
) -> None:
    guarded = await learnt(guard, shop(), contract=HEAD)
    version = (b"x-api-version", b"2025-01-01")

    answer = await send(guarded, BODIES[name], v=version)

    assert answer.status == 422
    assert answer.json["type"] == "urn:failsoft:problem:request-not-migratable"


@pytest.mark.parametrize("mode", MODES)
async def test_no_value_of_a_body_leaves_the_process(
    guard: Any, mode: str, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    guarded = await learnt(guard, shop(), **MODES[mode])

    for body in (
        {"qty": CANARY},
        {"qty": 1, "name": {CANARY: CANARY}},
        {"qty": 1, "unknown": CANARY},
        [CANARY],
    ):
        await send(guarded, json.dumps(body).encode())

    runtime = guarded.runtime
    tick, _ = runtime.window.flush("n", 1000, 0.0)
    kept = repr((runtime.ledger.take(100), runtime.deck.take(), tick, caplog.text))
    assert CANARY not in kept
