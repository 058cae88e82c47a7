"""What a node reports of flags, driven through the application."""

from __future__ import annotations

from typing import Any

import pytest
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import PlainTextResponse
from starlette.routing import Route

import failsoft
from asgi.conftest import Guard
from asgi.controls import kill, put
from asgi.drive import get
from failsoft.flags._exposure import Exposures
from failsoft.store.memory import MemoryStore
from flagdoc import FlagDoc

pytestmark = pytest.mark.anyio

GUARDED = FlagDoc(
    variants={"on": True, "off": False},
    targeting={"if": [{"==": [{"var": "targetingKey"}, "ana"]}, "on", "off"]},
    metadata={"x.guard.control": "off"},
)


async def price(request: Request) -> PlainTextResponse:
    user = request.query_params["user"]
    if failsoft.flag("price", default=False, targeting_key=user):
        raise RuntimeError("no such price")
    return PlainTextResponse("old", int(request.query_params.get("status", 200)))


async def plain(request: Request) -> PlainTextResponse:
    return PlainTextResponse("hello")


@pytest.fixture
async def guarded(guard: Guard) -> failsoft.Failsoft:
    routes = [Route("/price", price), Route("/plain", plain)]
    wrapped = await guard(Starlette(routes=routes))
    await put(wrapped, "flag", "price", GUARDED)
    return wrapped


def outcomes(guarded: failsoft.Failsoft) -> Any:
    counts, _, _ = guarded.runtime.guard.take(guarded.runtime.flags)
    return counts


async def ask(guarded: failsoft.Failsoft, path: str) -> None:
    name, _, query = path.partition("?")
    await get(guarded, name, query_string=query.encode())


async def test_requests_count_for_the_variant_they_saw_errors_as_bad(
    guarded: failsoft.Failsoft,
) -> None:
    await ask(guarded, "/price?user=ana")
    await ask(guarded, "/price?user=bob")
    await ask(guarded, "/price?user=bob&status=404")
    await ask(guarded, "/price?user=bob&status=502")
    await ask(guarded, "/plain")

    assert outcomes(guarded) == {"price": {"on": (1, 1), "off": (3, 1)}}


async def test_killed_and_refused_requests_count_for_no_variant(
    guarded: failsoft.Failsoft,
) -> None:
    await kill(guarded, "flag:price", variant="off")
    await ask(guarded, "/price?user=ana")
    await kill(guarded, "route:GET /price")
    await ask(guarded, "/price?user=ana")

    assert outcomes(guarded) == {}


async def test_what_was_evaluated_is_in_the_store_once_the_node_has_stopped(
    guarded: failsoft.Failsoft,
) -> None:
    for user in ("ana", "bob", "eve"):
        await ask(guarded, f"/price?user={user}")
    store: MemoryStore = guarded.runtime.store

    await guarded.runtime.stop()

    found = await store.evaluations()
    assert found.counts == {"price": {"on": 1, "off": 2}}
    assert found.seen["price"] > 0


async def test_of_many_flags_those_that_somebody_defined_keep_their_names(
    guard: Guard,
) -> None:
    late = {"declared": {"default": False}}
    wrapped = await guard(Starlette(), flags={"declare": late})
    await put(wrapped, "flag", "edited", GUARDED)
    runtime = wrapped.runtime
    runtime.definitions.seen_flags = {f"k{n}": "false" for n in range(1000)}

    for key in ("declared", "edited", "nobody's"):
        failsoft.flag(key, default=False)

    assert set(runtime.window.flags) == {"declared", "edited", "(other)"}


async def test_an_application_without_flags_reports_nothing(
    guarded: failsoft.Failsoft,
) -> None:
    await ask(guarded, "/plain")
    store: MemoryStore = guarded.runtime.store

    await guarded.runtime.stop()

    assert (await store.evaluations()).since_ms == 0


async def test_a_kept_failure_names_the_flags_it_saw(
    guarded: failsoft.Failsoft,
) -> None:
    await ask(guarded, "/price?user=ana")

    (flight,) = guarded.runtime.deck.take()

    assert flight.flags == (("price", "on"),)


async def test_the_applications_meter_counts_evaluations_and_reads_controls(
    guard: Any,
) -> None:
    from opentelemetry import metrics
    from opentelemetry.sdk.metrics import MeterProvider
    from opentelemetry.sdk.metrics.export import InMemoryMetricReader

    await guard(Starlette())
    exposures = Exposures()  # before the application sets a provider
    reader = InMemoryMetricReader()
    metrics.set_meter_provider(MeterProvider([reader], shutdown_on_exit=False))

    exposures.add({"price": {"on": 2}})
    exposures.add({"price": {"on": 1, "off": 4}})
    taken = exposures.take()
    exposures.tell(taken)

    data: Any = reader.get_metrics_data()
    told = {m.name: m for m in data.resource_metrics[0].scope_metrics[0].metrics}
    metric = told["failsoft.flag.evaluations"]
    key, variant = "feature_flag.key", "feature_flag.result.variant"
    counted = {
        (p.attributes[key], p.attributes[variant]): p.value
        for p in metric.data.data_points
    }
    (state,) = told["failsoft.control.state"].data.data_points
    (age,) = told["failsoft.control.age"].data.data_points
    (revision,) = told["failsoft.control.revision"].data.data_points
    assert (state.attributes["failsoft.control.state"], revision.value) == ("local", 0)
    assert age.value < 5
    assert counted == {("price", "on"): 3, ("price", "off"): 4}
    assert taken == {"price": {"on": 3, "off": 4}}
    assert exposures.take() == {}
