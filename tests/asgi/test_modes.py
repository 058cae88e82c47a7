"""Modes on a served application: shares, probes and what answers in place of it."""

from __future__ import annotations

from typing import Any

import pytest
from fastapi import FastAPI
from starlette.responses import JSONResponse

from asgi.conftest import Guard
from asgi.controls import put
from asgi.drive import get, post
from asgi.lifespan import started
from failsoft import Failsoft
from failsoft.controls.records import ModeDoc

pytestmark = pytest.mark.anyio

STALE = {"title": "Old", "routes": ["GET /search"], "actions": [{"stale": "5m"}]}
FIXED = {
    "title": "Fixed",
    "routes": ["GET /search"],
    "actions": [{"static": {"body": "[]", "media_type": "application/json"}}],
}


class Shop:
    def __init__(self) -> None:
        self.asked, self.fails = 0, False
        self.app = FastAPI()

        @self.app.get("/search")
        def search() -> Any:
            self.asked += 1
            status = 500 if self.fails else 200
            return JSONResponse({"n": self.asked}, status)

        @self.app.post("/buy")
        def buy() -> dict[str, str]:
            return {"paid": "yes"}


def doc(**more: Any) -> ModeDoc:
    return ModeDoc("ana", "INC-1", **more)


async def test_a_stale_mode_answers_what_was_kept_without_asking(guard: Guard) -> None:
    shop = Shop()
    guarded = await guard(shop.app, mode={"calm": STALE})
    await get(guarded, "/search")

    await put(guarded, "mode", "calm", doc())
    answers = [await get(guarded, "/search") for _ in range(3)]

    assert [answer.json for answer in answers] == [{"n": 1}] * 3
    assert shop.asked == 1
    assert 'mode="calm"' in answers[0].headers["failsoft-notice"]


async def test_probes_reach_the_application_and_get_the_answer_if_it_fails(
    guard: Guard,
) -> None:
    shop = Shop()
    guarded = await guard(shop.app, mode={"calm": FIXED})
    await put(guarded, "mode", "calm", doc(via="auto"))
    shop.fails = True

    answers = [await get(guarded, "/search") for _ in range(100)]

    (row,) = guarded.runtime.planner.tallies.rows()
    assert {(a.status, a.body) for a in answers} == {(200, b"[]")}
    assert 4 <= shop.asked <= 5
    assert (row.probes, row.bad, row.touched) == (shop.asked,) * 2 + (100 - shop.asked,)


async def test_a_drill_meets_some_and_a_dry_run_nobody(guard: Guard) -> None:
    shop = Shop()
    guarded = await guard(shop.app, mode={"calm": FIXED})
    callers = [[(b"x-api-key", b"k%d" % n)] for n in range(100)]

    met: list[int] = []
    for more in ({"via": "drill", "share": 0.2}, {"dry_run": True}):
        await put(guarded, "mode", "calm", doc(since_ms=len(met) + 1, **more))
        got = [await get(guarded, "/search", headers=headers) for headers in callers]
        met.append(sum(answer.body == b"[]" for answer in got))

    (row,) = guarded.runtime.planner.tallies.rows()
    assert (8 <= met[0] <= 35, met[1], row.touched) == (True, 0, 100)


async def test_a_mode_kept_off_and_one_left_to_automation_hold_for_nobody(
    guard: Guard,
) -> None:
    shop = Shop()
    guarded = await guard(shop.app)

    for want in ("off", "auto"):
        await put(guarded, "mode", "fs.read-only", doc(want=want))
        assert (await post(guarded, "/buy")).status == 200
    await put(guarded, "mode", "fs.read-only", doc())
    assert (await post(guarded, "/buy")).status == 503


async def test_the_timeout_of_a_mode_holds_for_its_routes(guard: Guard) -> None:
    guarded = await guard(Shop().app)

    params = {"max": 7, "routes": ["POST /buy"]}
    await put(guarded, "mode", "fs.concurrency", doc(params=params))

    plans = {plan.key: plan for plan in guarded.runtime.snapshot.plans}
    assert plans["POST /buy"].scalars.concurrency == 7
    assert plans["GET /search"].scalars.concurrency is None


async def test_a_mode_about_no_route_stops_the_start() -> None:
    lost = {**STALE, "routes": ["GET /serch"]}
    guarded = Failsoft(Shop().app, mode={"calm": lost})

    async with started(guarded) as said:
        assert said == ["lifespan.startup.failed"]
