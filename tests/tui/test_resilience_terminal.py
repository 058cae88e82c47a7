"""Deps and Modes in a real terminal, on a real server and a node that calls out."""

from __future__ import annotations

import json
import re
import time
from collections.abc import Iterator
from http.client import HTTPConnection
from pathlib import Path
from typing import Any

import pytest
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import PlainTextResponse
from starlette.routing import Route

import failsoft
from e2e.verbs import runner
from load.servers import eventually
from tui.served import watched
from tui.test_terminal import Terminal

ENV = "shop"
TOML = """
[dependency.payments]
[component.checkout]
routes = ["POST /pay"]
[routes."POST /pay"]
criticality = "critical_plus"
timeout = "2s"
[mode."checkout.queue"]
title = "Orders are paid later"
severity = "minor"
routes = ["POST /pay"]
actions = [{ banner = "paid later" }]
"""


async def pay(_: Request) -> PlainTextResponse:
    async def charge() -> None:
        raise ConnectionError("refused")

    try:
        await failsoft.dependency("payments").call(charge)
    except (ConnectionError, failsoft.FailsoftError):
        return PlainTextResponse("queued")
    return PlainTextResponse("paid")


class Fleet:
    """A served node and its store, with a terminal over them."""

    def __init__(self, url: str, port: int, terminal: Terminal) -> None:
        self.url = url
        self.port = port
        self.terminal = terminal

    def ask(self, method: str, path: str) -> tuple[int, bytes]:
        link = HTTPConnection("127.0.0.1", self.port, timeout=10)
        link.request(method, path)
        reply = link.getresponse()
        found = reply.status, reply.read()
        link.close()
        return found

    def status(self) -> Any:
        return json.loads(self.ask("GET", "/_failsoft/status")[1])

    def confirm(self) -> None:
        """Give what the tier asks for: two digits, or a reason and the name."""
        time.sleep(0.3)  # deaf at first
        dialog = self.terminal.text()
        digits = re.search(r"type (\d\d)", dialog)
        self.terminal.keys(*([digits[1]] if digits else []), "Enter")
        if "tier 3" in dialog:
            self.terminal.eventually("reason, then ENTER")
            self.terminal.keys("INC-311 payments", "Enter")
            self.terminal.eventually("reason        INC-311 payments")
            self.terminal.keys("Enter")
            self.terminal.eventually(f"type {ENV} and ENTER")
            self.terminal.keys(ENV, "Enter")
        self.terminal.eventually("1 of 1 nodes enforce it")


@pytest.fixture
def fleet(tmp_path: Path) -> Iterator[Fleet]:
    """`failsoft top`, armed for INC-311, over a node whose third party is dead."""
    config = tmp_path / "failsoft.toml"
    config.write_text(TOML)
    app = Starlette(routes=[Route("/pay", pay, methods=["POST"])])

    def guarded(url: str) -> failsoft.Failsoft:
        return failsoft.Failsoft(app, redis_url=url, env=ENV, config=str(config))

    with watched(guarded, ENV, tmp_path, (120, 40)) as found:
        yield Fleet(found.url, found.port, found.terminal)


def test_an_operator_opens_a_dependency_and_enters_a_mode(
    fleet: Fleet, capsys: pytest.CaptureFixture[str]
) -> None:
    terminal, failsoft_ = fleet.terminal, runner(capsys)
    store = ("--redis", fleet.url, "--env", ENV)
    for _ in range(40):
        assert fleet.ask("POST", "/pay")[1] == b"queued"
    terminal.eventually("nodes 1/1")
    terminal.keys("W")
    terminal.eventually("Reason or ticket")
    terminal.keys("INC-311", "Enter")
    terminal.eventually("ARMED 30m")
    terminal.keys("5")
    local = terminal.eventually("OPEN 1/1")
    terminal.keys("B")
    terminal.eventually("on every node")
    terminal.keys("Enter")
    terminal.eventually("BREAKER-OPEN dependency:payments")
    fleet.confirm()
    forced = terminal.eventually("FORCED OPEN")
    terminal.keys("4")
    terminal.eventually("checkout.queue")
    terminal.keys("/")
    time.sleep(0.3)
    terminal.keys("checkout", "Enter")
    terminal.eventually("rows 1-1 of 1")
    terminal.keys("D")
    terminal.eventually("MODE-ENTER mode:checkout.queue")
    fleet.confirm()
    on = terminal.eventually("D ON")
    told: Any = eventually(lambda: (s := fleet.status())["modes"] and s, 20)
    status = failsoft_("status", *store)
    matrix: Any = eventually(
        lambda: (m := failsoft_("matrix", "--json", *store).json["matrix"]) and m, 20
    )
    markdown = failsoft_("matrix", "--md", *store)

    assert "payments" in local
    assert "FORCED OPEN" in forced
    assert "checkout.queue" in on
    assert told["status"] == {
        "indicator": "minor",
        "description": "Orders are paid later",
    }
    assert told["components"][0]["status"] == "degraded_performance"
    assert b"payments" not in fleet.ask("GET", "/_failsoft/status")[1]
    assert "mode checkout.queue ON by" in status.out
    assert "dependency payments FORCED OPEN" in status.out
    assert matrix[0]["route"] == "POST /pay"
    assert matrix[0]["gaps"] == ["no fallback"]
    assert "| POST /pay | payments | critical_plus | 2s |" in markdown.out
