"""When bodies are read, held, replayed and refused; what is done with them is given."""

from __future__ import annotations

import asyncio
import contextlib
import gc
import gzip
import json
import threading
from collections.abc import Iterable
from typing import Any

import pytest
from fastapi import Depends, FastAPI
from fastapi.responses import StreamingResponse
from pydantic import BaseModel
from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.middleware import Middleware
from starlette.middleware.gzip import GZipMiddleware
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from asgi.dressed import Seen, dress
from asgi.drive import Answer, Message, drive, http_scope
from asgi.eventually import eventually
from failsoft import Failsoft
from failsoft.bodies import Buffer
from failsoft.pipeline import BodyPlan, Exchange, Rejection
from failsoft.problem import problem

pytestmark = pytest.mark.anyio

JSON = (b"content-type", b"application/json")


def shout(exchange: Exchange, body: bytes) -> bytes:
    """A change that is easy to see, and longer."""
    return body.upper() + b"  "


def refuse(exchange: Exchange, body: bytes) -> Rejection:
    return problem("no", 422, title="No", type_uri="urn:failsoft:problem:no")


def fail(exchange: Exchange, body: bytes) -> bytes:
    raise ValueError("a fault of ours")


CHANGE = BodyPlan(changes=(shout,))
MUST = BodyPlan(changes=(shout,), is_required=True)


class Echo:
    """A plain ASGI application that keeps what it received, and answers the body."""

    def __init__(self, headers: Iterable[tuple[bytes, bytes]] = (JSON,)) -> None:
        self.received: list[Message] = []
        self.headers = list(headers)
        self.scope: Message = {}
        self.length = b""

    async def __call__(self, scope: Message, receive: Any, send: Any) -> None:
        self.scope = scope
        while not self.received or self.received[-1].get("more_body"):
            self.received.append(await receive())
        self.length = dict(scope["headers"]).get(b"content-length", b"")
        await send(
            {"type": "http.response.start", "status": 200, "headers": self.headers}
        )
        await send({"type": "http.response.body", "body": self.body})

    @property
    def body(self) -> bytes:
        return b"".join(m.get("body", b"") for m in self.received)


def parts(*chunks: bytes, is_cut: bool = False) -> list[Message]:
    """Messages of a body; is_cut: the client leaves before its end."""
    found: list[Message] = [
        {"type": "http.request", "body": chunk, "more_body": True} for chunk in chunks
    ]
    if is_cut:
        return [*found, {"type": "http.disconnect"}]
    found[-1]["more_body"] = False
    return found


async def send_to(
    app: Any, *messages: Message, headers: Iterable[Any] = (JSON,), method: str = "POST"
) -> Answer:
    return await drive(app, http_scope(method, "/x", headers=[*headers]), messages)


# --- requests ---------------------------------------------------------------


async def test_a_look_hands_on_each_message_at_once_and_sees_the_whole(
    guard: Any,
) -> None:
    seen, echo = Seen(), Echo()
    guarded = dress(await guard(echo), body=BodyPlan(look=seen))
    messages = parts(b'{"a":', b" 1}")

    await send_to(guarded, *messages)

    assert echo.received == messages
    assert seen.bodies == [b'{"a": 1}']


async def test_the_first_part_reaches_the_handler_before_the_second_is_sent(
    guard: Any,
) -> None:
    got, go_on = asyncio.Event(), asyncio.Event()

    async def handler(scope: Any, receive: Any, send: Any) -> None:
        await receive()
        got.set()
        await receive()

    async def receive() -> Message:
        if not got.is_set():
            return {"type": "http.request", "body": b"[", "more_body": True}
        await go_on.wait()
        return {"type": "http.request", "body": b"]"}

    guarded = dress(await guard(handler), body=BodyPlan(look=Seen()))
    scope = http_scope("POST", "/x", headers=[JSON])
    running = asyncio.create_task(guarded(scope, receive, _drop))

    await asyncio.wait_for(got.wait(), 5)

    go_on.set()
    await running


async def _drop(message: Message) -> None:
    pass


