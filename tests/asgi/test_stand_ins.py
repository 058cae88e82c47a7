"""What a client gets where the application fails: kept, fixed, or a fallback's."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from starlette.applications import Starlette
from starlette.background import BackgroundTask
from starlette.requests import ClientDisconnect, Request
from starlette.responses import (
    JSONResponse,
    PlainTextResponse,
    Response,
    StreamingResponse,
)
from starlette.routing import Mount, Route

import failsoft
from asgi.conftest import Guard
from asgi.dressed import dress
from asgi.drive import Answer, drive, get, http_scope, post
from failsoft import Failsoft, Static
from failsoft.errors import BreakerOpen, DeadlineExceeded, DefinitionError
from failsoft.outbound._attempt import CallNote
from failsoft.pipeline import BodyPlan, InPlace, Plan, Rejection
from failsoft.routes.standins import HANDLERS
from failsoft.routes.table import RouteDef

pytestmark = pytest.mark.anyio

HOST = (b"host", b"test")
ROOM = {"body_max": "1KiB"}


class Shop:
    """An application whose one route works until it is told how to fail."""

    def __init__(self, **headers: str) -> None:
        self.headers = {k.replace("_", "-"): v for k, v in headers.items()}
        self.fails: Exception | int | str = ""
        self.calls = 0

    async def handle(self, request: Request) -> Response:
        self.calls += 1
        if isinstance(self.fails, Exception):
            raise self.fails
        if self.fails == "hangs":
            await asyncio.Event().wait()
        if isinstance(self.fails, int):
            return PlainTextResponse("broken", self.fails)
        body = f"{request.url.path}?{request.url.query} {self.calls}"
        return PlainTextResponse(body, headers=self.headers)

    @property
    def app(self) -> Starlette:
        methods = ["GET", "POST"]
        route = Route("/x/{rest:path}", self.handle, methods=methods)
        return Starlette(routes=[route])


def rules(**more: Any) -> Any:
    short = {"timeout": "30ms", "timeout_grace": "0s"}
    return {"routes": {"GET /x*": {**short, **more}}}


STALE = rules(stale="5m")
FAILURES = [ValueError(), 500, 502, 503, 504, "hangs", BreakerOpen("d", "open")]


# --- kept answers ---------------------------------------------------------------


@pytest.mark.parametrize("failure", FAILURES, ids=repr)
async def test_a_kept_answer_stands_in_for_every_kind_of_failure(
    guard: Guard, failure: Any
) -> None:
    shop = Shop(etag='"1"', cache_control="max-age=60")
    guarded = await guard(shop.app, **STALE)
    await get(guarded, "/x/1")
    shop.fails = failure

    answer = await get(guarded, "/x/1")

    assert (answer.status, answer.body) == (200, b"/x/1? 1")
    assert (answer.headers["age"], answer.headers["failsoft-notice"]) == (
        "0",
        "degraded",
    )
    assert answer.headers["cache-status"] == "failsoft; hit; ttl=60"
    assert answer.headers["content-length"] == str(len(answer.body))
    assert answer.raised is None


async def test_it_counts_as_good_and_as_degraded(guard: Guard) -> None:
    shop = Shop()
    guarded = await guard(shop.app, **STALE)
    await get(guarded, "/x/1")
    shop.fails = 500

    await get(guarded, "/x/1")

    tick, _ = guarded.runtime.window.flush("n", 1000, 0.0)
    (route,) = tick.routes
    assert (route.n, route.errors, route.degraded) == (2, 0, 1)


async def test_what_was_never_kept_cannot_stand_in(guard: Guard) -> None:
    shop = Shop()
    guarded = await guard(shop.app, **STALE)
    await get(guarded, "/x/1")
    shop.fails = 503

    others = [
        await get(guarded, "/x/2"),
        await get(guarded, "/x/1", query_string=b"a=1"),
        await get(guarded, "/x/1", headers=[HOST, (b"cookie", b"a=b")]),
        await post(guarded, "/x/1"),
    ]

    assert [answer.status for answer in others] == [503] * 4
    assert others[0].body == b"broken"


@pytest.mark.parametrize(
    "headers",
    [
        {"cache_control": "no-store"},
        {"cache_control": "private, max-age=9"},
        {"set_cookie": "a=b"},
        {"vary": "*"},
        {"content_range": "bytes 0-1/2"},
        {"content_type": "text/event-stream"},
    ],
    ids=str,
)
async def test_some_answers_are_never_kept(
    guard: Guard, headers: dict[str, str]
) -> None:
    shop = Shop(**headers)
    guarded = await guard(shop.app, **STALE)
    await get(guarded, "/x/1")
    shop.fails = 503

    assert (await get(guarded, "/x/1")).status == 503


async def test_answers_are_kept_by_what_they_vary_on(guard: Guard) -> None:
    shop = Shop(vary="Accept-Language")
    guarded = await guard(shop.app, **STALE)
    german = [HOST, (b"accept-language", b"de")]
    await get(guarded, "/x/1")
    await get(guarded, "/x/1", headers=german)
    shop.fails = 500

    answers = [await get(guarded, "/x/1"), await get(guarded, "/x/1", headers=german)]

    assert [answer.body[-1:] for answer in answers] == [b"1", b"2"]


async def test_kept_per_consumer_nobody_sees_what_is_another_s(guard: Guard) -> None:
    shop = Shop(cache_control="private")
    guarded = await guard(shop.app, **rules(stale="5m", stale_key="consumer"))
    ana, bob = (
        [HOST, (b"user-agent", b"ShopApp/1"), (b"authorization", name)]
        for name in (b"Bearer ana", b"Bearer bob")
    )
    await get(guarded, "/x/1", headers=ana)
    await get(guarded, "/x/1")
    shop.fails = 500

    answers = [await get(guarded, "/x/1", headers=h) for h in (ana, bob, [HOST])]

    assert [answer.status for answer in answers] == [200, 500, 500]


async def test_head_and_a_known_tag_get_no_body(guard: Guard) -> None:
    shop = Shop(etag='W/"7"')
    guarded = await guard(shop.app, **STALE)
    await get(guarded, "/x/1")
    shop.fails = 500

    head = await drive(guarded, http_scope("HEAD", "/x/1"))
    known = [HOST, (b"if-none-match", b'"6", "7"')]
    same = await get(guarded, "/x/1", headers=known)

    assert (head.status, head.body, head.headers["content-length"]) == (200, b"", "7")
    assert (same.status, same.body) == (304, b"")
    assert "content-length" not in same.headers
    assert same.headers["etag"] == 'W/"7"'


@pytest.mark.parametrize(
    ("parts", "status"), [((b"a", b"b"), 200), ((b"x" * 900,) * 2, 500)]
)
async def test_a_body_in_parts_is_kept_within_bounds(
    guard: Guard, parts: tuple[bytes, ...], status: int
) -> None:
    async def app(scope: Any, receive: Any, send: Any) -> None:
        if has_failed:
            await PlainTextResponse("broken", 500)(scope, receive, send)
            return
        await send({"type": "http.response.start", "status": 200, "headers": []})
        for number, part in enumerate(parts):
            more = number + 1 < len(parts)
            await send({"type": "http.response.body", "body": part, "more_body": more})

    has_failed = False
    every = {"routes": {"* *": {"stale": "5m"}}, "defaults": {"stale": "5m"}}
    guarded = await guard(Starlette(routes=[Mount("/x", app)]), **every, stale=ROOM)
    await get(guarded, "/x/1")
    has_failed = True

    assert (await get(guarded, "/x/1")).status == status


async def test_a_file_that_the_server_sends_is_not_kept(guard: Guard) -> None:
    async def app(scope: Any, receive: Any, send: Any) -> None:
        await send({"type": "http.response.start", "status": answers.pop(0)})
        await send({"type": "http.response.pathsend", "path": "/dev/null"})

    answers = [200, 500]
    guarded = await guard(
        Starlette(routes=[Mount("/x", app)]), defaults={"stale": "5m"}
    )
    await get(guarded, "/x/1")

    assert (await get(guarded, "/x/1")).status == 500


# --- fallbacks -------------------------------------------------------------------


async def asked(request: Request) -> Response:
    return JSONResponse({"read": (await request.body()).decode()})


async def too_slow(request: Request) -> Response:
    await asyncio.Event().wait()
    raise AssertionError("never set")


def broken(request: Request) -> Response:
    raise RuntimeError


def none(request: Request) -> None:
    return None


@pytest.mark.parametrize(
    ("fallback", "status", "body"),
    [
        (Static("none", status=203), 203, b"none"),
        (lambda request: {"path": request.url.path}, 200, b'{"path":"/x/1"}'),
        (lambda request: "text", 200, b"text"),
        (lambda request: b"raw", 200, b"raw"),
        (too_slow, 500, b"broken"),
        (broken, 500, b"broken"),
        (none, 500, b"broken"),
        (lambda request: object(), 500, b"broken"),
    ],
)
async def test_a_fallback_answers_or_the_failure_shows(
    guard: Guard, fallback: Any, status: int, body: bytes
) -> None:
    shop = Shop()
    shop.fails = 500
    settings = {
        **rules(fallback=fallback, timeout="10s"),
        "deadline": {"fallback": 0.02},
    }
    guarded = await guard(shop.app, **settings)

    answer = await get(guarded, "/x/1")

    assert (answer.status, answer.body) == (status, body)


async def test_a_fallback_reads_what_the_application_read(guard: Guard) -> None:
    async def handle(request: Request) -> Response:
        await request.body()
        raise ValueError

    app = Starlette(routes=[Route("/x", handle, methods=["POST"])])
    guarded = await guard(app, routes={"POST /x": {"fallback": asked}})

    answer = await post(guarded, "/x", b"order")

    assert answer.json == {"read": "order"}


async def test_nothing_stands_in_for_a_client_that_left() -> None:
    shop = Shop()
    shop.fails = ClientDisconnect()
    app = shop.app
    app.add_middleware(Failsoft, **rules(fallback=Static("none")))

    answer = await get(app, "/x/1")

    assert (answer.status, type(answer.raised)) == (500, ClientDisconnect)


async def test_an_error_with_nothing_to_stand_in_is_the_application_s() -> None:
    shop = Shop()
    shop.fails = ValueError()
    app = shop.app
    app.add_middleware(Failsoft, **STALE)

    answer = await get(app, "/x/1")

    assert (answer.status, type(answer.raised)) == (500, ValueError)


async def test_an_error_that_a_fallback_answers_for_goes_no_further(
    caplog: pytest.LogCaptureFixture,
) -> None:
    shop = Shop()
    shop.fails = ValueError("why")
    app = shop.app
    app.add_middleware(Failsoft, **rules(fallback=Static("none")))

    answer = await get(app, "/x/1")

    assert (answer.body, answer.raised) == (b"none", None)
    (record,) = [r for r in caplog.records if r.name == "failsoft"]
    assert record.getMessage() == "GET /x/{rest} failed, answered by static"
    assert "ValueError: why" in caplog.text


async def test_nothing_stands_in_for_an_answer_that_has_begun(guard: Guard) -> None:
    async def handle(request: Request) -> Response:
        async def parts() -> Any:
            yield b"begun"
            raise ValueError

        return StreamingResponse(parts())

    app = Starlette(routes=[Route("/x", handle)])
    guarded = await guard(app, routes={"GET /x": {"fallback": Static("none")}})

    answer = await get(guarded, "/x")

    assert (answer.body, type(answer.raised)) == (b"begun", ValueError)


async def test_it_is_known_when_a_fallback_last_answered(guard: Guard) -> None:
    shop = Shop()
    shop.fails = 500
    guarded = await guard(shop.app, **rules(fallback=Static("none")))

    await get(guarded, "/x/1")

    assert guarded.runtime.inbound.exercised["GET /x/{rest}"] > 0


async def test_a_kept_answer_goes_before_the_fallback(guard: Guard) -> None:
    shop = Shop()
    guarded = await guard(shop.app, **rules(stale="5m", fallback=Static("none")))
    await get(guarded, "/x/1")
    shop.fails = 500

    answers = [await get(guarded, "/x/1"), await get(guarded, "/x/2")]

    assert [answer.body for answer in answers] == [b"/x/1? 1", b"none"]


async def test_a_fallback_answers_for_a_handler_that_hangs(guard: Guard) -> None:
    shop = Shop()
    shop.fails = "hangs"
    guarded = await guard(shop.app, **rules(fallback=Static("none")))

    answer = await get(guarded, "/x/1")

    assert (answer.status, answer.body, answer.raised) == (200, b"none", None)


async def test_a_fallback_that_nobody_knows_stops_the_start(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.delenv("FAILSOFT_REDIS_URL", raising=False)
    failsoft.handler("basic-list")(none)
    guarded = Failsoft(Shop().app, **rules(fallback="basic-lits"))

    answer = await get(guarded, "/x/1")

    assert isinstance(answer.raised, DefinitionError)
    assert "did you mean basic-list?" in str(answer.raised)


async def test_without_any_handler_it_says_how_to_make_one(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.delenv("FAILSOFT_REDIS_URL", raising=False)
    known = dict(HANDLERS)
    guarded = Failsoft(Shop().app, **rules(fallback="basic-list"))

    HANDLERS.clear()
    answer = await get(guarded, "/x/1")
    HANDLERS.update(known)

    assert '@failsoft.handler("basic-list")' in str(answer.raised)


# --- modes -----------------------------------------------------------------------


async def under(guard: Guard, shop: Shop, place: InPlace, **more: Any) -> Failsoft:
    """Have a mode answer on every route, as its plan would say."""
    guarded = await guard(shop.app, **rules(stale="5m", **more))
    runtime = guarded.runtime
    dress = runtime.inbound.dress

    def placed(route: RouteDef, plan: Plan) -> None:
        plan.in_place = place
        dress(route, plan)

    await get(guarded, "/x/1")
    object.__setattr__(runtime.inbound, "dress", placed)
    runtime.install(runtime.table)
    return guarded


async def elsewhere(request: Request) -> Any:
    return {"by": "elsewhere"} if request.url.path != "/x/3" else None


async def test_a_mode_answers_without_asking_the_application(guard: Guard) -> None:
    failsoft.handler("elsewhere")(elsewhere)
    shop = Shop()
    guarded = await under(guard, shop, InPlace(stale_s=60, reroute="elsewhere"))

    kept, rerouted = await get(guarded, "/x/1"), await get(guarded, "/x/2")
    left = await get(guarded, "/x/3")

    assert kept.body == b"/x/1? 1"
    assert rerouted.json == {"by": "elsewhere"}
    assert (left.body, shop.calls) == (b"/x/3? 2", 2)


async def test_a_probe_reaches_the_application_first(guard: Guard) -> None:
    failsoft.handler("elsewhere")(elsewhere)
    shop = Shop()
    place = InPlace(stale_s=60, reroute="elsewhere", is_probe=True)
    guarded = await under(guard, shop, place)

    asked_first = await get(guarded, "/x/1")
    shop.fails = 500
    failed = [await get(guarded, "/x/1"), await get(guarded, "/x/2")]

    assert asked_first.body == b"/x/1? 2"
    assert [answer.body for answer in failed] == [b"/x/1? 2", b'{"by":"elsewhere"}']


async def test_where_a_probe_fails_the_mode_refuses_as_it_does_elsewhere(
    guard: Guard,
) -> None:
    fixed = Rejection("static", 200, (), b"fixed", is_problem=False, is_refusal=False)
    shop = Shop()
    place = InPlace(is_probe=True, refuse=lambda exchange: fixed)
    guarded = await under(guard, shop, place)
    shop.fails = 500

    answer = await get(guarded, "/x/2")

    assert (answer.status, answer.body) == (200, b"fixed")


async def test_the_application_answers_where_a_mode_s_handler_fails(
    guard: Guard,
) -> None:
    failsoft.handler("broken")(broken)
    shop = Shop()
    guarded = await under(guard, shop, InPlace(reroute="broken"))

    assert (await get(guarded, "/x/2")).body == b"/x/2? 2"


# --- uncaught calls ---------------------------------------------------------------


@pytest.mark.parametrize(
    ("error", "status", "kind"),
    [
        (
            BreakerOpen("stripe", "open", retry_after_s=10),
            503,
            "dependency-unavailable",
        ),
        (DeadlineExceeded("stripe", "late"), 504, "deadline-exceeded"),
    ],
)
@pytest.mark.parametrize("is_inside", [True, False])
async def test_a_call_that_nobody_caught_is_unavailable(
    guard: Guard, error: Exception, status: int, kind: str, is_inside: bool
) -> None:
    async def handle(request: Request) -> Response:
        exchange = failsoft.current()
        assert exchange is not None
        exchange.calls = [CallNote("stripe", "refused", 0.0)]
        raise error

    app = Starlette(routes=[Route("/x", handle)])
    if is_inside:
        app.add_middleware(Failsoft, endpoints={"expose_dependencies": True})
        guarded: Any = app
    else:
        guarded = await guard(app, endpoints={"expose_dependencies": True})

    answer: Answer = await get(guarded, "/x")

    assert (answer.status, answer.raised) == (status, None)
    assert answer.json["type"] == f"urn:failsoft:problem:{kind}"
    if status == 503:
        assert 10 <= int(answer.headers["retry-after"]) <= 13
        assert answer.json["detail"] == "dependency stripe"


async def test_a_handlers_own_500_is_held_back_only_after_a_call_that_failed(
    guard: Guard,
) -> None:
    async def handle(request: Request) -> Response:
        exchange = failsoft.current()
        assert exchange is not None
        exchange.calls = [CallNote("stripe", "ok", 0.0)]
        return PlainTextResponse("mine", 500, background=BackgroundTask(work))

    async def work() -> None:
        sent.append(failsoft.current().phase)  # type: ignore[union-attr]

    sent: list[int] = []
    guarded = await guard(Starlette(routes=[Route("/x", handle)]))

    answer = await get(guarded, "/x")

    assert (answer.status, answer.body, sent) == (500, b"mine", [2])


# --- fallbacks that misbehave -------------------------------------------------------


async def test_what_a_fallback_leaves_to_do_is_done(guard: Guard) -> None:
    done: list[str] = []

    async def queue(request: Request) -> Response:
        later = BackgroundTask(done.append, "queued")
        return JSONResponse({"queued": True}, 202, background=later)

    shop = Shop()
    guarded = await guard(shop.app, **rules(fallback=queue))
    shop.fails = 503

    answer = await get(guarded, "/x/1")

    assert (answer.status, answer.json, done) == (202, {"queued": True}, ["queued"])


async def test_a_fallback_without_a_body_sends_none(guard: Guard) -> None:
    shop = Shop()
    guarded = await guard(shop.app, **rules(fallback=Static("nothing", status=204)))
    shop.fails = 503

    answer = await get(guarded, "/x/1")

    assert (answer.status, answer.body) == (204, b"")
    assert "content-length" not in answer.headers


@pytest.mark.parametrize(("failure", "status"), [(503, 503), ("hangs", 504)])
async def test_a_fallback_that_awaits_what_was_cancelled_fails_like_any(
    guard: Guard, failure: Any, status: int
) -> None:
    async def fallback(request: Request) -> Response:
        raise asyncio.CancelledError

    shop = Shop()
    guarded = await guard(shop.app, **rules(fallback=fallback))
    shop.fails = failure

    answer = await get(guarded, "/x/1")

    assert (answer.status, guarded.runtime.own_errors) == (status, 1)


async def test_a_fallback_ends_with_the_request_that_it_answers(guard: Guard) -> None:
    asked, ended = asyncio.Event(), asyncio.Event()

    async def fallback(request: Request) -> Response:
        asked.set()
        try:
            await asyncio.Event().wait()
        finally:
            ended.set()
        raise AssertionError("never set")

    shop = Shop()
    deadline = {"fallback": "10s"}
    guarded = await guard(shop.app, deadline=deadline, **rules(fallback=fallback))
    shop.fails = "hangs"
    request = asyncio.create_task(get(guarded, "/x/1"))
    await asyncio.wait_for(asked.wait(), 2)

    request.cancel()
    await asyncio.wait({request})
    await asyncio.wait_for(ended.wait(), 2)

    assert request.cancelled()
    assert guarded.runtime.own_errors == 0


# --- versions ---------------------------------------------------------------------


async def test_what_stands_in_is_changed_as_the_application_s_and_a_problem_is_not(
    guard: Guard,
) -> None:
    async def handle(request: Request) -> Response:
        if works:
            return JSONResponse({"name": "a"})
        await asyncio.Event().wait()
        raise AssertionError("never set")

    def shout(exchange: Any, body: bytes) -> bytes:
        return body.upper()

    works = True
    app = Starlette(routes=[Route("/x/{n}", handle)])
    guarded = await guard(app, **STALE)
    dress(guarded, answer=BodyPlan(changes=(shout,)))
    first = await get(guarded, "/x/1")
    works = False

    kept, late = await get(guarded, "/x/1"), await get(guarded, "/x/2")

    assert [first.body, kept.body] == [b'{"NAME":"A"}'] * 2
    assert late.json["type"] == "urn:failsoft:problem:deadline-exceeded"


# --- what is declared --------------------------------------------------------------


@pytest.mark.parametrize(
    ("routes", "finding"),
    [
        ({"POST /x": {"stale": "5m"}}, "only answers to GET are kept"),
        ({"GET /x": {"fallback": {"body": "x"}}}, "is nothing that answers"),
        ({"GET /x": {"timeout": 0}}, "is out of range"),
        ({"* *": {"timeout": "1s"}}, "names 'grpc-timeuot', which tells no timeout"),
    ],
)
async def test_what_cannot_be_meant_is_refused(
    routes: dict[str, Any], finding: str
) -> None:
    deadline = {"headers": ["grpc-timeuot"]}
    guarded = Failsoft(Shop().app, routes=routes, deadline=deadline)
    answer = await get(guarded, "/x/1")

    assert isinstance(answer.raised, DefinitionError)
    assert finding in str(answer.raised)


async def test_code_declares_the_same(guard: Guard) -> None:
    @failsoft.route(timeout=0.02, timeout_grace=0.0, fallback=Static("none"))
    async def handle(request: Request) -> Response:
        await asyncio.Event().wait()
        raise AssertionError("never set")

    guarded = await guard(Starlette(routes=[Route("/x", handle)]))

    assert (await get(guarded, "/x")).body == b"none"
