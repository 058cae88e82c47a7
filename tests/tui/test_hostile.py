"""Strings of strangers: shown, never obeyed."""

from __future__ import annotations

import ast
import asyncio
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec
import pytest
from rich.cells import cell_len

from failsoft.ops.contractrows import (
    Break,
    BrownoutRow,
    DriftRow,
    DriftView,
    PeerRow,
    PinRow,
    ToleranceRow,
    UseRow,
    VersionRow,
    VersionsView,
)
from failsoft.ops.fleetrows import (
    BurnRow,
    CallRow,
    DependencyRow,
    DependencySeen,
    DependencyView,
    ModeRow,
    SloRow,
    SloView,
)
from failsoft.ops.views import FleetView, Notice
from tui.fleet import CONTROLS, FLIGHTS, GROUPS, LOG, ROUTES, incident
from tui.paper import Desk, open_app

ROOT = Path(__file__).parents[2] / "tui" / "failsoft_tui"
HOSTILE = [
    "GET /items/[/foo]",
    "GET /v1/[id]/x[bold red]",
    "GET /\x1b]0;owned\x07\x1b[2J/x",
    "GET /\u202etxt.exe\u2066",
    "GET /商品/検索/とても長い名前/" + "界" * 60,
    "GET /e\u0301" + "\u0301" * 40,
    "GET /line\nbreak\ttab\r",
    "GET /\x9b31m\udcff",
    "GET /" + "a" * 5_000,
    "",
]


def hostile_view(now: float, text: str) -> FleetView:
    return incident(
        now,
        2,
        routes=(msgspec.structs.replace(ROUTES[0], key=text, state_text=text),),
        groups=(msgspec.structs.replace(GROUPS[0], route=text, exception=text),),
        flights=(
            msgspec.structs.replace(
                FLIGHTS[0], route=text, message=text, consumer=text, causes=(text,)
            ),
        ),
        controls=(
            msgspec.structs.replace(CONTROLS[0], target=text, why=text, by=text),
        ),
        log=(msgspec.structs.replace(LOG[0], target=text, why=text, who=text),),
        notices=(Notice(2, text, text),),
        versions=hostile_versions(text),
        drift=hostile_drift(text),
        **hostile_fleet(text),
    )


def hostile_fleet(text: str) -> dict[str, Any]:
    call = CallRow(text, text, 1.0, text)
    seen = DependencySeen(text, text, text, text, text)
    rule = BurnRow(text, text, 1.0, ((text, 1.0),), "firing")
    row = DependencyRow(
        text, text, "F", (seen,), override=text, by=text, why=text, routes=(call,)
    )
    mode = ModeRow(
        text, text, text, "on", text, (text,), text, text, text, text, text,
        enter=(text,), leave=(text,), timing=text, params=((text, text),), group=text,
    )  # fmt: skip
    return {
        "dependencies": DependencyView(1, (row,), text),
        "modes": (mode,),
        "slo": SloView(1, (SloRow(text, 0.9, 1.0, (text,), rules=(rule,)),)),
    }


def hostile_versions(text: str) -> VersionsView:
    breaks = (Break(text, text, text),)
    return VersionsView(
        1,
        default=text,
        versions=(VersionRow(text, text, text, text, link=text, brownouts=(text,)),),
        uses=(UseRow(text, text, 1, 1, 0.5, routes=((text, 1),), breaks=breaks),),
        pins=(PinRow(text, text, "control", 1, text, text),),
        brownouts=(
            BrownoutRow(text, "control", "open", (text,), (text,), 5, text, 503),
        ),
    )


def hostile_drift(text: str) -> DriftView:
    return DriftView(
        1,
        rows=(
            DriftRow(text, text, "request", text, text, text, text, text, text, text,
                     1, 1, 1, 1, tolerance=text, suggests=text),
        ),
        tolerances=(ToleranceRow(text, "control", "active", text, text, text, text),),
        peers=(PeerRow(text, text, text, text, 3, text, text, text, (text,), text),),
    )  # fmt: skip


