"""Edits of flags: whom they move, what they remember, what is refused."""

from __future__ import annotations

import msgspec
import pytest

from failsoft.errors import Invalid, StoreRefused, TargetGone
from failsoft.ops.command import (
    Command,
    Extend,
    FlagDelete,
    FlagEdit,
    FlagPut,
    FlagRevert,
    GroupLift,
    ModeEnter,
    ModeLeave,
    Unkill,
)
from failsoft.ops.flagforms import diff_words, next_step, put_form, read_form
from failsoft.ops.plan import Plan
from failsoft.ops.plans import plan_of
from failsoft.telemetry import Definitions, FlagDef, ModeDef
from unit.ops.flagviews import definitions_of, document, kill, mode, split_of, view_of

TEN = document(targeting=split_of(("on", 10), ("off", 90)), metadata={"x.hash": 3})
IN_FILE = FlagDef("a", "file", "false", sha8="12345678", doc=TEN.decode())


def planned(
    command: Command, json: bytes | None = TEN, definitions: Definitions | None = None
) -> Plan:
    records = {} if json is None else {"flag/a": json}
    known = definitions or Definitions()
    return plan_of(command, view_of(records, known), known)


def test_growing_a_rollout_keeps_order_rules_and_bytes() -> None:
    rule = {"in": [{"var": "country"}, ["DE"]]}
    split = split_of(("off", 9), ("on", 1))
    ruled = document(targeting={"if": [rule, "on", split]}, metadata={"x.hash": 2})

    plan = planned(FlagEdit("flag:a", rollout=25), ruled)

    assert plan.doc == ruled.replace(b'["off",9],["on",1]', b'["off",75],["on",25]')
    assert plan.diff == ("others 90% off, 10% on -> 75% off, 25% on",)
    assert plan.moves == pytest.approx(0.15, abs=0.01)
    assert plan.after == "25% +1 rules"


def test_an_edit_that_rebuckets_is_refused_unless_it_is_meant() -> None:
    other = document(targeting=split_of(("off", 90), ("on", 10)))

    with pytest.raises(Invalid, match=r"of 10,000 synthetic ids .* --rebucket"):
        planned(FlagPut("flag:a", other))
    plan = planned(FlagPut("flag:a", other, rebucket=True))

    assert plan.moves == pytest.approx(0.2, abs=0.02)
    assert any("synthetic ids change variant" in note for note in plan.warnings)


def test_the_first_edit_remembers_the_version_of_the_file() -> None:
    plan = planned(FlagEdit("flag:a", rollout=50), None, definitions_of(IN_FILE))

    assert isinstance(plan.doc, bytes)
    assert msgspec.json.decode(plan.doc)["metadata"] == {
        "x.hash": 3,
        "x.over": "12345678",
    }
    assert (plan.before, plan.after, plan.if_rev) == ("10%", "50%", 0)


def test_a_set_default_leaves_the_rules() -> None:
    plan = planned(FlagEdit("flag:a", default="on"))

    assert plan.doc == TEN.replace(b'"defaultVariant":"off"', b'"defaultVariant":"on"')
    with pytest.raises(Invalid, match="did you mean on"):
        planned(FlagEdit("flag:a", default="onn"))


def test_of_several_variants_the_others_share_the_rest_as_before() -> None:
    colours = document(
        variants={"r": "red", "g": "green", "b": "blue"},
        defaultVariant="r",
        targeting=split_of(("r", 60), ("g", 30), ("b", 10)),
    )

    plan = planned(FlagEdit("flag:a", rollout=40, variant="b"), colours)

    form = read_form(bytes(plan.doc))  # type: ignore[arg-type]
    assert form is not None
    assert form.otherwise.arms == (("r", 4000), ("g", 2000), ("b", 4000))  # type: ignore[union-attr]


@pytest.mark.parametrize(
    ("command", "said"),
    [
        (FlagEdit("flag:a", rollout=5, variant="blue"), "is not one of on, off"),
        (FlagPut("flag:a", b"{"), "is no JSON"),
        (FlagPut("flag:a", document(defaultVariant="x")), "defaultVariant: 'x' is not"),
        (FlagPut("flag:a", TEN, if_rev=0), "exists already"),
    ],
)
def test_bad_edits_say_what_was_expected(command: Command, said: str) -> None:
    with pytest.raises(Invalid, match=said):
        planned(command)


