"""What a fallback may say, and what of a request's body it can read."""

from __future__ import annotations

from typing import Any

import pytest
from pydantic import BaseModel
from starlette.responses import JSONResponse, Response, StreamingResponse

from failsoft import Static
from failsoft.errors import DefinitionError
from failsoft.resilience._standin import Heard, ask
from failsoft.routes.standins import HANDLERS, handler

pytestmark = pytest.mark.anyio


class Item(BaseModel):
    name: str


@pytest.mark.parametrize(
    ("said", "status", "kind", "body"),
    [
        ("text", 200, b"text/plain; charset=utf-8", b"text"),
        (b"raw", 200, b"application/octet-stream", b"raw"),
        ([1], 200, b"application/json", b"[1]"),
        (Item(name="a"), 200, b"application/json", b'{"name":"a"}'),
        (Static("[]", "application/json", 203), 203, b"application/json", b"[]"),
        (JSONResponse([], 202), 202, b"application/json", b"[]"),
    ],
)
async def test_many_things_are_an_answer(
    said: Any, status: int, kind: bytes, body: bytes
) -> None:
    found = await ask(lambda request: said, dict)

    assert found is not None
    assert (found.status, found.body) == (status, body)
    assert dict(found.headers)[b"content-type"] == kind
    assert b"content-length" not in dict(found.headers)


async def test_nothing_is_no_answer_and_a_stream_none_that_can_be_sent() -> None:
    async def none(request: Any) -> None:
        return None

    def stream(request: Any) -> Response:
        return StreamingResponse(iter(()))

    assert await ask(none, dict) is None
    with pytest.raises(TypeError, match="StreamingResponse has no body"):
        await ask(stream, dict)


def served(*parts: bytes) -> Any:
    waiting = list(parts)

    async def receive() -> dict[str, Any]:
        if not waiting:
            return {"type": "http.disconnect"}
        body, more = waiting.pop(0), bool(waiting)
        return {"type": "http.request", "body": body, "more_body": more}

    return receive


async def test_a_body_that_was_read_is_there_again() -> None:
    heard = Heard(served(b"a", b"b"))
    await heard.receive()
    await heard.receive()

    again = heard.again(is_alone=False)

    assert await again() == {"type": "http.request", "body": b"ab", "more_body": False}


async def test_a_reader_who_is_alone_gets_the_rest() -> None:
    heard = Heard(served(b"a", b"b"))
    await heard.receive()

    again = heard.again(is_alone=True)

    assert [(await again())["body"] for _ in range(2)] == [b"a", b"b"]


async def test_a_part_of_a_body_is_not_taken_for_the_whole() -> None:
    heard = Heard(served(b"a", b"b"))
    await heard.receive()

    again = heard.again(is_alone=False)

    assert (await again())["more_body"] is True
    assert (await again())["type"] == "http.disconnect"


async def test_long_bodies_are_not_kept() -> None:
    heard = Heard(served(b"x" * 300_000, b"y"))
    passed = [await heard.receive(), await heard.receive()]

    again = heard.again(is_alone=True)

    assert [len(message["body"]) for message in passed] == [300_000, 1]
    assert (await again())["type"] == "http.disconnect"


def test_a_name_belongs_to_one_function() -> None:
    @handler("only-one")
    def first(request: Any) -> None:
        return None

    with pytest.raises(DefinitionError, match="only-one"):
        handler("only-one")(lambda request: None)
    assert HANDLERS.pop("only-one") is first


def test_a_fixed_answer_has_bounds() -> None:
    with pytest.raises(DefinitionError) as caught:
        Static("x" * 70_000, status=600)

    assert len(caught.value.findings) == 2