def check_lines(desk: Desk) -> None:
    width, height = desk.app.size
    lines = desk.lines()
    assert len(lines) == height
    for line in lines:
        assert cell_len(line) <= width
        assert line.isprintable(), line


@pytest.mark.anyio
async def test_hostile_text_is_shown_and_breaks_no_screen() -> None:
    async with open_app((120, 40)) as desk:
        seq = 1
        for keys in ((), ("3",), ("4",), ("5",), ("6",), ("7",), ("9",), ("1", "K")):
            await desk.press(*keys)
            for text in HOSTILE:
                seq += 1
                await show(desk, text, seq)
                check_lines(desk)


@pytest.mark.anyio
async def test_hostile_text_breaks_no_page_and_no_form() -> None:
    async with open_app((120, 40)) as desk:
        seq = 1
        for keys in PAGES:
            await desk.press(*keys)
            for text in HOSTILE:
                seq += 1
                await show(desk, text, seq)
                check_lines(desk)


@pytest.mark.anyio
@pytest.mark.parametrize("text", HOSTILE, ids=range(len(HOSTILE)))
async def test_hostile_text_breaks_no_stack(text: str) -> None:
    async with open_app((120, 40)) as desk:
        await show(desk, text, 2)
        await desk.press("e")
        check_lines(desk)


PAGES = (
    ("4", "enter"),
    ("escape", "E"),
    ("escape", "b"),
    ("escape", "5", "enter"),
    ("escape", "B"),
    ("escape", "6", "enter"),
    ("escape", "7", "enter"),
    ("escape", "d"),
    ("escape", "t"),
)


async def show(desk: Desk, text: str, seq: int) -> None:
    """Push a view of nothing but `text` and wait until it is painted."""
    view = msgspec.structs.replace(hostile_view(desk.clock(), text), seq=seq)
    desk.operator.push(view)
    for _ in range(20):  # it comes in a few turns, and a pause costs 20 ms
        await asyncio.sleep(0)
    await desk.pilot.pause()
    assert desk.app.desk.newest.seq == seq


@pytest.mark.anyio
async def test_markup_in_a_route_is_printed_as_it_is() -> None:
    async with open_app((120, 40)) as desk:
        desk.operator.push(hostile_view(desk.clock(), "GET /items/[/foo]"))
        await desk.until(lambda: "/items/[/foo]" in desk.text())


# Calls whose text arguments Textual parses as markup.
PARSED = {"Static", "Label", "Button", "Checkbox", "Option", "Tab", "notify", "Select"}
PARSED |= {"from_markup", "OptionList", "DataTable", "Markdown", "Tooltip"}
PARSED_ATTRIBUTES = {"border_title", "border_subtitle", "tooltip", "placeholder"}
PARSED_NAMES = {"help", "placeholder", "tooltip", "title", "label"}


def parsed_texts(source: str) -> Iterator[int]:
    """Yield lines that hand anything but a literal to something that parses markup."""
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Call):
            name = getattr(node.func, "attr", getattr(node.func, "id", ""))
            parsed = list(node.args) if name in PARSED else []
            if name in PARSED or name in ("Input", "Hit", "DiscoveryHit"):
                parsed += [k.value for k in node.keywords if k.arg in PARSED_NAMES]
            if not all(isinstance(value, ast.Constant) for value in parsed):
                yield node.lineno
        if isinstance(node, ast.Assign):
            names = {getattr(target, "attr", "") for target in node.targets}
            if names & PARSED_ATTRIBUTES and not isinstance(node.value, ast.Constant):
                yield node.lineno


def test_only_literals_go_where_markup_is_parsed() -> None:
    found = {
        str(path.relative_to(ROOT)): lines
        for path in ROOT.rglob("*.py")
        if (lines := list(parsed_texts(path.read_text())))
    }

    assert found == {}


def test_a_planted_markup_text_is_found() -> None:
    planted = (
        "Static(name)\n"
        "Static('literal')\n"
        "self.notify(f'{name}')\n"
        "self.border_title = name\n"
        "Input(placeholder=name)\n"
    )

    assert sorted(parsed_texts(planted)) == [1, 3, 4, 5]
