"""`failsoft.dependency()`: any call, awaited or not, with leave, time and retries."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import AsyncIterator, Iterator
from types import SimpleNamespace
from typing import Any

import httpx
import pytest

import failsoft
from failsoft.controls.records import BreakerDoc, Record, encode_doc
from failsoft.errors import (
    BreakerOpen,
    CallError,
    CallFailed,
    CallTimeout,
    DeadlineExceeded,
    DefinitionError,
)
from failsoft.outbound._dependency import Dependency
from failsoft.outbound._stage import OTHER, Dependencies
from failsoft.pipeline import CURRENT, Exchange, Plan
from failsoft.settings import DependencySettings
from failsoft.store.fleet import QuotaSum

pytestmark = pytest.mark.anyio


def dependency(drawn: float = 0.0, **settings: Any) -> Dependency:
    found = Dependencies({"pay": DependencySettings(**settings)})
    found.of("pay").rand = lambda: drawn
    return Dependency("pay", lambda: found)


@pytest.fixture
def exchange() -> Iterator[Exchange]:
    """A request that is being served here."""
    runtime: Any = SimpleNamespace(snapshot=None)
    made = Exchange({}, runtime, 0)
    made.plan = Plan("GET /", "critical", None)
    token = CURRENT.set(made)
    yield made
    CURRENT.reset(token)


def left(exchange: Exchange, seconds: float) -> None:
    exchange.deadline_ns = time.perf_counter_ns() + int(seconds * 1e9)


class Peer:
    """Raises what it is told to, in order; then it answers."""

    def __init__(self, *errors: Exception) -> None:
        self.errors = list(errors)
        self.calls = 0

    def ask(self, answer: str = "yes") -> str:
        self.calls += 1
        if self.errors:
            raise self.errors.pop(0)
        return answer

    async def aask(self, answer: str = "yes") -> str:
        return self.ask(answer)


async def hang() -> None:
    await asyncio.get_running_loop().create_future()


async def test_a_call_gives_what_the_function_gives_and_raises_what_it_raises() -> None:
    pay = dependency()

    assert await pay.call(Peer().aask, "fine") == "fine"
    assert pay.call_sync(Peer().ask, answer="fine") == "fine"
    with pytest.raises(ConnectionError):
        await pay.call(Peer(ConnectionError()).aask)

    said = pay.state()
    assert (said.ok, said.fail) == (2, 1)


async def test_a_dead_peer_is_called_ten_times_and_then_no_more() -> None:
    pay, peer = dependency(), Peer(*[ConnectionError()] * 100)

    for _ in range(50):
        with pytest.raises((ConnectionError, BreakerOpen)):
            await pay.call(peer.aask)

    assert peer.calls == 10
    assert (pay.state().state, pay.state().refused) == ("open", 40)


async def test_a_late_call_is_cut_off_and_counts_as_failed() -> None:
    pay = dependency()

    with pytest.raises(CallTimeout, match=r"no answer within 0.01 s"):
        await pay.call(hang, timeout=0.01)

    assert pay.state().fail == 1


async def test_a_timeout_of_the_function_itself_is_raised_as_it_is() -> None:
    pay = dependency(timeout_s=5.0)

    with pytest.raises(TimeoutError) as caught:
        await pay.call(Peer(TimeoutError("mine")).aask)

    assert str(caught.value) == "mine"


async def test_the_deadline_shortens_a_call_and_is_no_fault_of_the_dependency(
    exchange: Exchange,
) -> None:
    pay = dependency(timeout_s=5.0)
    left(exchange, 0.03)

    with pytest.raises(DeadlineExceeded, match="the deadline came"):
        await pay.call(hang)
    with pytest.raises(DeadlineExceeded, match="no time left"):
        await pay.call(hang)

    assert pay.state().calls == 0
    assert [note.outcome for note in exchange.calls or ()] == ["ignored", "refused"]


async def test_a_cancelled_call_says_nothing_and_gives_its_permit_back() -> None:
    pay = dependency()
    task = asyncio.create_task(pay.call(hang))
    await asyncio.sleep(0)

    task.cancel()
    await asyncio.wait([task])

    assert task.cancelled()
    assert pay.state().calls == 0


async def test_what_may_be_repeated_is_as_often_as_settings_say() -> None:
    pay = dependency(retries=2)

    assert await pay.call(Peer(*[OSError()] * 2).aask, idempotent=True) == "yes"
    with pytest.raises(OSError):  # noqa: PT011
        await pay.call(Peer(*[OSError()] * 3).aask, idempotent=True)
    with pytest.raises(OSError):  # noqa: PT011
        await pay.call(Peer(OSError()).aask)

    assert pay.state().fail == 6


async def test_a_mode_may_forbid_retries_and_a_deadline_leaves_no_time_for_them(
    exchange: Exchange,
) -> None:
    pay, peers = dependency(0.9, retries=3), [Peer(OSError()), Peer(OSError())]
    left(exchange, 0.1)

    for peer in peers:
        with pytest.raises(OSError):  # noqa: PT011
            await pay.call(peer.aask, idempotent=True)
        exchange.deadline_ns = 0
        exchange.plan.scalars = type(exchange.plan.scalars)(no_retries=True)

    assert [peer.calls for peer in peers] == [1, 1]


def test_a_sync_call_is_repeated_too_but_never_on_a_loop() -> None:
    pay = dependency(retries=1)

    async def on_a_loop() -> None:
        pay.call_sync(Peer(OSError()).ask, idempotent=True)

    assert pay.call_sync(Peer(OSError()).ask, idempotent=True) == "yes"
    with pytest.raises(OSError):  # noqa: PT011
        asyncio.run(on_a_loop())


async def test_a_fallback_stands_in_for_refusals_and_failures() -> None:
    pay = dependency()
    errors: list[Exception] = []

    async def queued(error: Exception) -> str:
        errors.append(error)
        return "queued"

    peer = Peer(*[OSError()] * 10)
    answers = [await pay.call(peer.aask, fallback=queued) for _ in range(12)]
    answers.append(pay.call_sync(peer.ask, fallback=lambda error: "queued"))

    assert answers == ["queued"] * 13
    assert [type(error) for error in errors[9:]] == [OSError, BreakerOpen, BreakerOpen]
    assert pay.state().fallbacks == 13


async def test_an_answer_that_says_it_failed_falls_back_too_else_it_is_given() -> None:
    pay = dependency()
    errors: list[Exception] = []

    async def ask() -> httpx.Response:
        return httpx.Response(503, headers={"retry-after": "1"})

    def note(error: Exception) -> None:
        errors.append(error)

    assert (await pay.call(ask)).status_code == 503
    await pay.call(ask, fallback=note)

    assert isinstance(errors[0], CallFailed)
    assert pay.state().fail == 2


@pytest.mark.parametrize("stuck", [False, True])
async def test_a_fallback_that_fails_shows_the_first_error(stuck: bool) -> None:
    pay = dependency()

    async def broken(error: Exception) -> None:
        if stuck:
            await hang()
        raise KeyError("mine")

    with pytest.raises(OSError, match="first"):
        await pay.call(Peer(OSError("first")).aask, fallback=broken)


async def test_an_answer_that_limits_is_heeded_by_all() -> None:
    pay = dependency()
    limited = httpx.Response(429, headers={"retry-after": "30"})

    assert pay.call_sync(lambda: limited).status_code == 429
    with pytest.raises(CallError, match="no calls before"):
        await pay.call(Peer().aask)

    assert 29 < pay.state().hold_s <= 30


async def test_whoever_calls_may_judge() -> None:
    pay = dependency()

    await pay.call(Peer().aask, classify=lambda answer: "fail")
    with pytest.raises(KeyError):
        await pay.call(Peer(KeyError()).aask, classify=lambda error: "ok")
    with pytest.raises(ValueError, match="classify gave 'bad'"):
        await pay.call(Peer().aask, classify=lambda answer: "bad")

    said = pay.state()
    assert (said.ok, said.fail) == (1, 1)


async def test_who_judges_and_fails_leaves_it_to_the_usual_judgement() -> None:
    pay = dependency()

    for _ in range(2):
        with pytest.raises(OSError, match="away"):
            await pay.call(
                Peer(OSError("away")).aask,
                classify=lambda error: error.response.status_code,
            )

    assert pay.state().fail == 2


@pytest.mark.parametrize("headers", [None, {"Retry-After": 5}, {1: 2}, len])
async def test_no_answer_is_lost_because_its_headers_are_odd(headers: Any) -> None:
    async def ask() -> Any:
        return SimpleNamespace(status_code=403, headers=headers)

    assert (await dependency().call(ask)).headers is headers


async def test_an_error_that_shows_somebody_alive_needs_no_fallback() -> None:
    request = httpx.Request("GET", "http://pay.test")
    missing = httpx.HTTPStatusError(
        "no such user", request=request, response=httpx.Response(404)
    )

    with pytest.raises(httpx.HTTPStatusError):
        await dependency().call(Peer(missing).aask, fallback=lambda error: "somebody")


def test_what_cannot_be_guarded_is_refused() -> None:
    pay = dependency()

    def rows() -> Iterator[int]:
        yield 1

    async def later(error: Exception) -> str:
        return "late"

    with pytest.raises(DefinitionError, match="its call ends before it begins"):
        pay(rows)
    with pytest.raises(OSError, match="away"):
        pay.call_sync(Peer(OSError("away")).ask, fallback=later)


async def test_what_is_no_bound_costs_no_permit() -> None:
    pay = dependency()
    bad: Any = "2s"

    with pytest.raises(TypeError):
        await pay.call(Peer().aask, timeout=bad)

    assert await pay.call(Peer().aask) == "yes"
    assert pay.state().calls == 1


def test_an_attempt_is_used_once() -> None:
    attempt = dependency().attempt()
    with attempt:
        pass

    with pytest.raises(RuntimeError, match="used once"), attempt:
        pass


async def test_a_generator_that_another_task_closes_gives_its_permit_back() -> None:
    pay = dependency()

    async def rows() -> AsyncIterator[int]:
        with pay.attempt():
            yield 1

    made: Any = rows()
    await anext(made)
    await asyncio.create_task(made.aclose())

    assert pay._gate.breaker._out == {}
    assert pay.state().calls == 0


async def test_a_decorated_function_stays_what_it_is() -> None:
    pay = dependency()

    @pay
    async def charge(amount: int) -> int:
        """Charge it."""
        return amount

    @pay
    def refund(amount: int) -> int:
        return -amount

    assert (await charge(5), refund(amount=5)) == (5, -5)
    assert (charge.__name__, charge.__doc__) == ("charge", "Charge it.")
    assert pay.state().ok == 2


async def test_an_attempt_is_judged_by_its_owner() -> None:
    pay = dependency(timeout_s=2.0)

    with pay.attempt() as attempt:
        assert attempt.timeout_s == 2.0
    async with pay.attempt(timeout=1) as attempt:
        assert attempt.timeout_s == 1
        attempt.fail("busy")
        attempt.ok()
    with pay.attempt() as attempt:
        attempt.ignore()
    with pytest.raises(OSError), pay.attempt():  # noqa: PT011
        raise OSError
    with pay.attempt() as attempt:
        attempt.quota(100, 5, 60.0)

    said = pay.state()
    assert (said.ok, said.fail, said.quota_remaining) == (2, 2, 5)


async def test_a_call_within_a_call_counts_once() -> None:
    pay = dependency()

    async def outer() -> str:
        with pytest.raises(OSError):  # noqa: PT011
            await pay.call(Peer(OSError()).aask)
        return await pay.call(Peer().aask)

    assert await pay.call(outer) == "yes"
    assert pay.state().calls == 1


async def test_a_call_within_a_call_has_its_own_bound_and_fallback() -> None:
    pay = dependency()

    async def stuck() -> str:
        await hang()
        return "never"

    async def outer() -> tuple[str, str, str]:
        with pytest.raises(CallTimeout):
            await pay.call(hang, timeout=0.01)
        away = Peer(OSError(), OSError())
        return (
            await pay.call(stuck, timeout=0.01, fallback=lambda error: "late"),
            await pay.call(away.aask, fallback=lambda error: "kept"),
            pay.call_sync(away.ask, fallback=lambda error: "kept"),
        )

    assert await pay.call(outer) == ("late", "kept", "kept")
    said = pay.state()
    assert (said.calls, said.fallbacks) == (1, 3)


async def test_a_task_that_outlives_its_call_counts_by_itself() -> None:
    pay = dependency()
    tasks = []

    async def outer() -> None:
        async def later() -> str:
            await asyncio.sleep(0)
            await asyncio.sleep(0)
            return await pay.call(Peer().aask)

        tasks.append(asyncio.create_task(later()))

    await pay.call(outer)
    assert await tasks[0] == "yes"

    assert pay.state().calls == 2


async def test_what_another_dependency_refuses_is_no_outcome_of_this_one() -> None:
    pay = dependency()

    with pytest.raises(BreakerOpen):
        await pay.call(Peer(BreakerOpen("other", "open")).aask)

    assert pay.state().calls == 0


async def test_each_attempt_leaves_a_note_in_its_request(exchange: Exchange) -> None:
    pay = dependency()
    with pytest.raises(OSError):  # noqa: PT011
        await pay.call(Peer(OSError()).aask)

    for _ in range(100):
        await pay.call(Peer().aask)

    notes = exchange.calls or []
    assert [note[:2] for note in notes[:2]] == [("pay", "fail"), ("pay", "ok")]
    assert len(notes) == 64


async def test_sheddable_requests_leave_the_rest_of_a_quota(exchange: Exchange) -> None:
    pay = dependency()
    exchange.criticality = "sheddable"
    with pay.attempt() as attempt:
        attempt.quota(100, 10, 60.0)

    with pytest.raises(CallError, match="kept for critical"):
        await pay.call(Peer().aask)

    exchange.criticality = "critical"
    assert await pay.call(Peer().aask) == "yes"


def test_a_name_is_one_object_and_what_is_no_name_is_refused() -> None:
    assert failsoft.dependency("bank") is failsoft.dependency("bank")
    assert failsoft.dependency("bank").state().name == "bank"
    with pytest.raises(DefinitionError, match=r"failsoft.dependency\('a b'\)"):
        failsoft.dependency("a b")


def test_names_that_nobody_declared_share_one_gate_after_sixty_four() -> None:
    found = Dependencies({"pay": DependencySettings(hosts=("pay.test", "b.test:81"))})

    names = {found.of(f"d{n}").name for n in range(100)}

    assert len(names) == 65
    assert OTHER in names
    assert found.of("pay").name == "pay"
    assert [found.at_host(*at).name for at in (("pay.test", None), ("b.test", 81))] == [
        "pay",
        "pay",
    ]
    assert found.at_host("b.test", 82).name == OTHER


def test_a_host_that_is_no_name_makes_nobody_share() -> None:
    found = Dependencies()

    assert found.at_host("::1").name == OTHER
    assert found.of("pay").name == "pay"


def test_what_operators_decide_reaches_one_that_shares_a_gate() -> None:
    found = Dependencies()
    for n in range(70):
        found.of(f"d{n}")
    assert (found.of("late").name, found.state("late").name) == (OTHER, OTHER)

    found.take([record("late", 1, state="open")])

    assert found.of("late").state(0.0).in_force == "forced_open"
    assert found.of("later").name == OTHER


def record(name: str, rev: int, **doc: Any) -> Record:
    made = BreakerDoc(who="ana", why="drill", **doc)
    return Record("breaker", name, rev, 0, 0, encode_doc(made))


def test_breaker_records_reach_those_called_already_and_those_called_later() -> None:
    found = Dependencies()
    found.of("a")
    bad = Record("breaker", "c", 3, 0, 0, b"{")

    found.take([record("a", 1, state="open"), record("b", 2, state="closed"), bad])

    names = {name: found.of(name).state(0.0).in_force for name in "abc"}
    assert names == {"a": "forced_open", "b": "forced_closed", "c": "closed"}
    found.take([])
    assert found.state("a").in_force == "closed"


def test_a_change_of_a_breaker_is_told_as_one_line(
    caplog: pytest.LogCaptureFixture,
) -> None:
    found = Dependencies()
    pay = Dependency("pay", lambda: found)
    for _ in range(10):
        with pytest.raises(OSError):  # noqa: PT011
            pay.call_sync(Peer(OSError()).ask)

    with caplog.at_level("INFO", logger="failsoft.dependency"):
        found.tick()
        found.tick()

    (line,) = caplog.messages
    assert json.loads(line) == {
        "event": "breaker",
        "severity": "warning",
        "dependency": "pay",
        "from": "closed",
        "to": "open",
        "why": "10 of 10 calls failed in 30 s",
    }


def test_what_the_fleet_knows_of_quotas_reaches_the_gate() -> None:
    found = Dependencies(now_ms=lambda: 1_000.0)
    with Dependency("pay", lambda: found).attempt():
        pass

    found.take_quotas([QuotaSum("pay", 100, 7, 31_000, 2.0), QuotaSum("none", 1)])

    said = found.state("pay")
    assert (said.quota_limit, said.quota_remaining) == (100, 7)
    assert 29 < said.quota_reset_s <= 30
