"""Requests that take too long: who is answered, and what becomes of the handler."""

from __future__ import annotations

import asyncio
import contextlib
import threading
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import pytest
from anyio.to_thread import current_default_thread_limiter
from starlette.applications import Starlette
from starlette.background import BackgroundTask
from starlette.middleware import Middleware
from starlette.middleware.base import BaseHTTPMiddleware
from starlette.requests import Request
from starlette.responses import (
    FileResponse,
    PlainTextResponse,
    Response,
    StreamingResponse,
)
from starlette.routing import Route

from asgi.conftest import Guard
from asgi.drive import Answer, drive, get, http_scope
from asgi.eventually import eventually
from failsoft import current
from failsoft.errors import DeadlineMissed

pytestmark = pytest.mark.anyio

SOON = {"routes": {"* *": {"timeout": "20ms", "timeout_grace": "10ms"}}}


def app_of(handler: Callable[..., Any], **more: Any) -> Starlette:
    return Starlette(routes=[Route("/x", handler)], **more)


async def hang(request: Request) -> Response:
    await asyncio.Event().wait()
    raise AssertionError("never set")


async def a_while(seconds: float) -> None:
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(seconds):
            await asyncio.Event().wait()


def kinds(answer: Answer) -> list[str]:
    return [m["type"].removeprefix("http.response.") for m in answer.messages]


async def test_a_hanging_handler_is_answered_for(guard: Guard) -> None:
    guarded = await guard(app_of(hang), **SOON)

    answer = await get(guarded, "/x")

    assert (answer.status, kinds(answer)) == (504, ["start", "body"])
    assert answer.headers["content-type"] == "application/problem+json"
    assert answer.json["type"] == "urn:failsoft:problem:deadline-exceeded"
    assert answer.json["elapsed_ms"] >= 20
    assert len(answer.json["trace_id"]) == 32
    assert answer.raised is None


async def test_nobody_answers_for_a_handler_that_was_not_asked_yet(
    guard: Guard,
) -> None:
    guarded = await guard(app_of(hang), **SOON)
    before: list[int] = []
    plans = guarded.runtime.snapshot.plans
    plan = next(plan for plan in plans if plan.key == "GET /x")
    (hook,) = plan.admit

    async def wait() -> None:
        await a_while(0.06)  # past the deadline
        exchange = current()
        before.append(exchange.status if exchange else -1)

    def ask(exchange: Any) -> Any:
        exchange.pending = wait
        return hook(exchange)

    plan.admit = (ask,)
    plan.seal()
    answer = await get(guarded, "/x")

    assert before == [0]
    assert (answer.status, kinds(answer)) == (504, ["start", "body"])


async def test_a_handler_in_time_sees_what_is_left_and_is_not_touched(
    guard: Guard,
) -> None:
    seen: list[float | None] = []

    async def handler(request: Request) -> Response:
        seen.append(current().remaining())  # type: ignore[union-attr]
        after = BackgroundTask(
            lambda: seen.append(current().remaining())  # type: ignore[union-attr]
        )
        return PlainTextResponse("ok", background=after)

    guarded = await guard(app_of(handler), routes={"* *": {"timeout": "10s"}})

    answer = await get(guarded, "/x")

    assert (answer.status, answer.body) == (200, b"ok")
    assert seen[0] is not None
    assert 9 < seen[0] <= 10
    assert seen[1] is None


async def test_without_a_deadline_there_is_nothing_left_to_tell(guard: Guard) -> None:
    async def handler(request: Request) -> Response:
        return PlainTextResponse(str(current().remaining()))  # type: ignore[union-attr]

    guarded = await guard(app_of(handler))

    assert (await get(guarded, "/x")).body == b"None"


async def test_what_a_late_handler_goes_on_to_say_is_swallowed(guard: Guard) -> None:
    go, left = asyncio.Event(), []

    async def handler(request: Request) -> Response:
        await go.wait()
        left.append(current().remaining())  # type: ignore[union-attr]
        return PlainTextResponse("late")

    rules = {"timeout": "20ms", "timeout_grace": "5s"}
    guarded = await guard(app_of(handler), routes={"* *": rules})
    answer = asyncio.create_task(get(guarded, "/x"))
    await eventually(lambda: guarded.runtime.window.inflight)
    await a_while(0.05)
    held = guarded.runtime.window.inflight

    go.set()

    assert (await answer).status == 504
    assert kinds(await answer) == ["start", "body"]
    assert (held, left) == (1, [0.0])


