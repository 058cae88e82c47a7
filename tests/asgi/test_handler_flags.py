"""What a handler gets from `failsoft.flag`, whatever it asks."""

from __future__ import annotations

import asyncio
from typing import Any
from uuid import UUID

import pytest
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import PlainTextResponse
from starlette.routing import Route

from asgi.controls import put
from asgi.drive import get
from asgi.eventually import eventually
from failsoft import current, flag, flag_details
from flagdoc import FlagDoc

pytestmark = pytest.mark.anyio

ON = FlagDoc(variants={"on": True, "off": False}, defaultVariant="on")
EVERYBODY = FlagDoc(
    variants={"on": True, "off": False},
    defaultVariant="off",
    targeting={"fractional": [["on", 100], ["off", 0]]},
)


def asking(ask: Any) -> tuple[Starlette, list[Any]]:
    """An application whose one handler keeps what `ask()` gave."""
    given: list[Any] = []

    async def handler(request: Request) -> PlainTextResponse:
        given.append(ask())
        return PlainTextResponse("ok")

    return Starlette(routes=[Route("/", handler)]), given


@pytest.mark.parametrize("user", ["u-1", 42, UUID(int=7)])
async def test_a_rollout_takes_any_targeting_key(guard: Any, user: Any) -> None:
    def ask() -> bool:
        exchange = current()
        assert exchange is not None
        exchange.targeting_key = user
        return flag("f", False) and flag("f", False, targeting_key=user)

    app, given = asking(ask)
    guarded = await guard(app)
    await put(guarded, "flag", "f", EVERYBODY)

    await get(guarded, "/")

    assert given == [True]


RECURSIVE: dict[str, Any] = {}
RECURSIVE["self"] = RECURSIVE


@pytest.mark.parametrize(
    ("key", "default"),
    [("no \ud800", "a"), ("k", "no \ud800"), (None, "a"), ([], "a"), ("k", RECURSIVE)],
)
async def test_what_cannot_be_asked_gives_the_default_and_does_not_raise(
    guard: Any, key: Any, default: Any
) -> None:
    app, given = asking(lambda: flag_details(key, default).value)
    guarded = await guard(app)

    answer = await get(guarded, "/")
    tick, _ = guarded.runtime.window.flush("n", 1000, 0.0)

    assert (answer.status, given[0] is default) == (200, True)
    assert all(isinstance(k, str) and k.isascii() for k in tick.flags)


async def test_a_task_that_outlives_its_request_sees_later_edits(guard: Any) -> None:
    seen: list[bool] = []

    async def watch() -> None:
        while not seen or not seen[-1]:
            await asyncio.sleep(0.005)
            seen.append(flag("f", False))

    tasks: list[asyncio.Task[None]] = []
    app, _ = asking(lambda: tasks.append(asyncio.create_task(watch())))
    guarded = await guard(app)
    await get(guarded, "/")

    await put(guarded, "flag", "f", ON)

    await eventually(lambda: seen and seen[-1])
    await tasks[0]


async def test_a_request_keeps_the_flags_it_began_with(guard: Any) -> None:
    async def handler(request: Request) -> PlainTextResponse:
        before = flag("f", False)
        await put(guarded, "flag", "f", ON)
        return PlainTextResponse(f"{before} {flag('f', False)}")

    guarded = await guard(Starlette(routes=[Route("/", handler)]))

    first, second = await get(guarded, "/"), await get(guarded, "/")

    assert (first.body, second.body) == (b"False False", b"True True")


async def test_a_key_first_met_is_published_to_operators(guard: Any) -> None:
    app, _ = asking(lambda: flag("new-key", False))
    guarded = await guard(app)
    before = guarded.runtime.definitions.digest

    await get(guarded, "/")

    await eventually(lambda: guarded.runtime.definitions.digest != before)
