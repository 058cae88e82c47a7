"""A versioned application, browned out for 3 s each 5 s from BROWNOUT_AT on."""

from __future__ import annotations

import os
from typing import Any

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import PlainTextResponse
from starlette.routing import Route

import failsoft
from failsoft.versions import Contract, Version, brownout


async def version(request: Request) -> PlainTextResponse:
    exchange = failsoft.current()
    return PlainTextResponse(exchange.version if exchange else "")


planned = brownout(
    "planned",
    f"{os.environ['BROWNOUT_AT']}/PT3S",
    every="PT5S",
    times=100,
    routes=["GET /window"],
)
contract = Contract([Version("2025-01-15", planned), Version("2025-06-01")])
paths = ("/window", "/hand", "/pinned")
guarded = failsoft.Failsoft(
    Starlette(routes=[Route(path, version) for path in paths]),
    contract=contract,
    consumer={"header": "X-App"},
)


async def app(scope: Any, receive: Any, send: Any) -> None:
    """Say which worker answers, also where failsoft does."""

    async def named(message: Any) -> None:
        if message["type"] == "http.response.start":
            pid = (b"x-worker", str(os.getpid()).encode())
            message = {**message, "headers": [*message["headers"], pid]}
        await send(message)

    await guarded(scope, receive, named)
