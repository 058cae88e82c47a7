"""Documents of versions, as an application with a contract serves them."""

from __future__ import annotations

from typing import Any

import pytest
from fastapi import FastAPI, Request, Response
from pydantic import BaseModel
from starlette.applications import Starlette

from asgi.drive import Answer, drive, http_scope
from failsoft import Failsoft
from failsoft.versions import Contract, Version, rename

pytestmark = pytest.mark.anyio

CONTRACT = Contract(
    [
        Version("2025-01-15"),
        Version("2025-06-01", rename("Order.mail", to="email")),
    ],
    default="newest",
)


class Order(BaseModel):
    email: str


def place(order: Order) -> Order:
    return order


def shop(**options: Any) -> FastAPI:
    app = FastAPI(**options)
    app.add_api_route("/orders", place, methods=["POST"])
    return app


async def read(app: Any, path: str, version: str = "", query: str = "") -> Answer:
    headers = [(b"host", b"test")]
    headers += [(b"x-api-version", version.encode())] if version else []
    scope = http_scope("GET", path, headers=headers, query_string=query.encode())
    return await drive(app, scope)


def fields(answer: Answer) -> set[str]:
    return set(answer.json["components"]["schemas"]["Order"]["properties"])


@pytest.mark.parametrize("inside", [False, True])
async def test_each_version_has_a_document_wherever_failsoft_sits(inside: bool) -> None:
    app: Any = shop()
    if inside:
        app.add_middleware(Failsoft, contract=CONTRACT)
    else:
        app = Failsoft(app, contract=CONTRACT)

    old = await read(app, "/_failsoft/openapi.json", query="version=2025-01-15")
    head = await read(app, "/_failsoft/openapi.json")
    own = await read(app, "/openapi.json", "2025-01-15")

    assert (old.status, fields(old), fields(head)) == (200, {"mail"}, {"email"})
    assert old.json["info"]["version"] == "2025-01-15"
    assert own.json == old.json
    assert own.headers["x-api-version"] == "2025-01-15"


async def test_the_applications_own_document_stays_its_own_answer() -> None:
    """Who may read it, and where the API is served, is decided inside."""
    app = shop()

    @app.middleware("http")
    async def members_only(request: Request, following: Any) -> Any:
        if "x-member" not in request.headers:
            return Response(status_code=401)
        return await following(request)

    guarded = Failsoft(app, contract=CONTRACT)
    member = [(b"x-api-version", b"2025-01-15"), (b"x-member", b"1")]
    scope = http_scope("GET", "/openapi.json", headers=member)
    scope["root_path"], scope["path"] = "/shop", "/shop/openapi.json"

    stranger = await read(guarded, "/openapi.json", "2025-01-15")
    known = await drive(guarded, scope)

    assert stranger.status == 401
    assert fields(known) == {"mail"}
    assert known.json["servers"] == [{"url": "/shop"}]
    assert known.json["info"]["version"] == "2025-01-15"


async def test_an_unknown_version_is_answered_with_the_known_ones() -> None:
    app = Failsoft(shop(), contract=CONTRACT)

    answer = await read(app, "/_failsoft/openapi.json", query="version=2020-01-01")

    assert answer.status == 400
    assert answer.json["type"] == "urn:failsoft:problem:version-unknown"
    assert answer.json["supported"] == ["2025-01-15", "2025-06-01"]


async def test_the_prefix_can_be_moved_and_the_document_switched_off() -> None:
    moved = Failsoft(shop(), contract=CONTRACT, endpoints={"prefix": "/ops/fs"})
    off = Failsoft(shop(), contract=CONTRACT, endpoints={"openapi": False})

    assert (await read(moved, "/ops/fs/openapi.json")).status == 200
    assert (await read(moved, "/_failsoft/openapi.json")).status == 404
    assert (await read(off, "/_failsoft/openapi.json")).status == 404


@pytest.mark.parametrize(
    ("app", "contract"),
    [
        (shop(openapi_url=None), CONTRACT),
        (shop(), None),
        (Starlette(), Contract([Version("2025-01-15")])),
    ],
)
async def test_nothing_is_served_that_the_application_does_not_publish(
    app: Any, contract: Contract | None
) -> None:
    answer = await read(Failsoft(app, contract=contract), "/_failsoft/openapi.json")

    assert answer.status == 404
