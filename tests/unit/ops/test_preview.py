"""The dry run tells what would happen, and checks every field first."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest

from failsoft.controls.records import KillDoc, ModeDoc
from failsoft.errors import Invalid, TargetGone
from failsoft.ops.command import (
    Command,
    Extend,
    FlagEdit,
    FlagRevert,
    Kill,
    ModeEnter,
    ModeLeave,
    Unkill,
)
from failsoft.ops.plans import action_of, plan_of
from failsoft.ops.preview import preview
from failsoft.ops.views import Preview
from failsoft.telemetry import RouteTick
from flagdoc import FlagDoc
from unit.ops.merged import T0, Fleet, beat, stored

HOUR_MS = 3_600_000


def fleet(**records: bytes) -> Fleet:
    """A fleet with 100 calls a second, a tenth of them on POST /pay."""
    made = Fleet()
    made.controls = {tuple(k.split("/", 1)): v for k, v in records.items()}  # type: ignore[misc]
    made.run(
        10,
        RouteTick("GET /cheap", 92, inflight_max=4, hist={100: 92}),
        RouteTick("POST /pay", 8, inflight_max=2, hist={100: 8}),
        RouteTick("GET /unknown", 0, refused={"kill": 0}),
    )
    return made


def shown(made: Fleet, command: Command, **more: Any) -> Preview:
    view = made.run(1, RouteTick("GET /cheap", 92, hist={100: 92}))
    return preview(command, view, made.merge.definitions, 1.0, **more)


def test_it_names_routes_share_and_what_clients_get() -> None:
    command = Kill("route:GET /c*", for_s=600, status=429, retry_after=5, public="busy")

    dry = shown(fleet(), command)

    assert dry.routes == ("GET /cheap",)
    assert round(dry.rps) == 92
    assert dry.share == pytest.approx(0.93, abs=0.01)
    assert dry.answer == '429, Retry-After 5, problem+json "busy"'
    assert (dry.before, dry.after, dry.until_s) == ("on", "KILLED", 600)
    assert (dry.nodes_can, dry.if_revision) == ((1, 1), None)
    assert (dry.tier, dry.code) == (3, "shop-prod")


def test_a_tag_covers_its_routes_and_a_critical_one_asks_for_more() -> None:
    dry = shown(fleet(), Kill("tag:money"), code="47")

    assert dry.routes == ("POST /pay",)
    assert (dry.tier, dry.code) == (2, "47")
    assert dry.tier_why == "covers a critical_plus route"


def test_without_traffic_the_share_is_unknown_not_zero() -> None:
    made = Fleet()
    view = made.second()

    dry = preview(Kill("route:GET /cheap"), view, made.merge.definitions, 1.0)

    assert (dry.share, dry.tier) == (None, 2)


def test_old_data_and_a_node_that_cannot_raise_the_tier() -> None:
    made = fleet()
    made.nodes = {"n1": beat("n1", bad=("route:GET /never",))}
    view = made.second()

    dry = preview(Kill("route:GET /never"), view, made.merge.definitions, 1.0)
    late = preview(Kill("route:GET /cheap"), view, made.merge.definitions, 5.5)

    assert (dry.tier, dry.nodes_can) == (2, (0, 1))
    assert "cannot enforce" in dry.tier_why
    assert (late.tier, late.data_age) == (3, 4.5)


def test_no_live_node_is_said() -> None:
    made = fleet()
    made.nodes = {}

    dry = shown(made, Kill("route:GET /cheap"))

    assert "no live node: nothing enforces it yet" in dry.warnings


def test_a_new_end_that_is_earlier_needs_no_dialog() -> None:
    record = stored(4, T0 + HOUR_MS, KillDoc("ana", "x"))
    made = fleet(**{"kill/route:POST /pay": record})

    earlier = shown(made, Extend("route:POST /pay", 60))
    later = shown(made, Extend("route:POST /pay", 7200))

    assert (earlier.tier, earlier.if_revision) == (0, 4)
    assert (earlier.before, earlier.after) == ("59m49s left", "1m00s left")
    assert later.tier == 2


def test_extending_keeps_the_document_byte_for_byte() -> None:
    record = stored(4, T0 + HOUR_MS, ModeDoc("ana", "x", params={"percent": 5}))
    made = fleet(**{"mode/calm": record})
    view = made.second()

    plan = plan_of(Extend("mode:calm", 60), view, made.merge.definitions)

    change = plan.change("bob", "longer")
    assert change.json == record.split(b" ", 3)[3]
    assert (change.kind, change.name, change.until) == ("mode", "calm", "+60000")


def test_a_replaced_kill_keeps_its_start() -> None:
    record = stored(4, T0 + HOUR_MS, KillDoc("ana", "x", since_ms=123))
    made = fleet(**{"kill/route:POST /pay": record})
    view = made.second()

    plan = plan_of(Kill("route:POST /pay"), view, made.merge.definitions)

    doc = msgspec.json.decode(plan.change("bob", "mine").json, type=KillDoc)
    assert (doc.since_ms, doc.who, doc.why) == (123, "bob", "mine")


def test_a_reverted_flag_goes_back_to_what_the_code_says() -> None:
    made = fleet(**{"flag/new": stored(3, 0, FlagDoc(defaultVariant="off"))})

    dry = shown(made, FlagRevert("flag:new"))

    assert (dry.before, dry.after, dry.if_revision) == ("off", "off", 3)


def test_a_mode_tells_its_summary_and_who_entered_it() -> None:
    record = stored(5, T0 + HOUR_MS, ModeDoc("bob", "x"))

    dry = shown(fleet(), ModeEnter("mode:calm"))
    again = shown(fleet(**{"mode/calm": record}), ModeEnter("mode:calm"))

    assert (dry.answer, dry.if_revision) == ("cached answers", 0)
    assert (again.conflict, again.if_revision) == ("entered by bob already", 5)


def test_a_kill_of_a_flag_says_which_variant() -> None:
    dry = shown(fleet(), Kill("flag:ne*", variant="control"))

    assert dry.answer == "variant control instead of the flag's value"
    assert dry.share == 0.0


@pytest.mark.parametrize(
    ("command", "text"),
    [
        (Kill("route:GET /cheap", status=200), "400 to 599"),
        (Kill("route:GET /cheap", retry_after=-1), "0 to 86400"),
        (Kill("route:GET /cheap", public="x" * 201), "200 characters"),
        (Kill("route:GET /cheap", for_s=40 * 86_400.0), "10 s to 30 d"),
        (Kill("mode:calm"), "must be one of route, tag, flag"),
        (Extend("mode:calm", 60), "mode:calm"),
        (Extend("flag", 60), "must be kind:name"),
        (Unkill("route:GET /cheap"), "route:GET /cheap"),
        (ModeLeave("mode:calm"), "mode:calm"),
        (Kill("tag:mony"), "tag:money"),
        (Kill("flag:nex"), "flag:new"),
        (FlagRevert("flag:new"), "has no edit to drop"),
        (FlagRevert("flag:old"), "flag:old"),
        (ModeEnter("mode:calm", params={"share": 7}), "share = 7 must be 0 to 1"),
        (ModeEnter("mode:calm", params={"bogus": 1}), "bogus is not known"),
    ],
)
def test_a_bad_field_or_target_is_named(command: Command, text: str) -> None:
    with pytest.raises((Invalid, TargetGone)) as caught:
        shown(fleet(), command)

    assert text in str(caught.value)


def test_force_is_named_only_where_it_exists() -> None:
    with pytest.raises(TargetGone) as kill:
        shown(fleet(), Kill("route:GET /chep"))
    with pytest.raises(TargetGone) as lift:
        shown(fleet(), Unkill("route:GET /cheap"))
    with pytest.raises(TargetGone) as mode:
        shown(fleet(), ModeEnter("mode:clam"))

    assert "; --force writes it anyway" in str(kill.value)
    assert "--force" not in f"{lift.value} {mode.value}"


def test_leaving_a_mode_reads_as_one_sentence() -> None:
    record = stored(4, T0 + HOUR_MS, ModeDoc("ana", "x"))
    made = fleet(**{"mode/calm": record})

    assert shown(made, ModeLeave("mode:calm")).answer == "the ordinary answers again"


def test_what_ended_already_says_when() -> None:
    record = stored(4, T0 + 1000, KillDoc("ana", "x"))
    made = fleet(**{"kill/route:POST /pay": record})

    with pytest.raises(Invalid, match=r"already ended 10s ago"):
        shown(made, Unkill("route:POST /pay"))


def test_a_flag_no_release_declares_can_be_forced() -> None:
    dry = shown(fleet(), FlagEdit("flag:lost", enabled=True, force=True))

    assert dry.warnings == ("no release declares this flag",)


def test_an_attempt_has_the_word_of_the_write() -> None:
    commands = (Kill("tag:money"), ModeEnter("mode:calm"), FlagEdit("flag:new", True))

    for command in commands:
        assert action_of(command) == shown(fleet(), command).action
