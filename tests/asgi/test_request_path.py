from __future__ import annotations

import asyncio
import json
import logging
import random
import threading
from collections.abc import AsyncIterator
from typing import Any

import pytest
from fastapi import APIRouter, FastAPI
from starlette.applications import Starlette
from starlette.background import BackgroundTask
from starlette.requests import ClientDisconnect, Request
from starlette.responses import JSONResponse, PlainTextResponse, StreamingResponse
from starlette.routing import Route, WebSocketRoute
from starlette.websockets import WebSocket

from asgi.controls import enter, kill
from asgi.drive import Answer, drive, get, http_scope, post
from asgi.eventually import eventually
from asgi.lifespan import started
from failsoft import Failsoft
from failsoft.errors import DefinitionError
from failsoft.telemetry import percentile_us
from failsoft.telemetry._groups import with_sources

pytestmark = pytest.mark.anyio


async def hello(request: Request) -> PlainTextResponse:
    return PlainTextResponse("hello")


async def order(request: Request) -> JSONResponse:
    return JSONResponse({"id": request.path_params["order_id"]})


async def broken(request: Request) -> None:
    raise ValueError("no such thing for bob@example.org")


def shop(*more: Any) -> Starlette:
    return Starlette(
        routes=[
            Route("/hello", hello),
            Route("/orders/{order_id:int}", order),
            Route("/broken", broken),
            *more,
        ]
    )


def ticks(guarded: Failsoft) -> dict[str, Any]:
    """This second's counters by route."""
    tick, _ = guarded.runtime.window.flush("n", 1000, 0.0)
    return {route.route: route for route in tick.routes}


async def test_an_answer_passes_unchanged_but_for_the_trace_header(guard: Any) -> None:
    guarded = await guard(shop())

    bare, ours = await get(shop(), "/orders/7"), await get(guarded, "/orders/7")

    assert ours.body == bare.body
    assert ours.headers.keys() - bare.headers.keys() == {"traceresponse"}


async def test_a_killed_route_answers_a_problem_without_running_the_handler(
    guard: Any,
) -> None:
    guarded = await guard(shop())
    await kill(guarded, "route:GET /orders*", public="Orders are paused")

    answer = await get(guarded, "/orders/7")

    assert answer.status == 503
    assert answer.headers["content-type"] == "application/problem+json"
    assert answer.json["type"] == "urn:failsoft:problem:killed"
    assert answer.json["detail"] == "Orders are paused"
    assert answer.json["trace_id"] in answer.headers["traceresponse"]
    assert (await get(guarded, "/hello")).status == 200


async def test_a_refusal_comes_before_any_body_is_read(guard: Any) -> None:
    guarded = await guard(shop(Route("/upload", hello, methods=["POST"])))
    await kill(guarded, "route:POST /upload")

    answer = await drive(guarded, http_scope("POST", "/upload"), received=[])

    assert answer.status == 503


async def test_a_refused_head_request_has_no_body(guard: Any) -> None:
    guarded = await guard(shop())
    await kill(guarded, "route:GET /hello")

    answer = await drive(guarded, http_scope("HEAD", "/hello"))

    assert (answer.status, answer.body) == (503, b"")


async def test_a_refusal_counts_as_refused_and_not_as_an_error(guard: Any) -> None:
    guarded = await guard(shop())
    await kill(guarded, "route:GET /hello")

    await get(guarded, "/hello")

    route = ticks(guarded)["GET /hello"]
    assert (route.n, route.errors, route.refused) == (0, 0, {"kill": 1})


async def test_outcomes_are_told_apart(guard: Any) -> None:
    async def leaves(request: Request) -> None:
        raise ClientDisconnect

    async def answers_500(request: Request) -> PlainTextResponse:
        return PlainTextResponse("bad", status_code=502)

    more = [Route("/leaves", leaves), Route("/answers", answers_500)]
    guarded = await guard(shop(*more))

    for path in ("/hello", "/broken", "/leaves", "/answers", "/nowhere"):
        await get(guarded, path)

    seen = ticks(guarded)
    assert (seen["GET /broken"].errors, seen["GET /broken"].exceptions) == (1, 1)
    assert (seen["GET /answers"].errors, seen["GET /answers"].exceptions) == (1, 0)
    assert (seen["GET /leaves"].gone, seen["GET /leaves"].errors) == (1, 0)
    assert seen["(no route)"].client_errors == 1
    assert seen["GET /hello"].n == 1


