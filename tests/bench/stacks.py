"""The applications that the request benchmarks drive, and how they are driven."""

from __future__ import annotations

import json
from collections.abc import Awaitable, Callable
from typing import Annotated, Any

from fastapi import FastAPI, Path
from pydantic import BaseModel
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import PlainTextResponse
from starlette.routing import Route

App = Callable[..., Awaitable[None]]
QUIET: Any = {"tracing": False, "metrics": False, "logs": False}
HEADERS = [
    (b"host", b"127.0.0.1:8000"),
    (b"user-agent", b"bench/1.0"),
    (b"accept", b"*/*"),
    (b"accept-encoding", b"gzip"),
    (b"connection", b"keep-alive"),
    (b"x-api-key", b"k-123"),
    (b"content-type", b"application/json"),
    (b"cookie", b"a=b"),
]


class Item(BaseModel):
    name: str
    price: float
    tags: list[str] = []


def starlette_app() -> Starlette:
    async def hello(request: Request) -> PlainTextResponse:
        return PlainTextResponse("hello")

    return Starlette(routes=[Route("/hello", hello)])


def fastapi_app(telemetry: Any = QUIET) -> FastAPI:
    """50 routes; the one that is driven stands in the middle."""
    app = FastAPI(telemetry=telemetry)
    for n in range(24):
        add_get(app, f"/area{n}/{{one}}/things/{{two}}")
    add_get(app, "/shops/{one}/items/{two}")
    for n in range(24):
        add_get(app, f"/zone{n}/{{one}}/things/{{two}}")

    @app.post("/items")
    async def create(item: Item) -> dict[str, Any]:
        return {"name": item.name, "total": item.price}

    return app


def add_get(app: FastAPI, path: str) -> None:
    async def read(one: int, two: Annotated[str, Path()]) -> dict[str, Any]:
        return {"one": one, "two": two}

    app.get(path)(read)


class SendWrapper:
    """The floor: a pure ASGI middleware that wraps `send` and does nothing."""

    def __init__(self, app: Any) -> None:
        self.app = app

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        def forward(message: Any) -> Any:
            return send(message)

        await self.app(scope, receive, forward)


def scope_of(method: str, path: str) -> dict[str, Any]:
    return {
        "type": "http",
        "asgi": {"version": "3.0", "spec_version": "2.3"},
        "http_version": "1.1",
        "method": method,
        "scheme": "http",
        "path": path,
        "raw_path": path.encode(),
        "query_string": b"",
        "root_path": "",
        "headers": list(HEADERS),
        "client": ("127.0.0.1", 50000),
        "server": ("127.0.0.1", 8000),
        "state": {},
    }


BODY = json.dumps({"name": "thing", "price": 12.5, "tags": ["a", "b"]}).encode()


async def drive(app: Any, method: str, path: str, body: bytes = b"") -> int:
    """Run one exchange by hand; return the status."""
    status = 0

    async def receive() -> dict[str, Any]:
        return {"type": "http.request", "body": body, "more_body": False}

    async def send(message: dict[str, Any]) -> None:
        nonlocal status
        if message["type"] == "http.response.start":
            status = message["status"]

    await app(scope_of(method, path), receive, send)
    return status


REQUESTS = {
    "starlette": ("GET", "/hello", b""),
    "fastapi-get": ("GET", "/shops/7/items/abc", b""),
    "fastapi-post": ("POST", "/items", BODY),
}


def build(name: str, telemetry: Any = QUIET) -> Any:
    return starlette_app() if name == "starlette" else fastapi_app(telemetry)


def sampled_provider(ratio: float) -> Any:
    from opentelemetry.sdk.trace import TracerProvider
    from opentelemetry.sdk.trace.export import (
        BatchSpanProcessor,
        SpanExporter,
        SpanExportResult,
    )
    from opentelemetry.sdk.trace.sampling import ParentBased, TraceIdRatioBased

    class Nowhere(SpanExporter):
        def export(self, spans: Any) -> SpanExportResult:
            return SpanExportResult.SUCCESS

    provider = TracerProvider(sampler=ParentBased(TraceIdRatioBased(ratio)))
    provider.add_span_processor(BatchSpanProcessor(Nowhere()))
    return provider
