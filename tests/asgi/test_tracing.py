"""Exactly one server span a request, and one id in everything it leaves behind."""

from __future__ import annotations

import json
import logging
import subprocess
import sys
from collections.abc import Iterator
from typing import Annotated, Any

import pytest
from fastapi import Body, FastAPI
from opentelemetry import trace
from opentelemetry.sdk.trace import ReadableSpan, SpanProcessor, TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.trace import SpanKind, StatusCode
from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.middleware.opentelemetry import OpenTelemetryMiddleware
from starlette.requests import ClientDisconnect, Request
from starlette.responses import JSONResponse
from starlette.routing import BaseRoute, Route

from asgi.controls import kill, put
from asgi.drive import Answer, get, post
from asgi.lifespan import started
from failsoft import Failsoft, current, logs
from failsoft.controls.records import ModeDoc

pytestmark = pytest.mark.anyio

PARENT = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
TRACE_ID = PARENT.split("-")[1]
_exporter = InMemorySpanExporter()


@pytest.fixture(scope="session")
def provider() -> TracerProvider:
    """The process's provider; it can be set only once."""
    made = TracerProvider()
    made.add_span_processor(SimpleSpanProcessor(_exporter))
    trace.set_tracer_provider(made)
    return made


@pytest.fixture
def spans(provider: TracerProvider) -> Iterator[InMemorySpanExporter]:
    _exporter.clear()
    yield _exporter
    _exporter.clear()


def servers(spans: InMemorySpanExporter) -> list[ReadableSpan]:
    return [s for s in spans.get_finished_spans() if s.kind is SpanKind.SERVER]


def seen(span: ReadableSpan) -> dict[str, Any]:
    return dict(span.attributes or {})


async def ids(request: Request) -> JSONResponse:
    """Answer with every id the handler can see."""
    logging.getLogger("shop").warning("in the handler")
    exchange = current()
    assert exchange is not None
    span = trace.get_current_span().get_span_context()
    current_id = f"{span.trace_id:032x}"
    return JSONResponse({"ours": exchange.trace_id_hex, "current": current_id})


async def broken(request: Request) -> None:
    raise ValueError("no")


ROUTES: list[BaseRoute] = [Route("/ids/{n}", ids), Route("/broken", broken)]


def starlette_outside() -> Any:
    return Failsoft(Starlette(routes=ROUTES))


def starlette_inside() -> Any:
    return Starlette(routes=ROUTES, middleware=[Middleware(Failsoft)])


def own_middleware_around() -> Any:
    around = Middleware(OpenTelemetryMiddleware)
    return Starlette(routes=ROUTES, middleware=[around, Middleware(Failsoft)])


def own_middleware_within() -> Any:
    within = Middleware(OpenTelemetryMiddleware)
    return Failsoft(Starlette(routes=ROUTES, middleware=[within]))


def fastapi_native_around() -> Any:
    app = FastAPI(telemetry={"metrics": False, "logs": False}, routes=ROUTES)
    app.add_middleware(Failsoft)
    return app


def fastapi_native_within() -> Any:
    return Failsoft(FastAPI(telemetry={"metrics": False, "logs": False}, routes=ROUTES))


SET_UPS = [
    starlette_outside,
    starlette_inside,
    own_middleware_around,
    own_middleware_within,
    fastapi_native_around,
    fastapi_native_within,
]


async def ask(app: Any, path: str, parent: str = PARENT) -> Answer:
    headers = [(b"host", b"test"), (b"traceparent", parent.encode())]
    return await get(app, path, headers=headers)


@pytest.mark.parametrize("set_up", SET_UPS)
async def test_there_is_one_server_span_with_one_id_everywhere(
    set_up: Any, spans: InMemorySpanExporter, guard: Any, caplog: Any
) -> None:
    logs.install()
    guarded = await guard(set_up())

    answer = await ask(guarded, "/ids/7")

    (span,) = servers(spans)
    assert f"{span.context.trace_id:032x}" == TRACE_ID
    assert seen(span)["http.route"] == "/ids/{n}"
    assert answer.json["current"] == TRACE_ID
    assert answer.headers["traceresponse"].split("-")[1] == TRACE_ID
    assert caplog.records[0].trace_id == TRACE_ID
    span_id = f"{span.context.span_id:016x}"
    assert answer.headers["traceresponse"].split("-")[2] == span_id


