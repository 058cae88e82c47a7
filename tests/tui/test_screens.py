"""The three screens as text, and what their keys do."""

from __future__ import annotations

import os
from pathlib import Path

import msgspec
import pytest

from failsoft.errors import StoreUnavailable
from failsoft.ops.command import (
    Extend,
    FlagEdit,
    FlagRevert,
    Kill,
    ModeEnter,
    ModeLeave,
    Unkill,
)
from failsoft.ops.views import AckState, Applied, Link
from failsoft_tui.acks import ack_line
from failsoft_tui.actions import ACTIONS
from failsoft_tui.paint import line_width, plain
from tui.fleet import NODES, ROUTES, incident
from tui.paper import Desk, open_app

pytestmark = pytest.mark.anyio
GOLDEN = Path(__file__).parent / "golden"
WIDE, SMALL = (120, 40), (80, 24)


def same_as_golden(name: str, desk: Desk) -> None:
    """Compare the screen with its golden text; FAILSOFT_GOLDEN=write renews it."""
    path = GOLDEN / f"{name}.txt"
    text = desk.text() + "\n"
    if os.environ.get("FAILSOFT_GOLDEN") == "write":
        path.write_text(text)
    assert text == path.read_text()


SCENES = {
    "overview": (),
    "detail": ("e",),
    "controls": ("3",),
    "versions": ("6", "end"),
    "drift": ("7", "down"),
    "brownout": ("6", "B", "down"),
    "tolerance": ("7", "down", "down", "T"),
    "mode-list": ("4",),
    "mode-page": ("4", "enter"),
    "mode-form": ("4", "end", "D"),
    "budgets": ("4", "b"),
    "deps": ("5",),
    "dep-page": ("5", "enter"),
    "breaker": ("5", "down", "B"),
    "audit": ("9",),
    "kill": ("K",),
    "modes": ("D",),
    "help": ("question_mark",),
}


@pytest.mark.parametrize("size", [WIDE, SMALL], ids=["120x40", "80x24"])
@pytest.mark.parametrize("scene", SCENES)
async def test_the_screen_looks_as_reviewed(scene: str, size: tuple[int, int]) -> None:
    async with open_app(size) as desk:
        await desk.press(*SCENES[scene])

        same_as_golden(f"{scene}-{size[0]}x{size[1]}", desk)


async def test_an_ascii_terminal_gets_ascii_only() -> None:
    async with open_app(WIDE, ascii_only=True) as desk:
        overview = desk.text()
        await desk.press("K")
        dialog = desk.text()

    assert overview.isascii()
    assert dialog.isascii()
    assert "KILL route:POST /v1/checkout" in dialog


@pytest.mark.parametrize("size", [(200, 60), (120, 40), (80, 24), (60, 20), (40, 10)])
async def test_states_are_words_not_only_colours(size: tuple[int, int]) -> None:
    async with open_app(size) as desk:
        text = desk.text()

    assert "shop-prod" in text
    assert "LIVE" in text
    if size[0] >= 60:
        assert "KILLED" in text
        assert "DEGRADED" in text
    else:
        assert [line[-1] for line in text.split("\n")[2:5]] == ["B", "D", "K"]


PLACES: tuple[tuple[str, ...], ...] = (
    *((), ("3",), ("4", "E"), ("escape", "b"), ("escape", "5", "B")),
    *(("escape", "6"), ("7", "T"), ("escape", "9"), ("1", "K")),
)


async def test_resizing_never_ends_the_app() -> None:
    sizes = ((200, 60), (80, 24), (40, 10), (39, 9), (5, 3), (1, 1), (120, 40))
    async with open_app(WIDE) as desk:
        for seq, keys in enumerate(PLACES, 2):
            desk.operator.push(incident(desk.clock(), seq))
            await desk.press(*keys)
            for width, height in sizes:
                await desk.pilot.resize_terminal(width, height)
                assert len(desk.lines()) == height
        assert "KILL route:" in desk.text()


async def test_below_40x10_one_line_says_what_is_needed() -> None:
    async with open_app((39, 9)) as desk:
        lines = desk.lines()

    assert lines[0] == "shop-prod LIVE 0.0s needs 40x10"
    assert not any(lines[1:])


async def test_old_values_are_called_stale_and_refuse_writes() -> None:
    async with open_app(WIDE) as desk:
        desk.clock.advance(12)
        text = desk.text()
        await desk.press("K")
        refused = desk.text()

    assert "STALE 12s" in text
    assert "STALE: values of 14:13:20" in text
    assert "~KILLED 31/s refused" in text
    assert "writes are refused, wait for LIVE" in refused
    assert desk.operator.applied == []


