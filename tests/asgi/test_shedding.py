"""Slots and permits of requests: taken, refused, and given back however they end."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator
from random import Random
from threading import Event
from typing import Any

import pytest
from starlette.applications import Starlette
from starlette.background import BackgroundTask
from starlette.requests import Request
from starlette.responses import PlainTextResponse, StreamingResponse
from starlette.routing import Route, WebSocketRoute
from starlette.websockets import WebSocket

from asgi.controls import kill
from asgi.drive import Answer, Message, drive, get, http_scope
from asgi.eventually import eventually
from failsoft import Failsoft, current
from failsoft.pipeline import Scalars

pytestmark = pytest.mark.anyio

LIMITED = {"routes": {"* *": {"concurrency_limit": 1}}}
CONNECT = ({"type": "websocket.connect"},)


class App:
    """An application whose handlers wait until they are let go."""

    def __init__(self) -> None:
        self.gate = asyncio.Event()
        self.inside = 0
        self.app = Starlette(
            routes=[
                Route("/hello", self.hello),
                Route("/slow", self.slow),
                Route("/broken", self.broken),
                Route("/stream", self.stream),
                Route("/later", self.later),
                Route("/told", self.told),
                WebSocketRoute("/socket", self.socket),
            ]
        )

    async def wait(self) -> None:
        self.inside += 1
        await self.gate.wait()

    async def hello(self, request: Request) -> PlainTextResponse:
        return PlainTextResponse("hello")

    async def slow(self, request: Request) -> PlainTextResponse:
        await self.wait()
        return PlainTextResponse("done")

    async def broken(self, request: Request) -> PlainTextResponse:
        raise ValueError("broken")

    async def stream(self, request: Request) -> StreamingResponse:
        async def parts() -> AsyncIterator[bytes]:
            yield b"one"
            await self.wait()
            yield b"two"

        return StreamingResponse(parts())

    async def later(self, request: Request) -> PlainTextResponse:
        return PlainTextResponse("soon", background=BackgroundTask(self.wait))

    async def told(self, request: Request) -> PlainTextResponse:
        exchange = current()
        return PlainTextResponse(exchange.criticality if exchange else "")

    async def socket(self, websocket: WebSocket) -> None:
        await websocket.accept()
        await self.wait()


def inflight(guarded: Failsoft) -> int:
    return guarded.runtime.inbound.state().inflight


def arm(guarded: Failsoft, limit: float) -> None:
    guarded.runtime.inbound.shedder.limit = limit


def redress(guarded: Failsoft, **scalars: Any) -> None:
    """Have a mode in force turn what it may turn."""
    runtime = guarded.runtime
    for route, plan in zip(runtime.table.routes, runtime.snapshot.plans, strict=True):
        plan.admit, plan.scalars = (), Scalars(**scalars)
        runtime.inbound.dress(route, plan)
        plan.seal()


async def inside(app: App, count: int) -> None:
    await eventually(lambda: app.inside >= count)


def handshake(**more: Any) -> dict[str, Any]:
    scope = http_scope("GET", "/socket", subprotocols=[], **more)
    return {**scope, "type": "websocket"}


async def is_free(guarded: Failsoft, app: App) -> bool:
    """Whether nothing is held: neither a slot, nor the one permit of any route."""
    app.gate.set()
    again = [await get(guarded, p) for p in ("/slow", "/stream", "/later", "/broken")]
    return inflight(guarded) == 0 and 503 not in [a.status for a in again]


@pytest.mark.parametrize("path", ["/hello", "/broken", "/nowhere", "/stream", "/later"])
async def test_an_end_of_any_kind_gives_back_slot_and_permit(
    guard: Any, path: str
) -> None:
    app = App()
    app.gate.set()
    guarded = await guard(app.app, **LIMITED)

    await get(guarded, path)

    assert await is_free(guarded, app)


@pytest.mark.parametrize("path", ["/slow", "/stream", "/later"])
async def test_a_cancelled_request_gives_them_back(guard: Any, path: str) -> None:
    app = App()
    guarded = await guard(app.app, **LIMITED)
    task = asyncio.create_task(get(guarded, path))
    await inside(app, 1)
    held = inflight(guarded)

    task.cancel()
    await asyncio.wait([task])

    assert held == 1
    assert await is_free(guarded, app)


@pytest.mark.parametrize("grace", ["10ms", "1m"])
async def test_a_late_handler_keeps_its_slot_and_permit_until_it_ends(
    guard: Any, grace: str
) -> None:
    app = App()
    rules = {"timeout": "20ms", "timeout_grace": grace, "concurrency_limit": 1}
    guarded = await guard(app.app, routes={"GET /slow": rules})
    answered: list[Any] = []

    async def send(message: Any) -> None:
        answered.append((message.get("status"), inflight(guarded)))

    exchange = guarded(http_scope("GET", "/slow"), app.wait, send)
    task = asyncio.create_task(exchange)
    await eventually(lambda: answered)
    if grace == "1m":
        again = await get(guarded, "/slow")
        app.gate.set()
        assert again.json["violated-policies"] == ["concurrency"]
    await task

    assert answered[0] == (504, 1)
    assert await is_free(guarded, app)


async def test_a_late_handler_in_a_thread_keeps_its_slot_until_the_thread_ends(
    guard: Any,
) -> None:
    hold = Event()

    def work(request: Request) -> PlainTextResponse:
        hold.wait(20)
        return PlainTextResponse("done")

    rules = {"timeout": "20ms", "timeout_grace": "10ms"}
    app = Starlette(routes=[Route("/work", work)])
    guarded = await guard(app, routes={"GET /work": rules})
    answered: list[Any] = []

    async def send(message: Any) -> None:
        answered.append(message.get("status"))

    task = asyncio.create_task(guarded(http_scope("GET", "/work"), None, send))
    await eventually(lambda: answered)
    beats = Beats(guarded)
    beats.pass_s(60)
    held = inflight(guarded)
    hold.set()
    await task

    assert answered[0] == 504
    assert (held, inflight(guarded)) == (1, 0)


async def test_a_client_that_leaves_gives_them_back(guard: Any) -> None:
    app = App()
    guarded = await guard(app.app, **LIMITED)
    gone: list[Message] = [
        {"type": "http.request", "body": b""},
        {"type": "http.disconnect"},
    ]

    await drive(guarded, http_scope("GET", "/stream"), gone)

    assert await is_free(guarded, app)


async def test_a_server_that_cannot_send_gives_them_back(guard: Any) -> None:
    app = App()
    guarded = await guard(app.app, **LIMITED)

    async def send(message: Any) -> None:
        raise OSError("gone")

    with pytest.raises(OSError, match="gone"):
        await guarded(http_scope("GET", "/hello"), None, send)

    assert await is_free(guarded, app)


async def test_a_request_refused_after_its_slot_was_taken_gives_it_back(
    guard: Any,
) -> None:
    app = App()
    guarded = await guard(app.app, **LIMITED)
    first = asyncio.create_task(get(guarded, "/slow"))
    await inside(app, 1)

    refused = await get(guarded, "/slow")
    held = inflight(guarded)
    app.gate.set()
    await first

    assert refused.status == 503
    assert held == 1
    assert await is_free(guarded, app)


async def test_a_failing_hook_of_another_feature_leaks_nothing(guard: Any) -> None:
    app = App()
    guarded = await guard(app.app, **LIMITED)

    async def pending() -> None:
        raise RuntimeError("the store is on fire")

    def ask(exchange: Any) -> None:
        exchange.pending = pending

    for plan in guarded.runtime.snapshot.plans:
        plan.admit = (*plan.admit, ask)
        plan.seal()

    answer = await get(guarded, "/hello")

    assert answer.status == 200
    assert await is_free(guarded, app)


async def test_one_cancelled_while_it_waits_to_be_admitted_leaks_nothing(
    guard: Any,
) -> None:
    app = App()
    guarded = await guard(app.app, **LIMITED)
    plans = guarded.runtime.snapshot.plans
    before = [plan.admit for plan in plans]

    def ask(exchange: Any) -> None:
        exchange.pending = app.wait

    for plan in plans:
        plan.admit = (*plan.admit, ask)
        plan.seal()
    task = asyncio.create_task(get(guarded, "/hello"))
    await inside(app, 1)

    task.cancel()
    await asyncio.wait([task])
    for plan, admit in zip(plans, before, strict=True):
        plan.admit = admit
        plan.seal()

    assert await is_free(guarded, app)


async def test_a_websocket_counts_until_its_handshake_and_its_permit_until_its_end(
    guard: Any,
) -> None:
    app = App()
    guarded = await guard(app.app, **LIMITED)
    first = asyncio.create_task(drive(guarded, handshake(), CONNECT))
    await inside(app, 1)

    held = inflight(guarded)
    second = await drive(guarded, handshake(), CONNECT)
    app.gate.set()
    await first
    third = await drive(guarded, handshake(), CONNECT)

    assert held == 0
    assert second.messages == [{"type": "websocket.close", "code": 1013}]
    assert third.messages[0]["type"] == "websocket.accept"


async def test_a_websocket_is_denied_in_words_where_the_server_can(guard: Any) -> None:
    app = App()
    guarded = await guard(app.app)
    arm(guarded, 4.0)
    busy = [asyncio.create_task(get(guarded, "/slow")) for _ in range(8)]
    await eventually(lambda: inflight(guarded) >= 4)
    can_deny: dict[str, Any] = {"websocket.http.response": {}}

    low = [(b"failsoft-criticality", b"sheddable")]
    denied = await drive(guarded, handshake(extensions=can_deny, headers=low), CONNECT)
    closed = await drive(guarded, handshake(headers=low), CONNECT)
    app.gate.set()
    await asyncio.gather(*busy)

    assert denied.status == 503
    assert denied.json["violated-policies"] == ["shed"]
    assert closed.messages == [{"type": "websocket.close", "code": 1013}]


async def test_an_armed_node_refuses_the_least_important_first(guard: Any) -> None:
    app = App()
    classes = {"routes": {"GET /hello": {"criticality": "sheddable"}}}
    guarded = await guard(app.app, **classes)
    arm(guarded, 4.0)
    busy = [asyncio.create_task(get(guarded, "/slow")) for _ in range(3)]
    await inside(app, 3)

    low, high = await get(guarded, "/hello"), await get(guarded, "/told")
    app.gate.set()
    await asyncio.gather(*busy)

    assert (low.status, high.status) == (503, 200)
    capacity = "https://iana.org/assignments/http-problem-types"
    assert low.json["type"] == f"{capacity}#temporary-reduced-capacity"
    assert low.json["violated-policies"] == ["shed"]
    assert len(low.json["trace_id"]) == 32
    assert low.headers["cache-control"] == "no-store"
    assert guarded.runtime.inbound.state().refused == 1


@pytest.mark.parametrize("path", ["/hello", "/broken"])
async def test_one_task_that_asks_again_and_again_is_no_crowd(
    guard: Any, path: str
) -> None:
    rules = {"criticality": "sheddable", "timeout": "1s"}
    guarded = await guard(App().app, routes={f"GET {path}": rules})
    arm(guarded, 4.0)
    asked = 0

    for _ in range(100):  # the loop never turns, so no beat forgets them
        with contextlib.suppress(ValueError):
            asked += (await get(guarded, path)).status == 503

    state = guarded.runtime.inbound.state()
    assert (asked, state.refused) == (0, 0)


async def test_what_many_tasks_finish_in_one_turn_of_the_loop_is_a_crowd(
    guard: Any,
) -> None:
    guarded = await guard(
        App().app, routes={"GET /hello": {"criticality": "sheddable"}}
    )
    arm(guarded, 4.0)

    answers = await asyncio.gather(*(get(guarded, "/hello") for _ in range(20)))

    refused = [answer.status == 503 for answer in answers]
    assert refused[:1] + refused[2:] == [False] + [True] * 18


async def test_refusals_ask_for_more_patience_after_thirty_seconds(guard: Any) -> None:
    app = App()
    guarded = await guard(app.app, **LIMITED)
    beats = Beats(guarded)
    beats.pass_s(0.2)
    arm(guarded, 4.0)
    beats.stage.shedder.armed_at_s = beats.now_s
    beats.stage.shedder.is_reached = True

    beats.pass_s(20)
    before = beats.stage.is_long
    beats.stage.shedder.is_reached = True
    beats.pass_s(11)

    assert not before
    assert beats.stage.is_long


async def test_the_hard_cap_holds_whatever_the_handling(guard: Any) -> None:
    app = App()
    shed = {"handling": "off", "max_inflight": 4, "server_timing": True}
    guarded = await guard(app.app, shed=shed)
    busy = [asyncio.create_task(get(guarded, "/slow")) for _ in range(4)]
    await inside(app, 4)

    refused = await get(guarded, "/hello")
    app.gate.set()
    await asyncio.gather(*busy)

    assert refused.status == 503
    assert refused.json["violated-policies"] == ["max_inflight"]
    assert refused.headers["server-timing"] == "failsoft;desc=shed"
    assert (await get(guarded, "/hello")).status == 200


async def test_observing_counts_what_it_would_refuse(guard: Any) -> None:
    app = App()
    guarded = await guard(app.app, shed={"handling": "observe"})
    arm(guarded, 4.0)
    busy = [asyncio.create_task(get(guarded, "/slow")) for _ in range(20)]
    await inside(app, 20)

    app.gate.set()
    answers = await asyncio.gather(*busy)

    state = guarded.runtime.inbound.state()
    assert {answer.status for answer in answers} == {200}
    assert state.refused == 0
    assert 12 <= state.observed <= 16


async def test_bypass_routes_take_no_slot_and_are_never_refused(guard: Any) -> None:
    app = App()
    guarded = await guard(app.app, routes={"GET /slow": {"bypass": True}})
    busy = [asyncio.create_task(get(guarded, "/slow")) for _ in range(3)]
    await inside(app, 3)

    held = inflight(guarded)
    app.gate.set()
    await asyncio.gather(*busy)

    assert held == 0


async def test_a_killed_route_takes_no_slot(guard: Any) -> None:
    guarded = await guard(App().app, **LIMITED)
    stage = guarded.runtime.inbound
    await kill(guarded, "route:GET /hello")

    answer = await get(guarded, "/hello")

    assert answer.json["type"] == "urn:failsoft:problem:killed"
    assert not stage.ticker.is_on


async def test_a_mode_may_lift_shedding_but_not_the_cap(guard: Any) -> None:
    app = App()
    guarded = await guard(app.app)
    arm(guarded, 4.0)
    redress(guarded, no_shed=True)
    busy = [asyncio.create_task(get(guarded, "/slow")) for _ in range(20)]
    await inside(app, 20)

    app.gate.set()
    answers = await asyncio.gather(*busy)

    assert {answer.status for answer in answers} == {200}


@pytest.mark.parametrize(
    ("declared", "by_mode", "admitted"), [(3, 1, 1), (1, 3, 1), (None, 2, 2)]
)
async def test_the_lower_of_declared_and_mode_limits_a_route(
    guard: Any, declared: int | None, by_mode: int, admitted: int
) -> None:
    app = App()
    rules = {"* *": {"concurrency_limit": declared}} if declared else {}
    guarded = await guard(app.app, routes=rules)
    redress(guarded, concurrency=by_mode)
    tasks = [asyncio.create_task(get(guarded, "/slow")) for _ in range(4)]
    await inside(app, admitted)

    app.gate.set()
    answers = await asyncio.gather(*tasks)

    assert [a.status for a in answers].count(200) == admitted
    refused = next(a for a in answers if a.status == 503)
    assert refused.json["violated-policies"] == ["concurrency"]
    assert 1 <= int(refused.headers["retry-after"]) <= 3


@pytest.mark.parametrize(
    ("client", "header", "found"),
    [
        ("192.0.2.7", None, "critical"),
        ("192.0.2.7", b"sheddable", "sheddable"),
        ("192.0.2.7", b"critical_plus", "critical"),
        ("10.0.0.9", b"critical_plus", "critical_plus"),
    ],
)
async def test_the_criticality_header_counts_by_who_sends_it(
    guard: Any, client: str, header: bytes | None, found: str
) -> None:
    trust = {"criticality": {"trusted_peers": ["10.0.0.0/8"]}}
    guarded = await guard(App().app, **trust)
    headers = [(b"host", b"test")]
    headers += [(b"failsoft-criticality", header)] if header else []

    answer = await get(guarded, "/told", client=(client, 1), headers=headers)

    assert answer.body.decode() == found


class Beats:
    """The beat of a node's loop, by hand."""

    def __init__(self, guarded: Failsoft) -> None:
        self.stage = guarded.runtime.inbound
        self.stage.ticker.end()
        self.now_s = 1_000_000.0

    def pass_s(self, seconds: float) -> None:
        for _ in range(int(seconds * 100)):
            self.now_s += 0.01
            self.stage.beat(self.now_s, 0.0)