async def test_a_change_gives_one_message_and_its_length_in_place(guard: Any) -> None:
    echo = Echo()
    guarded = dress(await guard(echo), body=CHANGE)
    headers = [JSON, (b"content-length", b"8")]

    answer = await send_to(guarded, *parts(b'{"a":', b" 1}"), headers=headers)

    assert [m["body"] for m in echo.received] == [b'{"A": 1}  ']
    assert echo.length == b"10"
    assert answer.body == b'{"A": 1}  '


@pytest.mark.parametrize(
    "headers",
    [
        [(b"content-type", b"text/plain")],
        [],
        [(b"content-type", b"multipart/form-data; boundary=x")],
        [JSON, (b"content-encoding", b"gzip")],
        [JSON, (b"content-digest", b"sha-256=:x:")],
        [JSON, (b"signature-input", b"sig1=()")],
        [JSON, (b"x-hub-signature-256", b"sha256=x")],
        [JSON, (b"x-seal", b"1")],
        [JSON, (b"content-length", b"9999999")],
    ],
)
async def test_what_is_not_plain_unsigned_json_of_some_size_passes(
    guard: Any, headers: list[Any]
) -> None:
    echo = Echo()
    limits = {"body_max": "1MiB", "signed_headers": ["X-Seal"]}
    guarded = dress(await guard(echo, contracts=limits), body=CHANGE)
    messages = parts(b"[1,", b" 2]")

    await send_to(guarded, *messages, headers=headers)

    assert echo.received == messages


@pytest.mark.parametrize(
    ("header", "status", "slug"),
    [
        ((b"content-encoding", b"gzip"), 415, "encoding-not-migratable"),
        ((b"content-length", b"99999999"), 413, "body-too-large-for-migration"),
    ],
)
async def test_a_body_that_has_to_be_changed_and_cannot_is_refused(
    guard: Any, header: Any, status: int, slug: str
) -> None:
    echo = Echo()
    guarded = dress(await guard(echo), body=MUST)

    answer = await send_to(guarded, *parts(b"[]"), headers=[JSON, header])

    assert (answer.status, answer.raised) == (status, None)
    assert answer.json["type"] == f"urn:failsoft:problem:{slug}"
    assert answer.headers["cache-control"] == "no-store"
    assert echo.received == []


async def test_a_signed_body_that_should_be_changed_passes_with_a_notice(
    guard: Any,
) -> None:
    echo = Echo()
    guarded = dress(await guard(echo), body=MUST)

    answer = await send_to(guarded, *parts(b"[]"), headers=[JSON, (b"digest", b"x")])

    assert answer.body == b"[]"
    assert answer.headers["failsoft-notice"] == "not-migrated;reason=signed"
    assert guarded.runtime.ledger.take(1).tallies == {"conflict:signed": 1}


async def test_over_the_cap_what_was_read_is_replayed_and_the_rest_passes(
    guard: Any,
) -> None:
    echo = Echo()
    guarded = dress(await guard(echo, contracts={"body_max": "1KiB"}), body=CHANGE)
    chunks = [b"a" * 600, b"b" * 600, b"c" * 600]

    await send_to(guarded, *parts(*chunks))

    assert echo.body == b"".join(chunks)
    assert [m["more_body"] for m in echo.received] == [True, False]
    assert guarded.runtime.bodies.held_bytes == 0


async def test_over_the_cap_a_change_that_is_required_refuses(guard: Any) -> None:
    guarded = dress(await guard(Echo(), contracts={"body_max": "1KiB"}), body=MUST)

    answer = await send_to(guarded, *parts(b"a" * 600, b"b" * 600))

    assert answer.status == 413
    assert guarded.runtime.bodies.held_bytes == 0


async def test_without_room_in_the_process_a_required_change_answers_503(
    guard: Any,
) -> None:
    limits = {"buffer_total": "64KiB"}
    plain = dress(await guard(Echo(), contracts=limits), body=CHANGE)
    strict = dress(await guard(Echo(), contracts=limits), body=MUST)
    plain.runtime.bodies.held_bytes = strict.runtime.bodies.held_bytes = 65_000

    passed = await send_to(plain, *parts(b"a" * 600, b"b" * 600))
    refused = await send_to(strict, *parts(b"a" * 600, b"b" * 600))

    assert passed.body == b"a" * 600 + b"b" * 600
    assert (refused.status, refused.headers["retry-after"]) == (503, "1")
    assert plain.runtime.bodies.held_bytes == strict.runtime.bodies.held_bytes == 65_000


