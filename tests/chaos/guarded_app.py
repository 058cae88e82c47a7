"""A counter with two guarded flags; served by uvicorn as one node of a fleet.

`/buy` breaks for three in ten of those who get the new price while `broken=1`;
`/look` breaks for three in ten of all, whatever they get.
"""

from __future__ import annotations

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import PlainTextResponse
from starlette.routing import Route

import failsoft
from failsoft import Failsoft
from failsoft.flags._flush import FlagReporter

FlagReporter.tick_s = 1.0  # else ten seconds


async def buy(request: Request) -> PlainTextResponse:
    user = request.query_params["user"]
    is_new = failsoft.flag("price", default=False, targeting_key=user)
    if is_new and "broken" in request.query_params and int(user) % 10 < 3:
        raise RuntimeError("no such price")
    return PlainTextResponse("new" if is_new else "old")


async def look(request: Request) -> PlainTextResponse:
    user = request.query_params["user"]
    is_new = failsoft.flag("layout", default=False, targeting_key=user)
    status = 500 if int(user) % 10 < 3 else 200
    return PlainTextResponse("new" if is_new else "old", status)


app = Failsoft(Starlette(routes=[Route("/buy", buy), Route("/look", look)]))