@pytest.mark.parametrize("path", ["/stream", "/later"])
async def test_what_answers_for_long_no_longer_counts(guard: Any, path: str) -> None:
    app = App()
    guarded = await guard(app.app)
    beats = Beats(guarded)
    task = asyncio.create_task(get(guarded, path))
    await inside(app, 1)

    beats.pass_s(4.5)
    held = inflight(guarded)
    beats.pass_s(2.0)
    after = inflight(guarded)
    app.gate.set()
    await task

    assert (held, after, inflight(guarded)) == (1, 0, 0)


async def test_what_has_not_answered_counts_for_as_long_as_it_takes(
    guard: Any,
) -> None:
    app = App()
    guarded = await guard(app.app)
    beats = Beats(guarded)
    tasks = [asyncio.create_task(get(guarded, p)) for p in ("/slow", "/stream")]
    await inside(app, 2)
    late = next(e for e in beats.stage.inside if e.phase)
    late.is_late = True  # answered for, while its handler goes on

    beats.pass_s(60)
    held = inflight(guarded)
    app.gate.set()
    await asyncio.gather(*tasks)

    assert held == 2
    assert inflight(guarded) == 0


async def test_a_beat_that_fails_is_told_and_the_next_one_comes(guard: Any) -> None:
    guarded = await guard(App().app)
    stage = guarded.runtime.inbound

    class Faulty:
        def tick(self, *given: object) -> None:
            raise RuntimeError("a bug")

    good, stage.shedder = stage.shedder, Faulty()
    stage.ticker.wake()
    await eventually(lambda: guarded.runtime.own_errors >= 2)
    stage.shedder = good

    assert "the beat of the loop" in guarded.runtime.own_error