@pytest.mark.parametrize("plan", [CHANGE, BodyPlan(look=Seen())])
async def test_a_client_that_leaves_mid_body_is_replayed(
    guard: Any, plan: BodyPlan
) -> None:
    received: list[Message] = []

    async def handler(scope: Any, receive: Any, send: Any) -> None:
        while not received or received[-1]["type"] == "http.request":
            received.append(await receive())

    guarded = dress(await guard(handler), body=plan)

    await send_to(guarded, *parts(b"[1,", is_cut=True))

    assert received == parts(b"[1,", is_cut=True)
    assert guarded.runtime.bodies.held_bytes == 0


async def test_after_the_body_the_servers_receive_answers(guard: Any) -> None:
    later: list[Message] = []

    async def handler(scope: Any, receive: Any, send: Any) -> None:
        await receive()
        later.append(await receive())

    guarded = dress(await guard(handler), body=CHANGE)

    await send_to(guarded, *parts(b"[]"), {"type": "http.disconnect"})

    assert later == [{"type": "http.disconnect"}]


async def test_what_the_servers_receive_raises_reaches_the_application(
    guard: Any,
) -> None:
    async def receive() -> Message:
        raise OSError("the body limit of the server")

    guarded = dress(await guard(Echo()), body=CHANGE)

    with pytest.raises(OSError, match="body limit"):
        await guarded(http_scope("POST", "/x", headers=[JSON]), receive, _drop)


async def test_a_body_nobody_asks_for_is_never_read(guard: Any) -> None:
    async def handler(scope: Any, receive: Any, send: Any) -> None:
        await JSONResponse({}, status_code=401)(scope, receive, send)

    guarded = dress(await guard(handler), body=MUST)

    answer = await drive(guarded, http_scope("POST", "/x", headers=[JSON]), [])

    assert answer.status == 401


async def test_an_answer_before_the_end_of_the_body_gives_the_memory_back(
    guard: Any,
) -> None:
    async def handler(scope: Any, receive: Any, send: Any) -> None:
        await receive()
        await JSONResponse({})(scope, receive, send)

    guarded = dress(await guard(handler), body=BodyPlan(look=Seen()))

    await send_to(guarded, *parts(b"a" * 600, b"b"))

    assert guarded.runtime.bodies.held_bytes == 0


class Item(BaseModel):
    qty: int


def fastapi_app(calls: list[str]) -> FastAPI:
    app = FastAPI()

    def depends() -> None:
        calls.append("dependency")

    @app.post("/x", dependencies=[Depends(depends)])
    def make(item: Item) -> Item:
        calls.append("handler")
        return item

    return app


async def test_a_refusal_found_in_the_body_is_the_answer_of_a_fastapi_route(
    guard: Any,
) -> None:
    calls: list[str] = []
    guarded = dress(await guard(fastapi_app(calls)), body=BodyPlan(changes=(refuse,)))

    answer = await send_to(guarded, *parts(b'{"qty": 1}'))

    assert (answer.status, answer.json["title"], calls) == (422, "No", [])
    assert answer.headers["content-type"] == "application/problem+json"
    assert answer.json["trace_id"] in answer.headers["traceresponse"]


async def test_a_refusal_counts_as_refused(guard: Any) -> None:
    guarded = dress(await guard(fastapi_app([])), body=BodyPlan(changes=(refuse,)))

    await send_to(guarded, *parts(b'{"qty": 1}'))

    tick, _ = guarded.runtime.window.flush("n", 1000, 0.0)
    assert [(route.n, route.refused) for route in tick.routes] == [(0, {"no": 1})]


async def test_a_refusal_wins_in_groups_and_over_the_applications_own_answer(
    guard: Any,
) -> None:
    async def grouped(scope: Any, receive: Any, send: Any) -> None:
        async with asyncio.TaskGroup() as group:
            group.create_task(receive())

    async def swallowed(scope: Any, receive: Any, send: Any) -> None:
        try:
            await receive()
        except HTTPException:
            await JSONResponse({"mine": True})(scope, receive, send)

    async def silent(scope: Any, receive: Any, send: Any) -> None:
        try:
            await receive()
        except HTTPException:
            return

    for app in (grouped, swallowed, silent):
        guarded = dress(await guard(app), body=BodyPlan(changes=(refuse,)))
        answer = await send_to(guarded, *parts(b"[]"))
        assert (answer.status, answer.json["title"], answer.raised) == (422, "No", None)


