"""A third party that fails as told, and an application that calls it, twice.

The application is the same with and without failsoft; both bound a call to 1 s, as
any careful code does.
"""

from __future__ import annotations

import asyncio
import os
import random
import time
from typing import Any

import httpx
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, PlainTextResponse, Response
from starlette.routing import Route

import failsoft

TIMEOUT_S = 1.0
LIMIT_PER_S = 20


class Peer:
    """Answers in 20 ms, or as `/mode/<word>` last said."""

    def __init__(self) -> None:
        self.mode = "fine"
        self.second, self.calls = 0, 0

    async def set(self, request: Request) -> Response:
        self.mode = request.path_params["mode"]
        return PlainTextResponse(self.mode)

    async def charge(self, request: Request) -> Response:
        if self.mode == "limits" and self._is_over():
            return PlainTextResponse("slow down", 429, {"Retry-After": "1"})
        if self.mode == "errors" and random.random() < 0.3:
            return PlainTextResponse("oops", 500)
        await asyncio.sleep(2.0 if self.mode == "slow" else 0.02)
        return JSONResponse({"ok": True})

    def _is_over(self) -> bool:
        second = int(time.monotonic())
        if second != self.second:
            self.second, self.calls = second, 0
        self.calls += 1
        return self.calls > LIMIT_PER_S


def make_peer() -> Any:
    peer = Peer()
    return Starlette(
        routes=[Route("/mode/{mode}", peer.set), Route("/charge", peer.charge)]
    )


class Counting(httpx.AsyncHTTPTransport):
    """Counts what is sent, whether anybody receives it or not."""

    sent = 0

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        self.sent += 1
        return await super().handle_async_request(request)


def make_app() -> Any:
    """`GUARDED=1` adds failsoft; `PEER` is the URL of the third party."""
    is_guarded = os.environ["GUARDED"] == "1"
    counting = Counting()
    transport: Any = counting
    if is_guarded:
        transport = failsoft.http_transport("peer", transport=counting)
    client = httpx.AsyncClient(
        base_url=os.environ["PEER"], transport=transport, timeout=TIMEOUT_S
    )

    async def pay(request: Request) -> Response:
        answer = await client.get("/charge")
        answer.raise_for_status()
        return JSONResponse(answer.json())

    async def order(request: Request) -> Response:
        try:
            return await pay(request)
        except httpx.HTTPError:
            return JSONResponse({"queued": True}, 202)

    async def plain(request: Request) -> Response:
        return PlainTextResponse("plain")

    async def state(request: Request) -> Response:
        said = failsoft.dependency("peer").state()._asdict() if is_guarded else {}
        return JSONResponse(said | {"sent": counting.sent})

    app = Starlette(
        routes=[
            Route("/pay", pay),
            Route("/order", order),
            Route("/plain", plain),
            Route("/state", state),
        ]
    )
    if is_guarded:
        app.add_middleware(
            failsoft.Failsoft, dependency={"peer": {"timeout": TIMEOUT_S}}
        )
    return app
