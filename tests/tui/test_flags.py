"""Flags on Controls, by keys, on a real session."""

from __future__ import annotations

import msgspec
import pytest

from failsoft.ops.command import FlagEdit, Kill
from tui.flagdesk import FlagDesk, open_flags

pytestmark = pytest.mark.anyio
SIZES = pytest.mark.parametrize("size", [(120, 40), (80, 24)], ids=["wide", "small"])
LAYOUT = "flag:checkout-layout"


@SIZES
async def test_a_step_of_a_rollout_says_whom_it_moves(size: tuple[int, int]) -> None:
    async with open_flags(size) as desk:
        await desk.goto("flag:new-pricing")
        await desk.press("right_curly_bracket", "right_curly_bracket")
        dialog = desk.text()
        await desk.confirm()

        assert "off -> 5%" in dialog
        assert "of 10,000 synthetic ids change variant" in dialog
        assert "of traffic" in dialog
        doc = msgspec.json.decode(await desk.doc("new-pricing"))
        assert doc["targeting"] == {"fractional": [["on", 5], ["off", 95]]}


async def test_brackets_move_a_rollout_by_five_points() -> None:
    async with open_flags() as desk:
        await desk.by_bob(FlagEdit("flag:new-pricing", rollout=25))
        await desk.goto("flag:new-pricing")
        await desk.press("right_square_bracket")
        more = desk.text()
        await desk.press("escape", "left_square_bracket")

        assert "25% -> 30%" in more
        assert "25% -> 20%" in desk.text()


async def test_a_flag_is_switched_for_everybody() -> None:
    async with open_flags() as desk:
        await desk.goto("flag:new-pricing")
        await desk.press("O", "enter")
        dialog = desk.text()
        await desk.confirm()

        assert "off -> on" in dialog
        assert b'"defaultVariant":"on"' in await desk.doc("new-pricing")


async def test_the_default_variant_is_chosen_from_the_document() -> None:
    async with open_flags() as desk:
        await desk.goto(LAYOUT)
        await desk.press("V", "down")
        choice = desk.text()
        await desk.press("enter")

        assert "classic   now" in choice
        assert "default classic -> wide" in desk.text()


async def edit_layout(desk: FlagDesk, *keys: str) -> None:
    await desk.goto(LAYOUT)
    await desk.press("E", *keys)


@SIZES
async def test_a_rule_is_checked_while_it_is_typed(size: tuple[int, int]) -> None:
    async with open_flags(size) as desk:
        await edit_layout(desk, "a")
        await desk.write("tier == new then wid")
        wrong = desk.text()
        await desk.write("e")

        assert "'wid' is no variant" in wrong
        assert "did you mean wide?" in wrong
        assert "rule 3 new: if tier == new then wide" in desk.text()


async def test_a_changed_form_is_previewed_then_written_and_keeps_other_bytes() -> None:
    async with open_flags() as desk:
        await edit_layout(desk, "a")
        await desk.write("tier == new then wide")
        await desk.press("enter", "p")
        dialog = desk.text()
        await desk.confirm()

        doc = await desk.doc("checkout-layout")
        assert "rule 3 new: if tier == new then wide" in dialog
        assert b'{"in": [{"var": "country"}, ["DE", "AT"]]}' in doc
        assert b'{"==":[{"var":"tier"},"new"]},"wide"' in doc


async def test_rules_are_moved_and_removed() -> None:
    async with open_flags() as desk:
        await edit_layout(desk, "down", "down", "right_square_bracket")
        moved = desk.text()
        await desk.press("x")

        assert "> rule 2   if country in [DE, AT] then wide" in moved
        assert "rule 1   if tier == gold" in desk.text()
        assert "rule 2   if" not in desk.text()


async def test_choices_of_the_form_turn_by_enter() -> None:
    async with open_flags() as desk:
        await edit_layout(desk, "enter", "down", "enter")
        text = desk.text()

    assert "state    DISABLED: the code's default" in text
    assert "default classic -> wide" in text


async def test_what_was_changed_is_dropped_at_the_second_esc() -> None:
    async with open_flags() as desk:
        await edit_layout(desk, "enter", "escape")
        asked = desk.text()
        await desk.press("escape")

        assert "esc again drops it" in asked
        assert "EDIT flag" not in desk.text()
        assert desk.revision() == 0