async def test_what_an_application_raises_besides_our_refusal_goes_on(
    guard: Any,
) -> None:
    async def handler(scope: Any, receive: Any, send: Any) -> None:
        try:
            await receive()
        except HTTPException:
            raise KeyError("its own") from None

    guarded = dress(await guard(handler), body=BodyPlan(changes=(refuse,)))

    answer = await send_to(guarded, *parts(b"[]"))

    assert answer.status == 422
    assert isinstance(answer.raised, KeyError)


async def test_a_fault_of_ours_lets_the_body_pass_or_refuses_it(guard: Any) -> None:
    lenient = dress(await guard(Echo()), body=BodyPlan(changes=(shout, fail)))
    strict = dress(
        await guard(Echo()), body=BodyPlan(changes=(fail,), is_required=True)
    )
    looking = dress(await guard(Echo()), body=BodyPlan(look=fail))  # type: ignore[arg-type]

    answers = [await send_to(g, *parts(b'"a"')) for g in (lenient, strict, looking)]

    assert [a.status for a in answers] == [200, 422, 200]
    assert (answers[0].body, answers[2].body) == (b'"a"', b'"a"')
    assert lenient.runtime.own_errors == looking.runtime.own_errors == 1


async def test_long_bodies_are_worked_on_in_a_thread(guard: Any) -> None:
    threads: list[bool] = []

    def look(exchange: Exchange, body: bytes) -> None:
        threads.append(threading.current_thread() is threading.main_thread())

    limits, echo = {"inline_max": "1KiB"}, Echo()
    guarded = dress(await guard(echo, contracts=limits), body=BodyPlan(look=look))

    await send_to(guarded, *parts(b"1"))
    echo.received.clear()
    await send_to(guarded, *parts(b"1" * 2000))

    assert threads == [True, False]


async def test_bodies_that_wait_for_a_thread_are_held_until_it_is_done(
    guard: Any,
) -> None:
    go_on, held = threading.Event(), []
    limits = {"inline_max": "1KiB"}

    def wait(exchange: Exchange, body: bytes) -> bytes:
        held.append(exchange.runtime.bodies.held_bytes)
        go_on.wait(5)
        return body

    guarded = dress(
        await guard(Echo(), contracts=limits), body=BodyPlan(changes=(wait,))
    )
    bodies = guarded.runtime.bodies
    posts = [asyncio.create_task(send_to(guarded, *parts(b"x" * 2000)))]
    await eventually(lambda: bool(held))
    posts[0].cancel()  # its thread goes on, for nobody
    await asyncio.wait(posts)
    go_on.set()

    assert held == [2000]
    assert bodies.held_bytes == 0


async def test_a_task_left_behind_reads_on_as_without_us(guard: Any) -> None:
    left: list[asyncio.Task[list[Message]]] = []

    async def app(scope: Any, receive: Any, send: Any) -> None:
        async def read() -> list[Message]:
            await asyncio.sleep(0)
            return [await receive(), await receive()]

        await send({"type": "http.response.start", "status": 204, "headers": []})
        await send({"type": "http.response.body"})
        left.append(asyncio.create_task(read()))

    messages = parts(b"[", b"]")
    guarded = dress(await guard(app), body=CHANGE)

    await send_to(guarded, *messages)

    assert await left[0] == messages
    assert guarded.runtime.bodies.held_bytes == 0


async def test_a_refused_body_stays_refused(guard: Any) -> None:
    refusals: list[str] = []

    async def stubborn(scope: Any, receive: Any, send: Any) -> None:
        for _ in range(2):
            try:
                await receive()
            except HTTPException as refusal:
                refusals.append(refusal.detail)

    guarded = dress(await guard(stubborn), body=BodyPlan(changes=(refuse,)))

    answer = await send_to(guarded, *parts(b"[]"))

    assert (answer.status, refusals) == (422, ["no", "no"])


async def test_a_refusal_after_the_answer_began_ends_the_exchange(guard: Any) -> None:
    async def duplex(scope: Any, receive: Any, send: Any) -> None:
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await receive()

    guarded = dress(await guard(duplex), body=BodyPlan(changes=(refuse,)))

    answer = await send_to(guarded, *parts(b"[]"))

    assert answer.status == 200
    assert isinstance(answer.raised, HTTPException)


