"""Modes and Deps by keys: on a real session, and on paper."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import msgspec
import pytest

from failsoft.store.fleet import DependencyRow, FleetSay, NodeRow, encode_row
from failsoft_tui.deprows import by_node, dep_order, quota_word
from failsoft_tui.modesheet import budget_lines
from failsoft_tui.paint import plain
from tui.contractdesk import ContractDesk, open_contract, type_line
from tui.fleet import NOW_MS, incident
from tui.paper import open_app
from tui.resilience import dependencies

pytestmark = pytest.mark.anyio
SIZES = pytest.mark.parametrize("size", [(120, 40), (80, 24)], ids=["wide", "small"])


@asynccontextmanager
async def open_fleet(size: tuple[int, int] = (120, 40)) -> AsyncIterator[ContractDesk]:
    """Open the app on two nodes, one of which cannot reach payments."""
    async with open_contract(size) as desk:
        await say(desk)
        yield desk


async def say(desk: ContractDesk) -> None:
    """Let the nodes tell of payments."""
    now_ms = desk.app.desk.newest.server_ms
    states = {0: ("open", 40), 1: ("closed", 0)}
    for index, node in enumerate(desk.fleet.nodes):
        state, fail = states[index]
        told = DependencyRow("payments", 60, fail, 0, state, state)
        row = NodeRow(at_ms=now_ms, dependencies=(told,))
        ask = FleetSay(encode_row(row), index == 0, False, b"", ())
        await desk.store.fleet_beat(node, ask)


@SIZES
async def test_a_breaker_is_forced_and_handed_back(size: tuple[int, int]) -> None:
    async with open_fleet(size) as desk:
        await desk.press("5")
        await desk.at("payments")
        local = desk.text()
        await desk.press("B", "enter")
        dialog = desk.text()
        await desk.confirm()
        await desk.until(lambda: "FORCED OPEN" in desk.text())
        in_force = desk.active("breaker")
        await desk.press("A")
        auto = desk.text()
        await desk.press("escape", "3")
        await desk.at("dependency:payments")
        await desk.press("L")
        lift = desk.text()
        await desk.confirm()

        assert "[t 5m 15m 1h 4h]" in dialog
        assert "GROUP-LIFT group:INC-311" in lift
        assert "all of        dependency:payments" in lift
        assert "OPEN 1/2" in local
        assert "BREAKER-OPEN dependency:payments" in dialog
        assert in_force == ["dependency:payments"]
        assert "BREAKER-AUTO dependency:payments" in auto
        assert desk.active("breaker") == []


async def test_a_probe_is_asked_for() -> None:
    async with open_fleet() as desk:
        await desk.press("5")
        await desk.at("payments")
        await desk.press("P")

        assert "BREAKER-PROBE dependency:payments" in desk.text()


async def test_a_mode_is_entered_moved_and_left() -> None:
    async with open_contract() as desk:
        await desk.press("4")
        await desk.at("checkout.queue")
        await desk.press("D")
        dialog = desk.text()
        await desk.confirm()
        await desk.until(lambda: "D ON" in desk.text())
        entered = desk.active("mode")
        await desk.press("T")
        longer = desk.text()
        await desk.press("escape", "D")
        leave = desk.text()

        assert "MODE-ENTER mode:checkout.queue" in dialog
        assert entered == ["mode:checkout.queue"]
        assert "EXTEND mode:checkout.queue" in longer
        assert "MODE-LEAVE mode:checkout.queue" in leave


@SIZES
async def test_a_mode_is_entered_by_its_form(size: tuple[int, int]) -> None:
    async with open_contract(size, keys="4") as desk:
        await desk.at("fs.timeouts")
        await desk.press("D")
        empty = desk.text()
        await type_line(desk, "3")
        beyond = desk.text()
        await type_line(desk, "0.5")
        await desk.press("down")
        await type_line(desk, "POST /checkout, GET /nowhere*")
        await desk.press("down")
        await type_line(desk, "25")
        form = desk.text()
        await desk.press("p")
        dialog = desk.text()
        await desk.confirm()
        await desk.until(lambda: "D ON 25%" in desk.text())
        record = next(r for r in desk.app.desk.newest.modes if r.name == "fs.timeouts")

        assert "parameter: mode action timeout_scale needs scale=..." in empty
        assert "0.25 to 2; must be given" in empty
        assert "scale = 3 must be a number from 0.25 to 2" in beyond
        assert "POST /checkout, GET /nowhere*" in form
        assert "timeouts times 0.5" in dialog
        assert "off -> ON 25%, for 1h   [t 5m 15m 1h 4h]" in dialog
        assert "INC-311" in dialog
        assert record.scope == ("POST /checkout", "GET /nowhere*")
        assert (record.share, record.group) == (0.25, "INC-311")


async def test_a_mode_is_kept_off_handed_back_and_drilled() -> None:
    async with open_contract(keys="4") as desk:
        await desk.at("checkout.queue")
        await desk.press("D")
        await desk.confirm()
        await desk.until(lambda: "D ON" in desk.text())
        await desk.press("D")
        await desk.confirm()
        await desk.until(lambda: "KEPT OFF" in desk.text())
        await desk.press("A")
        auto = desk.text()
        await desk.confirm()
        await desk.until(lambda: not desk.active("mode"))
        await desk.press("R")
        drill = desk.text()
        await desk.confirm()
        await desk.until(lambda: "DRILL 5%" in desk.text())

        assert "MODE-AUTO mode:checkout.queue" in auto
        assert "MODE-DRILL mode:checkout.queue" in drill
        assert "off -> DRILL 5%, for 10m00s   [t 5m 15m 1h 4h]" in drill


async def test_writes_are_refused_while_disarmed() -> None:
    async with open_app(armed=False) as desk:
        told = []
        for keys in (("4", "D"), ("E",), ("T",), ("5", "B"), ("P",)):
            await desk.press(*keys)
            told.append("disarmed: press W" in desk.text())

        assert told == [True] * 5
        assert desk.operator.applied == []


async def test_keys_that_fit_no_row_say_why() -> None:
    async with open_app() as desk:
        await desk.press("5", "A")
        no_override = desk.text()
        await desk.press("4", "R")
        on = desk.text()
        await desk.press("end", "A")
        left = desk.text()
        await desk.press("T")

        assert "payments has no override" in no_override
        assert "is on: a drill is for a mode that is off" in on
        assert "is left to its triggers already" in left
        assert "it has no end to move" in desk.text()


async def test_empty_screens_say_what_fills_them() -> None:
    view = incident(0, modes=(), dependencies=None, slo=None)
    async with open_app() as desk:
        desk.operator.push(msgspec.structs.replace(view, received=desk.clock()))
        await desk.press("4")
        await desk.until(lambda: "it tells its [mode.*]" in desk.text())
        await desk.press("5")

        assert "it is read while this is open" in desk.text()


async def test_only_what_is_looked_at_is_read() -> None:
    async with open_app() as desk:
        seen = []
        for key in "451":
            await desk.press(key)
            seen.append(desk.operator.wanted - {"drift"})

    assert seen == [{"slo"}, {"dependencies"}, frozenset()]


def test_open_ones_come_first_and_quotas_say_when_they_are_whole() -> None:
    order = dep_order(lambda: NOW_MS)
    order.take(dependencies(NOW_MS).rows, 0.0)

    assert order.listed == ["payments", "mail", "geo", "elastic"]
    assert by_node(order.rows["payments"])[0] == "OOO."
    assert quota_word(order.rows["geo"], NOW_MS) == ("7% 19m", "warn")
    assert quota_word(order.rows["mail"], NOW_MS) == ("-", "dim")


def test_budgets_that_nobody_read_are_not_shown_as_full() -> None:
    assert "not read yet" in plain(budget_lines(None)[1])