async def test_a_link_that_is_down_is_stale_at_once_and_says_why() -> None:
    async with open_app(WIDE) as desk:
        link = Link("down", "redis://redis.prod:6379/0", "connection refused", 3)
        desk.operator.push(incident(desk.clock(), 2, link=link))
        await desk.until(lambda: "STALE" in desk.text())

        assert "connection refused" in desk.text()


async def test_a_store_without_our_records_is_empty() -> None:
    async with open_app(WIDE) as desk:
        desk.operator.push(incident(desk.clock(), 2, controls_state="missing"))
        await desk.until(lambda: "EMPTY" in desk.text())


async def test_hold_freezes_the_display_but_not_the_age() -> None:
    async with open_app(WIDE) as desk:
        await desk.press("space")
        changed = (msgspec.structs.replace(ROUTES[0], rps=999.0), *ROUTES[1:])
        desk.operator.push(incident(desk.clock(), 2, routes=changed))
        await desk.until(lambda: desk.app.desk.newest.seq == 2)
        held = desk.text()
        await desk.press("space")
        live = desk.text()

    assert "HELD" in held
    assert "999.0" not in held
    assert "999.0" in live


async def test_a_disarmed_write_is_refused_with_how_to_arm() -> None:
    async with open_app(WIDE, armed=False) as desk:
        await desk.press("K")
        refused = desk.text()
        await desk.press("W", *"INC-9", "enter")
        armed = desk.text()
        await desk.press("K")

        assert "disarmed: press W and give a reason" in refused
        assert "RO" in refused.split("\n")[0]
        assert "ARMED 30m INC-9" in armed
        assert "KILL route:POST /v1/checkout" in desk.text()


async def test_a_viewer_is_told_so() -> None:
    async with open_app(WIDE) as desk:
        desk.operator.role = "viewer"
        for key in ("K", "W"):
            await desk.press(key)

            assert "may only read" in desk.text()
            assert "Reason or ticket" not in desk.text()


async def test_armed_quitting_asks_first_and_disarms() -> None:
    async with open_app(WIDE) as desk:
        await desk.press("q")
        asked = desk.text()
        await desk.press("q", "enter")

    assert "Still armed" in asked
    assert desk.operator.closed
    assert desk.operator.armed_until is None


async def test_two_keys_kill_the_route_under_the_cursor() -> None:
    async with open_app(WIDE) as desk:
        await desk.press("K", "enter")
        await desk.until(lambda: "4 of 4" in desk.text())

        assert desk.operator.applied[0]["command"] == Kill(
            "route:POST /v1/checkout", group="INC-311"
        )
        assert "applied rev 8,413: w1 34ms  w2 34ms" in desk.text()


async def test_a_missing_node_is_never_hidden_behind_applied() -> None:
    async with open_app(SMALL) as desk:
        acks = tuple(AckState(n.node, n.short, "enforces", 34) for n in NODES[:3])
        silent = AckState("n4", "w4", "silent", detail="12s")
        desk.operator.acks_given = [(*acks, silent)]
        await desk.press("K", "enter")
        await desk.until(lambda: "3 of 4" in desk.text())

        assert "w4 SILENT (12s)" in desk.text()


CONTROL_KEYS = [
    (("down", "L"), Unkill("route:POST /v1/reviews")),
    (("L",), ModeLeave("mode:orders.cache-only")),
    (("D",), ModeLeave("mode:orders.cache-only")),
    (("T",), Extend("mode:orders.cache-only", 3600.0)),
    (("down", "down", "L"), FlagRevert("flag:checkout.new-pricing")),
    (("down", "down", "K"), Kill("flag:checkout.new-pricing", group="INC-311")),
    (
        ("down", "down", "right_square_bracket"),
        FlagEdit("flag:checkout.new-pricing", rollout=30.0),
    ),
    (
        ("down", "down", "left_square_bracket"),
        FlagEdit("flag:checkout.new-pricing", rollout=20.0),
    ),
    (
        ("down", "down", "equals_sign", "7", "5", "enter"),
        FlagEdit("flag:checkout.new-pricing", rollout=75.0),
    ),
    (("end", "D"), ModeEnter("mode:read-only", group="INC-311")),
]


@pytest.mark.parametrize(("keys", "command"), CONTROL_KEYS)
async def test_keys_on_controls_preview_the_change(
    keys: tuple[str, ...], command: object
) -> None:
    async with open_app(WIDE) as desk:
        await desk.press("3", *keys, "enter")

        assert [write["command"] for write in desk.operator.applied] == [command]


async def test_a_key_that_does_not_fit_the_row_says_so() -> None:
    async with open_app(WIDE) as desk:
        await desk.press("3", "K")
        on_a_mode = desk.text()
        await desk.press("end", "L")
        inactive = desk.text()

    assert "K is for kills and flags, this is a mode" in on_a_mode
    assert "is not active: nothing to lift" in inactive