async def test_a_look_gives_up_over_the_cap_and_the_body_goes_on(guard: Any) -> None:
    for chunks in ([b"a" * 600, b"b" * 600, b"c"], [b"a" * 1025], [b"a" * 600] * 2):
        seen, echo = Seen(), Echo()
        limits = {"body_max": "1KiB"}
        guarded = dress(await guard(echo, contracts=limits), body=BodyPlan(look=seen))

        await send_to(guarded, *parts(*chunks))

        assert (echo.received, seen.bodies) == (parts(*chunks), [])
        assert guarded.runtime.ledger.take(1).tallies == {"skipped:size": 1}


@pytest.mark.parametrize("more", [[], [(b"content-length", b"3001")]])
async def test_bodies_too_long_to_be_looked_at_are_not_kept(
    guard: Any, more: list[tuple[bytes, bytes]]
) -> None:
    limits = {"gate_full_max": "1KiB", "gate_sampled_max": "2KiB"}
    seen, held = Seen(), []

    async def app(scope: Any, receive: Any, send: Any) -> None:
        for _ in range(3):
            await receive()
            held.append(guarded.runtime.bodies.held_bytes)

    guarded = dress(await guard(app, contracts=limits), body=BodyPlan(look=seen))

    chunks = parts(b"a" * 1500, b"b" * 1500, b"c")
    await send_to(guarded, *chunks, headers=[JSON, *more])

    assert seen.bodies == []
    assert held == ([0, 0, 0] if more else [1500, 0, 0])


async def test_empty_bodies_and_headers_of_any_kind_are_no_work(guard: Any) -> None:
    echo = Echo()
    guarded = dress(await guard(echo), body=BodyPlan(changes=(fail,)))
    scope = http_scope("POST", "/x", headers=(JSON,))

    await drive(guarded, scope, parts(b""))

    assert (echo.received, guarded.runtime.own_errors) == (parts(b""), 0)


async def test_a_client_that_leaves_before_its_body_is_just_gone(guard: Any) -> None:
    gone = {"type": "http.disconnect"}

    async def handler(scope: Any, receive: Any, send: Any) -> None:
        assert await receive() == gone
        raise ValueError("seen")

    guarded = dress(await guard(handler), body=CHANGE)

    answer = await send_to(guarded, gone)

    assert isinstance(answer.raised, ValueError)


# --- answers ----------------------------------------------------------------


def answering(*sent: Message, status: int = 200, headers: Any = (JSON,)) -> Any:
    async def app(scope: Any, receive: Any, send: Any) -> None:
        start = {"type": "http.response.start", "status": status}
        await send({**start, "headers": list(headers)})
        for message in sent:
            await send(message)

    return app


def body_of(*chunks: bytes) -> list[Message]:
    return [{**m, "type": "http.response.body"} for m in parts(*chunks)]


async def asked(guard: Any, app: Any, plan: BodyPlan, **more: Any) -> Answer:
    guarded: Failsoft = dress(await guard(app, **more), answer=plan)
    return await send_to(guarded, *parts(b""), headers=[])


async def test_an_answer_is_held_changed_and_sent_whole(guard: Any) -> None:
    headers = [JSON, (b"Content-Length", b"8"), (b"accept-ranges", b"bytes")]
    app = answering(*body_of(b'{"a":', b" 1}"), headers=headers)

    answer = await asked(guard, app, MUST)

    assert [m.get("body") for m in answer.messages[1:]] == [b'{"A": 1}  ']
    assert answer.headers["content-length"] == "10"
    assert "accept-ranges" not in answer.headers


@pytest.mark.parametrize("status", [204, 304])
async def test_answers_without_a_body_pass(guard: Any, status: int) -> None:
    answer = await asked(guard, answering(*body_of(b""), status=status), MUST)

    assert (answer.status, answer.body) == (status, b"")


