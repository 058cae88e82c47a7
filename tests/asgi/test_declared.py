"""What is declared of routes, flags and handlers that are not there is told at once."""

from __future__ import annotations

import logging
from argparse import Namespace
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import PlainTextResponse
from starlette.routing import Route

import failsoft
from asgi.lifespan import started
from failsoft import Failsoft
from failsoft.cli import run
from failsoft.cli._doctor import _settings
from failsoft.errors import DefinitionError

pytestmark = pytest.mark.anyio

CONFIG = """
[routes."GET /hello"]
fallback = "nobodys"
[routes."GET /helo"]
timeout = "1s"
[slo.search]
routes = ["GET /helo*"]
[mode.calm]
title = "calm"
routes = ["GET /hell"]
actions = [{ reroute = "nobodys" }, { disable = ["test.declard"] }]
[[alerts.webhook]]
name = "ops"
url_env = "TEST_NO_SUCH_URL"
"""
FAULTS = [
    "fallback of GET /hello = 'nobodys': no failsoft.handler",
    "route POST /hello: rate_limit = 'sarch' is not declared; add",
    "slo.search.routes holds 'GET /helo*', which is no route of the application; did",
    "POST /hello: slo = 'serch' is not declared; did you mean search?",
    "mode.calm.actions: reroute = 'nobodys': no failsoft.handler",
    "mode.calm.routes: 'GET /hell' matches no route; did you mean GET /hello?",
    "POST /hello has stale, but only answers to GET are kept; drop stale",
]
DOUBTS = [
    "mode.calm.actions: disable names flag 'test.declard', which nothing declares; did",
    "routes.\"GET /helo\": 'GET /helo' matches no route; did you mean GET /hello?",
    "alerts.webhook 'ops' is told nothing: variable TEST_NO_SUCH_URL is not set",
]
failsoft.Flag("test.declared", default=True)


async def hello(request: Request) -> PlainTextResponse:
    return PlainTextResponse("hello")


@failsoft.route(stale="5m", slo="serch", rate_limit="sarch")
async def order(request: Request) -> PlainTextResponse:
    return PlainTextResponse("ordered")


def made() -> Starlette:
    routes = [Route("/hello", hello), Route("/hello", order, methods=["POST"])]
    return Starlette(routes=routes)


app = made()
app.add_middleware(Failsoft)


def begin_alike(texts: list[str], heads: list[str]) -> bool:
    pairs = zip(texts, heads, strict=True)
    return all(text.startswith(head) for text, head in pairs)


async def refused(guarded: Failsoft) -> str:
    """Start it, and return why that failed."""
    told: list[dict[str, str]] = []

    async def receive() -> dict[str, str]:
        return {"type": "lifespan.startup"}

    async def send(message: Any) -> None:
        told.append(dict(message))

    await guarded({"type": "lifespan"}, receive, send)
    assert [one["type"] for one in told] == ["lifespan.startup.failed"]
    return told[0]["message"]


async def test_all_of_it_is_told_at_the_start(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "failsoft.toml").write_text(CONFIG)
    monkeypatch.chdir(tmp_path)
    guarded = Failsoft(made())

    assert begin_alike((await refused(guarded)).splitlines(), FAULTS)


async def test_an_application_that_was_started_in_vain_ends_what_it_began(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    said: list[str] = []

    @asynccontextmanager
    async def alive(_: Any) -> AsyncIterator[None]:
        said.append("began")
        yield
        said.append("ended")

    app = Starlette(routes=[Route("/hello", hello)], lifespan=alive)
    guarded = Failsoft(app, slo={"x": {"routes": ["GET /none"]}})

    assert begin_alike([await refused(guarded)], ["slo.x.routes holds 'GET /none'"])
    assert said == ["began", "ended"]


async def test_the_doctor_tells_the_same_without_starting_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "failsoft.toml").write_text(CONFIG)
    monkeypatch.chdir(tmp_path)

    checks = _settings(Namespace(settings=None, app="asgi.test_declared:app"))

    assert begin_alike([c.text for c in checks if c.state == "fail"], FAULTS)
    assert begin_alike([c.text for c in checks if c.state == "warn"], DOUBTS)


async def test_the_doctor_tells_all_that_is_wrong_with_the_file(tmp_path: Path) -> None:
    file = tmp_path / "other.toml"
    file.write_text("[shedd]\n[defaults]\ntimeout = 0\n[slo.a]\nobjective = 2\n")

    checks = _settings(Namespace(settings=str(file), app=None))

    assert [check.text.partition(": ")[2] for check in checks] == [
        "shedd is not known; did you mean shed?",
        "defaults.timeout = 0 is out of range; choose a span from 5ms to 1h",
        "slo.a.objective = 2 is no ratio between 0 and 1; write 0.999 for 99.9 %",
    ]


async def test_what_may_come_yet_is_only_warned_of(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.chdir(tmp_path)
    app = Starlette(routes=[Route("/hello", hello)])
    guarded = Failsoft(app, routes={"GET /late": {"timeout": "1s"}})

    with caplog.at_level(logging.WARNING, "failsoft"):
        async with started(guarded):
            pass

    assert "routes.\"GET /late\": 'GET /late' matches no route" in caplog.text


def test_a_handler_without_a_name_is_told_what_to_write() -> None:
    with pytest.raises(DefinitionError, match=r'write @failsoft\.handler\("hello"\)'):
        failsoft.handler(hello)  # type: ignore[arg-type]


def test_a_store_that_is_away_has_its_own_exit_status_unless_settings_are_wrong(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    asked = ["doctor", "--redis", "redis://127.0.0.1:1/0"]
    config = Path("failsoft.toml")

    config.write_text('[defaults]\ntimeout = "1s"\n')
    away = run(asked)
    config.write_text("[defaults]\ntimeout = 0\n")
    wrong = run(asked)

    assert (away, wrong) == (6, 1)
    assert "defaults.timeout = 0 is out of range" in capsys.readouterr().out
