"""What flags do while the store of a running application does not answer."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from contextlib import AbstractContextManager
from typing import Any

import msgspec
import pytest
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import PlainTextResponse
from starlette.routing import Route

from asgi.drive import get
from asgi.eventually import eventually
from failsoft import Failsoft, flag_details
from failsoft.store.protocols import Call, Change
from failsoft.store.redis.store import RedisStore
from failsoft.testing import RedisServer

pytestmark = pytest.mark.anyio

OwnRedis = Callable[..., AbstractContextManager[RedisServer]]

POLICIES = ("last_known", "default", "off", "refuse")
WHEN_TOO_OLD = {
    "last_known": "up STALE",
    "default": "coded STALE",
    "off": "low STALE",
    "refuse": 503,
}


def edits() -> tuple[Change, ...]:
    """One flag a policy, too old after a second."""
    return tuple(
        Change(
            "flag",
            policy,
            "put",
            json=msgspec.json.encode(
                {
                    "state": "ENABLED",
                    "variants": {"up": "up", "down": "low"},
                    "defaultVariant": "up",
                    "metadata": {"x.fail": policy, "x.max_stale": 1, "x.kill": "down"},
                }
            ),
        )
        for policy in POLICIES
    )


async def answer(request: Request) -> PlainTextResponse:
    details = flag_details(request.path_params["key"], "coded")
    return PlainTextResponse(f"{details.value} {details.reason}")


async def served(app: Any) -> dict[str, Any]:
    """Return the body for each policy, the status where it is not 200."""
    answers = {policy: await get(app, f"/{policy}") for policy in POLICIES}
    return {
        p: a.body.decode() if a.status == 200 else a.status for p, a in answers.items()
    }


async def until(app: Any, wanted: dict[str, Any], within_s: float) -> None:
    async with asyncio.timeout(within_s):
        while (found := await served(app)) != wanted:
            assert found.keys() == wanted.keys()
            await asyncio.sleep(0.05)


async def test_each_policy_holds_while_the_store_is_stopped_and_ends_with_it(
    own_redis: OwnRedis, tmp_path: Any
) -> None:
    fresh = dict.fromkeys(POLICIES, "up STATIC")
    with own_redis() as server:
        store = RedisStore(server.url, "default")
        await store.apply(Call("op-1", "ana", "a test", edits()))
        await store.aclose()
        app = Failsoft(
            Starlette(routes=[Route("/{key}", answer)]),
            redis_url=server.url,
            store={"state_dir": str(tmp_path)},
        )
        await app.runtime.ensure()
        await until(app, fresh, 3)

        server.stop()
        await until(app, WHEN_TOO_OLD, 5)
        server.cont()
        await until(app, fresh, 5)

        await app.runtime.stop()


async def test_without_a_store_at_the_start_each_policy_does_as_declared(
    own_redis: OwnRedis, tmp_path: Any
) -> None:
    declare = {p: {"default": "coded", "fail": p} for p in POLICIES}
    with own_redis() as server:
        url = server.url
        server.stop()
        app = Failsoft(
            Starlette(routes=[Route("/{key}", answer)]),
            redis_url=url,
            flags={"declare": declare},
            store={"state_dir": str(tmp_path)},
        )
        began = asyncio.get_running_loop().time()
        found = await served(app)
        took_s = asyncio.get_running_loop().time() - began
        server.cont()
        await eventually(lambda: app.runtime.snapshot.state == "live", within_s=5)
        await app.runtime.stop()

    assert took_s < 1
    assert found == {
        "last_known": "coded STATIC",
        "default": "coded STATIC",
        "off": "coded DEFAULT",
        "refuse": 503,
    }
