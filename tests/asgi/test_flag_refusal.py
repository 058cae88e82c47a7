"""What a client gets where a flag of fail policy `refuse` has no value."""

from __future__ import annotations

from typing import Any

import pytest
from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response, StreamingResponse
from starlette.routing import Route

from asgi.drive import Answer, get
from failsoft import Failsoft, flag
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


HANDLERS = [ask, in_group, in_crowd, caught, caught_in_stream, after_start]
ROUTES = [Route(f"/{handler.__name__}", handler) for handler in HANDLERS]


def inside() -> Any:
    middleware = [Middleware(Failsoft, flags=DECLARED)]
    return Starlette(routes=ROUTES, middleware=middleware)


def outside() -> Any:
    return Failsoft(Starlette(routes=ROUTES), flags=DECLARED)


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


async def test_one_of_several_errors_is_an_error(app: Any) -> None:
    answer = await get(app, "/in_crowd")

    assert isinstance(answer.raised, ExceptionGroup)


async def test_an_answer_that_has_begun_is_not_replaced(app: Any) -> None:
    answer = await get(app, "/after_start")

    assert (answer.status, answer.messages[1]["body"]) == (200, b"begun")
    assert answer.raised is not None


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