async def test_statuses_a_plan_is_not_for_and_other_media_types_pass(
    guard: Any,
) -> None:
    plan = BodyPlan((shout,), is_required=True, statuses=lambda status: status < 300)
    text = answering(*body_of(b"ab"), headers=[(b"content-type", b"text/plain")])

    error = await asked(guard, answering(*body_of(b'"a"'), status=404), plan)
    plain = await asked(guard, text, plan)

    assert (error.body, plain.body) == (b'"a"', b"ab")


async def test_events_pass_as_they_come(guard: Any) -> None:
    sent = asyncio.Event()
    first = asyncio.Event()

    async def events() -> Any:
        yield "data: 1\n\n"
        await asyncio.wait_for(first.wait(), 5)
        sent.set()
        yield "data: 2\n\n"

    async def stream(request: Request) -> Response:
        return StreamingResponse(events(), media_type="text/event-stream")

    async def send(message: Message) -> None:
        if b"1" in message.get("body", b""):
            first.set()

    async def receive() -> Message:
        await asyncio.Event().wait()
        raise AssertionError

    app = Starlette(routes=[Route("/x", stream)])
    plan = BodyPlan((shout,), look=Seen(), is_required=True)
    guarded = dress(await guard(app), body=plan, answer=plan)

    await guarded(http_scope("GET", "/x"), receive, send)

    assert sent.is_set()


async def test_a_watched_answer_streams_and_is_seen_whole(guard: Any) -> None:
    seen = Seen()
    messages = body_of(b"[1,", b"2]")

    answer = await asked(guard, answering(*messages), BodyPlan(look=seen))

    assert answer.messages[1:] == messages
    assert seen.bodies == [b"[1,2]"]


async def test_early_hints_and_trailers_pass_around_a_held_answer(guard: Any) -> None:
    hint = {"type": "http.response.early_hint", "links": [b"</a>; rel=preload"]}
    trailers = {"type": "http.response.trailers", "headers": []}

    async def app(scope: Any, receive: Any, send: Any) -> None:
        await send(hint)
        await answering(*body_of(b'"a"'), trailers)(scope, receive, send)

    answer = await asked(guard, app, MUST)

    kinds = [m["type"].rpartition(".")[2] for m in answer.messages]
    assert kinds == ["early_hint", "start", "body", "trailers"]


@pytest.mark.parametrize("kind", ["pathsend", "zerocopysend"])
async def test_a_file_the_server_sends_passes_with_a_notice(
    guard: Any, kind: str
) -> None:
    file = {"type": f"http.response.{kind}", "path": "/etc/hostname"}

    answer = await asked(guard, answering(file), MUST)

    assert answer.messages[1] == file
    assert answer.headers["failsoft-notice"] == "not-migrated;reason=file"


async def test_head_loses_the_length_it_cannot_know(guard: Any) -> None:
    app = answering(*body_of(b""), headers=[JSON, (b"content-length", b"8")])
    guarded = dress(await guard(app), answer=MUST)

    answer = await send_to(guarded, *parts(b""), method="HEAD")

    assert "content-length" not in answer.headers
    assert answer.body == b""


@pytest.mark.parametrize(
    ("header", "is_signed"),
    [
        ((b"Signature", b"x"), True),
        ((b"x-seal", b"x"), True),
        ((b"content-digest", b"x"), False),
        ((b"etag", b'"1"'), False),
    ],
)
async def test_signed_answers_pass_with_a_notice_and_digests_are_dropped(
    guard: Any, header: Any, is_signed: bool
) -> None:
    app = answering(*body_of(b'"a"'), headers=[JSON, header])
    limits = {"signed_headers": ["X-Seal"]}

    answer = await asked(guard, app, MUST, contracts=limits)

    assert answer.body == (b'"a"' if is_signed else b'"A"  ')
    assert ("failsoft-notice" in answer.headers) is is_signed
    assert "content-digest" not in answer.headers


async def test_compression_inside_is_not_asked_for_and_ranges_neither(
    guard: Any,
) -> None:
    asked_for: list[bytes] = []

    async def page(request: Request) -> Response:
        asked_for.extend(name for name, _ in request.scope["headers"])
        return JSONResponse({"a": "x" * 2000})

    app = Starlette(routes=[Route("/x", page)], middleware=[Middleware(GZipMiddleware)])
    guarded = dress(await guard(app), answer=MUST)
    headers = [(b"accept-encoding", b"gzip"), (b"range", b"bytes=0-3")]

    answer = await send_to(guarded, *parts(b""), headers=headers, method="GET")

    assert asked_for == []
    assert json.loads(answer.body) == {"A": "X" * 2000}