def test_fields_that_a_caller_logs_by_itself_stay_as_they_are(caplog: Any) -> None:
    logs.install()

    logging.getLogger("shop").warning("a", extra={"route": "mine", "trace_id": "7"})

    (record,) = caplog.records
    assert (record.route, record.trace_id, record.span_id) == ("mine", "7", "")


async def test_a_refusal_carries_the_id_in_span_and_problem(
    spans: InMemorySpanExporter, guard: Any
) -> None:
    guarded = await guard(Starlette(routes=ROUTES))
    await kill(guarded, "route:GET /ids*")

    answer = await ask(guarded, "/ids/7")

    (span,) = servers(spans)
    assert answer.json["trace_id"] == TRACE_ID
    assert seen(span)["failsoft.rejected"] == "kill"
    assert seen(span)["http.response.status_code"] == 503


async def test_a_failure_is_on_the_span_and_in_the_kept_example(
    spans: InMemorySpanExporter, guard: Any
) -> None:
    guarded = await guard(Starlette(routes=ROUTES))

    await ask(guarded, "/broken")

    (span,) = servers(spans)
    (flight,) = guarded.runtime.deck.take()
    assert seen(span)["error.type"] == "ValueError"
    assert not span.status.is_ok
    assert flight.trace_id == TRACE_ID


async def test_a_client_that_left_is_no_error_of_the_span(
    spans: InMemorySpanExporter, guard: Any
) -> None:
    async def app(scope: Any, receive: Any, send: Any) -> None:
        raise ClientDisconnect

    guarded = await guard(app)

    await ask(guarded, "/ids/7")

    (span,) = servers(spans)
    assert "error.type" not in seen(span)
    assert span.status.status_code is StatusCode.UNSET


class OpenTelemetryMiddlewareOfOthers:
    """Opens a server span without a word in the scope, as contrib's does."""

    def __init__(self, app: Any) -> None:
        self.app = app

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        tracer = trace.get_tracer("others")
        with tracer.start_as_current_span("GET", kind=SpanKind.SERVER):
            await self.app(scope, receive, send)


OpenTelemetryMiddlewareOfOthers.__name__ = "OpenTelemetryMiddleware"


async def test_the_id_of_foreign_instrumentation_within_is_taken_over(
    spans: InMemorySpanExporter, guard: Any
) -> None:
    app = Starlette(routes=ROUTES)
    guarded = await guard(app)
    app.add_middleware(OpenTelemetryMiddlewareOfOthers)
    async with started(guarded):
        answer = await get(guarded, "/ids/7")

    (span,) = servers(spans)
    trace_id = answer.headers["traceresponse"].split("-")[1]
    assert f"{span.context.trace_id:032x}" == answer.json["current"] == trace_id


async def test_a_processor_that_fails_costs_neither_answer_nor_count(
    spans: InMemorySpanExporter, provider: TracerProvider, guard: Any
) -> None:
    class Failing(SpanProcessor):
        is_on = True

        def on_end(self, span: ReadableSpan) -> None:
            if self.is_on:
                raise RuntimeError("the exporter is broken")

    failing = Failing()
    provider.add_span_processor(failing)
    guarded = await guard(Starlette(routes=ROUTES))

    answer = await ask(guarded, "/ids/7")
    failing.is_on = False

    tick, _ = guarded.runtime.window.flush("n", 1000, 0.0)
    assert (answer.status, tick.routes[0].n, guarded.runtime.window.inflight) == (
        200,
        1,
        0,
    )
    assert "the exporter is broken" in guarded.runtime.own_error