def test_a_document_beyond_32_kb_is_refused_with_the_figure() -> None:
    large = document(variants={"on": "x" * 33_000}, defaultVariant="on")

    with pytest.raises(StoreRefused, match="the limit of a flag is 32768"):
        planned(FlagPut("flag:a", large))


def test_rules_that_fit_no_form_are_not_rolled_out() -> None:
    raw = document(targeting={"if": [{"or": [True, False]}, "on"]})

    with pytest.raises(Invalid, match="flags edit"):
        planned(FlagEdit("flag:a", rollout=5), raw)


def test_what_a_file_declares_is_reverted_and_not_deleted() -> None:
    known = definitions_of(IN_FILE)

    with pytest.raises(Invalid, match="flags revert"):
        planned(FlagDelete("flag:a"), TEN, known)
    plan = planned(FlagRevert("flag:a"), document(), known)

    assert (plan.op, plan.after) == ("del", "10%")
    assert planned(FlagDelete("flag:a")).after == "gone"
    assert planned(FlagRevert("flag:a")).after == "callers' default"
    with pytest.raises(TargetGone, match="nearest: flag:a"):
        planned(FlagDelete("flag:aa"))


def test_a_form_is_put_against_the_revision_it_was_read_from() -> None:
    form = read_form(TEN)
    assert form is not None

    put = put_form("flag:a", TEN, msgspec.structs.replace(form, default="on"), if_rev=7)

    assert (put.if_rev, planned(put).if_rev) == (7, 7)
    with pytest.raises(Invalid, match="edit it as text"):
        put_form("flag:a", document(targeting={"cat": ["on"]}), form, if_rev=7)


def test_rollout_steps_go_up_and_down() -> None:
    assert [next_step(None, 1), next_step(10, 1), next_step(100, 1)] == [1, 25, 100]
    assert [next_step(12, -1), next_step(1, -1), next_step(0, -1)] == [10, 0, 0]


def test_differences_are_told_by_rule_or_by_path() -> None:
    rule = {"if": [{"==": [{"var": "tier"}, "gold"]}, "on"]}
    raw = {"if": [{"or": [1, 2]}, "on"]}

    assert diff_words(b"", TEN) == ("the flag is new",)
    assert diff_words(TEN, document(targeting=rule)) == (
        "rule 1 new: if tier == gold then on",
        "others 10% on, 90% off -> default",
        'metadata {"x.hash":3} -> -',
    )
    assert diff_words(
        document(targeting=raw), document(targeting={"if": [{"or": [1, 3]}, "on"]})
    ) == ("targeting.if[0].or[1] 2 -> 3",)
    assert diff_words(TEN, TEN + b" ") == ("only spacing or order of the text differs",)


def test_what_nodes_alone_hold_can_be_written_anew_and_not_taken_away() -> None:
    records = {"flag/a": TEN, "kill/flag:a": kill(group="INC-1"), "mode/calm": mode()}
    calm = definitions_of(modes=(ModeDef("calm", "Calm", (), ""),))
    view = view_of(records, calm)
    rows = tuple(msgspec.structs.replace(row, lost=True) for row in view.controls)
    view = msgspec.structs.replace(view, controls=rows)
    writes: tuple[Command, ...] = (
        FlagEdit("flag:a", rollout=20),
        FlagPut("flag:a", document(), if_rev=1),
        ModeEnter("mode:calm"),
    )
    removals: tuple[Command, ...] = (
        Unkill("flag:a"),
        Extend("flag:a", 60),
        ModeLeave("mode:calm"),
        GroupLift("group:INC-1"),
        FlagRevert("flag:a"),
    )

    assert [plan_of(one, view, calm).if_rev for one in writes] == [0, 0, 0]
    for one in removals:
        with pytest.raises(Invalid, match="held by the nodes alone"):
            plan_of(one, view, calm)