async def test_an_answer_that_is_compressed_anyway_is_inflated(guard: Any) -> None:
    headers = [JSON, (b"content-encoding", b"gzip")]
    app = answering(*body_of(gzip.compress(b'"abc"')), headers=headers)

    answer = await asked(guard, app, MUST)

    assert answer.body == b'"ABC"  '
    assert "content-encoding" not in answer.headers


@pytest.mark.parametrize(
    ("body", "encoding"),
    [
        (gzip.compress(b" " * 1_000_000), b"gzip"),  # a thousand times as long
        (gzip.compress(b'["a') + gzip.compress(b'"]'), b"gzip"),
        (b"no gzip", b"gzip"),
        (b"\x0b\x02\x80abc\x03", b"br"),
    ],
)
async def test_what_cannot_be_inflated_is_never_sent_half_migrated(
    guard: Any, body: bytes, encoding: bytes
) -> None:
    headers = [JSON, (b"content-encoding", encoding)]

    answer = await asked(guard, answering(*body_of(body), headers=headers), MUST)

    assert answer.status == 500
    assert answer.json["type"] == "urn:failsoft:problem:migration-failed"


async def test_a_long_answer_is_refused_where_it_must_change_else_it_passes(
    guard: Any,
) -> None:
    messages = body_of(b"a" * 600, b"b" * 600, b"c")
    limits = {"body_max": "1KiB"}

    refused = await asked(guard, answering(*messages), MUST, contracts=limits)
    passed = await asked(guard, answering(*messages), CHANGE, contracts=limits)
    watched = await asked(
        guard, answering(*messages), BodyPlan(look=Seen()), contracts=limits
    )

    assert (refused.status, passed.status) == (500, 200)
    assert passed.body == watched.body == b"a" * 600 + b"b" * 600 + b"c"


@pytest.mark.parametrize(
    ("header", "word"),
    [
        ((b"content-encoding", b"br"), "encoding"),
        ((b"content-length", b"99999999"), "size"),
    ],
)
@pytest.mark.parametrize("plan", [BodyPlan(look=Seen()), CHANGE])
async def test_an_answer_that_cannot_be_read_passes_unless_it_must_change(
    guard: Any, plan: BodyPlan, header: Any, word: str
) -> None:
    app = answering(*body_of(b'"a"'), headers=[JSON, header])
    guarded = dress(await guard(app), answer=plan)

    answer = await send_to(guarded, *parts(b""))

    assert answer.body == b'"a"'
    assert guarded.runtime.ledger.take(1).tallies == {f"skipped:{word}": 1}


async def test_an_answer_whose_length_is_told_and_too_long_is_refused_at_once(
    guard: Any,
) -> None:
    app = answering(headers=[JSON, (b"content-length", b"99999999")])

    answer = await asked(guard, app, MUST)

    assert answer.status == 500


async def test_unknown_messages_pass_between_the_parts_of_an_answer(
    guard: Any,
) -> None:
    push = {"type": "http.response.push", "path": "/a"}
    first, last = body_of(b"[1,", b"2]")

    for plan in (MUST, BodyPlan(look=Seen())):
        answer = await asked(guard, answering(first, push, last), plan)
        assert push in answer.messages
        assert answer.body.strip() == b"[1,2]"


async def test_an_empty_answer_is_no_work(guard: Any) -> None:
    answer = await asked(
        guard, answering(*body_of(b"")), BodyPlan((fail,), is_required=True)
    )

    assert (answer.status, answer.body) == (200, b"")


async def test_a_change_of_an_answer_may_refuse_it(guard: Any) -> None:
    plan = BodyPlan((refuse,), is_required=True)

    answer = await asked(guard, answering(*body_of(b'"a"')), plan)

    assert (answer.status, answer.json["title"]) == (422, "No")


async def test_a_watched_head_has_no_body_to_see(guard: Any) -> None:
    seen = Seen()
    guarded = dress(await guard(answering(*body_of(b""))), answer=BodyPlan(look=seen))

    answer = await send_to(guarded, *parts(b""), method="HEAD")

    assert (answer.status, seen.bodies) == (200, [])