async def test_a_parent_that_was_not_sampled_is_not_sampled_here_and_passed_on(
    spans: InMemorySpanExporter, guard: Any
) -> None:
    guarded = await guard(Starlette(routes=ROUTES))

    answer = await ask(guarded, "/ids/7", PARENT[:-2] + "00")

    assert servers(spans) == []
    assert answer.json == {"ours": TRACE_ID, "current": TRACE_ID}


@pytest.mark.parametrize(
    "header",
    [
        "",
        "00-x-y-01",
        PARENT.upper(),
        "ff" + PARENT[2:],
        PARENT + "0",
        "00-" + "0" * 52,
    ],
)
async def test_a_malformed_parent_starts_a_new_trace(
    header: str, spans: InMemorySpanExporter, guard: Any
) -> None:
    guarded = await guard(Starlette(routes=ROUTES))

    answer = await ask(guarded, "/ids/7", header)

    (span,) = servers(spans)
    assert span.parent is None
    assert answer.json["ours"] == f"{span.context.trace_id:032x}" != TRACE_ID


async def test_a_query_that_signs_is_redacted(
    spans: InMemorySpanExporter, guard: Any
) -> None:
    guarded = await guard(Starlette(routes=ROUTES))

    await get(guarded, "/ids/7", query_string=b"a=1&sig=s3cret&b=2")

    (span,) = servers(spans)
    assert seen(span)["url.query"] == "a=1&sig=REDACTED&b=2"


NO_SDK = """
import asyncio, json, sys
from starlette.applications import Starlette
from asgi.test_tracing import ROUTES, ask, PARENT
from asgi.drive import get
from failsoft import Failsoft
async def main():
    app = Failsoft(Starlette(routes=ROUTES))
    joined, alone = await ask(app, "/ids/7"), await get(app, "/ids/7")
    await app.runtime.stop()
    print(json.dumps([joined.headers["traceresponse"], joined.json["ours"],
                      alone.headers["traceresponse"], alone.json["ours"]]))
asyncio.run(main())
"""


def test_without_an_sdk_the_parent_is_joined_and_else_ids_are_made() -> None:
    run = subprocess.run(
        [sys.executable, "-c", NO_SDK],
        capture_output=True,
        text=True,
        check=True,
        cwd="tests",
        timeout=30,
    )

    joined_header, joined, alone_header, alone = json.loads(run.stdout)

    assert joined == joined_header.split("-")[1] == TRACE_ID
    assert alone == alone_header.split("-")[1]
    assert len(alone) == 32
    assert alone != joined


async def test_no_value_of_a_body_reaches_a_span(
    spans: InMemorySpanExporter, guard: Any
) -> None:
    app = FastAPI()

    @app.post("/ages")
    async def age(age: Annotated[int, Body(embed=True)]) -> None:
        return None

    guarded = await guard(app, tolerance={"handling": "warn"})
    await guarded.runtime.learn(guarded.app)
    guarded.runtime.planner.compile_gates()
    headers = [(b"content-type", b"application/json")]

    answer = await post(guarded, "/ages", b'{"age": "cAnArY"}', headers=headers)

    assert answer.headers["failsoft-notice"] == 'type;path="/age"'
    assert servers(spans)
    assert "cAnArY" not in "".join(s.to_json() for s in spans.get_finished_spans())


async def test_a_quiet_mode_begins_no_traces_and_goes_on_with_those_of_callers(
    spans: InMemorySpanExporter, guard: Any
) -> None:
    calm = {"title": "Calm", "routes": ["* *"], "actions": [{"quiet": True}]}
    guarded = await guard(starlette_outside().app, mode={"calm": calm})
    await get(guarded, "/ids/1")
    await put(guarded, "mode", "calm", ModeDoc("ana", "INC-1"))

    alone = await get(guarded, "/ids/2")
    await ask(guarded, "/ids/3")

    paths = [seen(span)["url.path"] for span in servers(spans)]
    assert paths == ["/ids/1", "/ids/3"]
    assert alone.headers["traceresponse"].split("-")[1] == alone.json["ours"]