async def test_after_its_grace_it_is_cancelled_once_and_the_server_sees_nothing(
    guard: Guard,
) -> None:
    ends: list[str] = []

    async def handler(request: Request) -> Response:
        try:
            await asyncio.Event().wait()
        except asyncio.CancelledError:
            ends.append("cancelled")
            raise
        raise AssertionError("never set")

    guarded = await guard(app_of(handler), **SOON)

    answer = await get(guarded, "/x")

    task = asyncio.current_task()
    assert task is not None
    assert (answer.status, answer.raised) == (504, None)
    assert (ends, task.cancelling()) == (["cancelled"], 0)


async def test_who_takes_long_to_tidy_up_is_not_cancelled_again(guard: Guard) -> None:
    ends: list[str] = []

    async def handler(request: Request) -> Response:
        try:
            await asyncio.Event().wait()
        except asyncio.CancelledError:
            await a_while(0.15)
            ends.append("tidy")
            raise
        raise AssertionError("never set")

    guarded = await guard(app_of(handler), routes={"* *": {"timeout": "20ms"}})

    answer = await get(guarded, "/x")

    assert (answer.status, answer.raised, ends) == (504, None, ["tidy"])


async def test_a_client_that_cannot_be_answered_harms_nobody(guard: Guard) -> None:
    guarded = await guard(app_of(hang), **SOON)

    async def refuse(message: Any) -> None:
        raise OSError("gone")

    async def receive() -> Any:
        await asyncio.Event().wait()

    await guarded(http_scope("GET", "/x"), receive, refuse)

    assert "late answer of GET /x: OSError" in guarded.runtime.own_error


async def test_an_error_after_the_answer_does_not_reach_the_server(
    guard: Guard,
) -> None:
    async def handler(request: Request) -> Response:
        try:
            await asyncio.Event().wait()
        finally:
            raise ValueError("late")

    guarded = await guard(app_of(handler), **SOON)

    answer = await get(guarded, "/x")

    assert (answer.status, answer.raised) == (504, None)


async def test_a_cancellation_of_the_server_s_own_is_not_taken_for_ours(
    guard: Guard,
) -> None:
    guarded = await guard(app_of(hang), routes={"* *": {"timeout": "10s"}})
    serving = asyncio.create_task(get(guarded, "/x"))
    await eventually(lambda: guarded.runtime.window.inflight)

    serving.cancel()

    with pytest.raises(asyncio.CancelledError):
        await serving


@pytest.mark.parametrize("layers", [[], [Middleware(BaseHTTPMiddleware)]])
async def test_a_handler_in_a_thread_keeps_its_token(
    guard: Guard, layers: list[Middleware]
) -> None:
    free = threading.Event()

    def handler(request: Request) -> Response:
        free.wait(5)
        return PlainTextResponse("late")

    async def through(request: Request, call_next: Any) -> Any:
        return await call_next(request)

    if layers:
        layers = [Middleware(BaseHTTPMiddleware, dispatch=through)]
    guarded = await guard(app_of(handler, middleware=layers), **SOON)
    threads = current_default_thread_limiter()
    sent: list[Any] = []

    async def ask() -> None:
        sent.append(await get(guarded, "/x"))

    serving = asyncio.create_task(ask())
    inbound = guarded.runtime.inbound
    await eventually(lambda: inbound.abandoned_threads == 1)
    await a_while(0.1)  # its grace is over
    borrowed, abandoned = threads.borrowed_tokens, inbound.abandoned_threads
    free.set()
    await serving

    assert (borrowed, abandoned) == (1, 1)
    assert (sent[0].status, sent[0].raised) == (504, None)
    assert inbound.abandoned_threads == 0


async def test_background_tasks_of_a_late_answer_go_on(guard: Guard) -> None:
    go, done = asyncio.Event(), []

    async def work() -> None:
        await a_while(0.1)
        done.append(True)

    async def handler(request: Request) -> Response:
        await go.wait()
        return PlainTextResponse("late", background=BackgroundTask(work))

    rules = {"timeout": "20ms", "timeout_grace": "80ms"}
    guarded = await guard(app_of(handler), routes={"* *": rules})
    answer = asyncio.create_task(get(guarded, "/x"))
    await a_while(0.04)
    go.set()

    assert (await answer).status == 504
    assert done == [True]


async def parts() -> AsyncIterator[str]:
    yield "begun"
    await asyncio.Event().wait()


async def stream(request: Request) -> Response:
    return StreamingResponse(parts())


async def test_a_body_that_must_end_in_time_is_cut_off(guard: Guard) -> None:
    rules = {"timeout": "20ms", "timeout_scope": "body"}
    guarded = await guard(app_of(stream), routes={"* *": rules})

    answer = await get(guarded, "/x")

    assert (answer.status, answer.body) == (200, b"begun")
    assert answer.messages[-1]["more_body"] is True
    assert isinstance(answer.raised, DeadlineMissed)


