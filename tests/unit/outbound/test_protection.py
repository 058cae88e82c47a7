"""The transport under failure: refusals, bounds, retries, quotas; both modules."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Callable, Iterator
from types import ModuleType, SimpleNamespace
from typing import Any

import httpx
import httpx2
import pytest

from failsoft import errors
from failsoft.outbound._dependency import Dependency
from failsoft.outbound._gate import Force
from failsoft.outbound._stage import Dependencies
from failsoft.outbound._transport import open_transport
from failsoft.pipeline import CURRENT, Exchange, Plan
from failsoft.settings import DependencySettings

pytestmark = pytest.mark.anyio
Answer = Callable[[Any], Any]


@pytest.fixture(params=[httpx, httpx2], ids=["httpx", "httpx2"])
def module(request: pytest.FixtureRequest) -> ModuleType:
    found: ModuleType = request.param
    return found


@pytest.fixture
def exchange() -> Iterator[Exchange]:
    """A request that is being served here."""
    runtime: Any = SimpleNamespace(snapshot=None)
    made = Exchange({}, runtime, 0)
    made.plan = Plan("GET /", "critical", None)
    made.deadline_ns = time.perf_counter_ns() + 30 * 10**9
    token = CURRENT.set(made)
    yield made
    CURRENT.reset(token)


class Scene:
    """A client of one module over a transport of ours, on answers from memory."""

    def __init__(self, module: Any, answer: Answer, **settings: Any) -> None:
        self.module = module
        self.asked: list[Any] = []
        hosts = ("x.test",)
        self.found = Dependencies({"x": DependencySettings(hosts=hosts, **settings)})
        self.found.of("x").rand = lambda: 0.0
        self._answer = answer
        self.transport = self.over(module.MockTransport(self.note), "")

    def over(self, inner: Any, name: str = "x") -> Any:
        """Return a transport of ours around another one."""
        given = name, DependencySettings()
        return open_transport(given, lambda: None, None, inner, lambda: self.found)

    def note(self, request: Any) -> Any:
        self.asked.append(request)
        return self._answer(request)

    @property
    def state(self) -> Any:
        return self.found.state("x")

    def client(self, **how: Any) -> Any:
        return self.module.Client(
            transport=self.transport, base_url="http://x.test", **how
        )

    def aclient(self, **how: Any) -> Any:
        return self.module.AsyncClient(
            transport=self.transport, base_url="http://x.test", **how
        )


def test_a_refusal_is_an_error_of_ours_and_of_the_client(module: Any) -> None:
    scene = Scene(module, lambda _: module.Response(500))
    with scene.client() as client:
        assert {client.get("/").status_code for _ in range(10)} == {500}

        with pytest.raises(module.TransportError) as caught:
            client.get("/")

    error = caught.value
    assert error.request.url.path == "/"
    assert isinstance(error, errors.BreakerOpen)
    assert error.dependency == "x"
    assert 3 < error.retry_after_s < 6
    assert (len(scene.asked), scene.state.refused) == (10, 1)


async def test_an_async_client_meets_the_same_breaker(module: Any) -> None:
    scene = Scene(module, lambda _: module.Response(503))
    async with scene.aclient() as client:
        for _ in range(10):
            await client.get("/")

        with pytest.raises(module.HTTPError, match="dependency x: 10 of 10 calls"):
            await client.get("/")


def test_what_the_client_raises_is_raised_and_counted(module: Any) -> None:
    def fail(request: Any) -> Any:
        raise module.ConnectError("no", request=request)

    def fill(request: Any) -> Any:
        raise module.PoolTimeout("full", request=request)

    for answer, failed in ((fail, 1), (fill, 0)):
        scene = Scene(module, answer)
        with scene.client() as client, pytest.raises(module.TransportError):
            client.get("/")
        assert (scene.state.fail, scene.state.calls) == (failed, failed)


async def test_the_head_of_an_answer_is_bounded_in_whole(module: Any) -> None:
    scene = Scene(module, lambda _: module.Response(200), timeout_s=0.02)

    async def hang(request: Any) -> Any:
        await asyncio.get_running_loop().create_future()

    hanging = module.MockTransport(hang)
    made = scene.over(hanging)
    async with module.AsyncClient(transport=made) as client:
        with pytest.raises(module.ReadTimeout) as caught:
            await client.get("http://x.test")

    assert isinstance(caught.value, errors.CallTimeout)
    assert (scene.state.fail, len(scene.found.of("x").detached)) == (1, 1)
    for task in scene.found.of("x").detached:
        task.cancel()


def test_own_timeouts_of_a_request_are_lowered_never_raised(module: Any) -> None:
    scene = Scene(module, lambda _: module.Response(200), timeout_s=2.0)

    with scene.client(timeout=module.Timeout(5.0, connect=0.5)) as client:
        client.get("/")
        client.get("/", timeout=None)
        client.get("/", timeout=module.Timeout(5.0, pool=0.1))

    own = [request.extensions["timeout"] for request in scene.asked]
    # Not the place in the queue of the pool: the attempt is bounded in whole.
    assert own[0] == {"connect": 0.5, "read": 2.0, "write": 2.0, "pool": None}
    assert own[1] == {"connect": 2.0, "read": 2.0, "write": 2.0, "pool": None}
    assert own[2]["pool"] == 0.1


@pytest.mark.parametrize(
    ("method", "headers", "calls"),
    [
        ("GET", {}, 3),
        ("DELETE", {}, 3),
        ("POST", {}, 1),
        ("POST", {"Idempotency-Key": "1"}, 3),
    ],
)
async def test_requests_that_do_the_same_twice_are_repeated(
    module: Any, method: str, headers: dict[str, str], calls: int
) -> None:
    scene = Scene(module, lambda _: module.Response(502), retries=2)

    async with scene.aclient() as client:
        answer = await client.request(method, "/", headers=headers)
    with scene.client() as client:
        client.request(method, "/", headers=headers)

    assert answer.status_code == 502
    assert len(scene.asked) == calls + 1  # none by the sync client: it is on a loop


def test_a_sync_client_in_a_thread_repeats_too(module: Any) -> None:
    answers = iter([500, 429, 200])
    scene = Scene(module, lambda _: module.Response(next(answers)), retries=3)
    scene.found.of("x").announced = lambda *_: None  # type: ignore[method-assign]

    with scene.client() as client:
        assert client.get("/").status_code == 200


async def test_a_body_that_is_a_stream_is_sent_once(module: Any) -> None:
    async def parts() -> AsyncIterator[bytes]:
        yield b"once"

    scene = Scene(module, lambda _: module.Response(500), retries=3)
    async with scene.aclient() as client:
        await client.put("/", content=parts())

    assert len(scene.asked) == 1


def test_a_quota_is_read_from_the_answer_and_kept_per_credential(module: Any) -> None:
    limited = {"retry-after": "60", "x-ratelimit-limit": "10"}
    scene = Scene(module, lambda _: module.Response(429, headers=limited))

    with scene.client() as client:
        mine = {"authorization": "Bearer a"}
        assert client.get("/", headers=mine).status_code == 429
        with pytest.raises(errors.QuotaReserved):
            client.get("/", headers=mine)
        assert client.get("/", headers={"x-api-key": "b"}).status_code == 429

    assert scene.state.limited == 2


async def test_one_of_ours_is_told_deadline_and_criticality(
    module: Any, exchange: Exchange
) -> None:
    scene = Scene(module, lambda _: module.Response(200), timeout_s=2.0, internal=True)
    foreign = Scene(module, lambda _: module.Response(200), timeout_s=2.0)
    exchange.criticality = "sheddable"

    for each in (scene, foreign):
        async with each.aclient() as client:
            await client.get("/")

    (told,), (not_told,) = scene.asked, foreign.asked
    assert told.headers["failsoft-timeout-ms"] == "2000"
    assert told.headers["failsoft-criticality"] == "sheddable"
    assert "failsoft-criticality" not in not_told.headers
    assert [note.outcome for note in exchange.calls or ()] == ["ok", "ok"]


async def test_elsewhere_nobody_is_told(module: Any) -> None:
    def answer(request: Any) -> Any:
        is_here = request.url.host == "x.test"
        there = {"location": "http://y.test/"}
        return module.Response(302 if is_here else 200, headers=there)

    scene = Scene(module, answer, internal=True)
    async with scene.aclient(follow_redirects=True) as client:
        await client.get("/")

    told = ["failsoft-criticality" in request.headers for request in scene.asked]
    assert told == [True, False]


async def test_an_attempt_that_ran_out_of_time_leaves_the_next_its_own(
    module: Any,
) -> None:
    own: list[Any] = []

    async def answer(request: Any) -> Any:
        own.append(dict(request.extensions["timeout"]))
        if len(own) == 1:
            await asyncio.Event().wait()
        return module.Response(200)

    scene = Scene(module, lambda _: None, timeout_s=0.02, retries=1)
    made = scene.over(module.MockTransport(answer))
    async with module.AsyncClient(transport=made) as client:
        assert (await client.get("http://x.test")).status_code == 200

    assert [each["read"] for each in own] == [0.02, 0.02]
    for task in scene.found.of("x").detached:
        task.cancel()


async def test_what_knows_no_time_outs_ends_all_the_same(
    module: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("failsoft.outbound._httpx._LEFT_S", 0.0)
    ended = asyncio.Event()

    async def hang(request: Any) -> Any:
        try:
            await asyncio.get_running_loop().create_future()
        finally:
            ended.set()

    scene = Scene(module, lambda _: None, timeout_s=0.001)
    made = scene.over(module.MockTransport(hang))
    async with module.AsyncClient(transport=made) as client:
        with pytest.raises(errors.CallTimeout):
            await client.get("http://x.test")
        async with asyncio.timeout(2):
            await ended.wait()


async def test_who_leaves_amid_a_retry_keeps_no_permit(module: Any) -> None:
    class Stream(module.AsyncByteStream):  # type: ignore[misc]
        async def __aiter__(self) -> AsyncIterator[bytes]:
            yield b""

        async def aclose(self) -> None:
            closing.set()
            await asyncio.get_running_loop().create_future()

    closing = asyncio.Event()
    answers = iter([module.Response(503, stream=Stream()), module.Response(200)])
    scene = Scene(module, lambda _: next(answers), retries=1)

    async with scene.aclient() as client:
        async with asyncio.timeout(2):
            assert (await client.get("/")).status_code == 200
        await closing.wait()

    assert (scene.state.fail, scene.state.ok) == (1, 1)
    for task in scene.found.of("x").detached:
        task.cancel()


async def test_past_the_deadline_nothing_is_sent_and_no_body_is_read_on(
    module: Any, exchange: Exchange
) -> None:
    class Stream(module.AsyncByteStream):  # type: ignore[misc]
        async def __aiter__(self) -> AsyncIterator[bytes]:
            yield b"first"
            exchange.deadline_ns = 1
            yield b"second"

    scene = Scene(module, lambda _: module.Response(200, stream=Stream()))
    async with scene.aclient() as client:
        with pytest.raises(errors.DeadlineExceeded, match="amid the answer"):
            await client.get("/")
        with pytest.raises(module.ReadTimeout, match="no time left"):
            await client.get("/")

    assert len(scene.asked) == 1


async def test_a_body_that_breaks_off_is_a_failure(module: Any) -> None:
    class Stream(module.AsyncByteStream):  # type: ignore[misc]
        async def __aiter__(self) -> AsyncIterator[bytes]:
            yield b"first"
            raise module.ReadError("gone")

    scene = Scene(module, lambda _: module.Response(200, stream=Stream()))
    async with scene.aclient() as client:
        with pytest.raises(module.ReadError):
            await client.get("/")

    assert (scene.state.ok, scene.state.fail) == (1, 1)


async def test_a_caller_that_leaves_detaches_and_the_answer_is_closed(
    module: Any,
) -> None:
    gone, closed, released = asyncio.Event(), asyncio.Event(), asyncio.Event()

    class Stream(module.AsyncByteStream):  # type: ignore[misc]
        async def __aiter__(self) -> AsyncIterator[bytes]:
            yield b""

        async def aclose(self) -> None:
            closed.set()

    async def answer(request: Any) -> Any:
        gone.set()
        await released.wait()
        return module.Response(200, stream=Stream())

    scene = Scene(module, lambda _: None)
    made = scene.over(module.MockTransport(answer))
    async with module.AsyncClient(transport=made) as client:
        task = asyncio.create_task(client.get("http://x.test"))
        await gone.wait()
        task.cancel()
        await asyncio.wait([task])
        assert (task.cancelled(), scene.state.calls) == (True, 0)
        released.set()
        async with asyncio.timeout(2):
            await closed.wait()
        await asyncio.sleep(0)

    assert not scene.found.of("x").detached


async def test_with_a_hundred_left_behind_no_more_are_sent(module: Any) -> None:
    scene = Scene(module, lambda _: None, timeout_s=0.001)
    asked = []

    async def hang(request: Any) -> Any:
        asked.append(request)
        await asyncio.get_running_loop().create_future()

    gate = scene.found.of("x")
    gate.enforce(Force("closed"), 0.0, 0.0)
    made = scene.over(module.MockTransport(hang))
    async with module.AsyncClient(transport=made) as client:
        calls = [client.get("http://x.test") for _ in range(100)]
        await asyncio.gather(*calls, return_exceptions=True)
        with pytest.raises(errors.CallThrottled, match="100 calls that nobody waits"):
            await client.get("http://x.test")

    assert (len(asked), len(gate.detached)) == (100, 100)
    for task in gate.detached:
        task.cancel()


async def test_a_call_without_any_bound_is_cancelled_with_its_caller(
    module: Any,
) -> None:
    begun, ended = asyncio.Event(), asyncio.Event()

    async def hang(request: Any) -> Any:
        begun.set()
        try:
            await asyncio.get_running_loop().create_future()
        finally:
            ended.set()

    scene = Scene(module, lambda _: None)
    made = scene.over(module.MockTransport(hang))
    async with module.AsyncClient(transport=made, timeout=None) as client:
        task = asyncio.create_task(client.get("http://x.test"))
        await begun.wait()
        task.cancel()
        async with asyncio.timeout(2):
            await ended.wait()


async def test_a_client_within_a_call_of_the_same_dependency_counts_once(
    module: Any,
) -> None:
    scene = Scene(module, lambda _: module.Response(500))
    pay = Dependency("x", lambda: scene.found)

    async with scene.aclient() as client:
        for _ in range(9):
            assert (await pay.call(client.get, "/")).status_code == 500
        assert scene.state.fail == 9
        answer = await pay.call(client.get, "/", classify=lambda answer: "ok")

    assert answer.status_code == 500
    assert (scene.state.fail, scene.state.calls) == (9, 10)


def test_what_a_transport_within_refuses_says_nothing_of_this_one(module: Any) -> None:
    scene = Scene(module, lambda _: module.Response(200))
    made = scene.over(scene.transport, "y")
    scene.found.of("x").enforce(Force("open"), 0.0, 0.0)

    with module.Client(transport=made) as client, pytest.raises(errors.BreakerOpen):
        client.get("http://x.test")

    assert scene.found.state("y").calls == 0


def test_hosts_lead_to_the_dependency_and_others_to_their_own_name(module: Any) -> None:
    scene = Scene(module, lambda _: module.Response(200))

    with scene.client() as client:
        for url in ("http://x.test/", "http://y.test/", "http://[::1]/"):
            client.get(url)

    assert [gate.name for gate in scene.found.gates()] == ["(other)", "x", "y.test"]
