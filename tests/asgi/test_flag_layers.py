"""Flags files, declarations and settings of flags in a running application."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse
from starlette.routing import Route

from asgi.controls import put
from asgi.drive import get
from asgi.eventually import eventually
from failsoft import Flag, flag, flag_details
from failsoft.flags._definitions import IN_CODE
from failsoft.telemetry import FlagDef, decode_definitions, decode_heartbeat
from failsoft.testing import FlagsInTests, override
from flagdoc import FlagDoc

pytestmark = pytest.mark.anyio

OFF = {"state": "ENABLED", "variants": {"on": True, "off": False}}
OFF["defaultVariant"] = "off"
ON = {**OFF, "defaultVariant": "on"}


@pytest.fixture(autouse=True)
def nothing_in_code() -> Iterator[None]:
    before = dict(IN_CODE)
    IN_CODE.clear()
    yield
    IN_CODE.clear()
    IN_CODE.update(before)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    found = tmp_path / "flags.json"
    found.write_text(json.dumps({"flags": {"filed": ON}}))
    return found


def write(path: Path, tree: Any) -> None:
    path.write_text(json.dumps(tree))


def told(guarded: Any) -> tuple[str, ...]:
    """Return what the heartbeat calls bad."""
    return decode_heartbeat(guarded.runtime._heartbeat()).bad


def app(ask: Any = lambda: flag("filed", False)) -> Starlette:
    async def handler(request: Request) -> JSONResponse:
        return JSONResponse(ask())

    return Starlette(routes=[Route("/", handler)])


async def published(guarded: Any, key: str) -> dict[str, FlagDef]:
    """Return what operators read, once it names a key."""
    runtime = guarded.runtime
    async with asyncio.timeout(5):
        while True:
            blob = await runtime.store.definitions(runtime.definitions.digest)
            flags = decode_definitions(blob).flagdefs if blob else ()
            found = {one.key: one for one in flags}
            if key in found:
                return found
            await asyncio.sleep(0.01)


async def test_a_file_is_served_from_the_first_request_and_followed(
    guard: Any, path: Path
) -> None:
    guarded = await guard(app(), flags={"files": [str(path)]})

    before = (await get(guarded, "/")).json
    write(path, {"flags": {"filed": {**OFF, "metadata": {"a": 1}}}})

    assert before is True
    await eventually(lambda: flag("filed", True) is False, within_s=5)
    # A file that breaks then changes nothing, and is told to operators.
    write(path, [])
    bad = "flags.json line 1: is no flagd document"
    await eventually(lambda: bad in str(told(guarded)), within_s=5)
    assert flag("filed", True) is False


async def test_operators_read_the_evaluators_of_a_file(guard: Any, path: Path) -> None:
    rule = {**ON, "targeting": {"if": [{"$ref": "dach"}, "on"]}}
    dach = {"in": [{"var": "country"}, ["DE"]]}
    write(path, {"flags": {"filed": rule}, "$evaluators": {"dach": dach}})
    guarded = await guard(app(), flags={"files": [str(path)]})

    await published(guarded, "filed")
    runtime = guarded.runtime
    blob = await runtime.store.definitions(runtime.definitions.digest)

    ((name, text),) = decode_definitions(blob).evaluators
    assert (name, json.loads(text)) == ("dach", dach)


async def test_an_edit_wins_over_a_file_and_tells_of_a_newer_one(
    guard: Any, path: Path
) -> None:
    guarded = await guard(
        app(lambda: flag_details("filed", True).warning), flags={"files": [str(path)]}
    )
    over = FlagDoc(
        variants={"on": True, "off": False},
        defaultVariant="off",
        metadata={"x.over": "00000000"},
    )

    await put(guarded, "flag", "filed", over)

    assert flag("filed", True) is False
    assert (await get(guarded, "/")).json == "overrides an older definition"


async def test_operators_learn_where_each_flag_is_defined(
    guard: Any, path: Path
) -> None:
    Flag("coded", 7, fail="off", owner="pay", expires="2027-01-31")
    declared = {"said": {"default": "red", "fail": "refuse"}}
    files = [str(path)]
    guarded = await guard(
        app(lambda: flag("asked", False)), flags={"declare": declared, "files": files}
    )
    await get(guarded, "/")

    found = await published(guarded, "asked")

    assert found["coded"] == FlagDef(
        "coded", "code", "7", "off", "pay", expires="2027-01-31"
    )
    assert found["said"] == FlagDef("said", "settings", '"red"', "refuse")
    assert found["asked"] == FlagDef("asked", "asked", "false")
    filed = found["filed"]
    assert (filed.origin, json.loads(filed.doc), len(filed.sha8)) == ("file", ON, 8)


async def test_undeclared_flags_are_refused_where_that_is_set(guard: Any) -> None:
    guarded = await guard(
        app(lambda: flag("typo", False)), flags={"undeclared": "refuse"}
    )

    assert (await get(guarded, "/")).status == 503


async def test_a_flag_declared_while_serving_has_its_policy(guard: Any) -> None:
    guarded = await guard(app(lambda: flag("late", False)))
    before = (await get(guarded, "/")).json

    Flag("late", False, fail="refuse")
    statuses: list[int] = []

    async def ask() -> int:
        statuses.append((await get(guarded, "/")).status)
        return statuses[-1]

    assert before is False
    while await ask() != 503:
        await eventually(lambda: "late" not in guarded.runtime.flags.evaluators, 5)


async def test_an_override_reaches_a_request_that_already_runs(guard: Any) -> None:
    def ask() -> list[bool]:
        with override({"filed": True}):
            inside = flag("filed", False)
        return [flag("filed", False), inside]

    guarded = await guard(app(ask))

    assert (await get(guarded, "/")).json == [False, True]


async def test_a_callable_reads_what_the_request_knows(
    guard: Any, failsoft_flags: FlagsInTests
) -> None:
    guarded = await guard(app())
    seen: list[dict[str, Any]] = []

    def keep(context: dict[str, Any]) -> bool:
        seen.append(context)
        return True

    failsoft_flags.set("filed", keep)

    await get(guarded, "/")
    flag("filed", False)

    inside, outside = (context["failsoft"] for context in seen)
    names = ["consumer", "criticality", "env", "method", "node", "route", "version"]
    assert sorted(inside) == sorted(outside) == names
    assert (inside["route"], inside["consumer"], inside["version"]) == ("GET /", "", "")
    assert (outside["route"], outside["env"]) == ("", "default")


# --- span events -------------------------------------------------------------


@pytest.mark.parametrize(("is_on", "count"), [(True, 1), (False, 0)])
async def test_the_span_tells_of_a_flag_once_and_only_if_asked_to(
    is_on: bool, count: int, guard: Any, path: Path
) -> None:
    spans, provider = InMemorySpanExporter(), TracerProvider()
    provider.add_span_processor(SimpleSpanProcessor(spans))
    settings = {"files": [str(path)], "span_events": is_on}
    guarded = await guard(
        app(lambda: [flag("filed", False) for _ in range(3)]), flags=settings
    )

    with provider.get_tracer("test").start_as_current_span("GET /"):
        await get(guarded, "/")

    (span,) = spans.get_finished_spans()
    assert [(e.name, dict(e.attributes or {})) for e in span.events] == [
        (
            "feature_flag.evaluation",
            {
                "feature_flag.key": "filed",
                "feature_flag.result.reason": "static",
                "feature_flag.provider.name": "failsoft",
                "feature_flag.result.variant": "on",
            },
        )
    ] * count


async def test_a_request_keeps_64_flags_whatever_it_asks(guard: Any) -> None:
    provider = TracerProvider()
    guarded = await guard(
        app(lambda: [flag(f"k{n}", False) for n in range(70)]),
        flags={"span_events": True},
    )

    with provider.get_tracer("test").start_as_current_span("GET /") as span:
        await get(guarded, "/")

    assert len(getattr(span, "events", ())) == 64


async def test_a_thread_of_a_test_sees_what_the_test_sets(
    failsoft_flags: FlagsInTests,
) -> None:
    failsoft_flags.set("filed", True)

    assert await asyncio.to_thread(flag, "filed", False) is True
