"""What failsoft's OpenFeature provider does beyond the specification's scenarios."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import AsyncIterator
from typing import Any

import pytest
from openfeature import api
from openfeature.evaluation_context import EvaluationContext
from openfeature.event import EventDetails, ProviderEvent
from openfeature.exception import ErrorCode, ProviderNotReadyError
from openfeature.provider import ProviderStatus
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import PlainTextResponse
from starlette.routing import Route

import failsoft
from asgi.controls import enter, kill
from asgi.drive import get
from asgi.eventually import eventually
from failsoft import Failsoft, current
from failsoft.events import Swapped, tell
from failsoft.flags._definitions import IN_CODE
from failsoft.openfeature import FailsoftProvider
from failsoft.testing import FaultProxy
from provider.world import put_flags

pytestmark = pytest.mark.anyio

VARIANTS = {"on": True, "off": False}
ON = {"state": "ENABLED", "variants": VARIANTS, "defaultVariant": "on"}
GOLD = {
    **ON,
    "defaultVariant": "off",
    "targeting": {"if": [{"==": [{"var": "tier"}, "gold"]}, "on"]},
}


async def ask(request: Request) -> PlainTextResponse:
    exchange = current()
    assert exchange is not None
    exchange.context.update(tier=request.query_params.get("tier"))
    return PlainTextResponse(str(api.get_client().get_boolean_value("gold", False)))


@pytest.fixture
async def guarded() -> AsyncIterator[Failsoft]:
    app = Failsoft(Starlette(routes=[Route("/", ask)]))
    await app.runtime.ensure()
    yield app
    api.shutdown()
    await app.runtime.stop()


class Heard:
    """Collects the provider's events; handlers run in the SDK's threads."""

    def __init__(self) -> None:
        self.all: list[tuple[str, EventDetails]] = []
        for event in ProviderEvent:
            api.add_handler(event, self._noting(event))

    def _noting(self, event: ProviderEvent) -> Any:
        name = event.name.removeprefix("PROVIDER_")
        return lambda details: self.all.append((name, details))

    @property
    def names(self) -> list[str]:
        return [name for name, _ in self.all]

    @property
    def changed(self) -> list[list[str]]:
        return [d.flags_changed or [] for n, d in self.all if "CONFIG" in n]


def provided() -> Heard:
    """Register the provider on a running node; its READY is left out."""
    api.set_provider_and_wait(FailsoftProvider())
    return Heard()


async def test_inside_of_a_request_its_context_counts(guarded: Failsoft) -> None:
    await put_flags(guarded, {"gold": GOLD})
    provided()

    gold = await get(guarded, "/", query_string=b"tier=gold")
    tin = await get(guarded, "/", query_string=b"tier=tin")

    assert (gold.body, tin.body) == (b"True", b"False")


async def test_outside_of_a_request_the_callers_context_counts(
    guarded: Failsoft,
) -> None:
    await put_flags(guarded, {"gold": GOLD})
    provided()
    gold = EvaluationContext("user-1", {"tier": "gold"})

    assert api.get_client().get_boolean_value("gold", False, gold) is True
    assert api.get_client().get_boolean_value("gold", False) is False


async def test_the_targeting_key_decides_a_rollout(guarded: Failsoft) -> None:
    half = {"fractional": [["on", 50], ["off", 50]]}
    await put_flags(guarded, {"half": {**ON, "targeting": half}})
    provided()
    client = api.get_client()

    found = {
        client.get_string_details("half", "", EvaluationContext(f"u-{n}")).error_code
        for n in range(3)
    }
    chosen = {
        client.get_boolean_value("half", False, EvaluationContext(f"u-{n}"))
        for n in range(20)
    }

    assert found == {ErrorCode.TYPE_MISMATCH}
    assert chosen == {True, False}


async def test_a_kill_passes_as_the_reason(guarded: Failsoft) -> None:
    await put_flags(guarded, {"gold": ON})
    provided()
    await kill(guarded, "flag:gold")

    details = api.get_client().get_boolean_details("gold", True)

    assert (details.value, details.reason, details.error_code) == (
        False,
        "KILLED",
        None,
    )


async def test_a_flag_that_refuses_gives_the_default_with_its_message(
    guarded: Failsoft,
) -> None:
    provided()
    refusing = failsoft.Flag("refusing", default=True, fail="refuse")
    try:
        details = api.get_client().get_boolean_details(refusing.key, True)
    finally:
        IN_CODE.pop("refusing")

    assert (details.value, details.error_code) == (True, ErrorCode.GENERAL)
    assert details.error_message == "flag refusing has no value: never seen"


async def test_a_float_may_be_stored_as_a_whole_number(guarded: Failsoft) -> None:
    ratio = {"state": "ENABLED", "variants": {"all": 1}, "defaultVariant": "all"}
    await put_flags(guarded, {"ratio": ratio})
    provided()

    found = api.get_client().get_float_value("ratio", 0)

    assert (found, type(found)) == (1.0, float)


async def test_asked_for_an_array_the_caller_gets_its_own_back(
    guarded: Failsoft,
) -> None:
    provided()

    details = api.get_client().get_object_details("nobody", ["a"])

    assert (details.value, details.error_code) == (["a"], ErrorCode.FLAG_NOT_FOUND)


async def test_each_edit_is_told_once_with_its_keys(guarded: Failsoft) -> None:
    await put_flags(guarded, {"a": ON, "b": ON})
    heard = provided()

    await put_flags(guarded, {"b": GOLD})
    await put_flags(guarded, {"a": None})

    await eventually(lambda: len(heard.changed) == 2)
    assert heard.changed == [["b"], ["a"]]


async def test_a_flag_that_asks_for_a_changed_one_changes_too(
    guarded: Failsoft,
) -> None:
    needs = {"if": [{"$flag": ["base", "on"]}, "on", "off"]}
    await put_flags(guarded, {"base": ON, "needs": {**ON, "targeting": needs}})
    heard = provided()
    assert api.get_client().get_boolean_value("needs", False) is True

    await put_flags(guarded, {"base": GOLD})

    await eventually(lambda: heard.changed)
    assert heard.changed == [["base", "needs"]]


async def test_kills_and_modes_change_the_flags_they_cover(guarded: Failsoft) -> None:
    await put_flags(guarded, {"pay.new": ON, "other": ON})
    heard = provided()
    api.get_client().get_boolean_value("pay.unknown", False)

    await kill(guarded, "flag:pay.*")
    await eventually(lambda: heard.changed)
    await enter(guarded, "read-only")

    assert heard.changed == [["pay.new", "pay.unknown"]]


async def test_at_most_a_thousand_changed_keys_are_named(guarded: Failsoft) -> None:
    heard = provided()

    names = [f"f-{n:04}" for n in range(1_200)]
    await put_flags(guarded, dict.fromkeys(names[:600], ON))
    await put_flags(guarded, dict.fromkeys(names[600:], ON))
    await kill(guarded, "flag:f-*")

    await eventually(lambda: heard.changed and len(heard.changed[-1]) == 1_000)
    assert heard.changed[-1] == names[:1_000]
    message = heard.all[-1][1].message
    assert message == "1200 flags changed at revision 1201; 200 of them are not named"


async def test_states_are_told_once_per_transition(guarded: Failsoft) -> None:
    heard = provided()
    await eventually(lambda: heard.names == ["READY"])
    runtime = guarded.runtime

    for state in ("live", "stale", "rewound", "stale", "live", "live"):
        tell(Swapped(runtime, state, runtime.flags))

    await eventually(lambda: len(heard.all) == 3)
    assert heard.names == ["READY", "STALE", "READY"]


async def test_a_store_that_is_cut_off_makes_the_provider_stale(
    redis_url: str,
) -> None:
    quick = {"block": "100ms", "beat": "100ms", "stale_after": "300ms"}
    with FaultProxy(redis_url) as proxy:
        guarded = Failsoft(Starlette(), store={"url": proxy.url, **quick})
        await guarded.runtime.ensure()
        heard = provided()
        status = api.get_client().get_provider_status

        proxy.refuse()
        proxy.cut()
        await eventually(lambda: status() is ProviderStatus.STALE)
        api.clear_providers()
        api.set_provider_and_wait(FailsoftProvider())
        await eventually(lambda: status() is ProviderStatus.STALE)
        proxy.accept()
        await eventually(lambda: status() is ProviderStatus.READY, within_s=10)
        api.shutdown()
        await guarded.runtime.stop()

    assert heard.names == ["READY", "STALE"]  # clearing took the handlers too


async def test_after_the_shutdown_nothing_is_told(guarded: Failsoft) -> None:
    heard = provided()
    await eventually(lambda: heard.names == ["READY"])
    api.get_client().provider.shutdown()

    await put_flags(guarded, {"a": ON})

    assert heard.names == ["READY"]


async def test_evaluation_never_waits(guarded: Failsoft) -> None:
    await put_flags(guarded, {"gold": ON})
    provided()
    asked = api.get_client().get_boolean_value_async("gold", False)

    with pytest.raises(StopIteration) as ended:
        asked.send(None)

    assert ended.value.value is True


def test_a_script_that_started_failsoft_has_a_ready_provider() -> None:
    failsoft.start()
    try:
        api.set_provider_and_wait(FailsoftProvider())

        details = api.get_client().get_boolean_details("nobody", True)

        assert api.get_client().get_provider_status() is ProviderStatus.READY
        assert details.error_code is ErrorCode.FLAG_NOT_FOUND
    finally:
        api.shutdown()
        failsoft.stop()


def test_a_node_that_ended_takes_its_providers_along() -> None:
    failsoft.start()
    provider = FailsoftProvider(wait_s=0.01)
    api.set_provider_and_wait(provider)
    status = api.get_client().get_provider_status
    try:
        failsoft.stop()
        ended = status()
        api.shutdown()
        with pytest.raises(ProviderNotReadyError):
            api.set_provider_and_wait(provider)
        again = status()
        failsoft.start()
        begun = status()
    finally:
        api.shutdown()
        failsoft.stop()

    assert (ended, again) == (ProviderStatus.ERROR, ProviderStatus.ERROR)
    assert begun is ProviderStatus.READY


def test_without_a_started_node_the_default_is_served() -> None:
    failsoft.start()
    failsoft.stop()
    provider = FailsoftProvider(wait_s=0.01)
    with pytest.raises(ProviderNotReadyError, match="is failsoft started"):
        api.set_provider_and_wait(provider)

    details = api.get_client().get_boolean_details("gold", True)
    api.shutdown()

    assert details.value is True
    assert details.error_code is ErrorCode.PROVIDER_NOT_READY


def test_without_the_package_the_extra_is_named() -> None:
    code = "import sys; sys.modules['openfeature'] = None; import failsoft.openfeature"

    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)

    assert (
        "failsoft.errors.MissingExtraError: failsoft.openfeature needs" in done.stderr
    )
    assert "pip install 'failsoft[openfeature]'" in done.stderr
