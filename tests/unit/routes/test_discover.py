from __future__ import annotations

from typing import Any

from fastapi import APIRouter, FastAPI
from starlette.applications import Starlette
from starlette.routing import Host, Mount, Route, WebSocketRoute

from failsoft.routes.discover import find_routes, walk
from failsoft.routes.policy import route
from failsoft.routes.table import RouteTable, build_table
from failsoft.settings import RoutePolicy


async def handler(request: Any) -> None:
    raise AssertionError("never run")


def table_of(app: Any, **policies: RoutePolicy) -> RouteTable:
    return build_table(walk(find_routes(app) or ()), policies)


def keys_of(app: Any) -> list[str]:
    return [r.key for r in table_of(app).routes[1:]]


def nested_fastapi() -> FastAPI:
    inner = APIRouter(prefix="/items", tags=["items"])

    @inner.get("/{item_id}")
    async def read(item_id: int) -> None: ...

    outer = APIRouter(prefix="/v1", tags=["v1"])
    outer.include_router(inner)
    app = FastAPI(openapi_url=None)
    app.include_router(outer, prefix="/api")
    return app


def test_routers_included_in_routers_give_their_whole_path() -> None:
    assert keys_of(nested_fastapi()) == ["GET /api/v1/items/{item_id}"]


def test_tags_of_every_level_are_known() -> None:
    found = table_of(nested_fastapi()).routes[1]

    assert set(found.tags) == {"v1", "items"}


def test_mounts_carry_their_prefix_and_catch_what_is_left() -> None:
    app = Starlette(routes=[Mount("/m", routes=[Route("/x", handler)])])

    assert keys_of(app) == ["GET /m/x", "WS /m/{path}", "* /m/{path}"]


def test_an_application_inside_other_middleware_is_found() -> None:
    class Wrapping:
        def __init__(self, app: Any) -> None:
            self.app = app

    assert keys_of(Wrapping(Wrapping(nested_fastapi()))) != []


def test_a_host_route_is_taken_only_under_its_host() -> None:
    inner = Starlette(routes=[Route("/x", handler)])
    app = Starlette(routes=[Host("api.example.org", inner), Route("/x/y", handler)])
    table = table_of(app)
    scope = {"type": "http", "path": "/x", "headers": [(b"host", b"api.example.org")]}

    at_host = table.routes[table.find("GET", scope)].key
    elsewhere = table.find("GET", {**scope, "headers": [(b"host", b"other.org")]})

    assert (at_host, elsewhere) == ("GET /x", 0)


def test_a_class_endpoint_answers_any_method_but_no_handshake() -> None:
    class Endpoint:
        pass

    app = Starlette(routes=[Route("/e", Endpoint), WebSocketRoute("/w", handler)])

    assert keys_of(app) == ["* /e", "WS /w"]


def test_policy_in_code_holds_where_the_file_says_nothing() -> None:
    @route(criticality="sheddable", tags=["slow"])
    async def marked(request: Any) -> None: ...

    found = table_of(Starlette(routes=[Route("/x", marked)])).routes[1]

    assert (found.criticality, found.tags) == ("sheddable", ("slow",))


def test_the_most_literal_glob_of_the_file_wins_over_code() -> None:
    @route(criticality="sheddable")
    async def marked(request: Any) -> None: ...

    policies = {
        "GET *": RoutePolicy(criticality="critical"),
        "GET /pay*": RoutePolicy(criticality="critical_plus"),
    }
    found = table_of(Starlette(routes=[Route("/pay", marked)]), **policies).routes[1]

    assert found.criticality == "critical_plus"
