"""Modes as operators see them: every state of a record in a word."""

from __future__ import annotations

import msgspec
import pytest

from failsoft.controls.records import ModeDoc
from failsoft.modes._words import enter_lines, leave_lines, timing_text
from failsoft.ops.moderows import mode_doc, mode_rows, mode_text
from failsoft.ops.views import ControlRow
from failsoft.settings import ModeDefinition, Trigger
from failsoft.store.callmap import Seen
from failsoft.telemetry import ModeDef

NOW_MS = 100 * 86_400_000
QUEUE = ModeDef("queue", "Orders wait", ("POST /pay",), "503", severity="major")


def doc(**fields: object) -> ModeDoc:
    return ModeDoc("ana", "INC-1", **fields)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("said", "state", "now"),
    [
        (doc(), "on", "ON"),
        (doc(share=0.05), "on", "ON 5%"),
        (doc(share=0.05, via="drill"), "on", "DRILL 5%"),
        (doc(dry_run=True), "on", "DRY RUN"),
        (doc(step=1), "recovering", "RECOVERING 10%"),
        (doc(step=9), "recovering", "RECOVERING 100%"),
        (doc(latched=True, step=2), "latched", "LATCHED ON"),
        (doc(want="off"), "kept off", "KEPT OFF"),
        (doc(want="auto"), "off", "off"),
    ],
)
def test_each_state_has_a_word(said: ModeDoc, state: str, now: str) -> None:
    assert mode_text(said) == (state, now)


def control(said: ModeDoc, **changes: object) -> ControlRow:
    row = ControlRow(
        target="mode:queue", kind="mode", now="ON", default="off", rollout=None,
        rps=4.0, until_ms=NOW_MS + 60_000, by="ana", at_ms=NOW_MS - 5_000, why="INC-1",
        rev=7, active=True, doc=msgspec.json.encode(said),
    )  # fmt: skip
    return msgspec.structs.replace(row, **changes)


def test_a_mode_in_force_says_by_whom_why_and_until_when() -> None:
    said = doc(via="auto", trigger="burn pay 12%", params={"routes": "GET /x"})

    (row,) = mode_rows((QUEUE,), (control(said),), {}, NOW_MS)

    assert (row.state, row.via, row.by, row.trigger) == ("on", "auto", "", said.trigger)
    assert (row.scope, row.rps, row.since_ms) == (("GET /x",), 4.0, NOW_MS - 5_000)
    assert row.is_on


def test_an_ended_record_leaves_the_mode_off() -> None:
    (row,) = mode_rows((QUEUE,), (control(doc(), active=False),), {}, NOW_MS)

    assert (row.state, row.now, row.is_on) == ("off", "off", False)


def test_a_mode_that_no_release_declares_is_still_listed() -> None:
    (row,) = mode_rows((), (control(doc()),), {}, NOW_MS)

    assert (row.name, row.state) == ("queue", "on")


def test_a_drill_that_is_too_long_ago_is_due() -> None:
    old = {Seen("mode:queue"): NOW_MS - 31 * 86_400_000}
    new = {Seen("mode:queue"): NOW_MS - 86_400_000}

    due, fresh, never = (mode_rows((QUEUE,), (), e, NOW_MS)[0] for e in (old, new, {}))

    assert (due.drill_due, fresh.drill_due, never.drill_due) == (True, False, False)


def test_what_cannot_be_read_is_no_state_but_on() -> None:
    assert mode_text(mode_doc(b"\xff")) == ("on", "ON")


# --- words of triggers ---------------------------------------------------------


def test_triggers_are_told_in_words() -> None:
    leaves = (
        Trigger("burn", "pay"),
        Trigger("breaker", "stripe", for_s=30.0),
        Trigger("shedding", level=0.5, for_s=90.0),
        Trigger("quota", "geo", level=0.1),
        Trigger("health", "jwks", word="critical"),
        Trigger("schedule", window=(4 * 86_400 + 6 * 3_600, 7_200), is_weekly=True),
    )
    mode = ModeDefinition("x", enter=Trigger("any", parts=leaves))

    assert enter_lines(mode) == (
        "any of: burn pay (auto rule)",
        "breaker stripe open for 30s",
        "50% of the nodes shed for 90s",
        "quota of geo below 10%",
        "health check jwks is critical",
        "Fri 06:00-08:00 UTC",
    )
    assert leave_lines(mode)[2:4] == (
        "fewer than 25% of the nodes shed",
        "quota of geo above 20%",
    )
    assert timing_text(mode) == (
        "hold 5s, exit hold 5m, dwell 1m, recover 10 25 50 100%, probe 5%"
    )


def test_nested_triggers_stand_on_one_line() -> None:
    inner = Trigger("all", parts=(Trigger("burn", "a"), Trigger("burn", "b")))
    mode = ModeDefinition(
        "x", enter=Trigger("any", parts=(inner, Trigger("burn", "c")))
    )

    assert enter_lines(mode) == (
        "((burn a (auto rule) and burn b (auto rule)) or burn c (auto rule))",
    )


def test_without_a_trigger_only_people_enter_it() -> None:
    mode = ModeDefinition("x")

    assert (enter_lines(mode), leave_lines(mode), timing_text(mode)) == ((), (), "")
