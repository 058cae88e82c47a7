"""Versions and Drift in a real terminal, on a real server and node."""

from __future__ import annotations

import re
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from e2e.test_cli_contract import CONTRACT, ENV, MAIL, OLD, Node, orders
from failsoft import Failsoft
from load.servers import eventually
from tui.served import watched
from tui.test_terminal import Terminal


@pytest.fixture
def desk(tmp_path: Path) -> Iterator[tuple[Terminal, Node]]:
    """`failsoft top`, armed for INC-311, over a node that has drift."""

    def guarded(url: str) -> Failsoft:
        return Failsoft(orders(), redis_url=url, env=ENV, contract=CONTRACT)

    with watched(guarded, ENV, tmp_path, (80, 24)) as found:
        yield found.terminal, Node(found.port)


def confirm(terminal: Terminal) -> None:
    """Give what the tier asks for: two digits, or a reason and the name."""
    time.sleep(0.3)  # deaf at first
    dialog = terminal.text()
    digits = re.search(r"type (\d\d)", dialog)
    terminal.keys(*([digits[1]] if digits else []), "Enter")
    if "tier 3" in dialog:
        terminal.eventually("reason, then ENTER")
        terminal.keys("INC-311 old clients", "Enter")
        terminal.eventually("reason        INC-311 old clients")
        terminal.keys("Enter")
        terminal.eventually(f"type {ENV} and ENTER")
        terminal.keys(ENV, "Enter")


def test_a_brownout_and_a_tolerance_change_what_clients_get(
    desk: tuple[Terminal, Node],
) -> None:
    terminal, node = desk
    body = {"email": MAIL, "qty": "2"}
    assert node.ask("POST", "/orders", OLD, body).status == 422
    terminal.eventually("nodes 1/1")
    terminal.keys("W")
    terminal.eventually("Reason or ticket")
    terminal.keys("INC-311", "Enter")
    terminal.eventually("ARMED 30m")
    terminal.keys("7")
    terminal.eventually("/qty")
    terminal.keys("/")
    time.sleep(0.3)
    terminal.keys("coerced", "Enter")
    terminal.eventually("rows 1-1 of 1")
    terminal.keys("T")
    form = terminal.eventually("string_to_number")
    terminal.keys("p")
    terminal.eventually("TOLERANCE-ADD")
    confirm(terminal)
    terminal.eventually("1 of 1 nodes enforce it")
    repaired = node.ask("POST", "/orders", OLD, body).status
    terminal.keys("6")
    terminal.eventually("supported")
    terminal.keys("End", "B")
    terminal.eventually(f"BROWNOUT version:{OLD}")
    terminal.keys("p")
    terminal.eventually("BROWNOUT-START")
    confirm(terminal)
    terminal.eventually("W BROWNOUT")
    refused = eventually(lambda: node.ask("GET", "/orders/7", OLD).status == 503, 20)

    assert "TOLERATE POST /orders /qty" in form
    assert repaired == 200
    assert refused
