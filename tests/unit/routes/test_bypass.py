"""Which handlers may answer past their response model."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any

import pytest
from fastapi import FastAPI, responses
from fastapi.responses import JSONResponse, Response

from failsoft.routes.bypass import bypassing, may_bypass


def plain() -> dict[str, int]:
    return {}


def direct() -> Any:
    return JSONResponse({})


def by_module() -> Any:
    return responses.PlainTextResponse("")


def nested() -> Any:
    def inner() -> Any:
        return Response()

    return inner()


def said() -> JSONResponse:
    raise NotImplementedError


def closed(kind: Any = JSONResponse) -> Callable[[], Any]:
    return lambda: kind({})


@functools.wraps(direct)
def wrapped() -> Any:
    return None


class Endpoint:
    def get(self) -> Any:
        return Response()


@pytest.mark.parametrize(
    ("handler", "may"),
    [
        (plain, False),
        (direct, True),
        (by_module, True),
        (nested, True),
        (said, True),
        (closed(), True),
        pytest.param(wrapped, True, id="wrapped"),
        (Endpoint().get, True),
        (len, False),
        (None, False),
    ],
)
def test_a_handler_that_names_a_response_may_bypass(handler: Any, may: bool) -> None:
    assert may_bypass(handler) is may


def test_routes_are_named_as_in_the_route_table() -> None:
    app = FastAPI(openapi_url=None)
    app.get("/a/{n}")(direct)
    app.post("/b", response_model=None)(plain)

    assert bypassing(app) == {"GET /a/{n}"}
