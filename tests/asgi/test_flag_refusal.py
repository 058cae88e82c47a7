"""What a client gets where a flag of fail policy `refuse` has no value."""

from __future__ import annotations

import contextlib
from typing import Any

import pytest
from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response, StreamingResponse
from starlette.routing import Route, WebSocketRoute
from starlette.websockets import WebSocket

from asgi.drive import Answer, drive, get, http_scope
from failsoft import Failsoft, current, flag
from failsoft.errors import FlagUnavailable

pytestmark = pytest.mark.anyio

DECLARED = {"declare": {"signed": {"default": False, "fail": "refuse"}}}


def ask(request: Request) -> Response:
    return PlainTextResponse(str(flag("signed", False)))


async def in_group(request: Request) -> Response:
    try:
        return ask(request)
    except FlagUnavailable as error:
        raise BaseExceptionGroup("tasks", [error]) from None


async def in_crowd(request: Request) -> Response:
    try:
        return ask(request)
    except FlagUnavailable as error:
        raise ExceptionGroup("tasks", [error, ValueError()]) from None


async def caught(request: Request) -> Response:
    try:
        return ask(request)
    except FlagUnavailable:
        return PlainTextResponse("mine", 500)


async def caught_in_stream(request: Request) -> Response:
    async def parts() -> Any:
        yield "mi"
        yield "ne"

    try:
        return ask(request)
    except FlagUnavailable:
        return StreamingResponse(parts(), 500)


async def after_start(request: Request) -> Response:
    async def parts() -> Any:
        yield "begun"
        flag("signed", False)

    return StreamingResponse(parts())


async def caught_then_broken(request: Request) -> Response:
    try:
        return ask(request)
    except FlagUnavailable:
        raise ValueError("another") from None


async def before_accept(websocket: WebSocket) -> None:
    flag("signed", False)


async def after_accept(websocket: WebSocket) -> None:
    await websocket.accept()
    flag("signed", False)


async def caught_often(request: Request) -> Response:
    for number in range(100):
        with contextlib.suppress(FlagUnavailable):
            flag(f"undeclared-{number}", False)
    exchange = current()
    assert exchange is not None
    assert exchange.flags is not None
    return PlainTextResponse(str(len(exchange.flags)))


HANDLERS = [
    ask,
    in_group,
    in_crowd,
    caught,
    caught_in_stream,
    caught_then_broken,
    after_start,
    caught_often,
]
SOCKETS = [before_accept, after_accept]
ROUTES = [
    *(Route(f"/{handler.__name__}", handler) for handler in HANDLERS),
    *(WebSocketRoute(f"/{handler.__name__}", handler) for handler in SOCKETS),
]


async def apologize(request: Request, error: Exception) -> Response:
    return PlainTextResponse("sorry", 500)


HANDLED: Any = {Exception: apologize}


def inside() -> Any:
    middleware = [Middleware(Failsoft, flags=DECLARED)]
    return Starlette(routes=ROUTES, middleware=middleware, exception_handlers=HANDLED)


def outside() -> Any:
    within = Starlette(routes=ROUTES, exception_handlers=HANDLED)
    return Failsoft(within, flags=DECLARED)


@pytest.fixture(params=[inside, outside])
def app(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Any:
    monkeypatch.delenv("FAILSOFT_REDIS_URL", raising=False)
    return request.param()


def kinds(answer: Answer) -> list[str]:
    return [
        message["type"].removeprefix("http.response.") for message in answer.messages
    ]


@pytest.mark.parametrize("path", ["/ask", "/in_group"])
async def test_nobody_caught_it_so_the_client_is_told_to_come_back(
    app: Any, path: str
) -> None:
    answer = await get(app, path)

    assert (answer.status, answer.headers["retry-after"]) == (503, "5")
    assert answer.json["type"] == "urn:failsoft:problem:flag-unavailable"
    assert kinds(answer) == ["start", "body"]
    assert answer.raised is None


@pytest.mark.parametrize("path", ["/caught", "/caught_in_stream"])
async def test_an_answer_of_the_handler_s_own_goes_out_whole(
    app: Any, path: str
) -> None:
    answer = await get(app, path)

    assert (answer.status, answer.body, answer.raised) == (500, b"mine", None)


@pytest.mark.parametrize(
    ("path", "error"),
    [("/in_crowd", ExceptionGroup), ("/caught_then_broken", ValueError)],
)
async def test_another_error_gets_the_application_s_answer(
    app: Any, path: str, error: type[Exception]
) -> None:
    answer = await get(app, path)

    assert (answer.status, answer.body) == (500, b"sorry")
    assert isinstance(answer.raised, error)


def handshake(path: str, **more: Any) -> dict[str, Any]:
    scope = http_scope("GET", path, scheme="ws", **more)
    return {**scope, "type": "websocket", "subprotocols": []}


async def test_a_websocket_is_refused_before_it_is_accepted(app: Any) -> None:
    able = handshake("/before_accept", extensions={"websocket.http.response": {}})
    denied = await drive(app, able, [{"type": "websocket.connect"}])
    closed = await drive(app, handshake("/before_accept"), [])
    begun = await drive(
        app, handshake("/after_accept"), [{"type": "websocket.connect"}]
    )

    assert (denied.status, denied.headers["retry-after"]) == (503, "5")
    assert closed.messages == [{"type": "websocket.close", "code": 1013}]
    assert isinstance(begun.raised, FlagUnavailable)


async def test_an_answer_that_has_begun_is_not_replaced(app: Any) -> None:
    answer = await get(app, "/after_start")

    assert (answer.status, answer.messages[1]["body"]) == (200, b"begun")
    assert answer.raised is not None


async def test_a_request_keeps_sixty_four_refusals_at_most(guard: Any) -> None:
    guarded = await guard(Starlette(routes=ROUTES), flags={"undeclared": "refuse"})

    assert (await get(guarded, "/caught_often")).body == b"64"


async def test_it_counts_as_refused_not_as_failed(guard: Any) -> None:
    guarded = await guard(Starlette(routes=ROUTES), flags=DECLARED)

    await get(guarded, "/ask")

    tick, _ = guarded.runtime.window.flush("n", 1000, 0.0)
    (route,) = tick.routes
    assert (route.refused, route.errors, guarded.runtime.deck.take()) == (
        {"flag": 1},
        0,
        [],
    )
