"""An application for `gunicorn --preload`: it follows the store before the fork."""

from __future__ import annotations

import os

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import PlainTextResponse
from starlette.routing import Route

import failsoft

failsoft.start()
failsoft.flag("price.new", default=False)


async def who(request: Request) -> PlainTextResponse:
    return PlainTextResponse(str(os.getpid()))


app = failsoft.Failsoft(Starlette(routes=[Route("/who", who)]))
