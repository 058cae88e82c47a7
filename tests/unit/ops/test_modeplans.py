"""What commands on modes would write, and what they say of it."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest

from failsoft.controls.records import ModeDoc
from failsoft.errors import Invalid, TargetGone
from failsoft.ops.command import Command, ModeAuto, ModeDrill, ModeEnter, ModeLeave
from failsoft.ops.plan import Plan
from failsoft.ops.plans import plan_of
from failsoft.ops.preview import preview
from failsoft.ops.verbs import parse_line
from failsoft.telemetry import Definitions, ModeDef, RouteTick
from unit.ops.merged import DEFINITIONS, Fleet, stored

CALM = ModeDef("calm", "Calm", ("* *",), "cached answers")
AUTO = ModeDef("stale", "Stale", ("GET /*",), "old", enter=("SLO x burns",))
MADE = msgspec.structs.replace(DEFINITIONS, modes=(CALM, AUTO), spared=("POST /pay",))
ON = ModeDoc("(automation)", "x", via="auto", trigger="SLO x burns", exercised_ms=7)


def plan(command: Command, **docs: ModeDoc) -> Plan:
    made = Fleet()
    made.controls = {}
    records = {("mode", name): stored(3, 0, doc) for name, doc in docs.items()}
    view = made.run(9, RouteTick("GET /cheap", 90), RouteTick("POST /pay", 10))
    view = msgspec.structs.replace(view, controls=rows_of(records))
    return plan_of(command, view, MADE)


def rows_of(records: dict[tuple[str, str], bytes]) -> Any:
    from failsoft.ops.controlrows import control_rows
    from unit.ops.merged import T0

    return control_rows(records, (), MADE, T0)


def doc_of(made: Plan) -> ModeDoc:
    assert isinstance(made.doc, ModeDoc)
    return made.doc


def test_a_canary_holds_for_a_share_of_the_callers() -> None:
    made = plan(ModeEnter("mode:calm", share=0.25))

    assert (doc_of(made).share, made.ratio, made.after) == (0.25, 0.25, "ON 25%")


def test_a_mode_may_be_counted_only() -> None:
    made = plan(ModeEnter("mode:calm", dry_run=True))

    assert doc_of(made).dry_run
    assert made.answer == "nothing else, it is only counted: cached answers"


def test_the_routes_that_no_mode_touches_are_told() -> None:
    made = plan(ModeEnter("mode:calm"))

    assert made.warnings == ("never degraded: POST /pay",)
    assert "route:POST /pay" not in made.scope


def test_leaving_keeps_the_trigger_from_entering_it_again() -> None:
    made = plan(ModeLeave("mode:stale"), stale=ON)

    assert (made.op, made.until, made.after) == ("put", "+3600000", "KEPT OFF")
    assert (doc_of(made).want, doc_of(made).exercised_ms) == ("off", 7)
    assert made.warnings == ("ends a protection, trigger: SLO x burns",)


def test_a_mode_may_be_kept_off_before_it_is_entered() -> None:
    assert plan(ModeLeave("mode:stale", for_s=60)).until == "+60000"


def test_a_mode_without_a_trigger_simply_ends() -> None:
    made = plan(ModeLeave("mode:calm"), calm=ModeDoc("ana", "x"))

    assert (made.op, made.if_rev) == ("del", 3)


def test_automation_gets_a_latched_mode_back() -> None:
    latched = msgspec.structs.replace(ON, latched=True, exercised_ms=0)

    made = plan(ModeAuto("mode:stale"), stale=latched)

    assert (made.op, made.before, made.after) == ("del", "LATCHED ON", "off")


def test_what_a_drill_proved_is_remembered() -> None:
    mine = msgspec.structs.replace(ON, via="operator")

    made = plan(ModeAuto("mode:stale"), stale=mine)

    assert (doc_of(made).want, doc_of(made).via, doc_of(made).exercised_ms) == (
        *("auto", "auto"),
        7,
    )


def test_what_remembers_is_written_over() -> None:
    resting = ModeDoc("", "", want="auto", via="auto", exercised_ms=7)

    made = plan(ModeEnter("mode:stale"), stale=resting)

    assert (made.if_rev, made.before, made.conflict) == (3, "off", "")
    assert doc_of(made).exercised_ms == 7


def test_a_drill_is_short_small_and_named_so() -> None:
    made = plan(ModeDrill("mode:calm"))

    assert (doc_of(made).via, doc_of(made).share) == ("drill", 0.05)
    assert (made.until_s, made.after) == (600.0, "DRILL 5%")


@pytest.mark.parametrize(
    ("command", "text"),
    [
        (ModeDrill("mode:stale"), "is on already"),
        (ModeAuto("mode:stale"), "automation's already; mode leave ends it"),
        (ModeDrill("mode:calm", for_s=0.0), "a drill needs an end"),
        (ModeEnter("mode:calm", share=0.0), "must be above 0, to 100"),
        (ModeEnter("mode:calm", share=2.0), "must be above 0, to 100"),
    ],
)
def test_what_makes_no_sense_is_refused(command: Command, text: str) -> None:
    with pytest.raises(Invalid, match=text):
        plan(command, stale=ON)


def test_there_is_nothing_to_give_back_of_a_mode_that_is_off() -> None:
    resting = ModeDoc("", "", want="auto", via="auto", exercised_ms=7)

    with pytest.raises(Invalid, match="off already"):
        plan(ModeAuto("mode:stale"), stale=resting)
    with pytest.raises(TargetGone):
        plan(ModeAuto("mode:stale"))


@pytest.mark.parametrize(
    ("line", "command"),
    [
        (
            "mode enter fs.timeouts --set scale=0.5 --routes 'GET /a*' --share 10",
            ModeEnter(
                "mode:fs.timeouts",
                params={"scale": 0.5, "routes": ["GET /a*"]},
                share=0.1,
            ),
        ),
        ("mode enter x --observe", ModeEnter("mode:x", dry_run=True)),
        ("mode leave x --for 5m", ModeLeave("mode:x", for_s=300.0)),
        ("mode auto x", ModeAuto("mode:x")),
        ("mode drill x --share 5 --for 10m", ModeDrill("mode:x", for_s=600.0)),
    ],
)
def test_modes_are_said_in_one_line(line: str, command: Command) -> None:
    assert parse_line(line).command() == command


def test_a_preview_of_a_canary_counts_its_share_of_the_traffic() -> None:
    view = Fleet().run(9, RouteTick("GET /cheap", 100))
    definitions = Definitions(DEFINITIONS.routes, modes=(AUTO,))

    dry = preview(ModeEnter("mode:stale", share=0.5), view, definitions, 1.0)

    assert dry.share == pytest.approx(0.5)
