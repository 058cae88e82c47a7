"""What the rules of a flag may read while a request is served."""

from __future__ import annotations

from typing import Any

import pytest
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import PlainTextResponse
from starlette.routing import Route

from asgi.controls import kill, put
from asgi.drive import get
from asgi.eventually import eventually
from failsoft import current, flag, flag_details
from failsoft.store.protocols import Call, Change
from flagdoc import FlagDoc

pytestmark = pytest.mark.anyio


def when(path: str, value: str) -> FlagDoc:
    return FlagDoc(
        variants={"on": True, "off": False},
        defaultVariant="off",
        targeting={"if": [{"==": [{"var": path}, value]}, "on"]},
    )


async def asked(guard: Any, doc: FlagDoc) -> bytes:
    """Serve one request whose handler asks for the flag."""

    async def handler(request: Request) -> PlainTextResponse:
        exchange = current()
        assert exchange is not None
        exchange.context.update(tier="gold", plan="free")
        return PlainTextResponse(str(flag("f", False, context={"plan": "paid"})))

    guarded = await guard(Starlette(routes=[Route("/x/{id}", handler)]))
    await put(guarded, "flag", "f", doc)
    body: bytes = (await get(guarded, "/x/7")).body
    return body


@pytest.mark.parametrize(
    ("path", "value"),
    [
        ("failsoft.route", "GET /x/{id}"),
        ("failsoft.method", "GET"),
        ("failsoft.criticality", "critical"),
        ("failsoft.consumer", "(anonymous)"),
        ("tier", "gold"),
        ("plan", "paid"),
    ],
)
async def test_a_rule_reads_the_request_and_the_call(
    guard: Any, path: str, value: str
) -> None:
    assert await asked(guard, when(path, value)) == b"True"


async def test_outside_of_a_request_a_rule_reads_the_call(guard: Any) -> None:
    guarded = await guard(Starlette())
    env = guarded.runtime.settings.store.env
    await put(guarded, "flag", "f", when("failsoft.env", env))
    await put(guarded, "flag", "g", when("tier", "gold"))

    assert flag("f", False) is True
    assert flag_details("g", False, context={"tier": "gold"}).variant == "on"


async def test_an_explicit_zero_is_somebody(guard: Any) -> None:
    async def handler(request: Request) -> PlainTextResponse:
        exchange = current()
        assert exchange is not None
        exchange.targeting_key = "7"
        asked = [flag("f", False, targeting_key=key) for key in (0, None, "")]  # type: ignore[arg-type]
        return PlainTextResponse(str(asked))

    guarded = await guard(Starlette(routes=[Route("/", handler)]))
    await put(guarded, "flag", "f", when("targetingKey", "0"))

    assert (await get(guarded, "/")).body == b"[True, False, False]"


async def test_kills_reach_a_request_that_is_being_served(guard: Any) -> None:
    async def handler(request: Request) -> PlainTextResponse:
        asked = [flag("f", False)]
        for target in ("flag:f", "flag:base"):
            revision = await kill(guarded, target)
            asked.append(flag("f", False))
            lift = Change("kill", target, "del", revision)
            await guarded.runtime.store.apply(Call(target, "ana", "over", (lift,)))
            await eventually(lambda: not guarded.runtime.flags.kills)
            asked.append(flag("f", False))
        return PlainTextResponse(str(asked))

    guarded = await guard(Starlette(routes=[Route("/", handler)]))
    on: dict[str, Any] = {"variants": {"on": True, "off": False}}
    await put(guarded, "flag", "base", FlagDoc(**on, defaultVariant="on"))
    asking = {"if": [{"$flag": ["base", "on"]}, "on", "off"]}
    asks = FlagDoc(**on, defaultVariant="off", targeting=asking)
    await put(guarded, "flag", "f", asks)

    assert (await get(guarded, "/")).body == b"[True, False, True, False, True]"