async def test_handlers_in_threads_that_starve_arm_an_idle_loop(guard: Any) -> None:
    hold = Event()

    def work(request: Request) -> PlainTextResponse:
        hold.wait(20)
        return PlainTextResponse("done")

    guarded = await guard(Starlette(routes=[Route("/work", work)]))
    beats = Beats(guarded)
    tasks = [asyncio.create_task(get(guarded, "/work")) for _ in range(61)]
    threads = beats.stage.threads
    await eventually(lambda: threads.statistics().tasks_waiting == 21)

    beats.pass_s(0.9)
    before = guarded.runtime.inbound.state().limit
    beats.pass_s(0.3)
    after = guarded.runtime.inbound.state().limit
    hold.set()
    answers: list[Answer] = await asyncio.gather(*tasks)

    assert before is None
    assert after == pytest.approx(0.7 * 61)
    assert {answer.status for answer in answers} == {200}
    assert inflight(guarded) == 0


async def test_no_mix_of_ends_leaks_anything(guard: Any) -> None:
    app, dice = App(), Random(7)
    rules = {"timeout": "30ms", "timeout_grace": "10ms", "concurrency_limit": 30}
    guarded = await guard(app.app, routes={"* *": rules}, shed={"max_inflight": 60})
    kinds = ["/hello", "/slow", "/broken", "/stream", "/later", "/nowhere", "/socket"]
    tasks = []
    for n in range(200):
        path = dice.choice(kinds)
        asked = drive(guarded, handshake(), CONNECT) if path == "/socket" else None
        tasks.append(asyncio.create_task(asked or get(guarded, path)))
        if n % 3 == 0:
            await asyncio.sleep(0)
            dice.choice(tasks).cancel()
    await eventually(lambda: all(t.done() or app.inside for t in tasks))
    app.gate.set()

    ends = await asyncio.gather(*tasks, return_exceptions=True)

    assert {type(end) for end in ends} == {Answer, asyncio.CancelledError}
    assert await is_free(guarded, app)


async def test_a_forked_child_begins_with_nobody_inside(guard: Any) -> None:
    app = App()
    guarded = await guard(app.app, **LIMITED)
    task = asyncio.create_task(get(guarded, "/slow"))
    await inside(app, 1)
    arm(guarded, 4.0)

    guarded.runtime.inbound.forget()
    state = guarded.runtime.inbound.state()
    app.gate.set()
    await task

    assert (state.inflight, state.limit) == (0, None)
    assert await is_free(guarded, app)