class Gone(ClientDisconnect):
    pass


@pytest.mark.parametrize(
    "error", [Gone(), ExceptionGroup("tasks", [ClientDisconnect()])]
)
async def test_a_client_that_left_is_known_by_kind_and_in_groups(
    guard: Any, error: Exception
) -> None:
    async def leaves(request: Request) -> None:
        raise error

    guarded = await guard(shop(Route("/leaves", leaves)))

    await get(guarded, "/leaves")

    seen = ticks(guarded)["GET /leaves"]
    assert (seen.gone, seen.errors, seen.groups) == (1, 0, {})


async def test_a_file_sent_by_the_server_is_a_complete_answer(guard: Any) -> None:
    async def app(scope: Any, receive: Any, send: Any) -> None:
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": f"http.response.{scope['path'][1:]}", "file": 1})

    guarded = await guard(app)

    await get(guarded, "/pathsend")
    await get(guarded, "/zerocopysend")

    assert ticks(guarded)["(no route)"].gone == 0


async def test_a_failure_is_kept_with_its_stack_and_without_personal_data(
    guard: Any,
) -> None:
    guarded = await guard(shop())

    answer = await get(guarded, "/broken")

    (flight,) = guarded.runtime.deck.take()
    assert isinstance(answer.raised, ValueError)
    assert flight.exception == "ValueError"
    assert flight.message == "no such thing for (redacted)"
    assert flight.frames[0].function == "broken"
    assert with_sources(flight).frames[0].source.startswith("raise ValueError")
    assert flight.trace_id
    assert flight.group in ticks(guarded)["GET /broken"].groups


async def test_an_error_after_the_start_of_a_stream_is_an_error_of_the_route(
    guard: Any,
) -> None:
    async def parts() -> AsyncIterator[bytes]:
        yield b"one"
        raise RuntimeError("half way")

    async def stream(request: Request) -> StreamingResponse:
        return StreamingResponse(parts())

    guarded = await guard(shop(Route("/stream", stream)))

    answer = await get(guarded, "/stream")

    (flight,) = guarded.runtime.deck.take()
    assert answer.status == 200
    assert flight.after_start
    assert ticks(guarded)["GET /stream"].errors == 1


async def test_the_first_byte_of_a_stream_is_not_held_back(guard: Any) -> None:
    gate = asyncio.Event()

    async def parts() -> AsyncIterator[bytes]:
        yield b"one"
        await gate.wait()
        yield b"two"

    async def stream(request: Request) -> StreamingResponse:
        return StreamingResponse(parts())

    guarded = await guard(shop(Route("/stream", stream)))
    sent: list[Any] = []

    async def send(message: Any) -> None:
        sent.append(message)
        if message.get("body") == b"one":
            gate.set()  # the second part is made only after the first went out

    async def receive() -> Any:
        await asyncio.Event().wait()

    await asyncio.wait_for(guarded(http_scope("GET", "/stream"), receive, send), 2)

    assert [m.get("body") for m in sent[1:]] == [b"one", b"two", b""]


async def test_a_client_that_leaves_during_a_stream_counts_as_gone(guard: Any) -> None:
    async def parts() -> AsyncIterator[bytes]:
        for _ in range(1000):
            yield b"part"
            await asyncio.Event().wait()

    async def stream(request: Request) -> StreamingResponse:
        return StreamingResponse(parts())

    guarded = await guard(shop(Route("/stream", stream)))

    await drive(guarded, http_scope("GET", "/stream"), [{"type": "http.disconnect"}])

    assert ticks(guarded)["GET /stream"].gone == 1


async def test_background_tasks_run(guard: Any) -> None:
    done: list[str] = []

    async def later(request: Request) -> PlainTextResponse:
        return PlainTextResponse("ok", background=BackgroundTask(done.append, "yes"))

    guarded = await guard(shop(Route("/later", later)))

    await get(guarded, "/later")

    assert done == ["yes"]


async def test_a_background_task_is_not_in_the_latency(guard: Any) -> None:
    async def pack() -> None:
        await asyncio.to_thread(threading.Event().wait, 0.05)

    async def later(request: Request) -> PlainTextResponse:
        return PlainTextResponse("ok", background=BackgroundTask(pack))

    guarded = await guard(shop(Route("/later", later)))

    await get(guarded, "/later")

    slowest_us = percentile_us(ticks(guarded)["GET /later"].hist, 1.0)
    assert slowest_us is not None
    assert slowest_us < 45_000