async def test_a_mode_is_picked_from_those_the_nodes_declare() -> None:
    async with open_app(WIDE) as desk:
        await desk.press("D", "down", "enter", "enter")

        commands = [write["command"] for write in desk.operator.applied]
        assert commands == [ModeEnter("mode:orders.cache-only", group="INC-311")]


async def test_undo_takes_the_last_write_and_on_audit_the_rows() -> None:
    async with open_app(WIDE) as desk:
        await desk.press("K", "enter", "u", "enter")
        await desk.press("9", "down", "down", "u", "enter")

        assert desk.operator.undone == ["last", "op14"]


async def test_a_refused_attempt_cannot_be_undone() -> None:
    async with open_app(WIDE) as desk:
        await desk.press("9", "down", "u")

        assert "there is nothing to undo" in desk.text()


async def test_undo_without_a_write_says_so() -> None:
    async with open_app(WIDE) as desk:
        await desk.press("u")

        assert "last write: matches nothing" in desk.text()


async def test_audit_shows_before_and_after() -> None:
    async with open_app(WIDE) as desk:
        await desk.press("9", "d")
        text = desk.text()

    assert "before  off" in text
    assert "after   ON" in text


async def test_a_filter_narrows_while_typing_and_esc_drops_it() -> None:
    async with open_app(WIDE) as desk:
        await desk.press("slash", *"v1 !items")
        typing = desk.text()
        await desk.press("enter", "escape")
        dropped = desk.text()

    assert "rows 1-3 of 3 of 26" in typing
    assert "rows 1-23 of 26" in dropped


async def test_sorting_is_chosen_from_the_columns() -> None:
    async with open_app(WIDE) as desk:
        await desk.press("s", "down", "down", "enter")
        text = desk.text().split("\n")

    assert "sort: RPS" in text[3]
    assert "/v1/orders/{id}" in text[5]


async def test_faults_only_leaves_out_healthy_routes() -> None:
    async with open_app(WIDE) as desk:
        await desk.press("f")

        assert "rows 1-4 of 4 of 26" in desk.text()


async def test_flights_are_turned_with_brackets() -> None:
    async with open_app(WIDE) as desk:
        await desk.press("e", "right_square_bracket")
        older = desk.text()
        await desk.press("left_square_bracket", "F")
        newest = desk.text()
        await desk.press("escape")
        back = desk.text()

    assert "2 of 3" in older
    assert "1 of 3" in newest
    assert "httpx/_client.py:1629" in newest
    assert "rows 1-23 of 26" in back


async def test_a_failing_log_is_said_and_the_screen_lives() -> None:
    async with open_app(WIDE) as desk:

        async def fail(count: int) -> None:
            raise StoreUnavailable("no answer in 1 s", where="redis.prod:6379")

        desk.operator.log = fail
        await desk.press("9")

        assert "no answer in 1 s" in desk.text()
        assert "mode-enter" in desk.text()


async def test_the_palette_finds_an_action_and_runs_it() -> None:
    async with open_app(WIDE) as desk:
        await desk.press("ctrl+p", *"faults")
        await desk.until(lambda: "faults: only rows" in desk.text())
        await desk.press("enter")
        await desk.until(lambda: "faults only" in desk.text())


async def test_every_key_of_a_screen_comes_from_the_registry() -> None:
    known = {action.id for action in ACTIONS}
    async with open_app(WIDE) as desk:
        for keys in ((), ("3",), ("9",), ("1", "e"), ("escape", "K")):
            await desk.press(*keys)
            live = desk.app.screen.active_bindings.values()
            own = [b.binding for b in live if b.node.__module__.startswith("failsoft")]
            assert own
            assert {binding.id for binding in own} - {None} <= known


def test_a_key_is_bound_once_in_each_place() -> None:
    seen: set[tuple[str, str]] = set()
    for action in ACTIONS:
        for key in action.keys.split(","):
            assert (action.where, key) not in seen
            seen.add((action.where, key))


def test_capitals_write_and_lower_case_reads() -> None:
    writes = {action.shown for action in ACTIONS if action.write}

    assert writes == set("KDLTGEOVABPRS[]{}=u")


@pytest.mark.parametrize("width", [40, 60, 80, 120])
def test_the_acknowledgement_keeps_its_sum_at_any_width(width: int) -> None:
    acks = tuple(AckState(f"n{i}", f"w{i}", "enforces", 34) for i in range(1, 30))
    silent = AckState("n30", "w30", "silent")

    line = ack_line(Applied(8_413, "e", "op", 0), (*acks, silent), width, over=True)

    assert "29 of 30 nodes enforce it" in plain(line)
    assert line_width(line) <= max(width, 48)
    assert width < 60 or "w30 SILENT" in plain(line)


def test_no_node_yet_is_not_called_applied_alone() -> None:
    line = ack_line(Applied(8_413, "e", "op", 0), (), 80, over=True)

    assert plain(line) == " applied rev 8,413: no node answers yet"
