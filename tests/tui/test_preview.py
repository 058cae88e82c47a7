"""The preview dialog: tiers, ends, reasons, and what never confirms."""

from __future__ import annotations

import pytest
from textual import events

from failsoft.errors import NeedsConfirm, StoreConflict, TargetGone
from failsoft.ops.command import FlagEdit, Kill
from tui.fleet import incident
from tui.paper import Desk, open_app

pytestmark = pytest.mark.anyio


async def kill_dialog(desk: Desk, *tiers: int) -> None:
    desk.operator.tiers = list(tiers)
    await desk.press("K")


async def test_tier_1_needs_enter_only() -> None:
    async with open_app() as desk:
        await kill_dialog(desk, 1)
        await desk.press("enter")

        assert len(desk.operator.applied) == 1
        assert desk.operator.applied[0]["reason"] == ""


async def test_tier_2_needs_the_digits_that_are_shown() -> None:
    async with open_app() as desk:
        await kill_dialog(desk, 2)
        await desk.press("enter")
        refused = desk.text()
        await desk.press("4", "6", "enter")
        wrong = list(desk.operator.applied)
        await desk.press("4", "7", "enter")

        assert "type 47" in refused
        assert wrong == []
        assert desk.operator.applied[0]["confirm"] == "47"


async def test_the_code_shown_first_stays_although_each_dry_run_has_its_own() -> None:
    async with open_app() as desk:
        await kill_dialog(desk, 2)
        desk.operator.code = "99"
        desk.recompute()
        await desk.press("4", "7", "enter")

        assert len(desk.operator.applied) == 1


async def test_tier_3_needs_a_reason_of_its_own_and_the_name() -> None:
    async with open_app() as desk:
        await kill_dialog(desk, 3)
        await desk.press("enter", *"all hands", "enter")
        await desk.press("enter", *"shop-prof", "enter")
        wrong = list(desk.operator.applied)
        await desk.press("enter", *"shop-prod", "enter")

        write = desk.operator.applied[0]
        assert wrong == []
        assert (write["reason"], write["confirm"]) == ("all hands", "shop-prod")


async def test_nothing_is_asked_for_a_write_that_is_refused_anyway() -> None:
    async with open_app() as desk:
        await kill_dialog(desk, 3)
        desk.clock.advance(12)
        await desk.press("enter")

        assert "STALE 12s: writes are refused, wait for LIVE" in desk.text()
        assert "reason, then ENTER" not in desk.text()


async def test_a_tier_that_rises_drops_what_was_typed() -> None:
    async with open_app() as desk:
        await kill_dialog(desk, 2)
        await desk.press("4", "7")
        desk.operator.tiers = [3]
        desk.recompute()
        risen = desk.text()
        await desk.press("enter")

        assert "tier 3" in risen
        assert desk.operator.applied == []


async def test_a_tier_never_falls_while_the_dialog_is_open() -> None:
    async with open_app() as desk:
        await kill_dialog(desk, 2)
        desk.operator.tiers = [1]
        desk.recompute()
        await desk.press("enter")

        assert "tier 2" in desk.text()
        assert desk.operator.applied == []


async def test_keys_are_ignored_for_the_first_150_ms() -> None:
    async with open_app() as desk:
        await desk.pilot.press("K")
        await desk.pilot.press("enter")
        await desk.pilot.pause()
        deaf = list(desk.operator.applied)
        desk.clock.advance(0.2)
        await desk.press("enter")

        assert deaf == []
        assert len(desk.operator.applied) == 1


async def test_the_opening_key_does_not_confirm() -> None:
    async with open_app() as desk:
        await desk.press("K", "K", "K")

        assert desk.operator.applied == []


async def test_paste_never_confirms() -> None:
    async with open_app() as desk:
        await kill_dialog(desk, 2)
        desk.app.post_message(events.Paste("47\n"))
        await desk.pilot.pause()
        await desk.press("enter")

        assert desk.operator.applied == []


async def test_esc_cancels() -> None:
    async with open_app() as desk:
        await kill_dialog(desk, 1)
        await desk.press("escape", "enter", "escape")

        assert desk.operator.applied == []
        assert "dry run" not in desk.text()