async def test_an_edit_that_moves_users_who_should_stay_needs_leave() -> None:
    async with open_flags() as desk:
        await desk.by_bob(FlagEdit("flag:new-pricing", rollout=25))
        await desk.goto("flag:new-pricing")
        await desk.press("E", "down", "down", "enter", "ctrl+u")
        await desk.write("75% off, 25% on")
        await desk.press("enter")
        refused = desk.text()
        await desk.press("b")

        assert "rebuckets its users" in refused
        assert "users may change variant" in desk.text()
        assert "rebuckets its users" not in desk.text()


@SIZES
async def test_rules_that_fit_no_form_are_shown_with_how_to_edit_them(
    size: tuple[int, int],
) -> None:
    async with open_flags(size) as desk:
        await desk.goto("flag:search-rerank")
        await desk.press("E")

        assert "fits no form: failsoft flags edit search-rerank" in desk.text()
        assert '"targeting": {' in desk.text()


async def test_who_was_first_is_told_and_the_form_stays() -> None:
    async with open_flags() as desk:
        await desk.by_bob(FlagEdit(LAYOUT, default="wide"))
        await edit_layout(desk, "enter", "p")
        await desk.by_bob(FlagEdit(LAYOUT, default="bare"))
        await desk.press("enter")
        await desk.until(lambda: "changed by bob" in desk.text())
        await desk.press("escape")

        assert "EDIT flag:checkout-layout" in desk.text()


@SIZES
async def test_a_group_stands_under_its_head_and_is_lifted_whole(
    size: tuple[int, int],
) -> None:
    async with open_flags(size) as desk:
        await desk.by_bob(Kill("route:GET /internal/export", group="INC-7"))
        await desk.by_bob(Kill("flag:new-pricing", group="INC-7"))
        await desk.goto("route:GET /internal/export", "kill")
        listed = desk.lines()
        await desk.press("G")
        dialog = desk.text()
        await desk.confirm()

        head = next(i for i, line in enumerate(listed) if "group:INC-7" in line)
        assert "2 on" in listed[head]
        assert "    flag:new-pricing" in listed[head + 1]
        assert ">   route:GET /internal/exp" in listed[head + 2]
        assert "GROUP-LIFT group:INC-7" in dialog
        assert "lifts a control of bob" in dialog
        assert not [r for r in desk.app.desk.newest.controls if r.active]


async def test_a_kill_takes_the_ticket_of_the_arming_as_its_group() -> None:
    async with open_flags() as desk:
        await desk.goto("flag:new-pricing")
        await desk.press("K")
        dialog = desk.text()
        await desk.press("g", *"9", "enter")
        await desk.confirm()

        assert "group         INC-311" in dialog
        assert [r.group for r in desk.app.desk.newest.controls if r.active] == ["9"]


@SIZES
async def test_history_says_who_when_why_and_what_differed(
    size: tuple[int, int],
) -> None:
    async with open_flags(size) as desk:
        await desk.by_bob(FlagEdit("flag:new-pricing", rollout=5), "step 1")
        await desk.by_bob(FlagEdit("flag:new-pricing", rollout=25), "step 2")
        await desk.goto("flag:new-pricing")
        await desk.press("h")
        await desk.until(lambda: "step 1" in desk.text())

        assert "bob flag-edit 5% -> 25%" in desk.text()
        assert "others 5% on, 95% off -> 25% on, 75% off" in desk.text()


async def test_a_user_is_told_what_he_gets_and_why() -> None:
    async with open_flags() as desk:
        await desk.goto(LAYOUT)
        await desk.press("w")
        await desk.write("user-1 country=DE")
        await desk.press("enter")

        assert '"w1"' in desk.text()
        assert "TARGETING_MATCH, decided by: file" in desk.text()


async def test_the_edit_is_compared_with_its_file() -> None:
    async with open_flags() as desk:
        await desk.by_bob(FlagEdit(LAYOUT, default="bare"))
        await desk.goto(LAYOUT)
        await desk.press("d")

        assert "the edit in the store, over the flags file" in desk.text()
        assert "default classic -> bare" in desk.text()
