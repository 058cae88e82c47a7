"""What operators see when something is odd: rewound, bad, older, stale, expiring."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest

from failsoft.ops.command import GuardApply
from failsoft.ops.flaglife import FlagLife, StaleReason
from failsoft.ops.guard import GuardedArm, GuardRow
from failsoft.ops.notices import notices
from failsoft.ops.views import FleetView, Notice, Proposal
from failsoft.store.protocols import Observed
from failsoft.telemetry import Definitions, FlagDef
from failsoft_tui.actions import ACTIONS
from failsoft_tui.alarms import alarms
from tui.fleet import CONTROLS, NODES, NOW_MS, incident
from tui.paper import Desk, open_app

pytestmark = pytest.mark.anyio
SIZES = pytest.mark.parametrize("size", [(120, 40), (80, 24)], ids=["wide", "small"])
PRICING = "flag:checkout.new-pricing"
WHY = "on 41 of 120 bad (34.2%), off 2 of 118 bad (1.7%) in 60 s"


async def shown(desk: Desk, keys: str, **changes: Any) -> str:
    """Push a view and return the screen behind the keys."""
    desk.operator.push(incident(desk.clock(), 2, **changes))
    await desk.until(lambda: desk.app.desk.newest.seq == 2)
    await desk.press(*keys)
    return desk.text()


def node(number: int, **changes: Any) -> Any:
    return msgspec.structs.replace(NODES[number - 1], **changes)


REWOUND = (
    node(1, control_state="rewound", source="redis", digest="3fa2c1d0" * 2),
    node(2, control_state="rewound", source="redis", digest="91bc77aa" * 2),
    node(3, control_state="stale", source="file", control_age=44.0),
    node(4, control_state="local", source="memory"),
)


@SIZES
async def test_a_rewound_store_says_what_to_run(size: tuple[int, int]) -> None:
    observed = Observed(NOW_MS, 3, "e2", "shop-prod")
    told = notices(REWOUND, (), observed, 0)
    async with open_app(size) as desk:
        text = await shown(
            desk, "3", controls_state="rewound", nodes=REWOUND, notices=told
        )

    assert "REWOUND" in text.split("\n")[0]
    assert "REWOUND: run failsoft store rewound" in text
    assert "of " in text.split("\n")[2] or len(told) == 1


@SIZES
async def test_nodes_say_their_state_their_set_and_where_it_is_from(
    size: tuple[int, int],
) -> None:
    async with open_app(size) as desk:
        text = await shown(desk, "8", nodes=REWOUND)
        await desk.press("enter")

        lines = text.split("\n")
        words = [" ".join(line.split()) for line in lines]
        assert any("w1 LIVE REWOUND 8,412 3fa2c1d0 redis" in line for line in words)
        assert any("w3 LIVE STALE 8,412 - file" in line for line in words)
        assert "no proof for 44s" in text
        assert "8 Nodes(3)" in text
        assert "8,412 of history e1" in desk.text()


@SIZES
async def test_a_control_that_only_nodes_hold_says_so(size: tuple[int, int]) -> None:
    lost = msgspec.structs.replace(CONTROLS[0], lost=True)
    async with open_app(size) as desk:
        text = await shown(desk, "3", controls=(lost,))
        await desk.press("enter")

        assert "ON NODES" in text
        assert "~ON" in text or "~KILLED" in text
        assert "a rewound store lost it; run failsoft store rewound" in desk.text()


@SIZES
async def test_what_is_odd_about_a_flag_is_a_word_in_its_row(
    size: tuple[int, int],
) -> None:
    edit = msgspec.structs.replace(
        CONTROLS[2], doc=b'{"metadata":{"x.over":"11111111"}}'
    )
    defs = (FlagDef("checkout.new-pricing", "file", sha8="22222222", doc="{}"),)
    stale = FlagLife("search.rerank", stale=(StaleReason("constant", "on for 31d"),))
    async with open_app(size) as desk:
        desk.operator.definitions = Definitions(flagdefs=defs)
        desk.operator.lives = (stale,)
        text = await shown(desk, "3", controls=(edit, *CONTROLS[3:]))
        bad = (node(2, bad=(PRICING,)), *NODES[2:])
        desk.operator.push(
            incident(desk.clock(), 3, controls=(edit, *CONTROLS[3:]), nodes=bad)
        )
        await desk.until(lambda: " BAD " in desk.text())
        await desk.press("home", "enter")
        await desk.until(lambda: "poison" in desk.text())

        assert " OLDER " in text
        assert " UNCHANGED " in text
        assert "BAD: w2 cannot read it and keep what was before" in desk.text()
        assert "OLDER: the edit overrides an older definition" in desk.text()


async def test_a_control_near_its_end_bears_a_mark_and_rings_once() -> None:
    near = msgspec.structs.replace(CONTROLS[0], until_ms=NOW_MS + 100_000)
    async with open_app() as desk:
        rung: list[None] = []
        desk.app.bell = lambda: rung.append(None)  # type: ignore[method-assign]
        text = await shown(desk, "3", controls=(near,))
        desk.app.tick()

    assert "!100s" in text or "!99s" in text or "!2m" in text
    assert len(rung) == 1


def test_alarms_are_what_cannot_wait() -> None:
    far = msgspec.structs.replace(CONTROLS[0], until_ms=NOW_MS + 200_000)
    near = msgspec.structs.replace(CONTROLS[1], until_ms=NOW_MS + 60_000)
    view = incident(0.0, controls=(far, near), controls_state="rewound")

    on = alarms(view, NOW_MS, stale=True)

    assert on == {"STALE", "REWOUND", f"{near.kind} {near.target} {near.until_ms}"}


def proposed(view: FleetView) -> FleetView:
    proposal = Proposal("flag:search.rerank", NOW_MS - 5_000, "off", WHY, None, "n2")
    return msgspec.structs.replace(view, proposals=(proposal,))


@SIZES
async def test_one_key_applies_what_a_guard_proposes(size: tuple[int, int]) -> None:
    async with open_app(size) as desk:
        desk.operator.push(proposed(incident(desk.clock(), 2)))
        await desk.until(lambda: desk.app.desk.newest.seq == 2)
        await desk.press("3")
        listed = desk.text()
        await desk.press("A", "enter", "enter")

        assert "PROPOSED" in listed
        commands = [write["command"] for write in desk.operator.applied]
        assert commands == [GuardApply("flag:search.rerank")]


async def test_without_a_proposal_the_key_says_so() -> None:
    async with open_app() as desk:
        await desk.press("3", "A")

        assert "no guard proposes anything" in desk.text()


async def test_a_guards_figures_stand_in_the_detail() -> None:
    arms = (
        GuardedArm("off", 118, 2, 0.017, None, "control"),
        GuardedArm("on", 120, 41, 0.342, 6.4, "trip", "z 6.4"),
    )
    guard = GuardRow("checkout.new-pricing", "proposed", "off", 60.0, 100, arms, WHY)
    async with open_app() as desk:

        async def guards() -> tuple[GuardRow, ...]:
            return (guard,)

        desk.operator.guards = guards
        await desk.press("3", "down", "down", "enter")
        await desk.until(lambda: "41 of 120 bad (34.2%)  TRIP" in desk.text())

        assert "PROPOSED: on 41 of 120" in desk.text()


@SIZES
async def test_the_help_of_controls_lists_every_key_of_the_registry(
    size: tuple[int, int],
) -> None:
    places = ("controls", "list", "table")
    async with open_app(size) as desk:
        await desk.press("3", "question_mark")
        seen = ""
        for _ in range(4):
            seen += desk.text()
            await desk.press(*["down"] * 12)

    keys = [action for action in ACTIONS if action.where in places]
    assert [a.help for a in keys if a.help not in seen] == []


def test_the_notice_keeps_the_count_when_it_is_cut() -> None:
    from failsoft_tui.header import notice_line
    from failsoft_tui.paint import line_width, plain

    told = (Notice(2, "x" * 200), Notice(1, "y"))

    line = notice_line(told, 0, 80)

    assert plain(line).endswith("1 of 2  n next ")
    assert line_width(line) == 80