async def test_a_change_that_fails_counts_as_an_error(guard: Any) -> None:
    plan = BodyPlan((fail,), is_required=True)
    guarded = dress(await guard(answering(*body_of(b'"a"'))), answer=plan)

    answer = await send_to(guarded, *parts(b""))

    tick, _ = guarded.runtime.window.flush("n", 1000, 0.0)
    assert answer.status == 500
    assert [(route.n, route.errors) for route in tick.routes] == [(1, 1)]


async def test_an_application_that_fails_amid_a_held_answer_sends_nothing(
    guard: Any,
) -> None:
    async def app(scope: Any, receive: Any, send: Any) -> None:
        await answering(*body_of(b'"a"', b"")[:1])(scope, receive, send)
        raise ValueError("after its first part")

    guarded = dress(await guard(app), answer=MUST)

    answer = await send_to(guarded, *parts(b""))

    assert answer.messages == []
    assert isinstance(answer.raised, ValueError)
    assert guarded.runtime.bodies.held_bytes == 0


async def test_the_start_of_an_answer_may_change_status_and_headers(
    guard: Any,
) -> None:
    def start(exchange: Exchange, status: int, headers: list[Any]) -> int:
        headers.append((b"x-api-version", b"1"))
        return 202

    guarded = dress(await guard(answering(*body_of(b'"a"'))), start=start)

    answer = await send_to(guarded, *parts(b""))

    assert (answer.status, answer.headers["x-api-version"]) == (202, "1")


async def test_a_fault_at_the_start_leaves_the_answer_as_it_is(guard: Any) -> None:
    def start(exchange: Exchange, status: int, headers: list[Any]) -> int:
        raise ValueError("a fault of ours")

    guarded = dress(await guard(answering(*body_of(b'"a"'))), start=start)

    answer = await send_to(guarded, *parts(b""))

    assert (answer.status, guarded.runtime.own_errors) == (200, 1)


def streaming(*sent: Message, raises: bool = False) -> Any:
    """An application that sends these, and may then fail."""

    async def app(scope: Message, receive: Any, send: Any) -> None:
        for message in sent:
            with contextlib.suppress(RuntimeError):  # as of a server: out of turn
                await send(message)
        if raises:
            raise ValueError("amid its answer")

    return app


START: Message = {"type": "http.response.start", "status": 200, "headers": [JSON]}
PART: Message = {"type": "http.response.body", "body": b'"par', "more_body": True}
LAST: Message = {"type": "http.response.body", "body": b't"'}


@pytest.mark.parametrize(
    "app",
    [streaming(START, PART, raises=True), streaming(START, PART, START)],
    ids=["raises", "starts-again"],
)
async def test_an_answer_that_is_looked_at_and_never_ends_gives_the_memory_back(
    app: Any, guard: Any
) -> None:
    guarded = dress(await guard(app), answer=BodyPlan(look=Seen()))

    def faulty(exchange: Exchange, status: int) -> None:
        raise KeyError("a fault of ours")

    for plan in guarded.runtime.snapshot.plans:
        plan.settled = faulty

    answer = await send_to(guarded)

    assert answer.messages[1]["body"] == b'"par'
    assert guarded.runtime.bodies.held_bytes == 0


async def test_nothing_of_a_request_stays_after_its_answer_was_looked_at(
    guard: Any,
) -> None:
    seen = Seen()
    app = streaming(START, PART, LAST)
    guarded = dress(await guard(app), answer=BodyPlan(look=seen))
    await send_to(guarded)
    gc.collect()
    gc.disable()
    try:
        for _ in range(5):
            await send_to(guarded)
        left = [o for o in gc.get_objects() if isinstance(o, Exchange | Buffer)]
    finally:
        gc.enable()

    assert seen.bodies == [b'"part"'] * 6
    assert len(left) <= 1  # a context may keep the newest exchange


async def test_an_answer_is_looked_at_before_its_last_part_and_its_end_count(
    guard: Any,
) -> None:
    phases: list[tuple[int, int]] = []

    def look(exchange: Exchange, body: bytes) -> None:
        phases.append((exchange.phase, exchange.status))

    app = streaming(START, PART, LAST)
    guarded = dress(await guard(app), answer=BodyPlan(look=look))

    await send_to(guarded)

    assert phases == [(1, 200)]