async def test_installed_twice_it_works_once(guard: Any) -> None:
    app = shop()
    app.add_middleware(Failsoft)
    app.add_middleware(Failsoft)
    guarded = await guard(app)

    answer = await get(guarded, "/hello")

    names = [key for key, _ in answer.messages[0]["headers"]]
    assert names.count(b"traceresponse") == 1


async def test_a_response_object_that_is_sent_twice_does_not_gather_headers(
    guard: Any,
) -> None:
    shared = PlainTextResponse("same")

    async def same(request: Request) -> PlainTextResponse:
        return shared

    guarded = await guard(shop(Route("/same", same)))

    await get(guarded, "/same")
    answer = await get(guarded, "/same")

    names = [key for key, _ in answer.messages[0]["headers"]]
    assert names.count(b"traceresponse") == 1


async def test_unknown_scope_types_and_messages_pass_untouched(guard: Any) -> None:
    seen: list[Any] = []

    async def app(scope: Any, receive: Any, send: Any) -> None:
        seen.append(scope["type"])
        await send({"type": "http.response.debug", "info": {}})
        await send({"type": "http.response.start", "status": 103, "headers": []})
        await send({"type": "http.response.body", "body": b""})

    guarded = await guard(app)

    await drive(guarded, {"type": "telepathy"})
    answer = await get(guarded, "/x")

    assert seen == ["telepathy", "http"]
    assert answer.messages[0] == {"type": "http.response.debug", "info": {}}


async def socket_app(websocket: WebSocket) -> None:
    await websocket.accept()
    await websocket.send_text(await websocket.receive_text())
    await websocket.close()


def handshake(**more: Any) -> dict[str, Any]:
    scope = http_scope("GET", "/ws", **more)
    return {**scope, "type": "websocket", "subprotocols": []}


async def test_a_websocket_passes_through(guard: Any) -> None:
    guarded = await guard(shop(WebSocketRoute("/ws", socket_app)))
    received = [
        {"type": "websocket.connect"},
        {"type": "websocket.receive", "text": "ping"},
    ]

    answer = await drive(guarded, handshake(), received)

    kinds = [m["type"] for m in answer.messages]
    assert kinds == ["websocket.accept", "websocket.send", "websocket.close"]
    assert answer.messages[1]["text"] == "ping"
    assert ticks(guarded)["WS /ws"].n == 1


async def test_an_open_websocket_that_is_cancelled_is_not_a_client_that_left(
    guard: Any,
) -> None:
    guarded = await guard(shop(WebSocketRoute("/ws", socket_app)))
    task = asyncio.create_task(
        drive(guarded, handshake(), [{"type": "websocket.connect"}])
    )
    await eventually(lambda: guarded.runtime.window.inflight)
    await asyncio.sleep(0.01)

    task.cancel()
    await asyncio.wait({task})

    seen = ticks(guarded)["WS /ws"]
    assert (seen.n, seen.gone, seen.errors) == (1, 0, 0)


async def test_a_killed_websocket_is_denied_or_closed_with_try_again(
    guard: Any,
) -> None:
    guarded = await guard(shop(WebSocketRoute("/ws", socket_app)))
    await kill(guarded, "route:WS /ws")
    connect = [{"type": "websocket.connect"}]

    closed = await drive(guarded, handshake(), connect)
    able = handshake(extensions={"websocket.http.response": {}})
    denied = await drive(guarded, able, connect)

    assert closed.messages == [{"type": "websocket.close", "code": 1013}]
    assert denied.messages[0]["status"] == 503
    assert json.loads(denied.body)["status"] == 503


