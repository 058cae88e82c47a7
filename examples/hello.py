"""Starlette with failsoft: one line, and every failure is counted and traceable.

What breaks: GET /orders/0 divides by zero; the client gets a bare 500.
What to watch: each answer carries `traceresponse`, the trace id that logs and spans
of the same request carry; nothing here needs Redis.

Start: python examples/hello.py   (--port 8000)
Try: GET / -> 200
Try: GET /orders/7 -> 200
Try: GET /orders/0 -> 500
Try: GET /nothing -> 404
"""

from __future__ import annotations

import argparse

import uvicorn
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, PlainTextResponse
from starlette.routing import Route

from failsoft import Failsoft


async def home(request: Request) -> PlainTextResponse:
    return PlainTextResponse("hello")


async def order(request: Request) -> JSONResponse:
    number = request.path_params["number"]
    return JSONResponse({"number": number, "parts": 100 // number})


app = Starlette(routes=[Route("/", home), Route("/orders/{number:int}", order)])
app.add_middleware(Failsoft)

if __name__ == "__main__":
    options = argparse.ArgumentParser()
    options.add_argument("--port", type=int, default=8000)
    uvicorn.run(app, port=options.parse_args().port)