async def test_so_is_a_failure_that_nothing_could_stand_in_for(guard: Guard) -> None:
    async def handler(request: Request) -> Response:
        return StreamingResponse(parts(), 503)

    rules = {"timeout": "30ms", "timeout_scope": "body", "fallback": lambda _: None}
    guarded = await guard(app_of(handler), routes={"* *": rules})

    answer = await asyncio.wait_for(get(guarded, "/x"), 2)

    assert (answer.status, answer.body) == (503, b"begun")
    assert isinstance(answer.raised, DeadlineMissed)


async def test_what_comes_after_a_file_is_not_timed(
    guard: Guard, tmp_path: Path
) -> None:
    async def handler(request: Request) -> Response:
        return FileResponse(file, background=BackgroundTask(a_while, 0.06))

    file = tmp_path / "answer.txt"
    file.write_text("sent by the server")
    rules = {"timeout": "30ms", "timeout_scope": "body"}
    guarded = await guard(app_of(handler), routes={"* *": rules})

    answer = await get(guarded, "/x", extensions={"http.response.pathsend": {}})

    assert kinds(answer) == ["start", "pathsend"]
    assert answer.raised is None


async def test_a_body_that_has_begun_in_time_goes_on(guard: Guard) -> None:
    async def slow() -> AsyncIterator[str]:
        yield "begun "
        await a_while(0.06)
        yield "ended"

    async def handler(request: Request) -> Response:
        return StreamingResponse(slow())

    guarded = await guard(app_of(handler), **SOON)

    assert (await get(guarded, "/x")).body == b"begun ended"


# --- what callers say ----------------------------------------------------------


def saying(**headers: str) -> list[tuple[bytes, bytes]]:
    pairs = [(b"host", b"test")]
    pairs += [(k.replace("_", "-").encode(), v.encode()) for k, v in headers.items()]
    return pairs


async def left(request: Request) -> Response:
    return PlainTextResponse(str(current().remaining()))  # type: ignore[union-attr]


@pytest.mark.parametrize(
    ("rules", "said", "most"),
    [
        ({}, "2000", 2.0),
        ({"timeout": "1s"}, "2000", 1.0),
        ({"timeout": "1s"}, "500", 0.5),
        ({"timeout": "1s"}, "soon", 1.0),
    ],
)
async def test_a_caller_may_lower_the_deadline_only(
    guard: Guard, rules: dict[str, str], said: str, most: float
) -> None:
    guarded = await guard(app_of(left), routes={"GET /x": rules})

    answer = await get(guarded, "/x", headers=saying(failsoft_timeout_ms=said))

    assert most - 0.4 < float(answer.body) <= most


async def test_other_headers_are_heard_if_they_are_listed(guard: Guard) -> None:
    guarded = await guard(app_of(left), deadline={"headers": ["grpc-timeout"]})

    heard = await get(guarded, "/x", headers=saying(grpc_timeout="2S"))
    ignored = await get(guarded, "/x", headers=saying(failsoft_timeout_ms="500"))

    assert 1 < float(heard.body) <= 2
    assert ignored.body == b"None"


async def test_a_timeout_that_cannot_be_read_is_counted(guard: Guard) -> None:
    guarded = await guard(app_of(left))

    answer = await get(guarded, "/x", headers=saying(failsoft_timeout_ms="-1"))

    assert answer.body == b"None"
    assert guarded.runtime.bad_headers["failsoft-timeout-ms"] == 1


async def test_who_has_no_time_left_is_refused_at_once(guard: Guard) -> None:
    called: list[bool] = []

    async def handler(request: Request) -> Response:
        called.append(True)
        return PlainTextResponse("ok")

    guarded = await guard(app_of(handler))

    answer = await get(guarded, "/x", headers=saying(failsoft_timeout_ms="4"))

    assert (answer.status, called) == (504, [])
    assert answer.json["elapsed_ms"] < 1000


async def test_a_missed_deadline_counts_as_an_error(guard: Guard) -> None:
    guarded = await guard(app_of(hang), **SOON)

    await get(guarded, "/x")

    tick, _ = guarded.runtime.window.flush("n", 1000, 0.0)
    (route,) = tick.routes
    (flight,) = guarded.runtime.deck.take()
    assert (route.n, route.errors, route.refused) == (1, 1, {})
    assert (flight.status, flight.after_deadline) == (504, True)


async def test_who_never_answers_is_not_cancelled_after_the_request(
    guard: Guard,
) -> None:
    async def app(scope: Any, receive: Any, send: Any) -> None:
        pass

    guarded = await guard(app)
    soon = [(b"failsoft-timeout-ms", b"20")]
    scope = http_scope("GET", "/x", headers=soon)

    answer = await drive(guarded, scope, [])  # in this task, for longer than 20 ms
    await a_while(0.05)

    assert answer.messages == []
    await eventually(lambda: not guarded.runtime.inbound.guard.timed)