async def test_controls_that_cannot_be_compiled_leave_plans_and_revision_as_they_were(
    guard: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    guarded = await guard(shop())
    before = await kill(guarded, "route:GET /hello")

    def fails(*args: Any) -> None:
        raise RuntimeError("unforeseen")

    monkeypatch.setattr("failsoft.runtime.read_acting", fails)
    waiting = asyncio.create_task(kill(guarded, "route:GET /orders*"))
    await eventually(lambda: "unforeseen" in guarded.runtime.own_error)
    waiting.cancel()

    assert guarded.runtime.snapshot.revision == before
    assert (await get(guarded, "/hello")).status == 503


async def test_a_mode_leaves_its_notice_on_answers(guard: Any) -> None:
    guarded = await guard(shop())
    await enter(guarded, "fs.read-only")

    answer = await get(guarded, "/hello")

    assert answer.status == 200
    assert answer.headers["failsoft-notice"].startswith('degraded;mode="fs.read-only"')


async def test_a_refusal_of_a_mode_carries_its_notice_once(guard: Any) -> None:
    guarded = await guard(shop(WebSocketRoute("/ws", socket_app)))
    await enter(guarded, "fs.maintenance")

    answer = await get(guarded, "/hello")
    able = handshake(extensions={"websocket.http.response": {}})
    denied = await drive(guarded, able, [{"type": "websocket.connect"}])

    for refusal in (answer, denied):
        names = [key for key, _ in refusal.messages[0]["headers"]]
        assert (refusal.status, names.count(b"failsoft-notice")) == (503, 1)


@pytest.mark.parametrize("status", [204, 304])
async def test_a_static_answer_without_content_has_neither_body_nor_length(
    guard: Any, status: int
) -> None:
    static = {
        "title": "Empty",
        "actions": [{"static": {"body": "x", "status": status}}],
    }
    guarded = await guard(shop(), mode={"empty": static})
    await enter(guarded, "empty")

    answer = await get(guarded, "/hello")

    assert (answer.status, answer.body) == (status, b"")
    assert "content-length" not in answer.headers


async def test_lifespan_reaches_the_application_and_starts_the_runtime(
    guard: Any,
) -> None:
    seen: list[str] = []

    async def app(scope: Any, receive: Any, send: Any) -> None:
        assert scope["type"] == "lifespan"
        for word in ("startup", "shutdown"):
            await receive()
            seen.append(word)
            await send({"type": f"lifespan.{word}.complete"})

    guarded = Failsoft(app)
    messages = [{"type": "lifespan.startup"}, {"type": "lifespan.shutdown"}]

    answer = await drive(guarded, {"type": "lifespan"}, messages)

    assert seen == ["startup", "shutdown"]
    assert [m["type"] for m in answer.messages] == [
        "lifespan.startup.complete",
        "lifespan.shutdown.complete",
    ]


async def test_a_fault_of_ours_is_told_and_does_not_fail_the_request(
    guard: Any,
) -> None:
    guarded = await guard(shop())
    plan = next(p for p in guarded.runtime.snapshot.plans if p.key == "GET /hello")

    def faulty(exchange: Any) -> None:
        raise KeyError("ours")

    plan.admit = (faulty,)
    plan.seal()

    answer = await get(guarded, "/hello")

    assert answer.status == 200
    assert guarded.runtime.own_errors == 1
    assert "GET /hello" in guarded.runtime.own_error


async def test_a_second_that_cannot_be_sent_does_not_end_telemetry(guard: Any) -> None:
    guarded = await guard(shop())
    guarded.runtime.deck.flights.append(object())  # no wire takes it

    await eventually(lambda: guarded.runtime.own_errors)

    (flush,) = [t for t in asyncio.all_tasks() if t.get_name() == "failsoft-flush"]
    assert "telemetry" in guarded.runtime.own_error
    assert not flush.done()


async def test_a_route_that_cannot_say_whether_it_matches_fails_no_other(
    guard: Any,
) -> None:
    class Moody(Route):
        def matches(self, scope: Any) -> Any:
            if scope["path"] == "/moody":
                raise RuntimeError("not today")
            return super().matches(scope)

    guarded = await guard(shop(Moody("/moody", hello)))

    answer = await get(guarded, "/moody")

    assert answer.status == 500  # the application's own answer
    assert "not today" in guarded.runtime.own_error


async def test_an_error_that_no_wire_takes_silences_no_heartbeat(
    guard: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Nor does the wire of pytest's own workers, which carries the captured log.
    monkeypatch.setattr(logging.getLogger("failsoft"), "disabled", True)
    guarded = await guard(shop())

    guarded.runtime.failed("a stage", ValueError("quotes \ud800"))

    assert guarded.runtime.own_error == "a stage: ValueError: quotes \\ud800"
    assert b"quotes" in guarded.runtime._heartbeat()


async def test_routes_added_after_wrapping_are_known_at_the_start() -> None:
    app, router = FastAPI(), APIRouter()
    app.include_router(router, prefix="/v1")
    guarded = Failsoft(app)

    @router.get("/late")
    async def late() -> None: ...

    async with started(guarded):
        assert "GET /v1/late" in {r.key for r in guarded.runtime.table.routes}


async def test_an_application_without_a_lifespan_keeps_the_runtime_started() -> None:
    async def app(scope: Any, receive: Any, send: Any) -> None:
        raise RuntimeError("only http here")

    guarded = Failsoft(app)
    async with started(guarded) as said:
        assert said == []
        assert guarded.runtime.loop is asyncio.get_running_loop()
    await guarded.runtime.stop()


async def test_the_runtime_has_stopped_before_the_server_hears_of_the_shutdown() -> (
    None
):
    """uvicorn ends its loop as soon as it heard, and cancels what still runs."""
    loops: list[Any] = []
    guarded = Failsoft(shop())
    messages = [{"type": "lifespan.startup"}, {"type": "lifespan.shutdown"}]

    async def receive() -> Any:
        return messages.pop(0)

    async def send(message: Any) -> None:
        loops.append(guarded.runtime.loop)

    await guarded({"type": "lifespan"}, receive, send)

    assert [loop is None for loop in loops] == [False, True]


async def test_a_server_that_cancels_the_lifespan_stops_the_runtime() -> None:
    guarded = Failsoft(shop())
    said: list[str] = []
    messages = [{"type": "lifespan.startup"}]

    async def receive() -> Any:
        return messages.pop() if messages else await asyncio.Event().wait()

    async def send(message: Any) -> None:
        said.append(message["type"])

    task = asyncio.create_task(guarded({"type": "lifespan"}, receive, send))
    await eventually(lambda: said)
    task.cancel()
    await asyncio.wait({task})

    assert guarded.runtime.loop is None


async def test_a_fault_at_the_start_fails_no_request(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    guarded = Failsoft(shop())

    async def fails() -> None:
        raise OSError("no file handles left")

    monkeypatch.setattr(guarded.runtime, "ensure", fails)

    answer = await get(guarded, "/hello")

    assert answer.status == 200
    assert "no file handles" in guarded.runtime.own_error


async def test_routes_added_while_serving_are_found(guard: Any) -> None:
    app = shop()
    guarded = await guard(app)
    await get(guarded, "/hello")

    app.add_route("/late", hello)
    await get(guarded, "/late")

    assert "GET /late" in ticks(guarded)


async def test_an_inbound_request_id_is_kept_only_if_harmless(guard: Any) -> None:
    guarded = await guard(shop(), tracing={"request_id": True})

    async def sent(value: bytes) -> Answer:
        headers = [(b"host", b"t"), (b"x-request-id", value)]
        return await get(guarded, "/hello", headers=headers)

    kept, replaced = await sent(b"abc-1"), await sent(b"a" * 200)

    assert kept.headers["x-request-id"] == "abc-1"
    assert len(replaced.headers["x-request-id"]) == 32


async def test_posted_bodies_reach_the_handler_untouched(guard: Any) -> None:
    async def echo(request: Request) -> PlainTextResponse:
        return PlainTextResponse((await request.body())[::-1])

    guarded = await guard(shop(Route("/echo", echo, methods=["POST"])))

    answer = await post(guarded, "/echo", b"abc")

    assert answer.body == b"cba"


async def test_settings_that_cannot_be_used_stop_the_server_at_its_start() -> None:
    app = shop()
    app.add_middleware(Failsoft, redis_url="http://nowhere", env="UPPER")

    answer = await drive(app, {"type": "lifespan"}, [{"type": "lifespan.startup"}])

    (failed,) = answer.messages
    assert failed["type"] == "lifespan.startup.failed"
    assert "http://" in failed["message"]
    assert "UPPER" in failed["message"]


async def test_a_required_store_that_is_away_stops_the_server_at_its_start() -> None:
    away = {"url": "redis://127.0.0.1:1/0", "require": True}
    guarded = Failsoft(shop(), store=away)

    answer = await drive(guarded, {"type": "lifespan"}, [{"type": "lifespan.startup"}])

    assert answer.messages[0]["type"] == "lifespan.startup.failed"
    assert "store.require" in answer.messages[0]["message"]


async def test_without_a_lifespan_wrong_settings_fail_each_request() -> None:
    answer = await get(Failsoft(shop(), env="UPPER"), "/hello")

    assert isinstance(answer.raised, DefinitionError)


async def test_requests_leave_the_random_numbers_of_the_application_alone(
    guard: Any,
) -> None:
    guarded = await guard(shop())
    random.seed(1)
    before = random.getstate()
    answers = [await get(guarded, path) for path in ("/hello", "/orders/7", "/no")]
    assert [answer.status for answer in answers] == [200, 200, 404]
    assert random.getstate() == before