async def test_the_end_is_chosen_from_presets() -> None:
    async with open_app() as desk:
        await kill_dialog(desk, 1)
        await desk.press("t", "t")
        shown = desk.text()
        await desk.press("enter")

        assert "for 15m00s   [t 5m <15m> 1h 4h]" in shown
        command = desk.operator.applied[0]["command"]
        assert command == Kill("route:POST /v1/checkout", for_s=900.0, group="INC-311")


async def test_a_reason_of_its_own_replaces_that_of_arming() -> None:
    async with open_app() as desk:
        await kill_dialog(desk, 1)
        arming = desk.text()
        await desk.press("r", *"spam", "enter", "enter")

        assert "INC-311 (from arming)" in arming
        assert desk.operator.applied[0]["reason"] == "spam"


async def test_the_rollout_moves_inside_the_dialog() -> None:
    async with open_app() as desk:
        await desk.press("3", "down", "down", *["right_square_bracket"] * 3, "enter")

        command = desk.operator.applied[0]["command"]
        assert command == FlagEdit("flag:checkout.new-pricing", rollout=40.0)


async def test_a_repeated_try_has_the_same_op_id_and_a_changed_command_another() -> (
    None
):
    async with open_app() as desk:
        ids: list[str] = []

        async def refuse(command: object, **given: str) -> None:
            ids.append(given["op_id"])
            raise NeedsConfirm(1, "again")

        desk.operator.apply = refuse
        await kill_dialog(desk, 1)
        await desk.press("enter", "enter", "t", "enter")

        assert ids[0] == ids[1] != ids[2]


async def test_a_lost_race_says_who_won_and_previews_again() -> None:
    async with open_app() as desk:

        async def lose(command: object, **given: str) -> None:
            raise StoreConflict(
                "kill/route:POST /v1/checkout", current=b"", revision=9, expected=8,
                actor="bob", age_ms=400,
            )  # fmt: skip

        desk.operator.apply = lose
        await kill_dialog(desk, 1)
        await desk.press("enter")

        assert "was changed by bob 0.4 s ago" in desk.text()
        assert "would refuse" in desk.text()


async def test_a_target_that_matches_nothing_opens_no_dialog() -> None:
    async with open_app() as desk:
        desk.operator.error = TargetGone("route:POST /nope", ("route:POST /note",))
        await desk.press("K")

        assert "nearest: route:POST /note" in desk.text()
        assert "dry run" not in desk.text()


async def test_a_view_that_turns_stale_refuses_enter() -> None:
    async with open_app() as desk:
        await kill_dialog(desk, 1)
        desk.clock.advance(10)
        await desk.press("enter")

        assert "writes are refused, wait for LIVE" in desk.text()
        assert desk.operator.applied == []


async def test_an_arming_that_ran_out_refuses_enter() -> None:
    async with open_app() as desk:
        await kill_dialog(desk, 1)
        desk.clock.advance(1_801)
        desk.operator.push(incident(desk.clock(), 2))
        await desk.until(lambda: desk.app.desk.newest.seq == 2)
        await desk.press("enter")

        assert "disarmed: press W" in desk.text()
        assert desk.operator.applied == []


async def test_the_display_goes_on_under_a_dialog() -> None:
    async with open_app() as desk:
        await kill_dialog(desk, 1)
        desk.operator.push(incident(desk.clock(), 2, revision=9000, env="shop-live"))

        await desk.until(lambda: "shop-live" in desk.lines()[0])


async def test_an_undo_of_tier_2_is_confirmed_by_its_digits() -> None:
    async with open_app() as desk:
        desk.operator.tiers = [2]
        await desk.press("9", "u", "enter")
        refused = list(desk.operator.undone)
        await desk.press("4", "7", "enter")

        assert refused == []
        assert desk.operator.undo_confirms == ["47"]


@pytest.mark.parametrize("is_open", [True, False])
async def test_a_long_refusal_is_read_whole_in_a_narrow_terminal(
    is_open: bool,
) -> None:
    async with open_app((80, 24)) as desk:
        if is_open:
            await desk.press("K")
        desk.operator.error = StoreConflict(
            "route:POST /v1/checkout",
            current=None,
            revision=42,
            expected=41,
            actor="bob",
            age_ms=400,
            diff="you saw KILLED, 9m58s left, now KILLED, 59s left, you wanted on",
        )
        if is_open:
            desk.recompute()
        else:
            await desk.press("K")

        words = " ".join(desk.text().replace("\u2502", " ").split())
        assert "was changed by bob 0.4 s ago" in words
        assert "you wanted on; preview again" in words
