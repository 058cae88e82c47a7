"""Tolerances and acks: what is refused, what is written, what it meets."""

from __future__ import annotations

import msgspec
import pytest

from failsoft.cli._tolerance import command_line
from failsoft.controls.records import DriftAckDoc, ToleranceDoc
from failsoft.errors import Invalid, TargetGone
from failsoft.ops.command import NEVER, Command, DriftAck, ToleranceAdd, ToleranceEnd
from failsoft.ops.contractrows import DriftRow
from failsoft.ops.driftplans import suggested, suggestions
from failsoft.ops.driftreport import ReportRow, is_breaking, markdown, report_rows
from failsoft.ops.driftviews import drift_view, repair_for
from failsoft.ops.plans import plan_of
from failsoft.ops.preview import preview
from failsoft.ops.sources.fake import START_MS
from failsoft.ops.views import Preview
from failsoft.settings import FIELD_OF
from failsoft.store.drift import DriftEntry, DriftRead
from failsoft.store.drift import DriftRow as Counted
from failsoft.telemetry import Definitions, VersionDef
from unit.ops.contractfleet import DAY_MS, Records, look, stored

DAY_S = 86_400


def entry(path: str, records: Records | None = None) -> DriftRow:
    view, _ = look(records)
    assert view.drift is not None
    (row,) = [row for row in view.drift.rows if row.path == path]
    return row


def dry(command: Command, records: Records | None = None) -> Preview:
    view, definitions = look(records)
    return preview(command, view, definitions, 1.0, me="ana", code="42")


def test_the_ledger_is_shown_newest_first_with_what_covers_an_entry() -> None:
    view, _ = look()

    drift = view.drift
    assert drift is not None
    assert [row.path for row in drift.rows[2:]] == ["/coupon", "/rating"]
    row = entry("/items/*/qty")
    assert (row.kind, row.expected, row.got) == ("type", "integer", "str:int")
    assert (row.n, row.today, row.tolerance) == (18_244, 18_244, "old-ios-qty")
    assert (drift.entries, drift.tallies) == (4, (("repaired:old-ios-qty", 40),))


def test_an_ack_shows_until_when_and_by_whom() -> None:
    id_ = entry("/coupon").id
    ends_ms = START_MS + DAY_MS
    records = {("drift", id_): stored(DriftAckDoc("ana", "x"), until_ms=ends_ms)}

    row = entry("/coupon", records)

    assert (row.acked_until_ms, row.acked_by) == (ends_ms, "ana")


def test_an_ack_needs_no_confirmation_and_ends_in_30_days() -> None:
    row = entry("/coupon")

    shown = dry(DriftAck(f"drift:{row.id[:8]}"))

    assert (shown.tier, shown.tier_why) == (0, "changes no answer")
    assert (shown.target, shown.until_s) == (f"drift:{row.id}", 30 * DAY_S)
    assert shown.consumers == ("web",)
    assert "POST /checkout /coupon unknown" in shown.diff[0]


@pytest.mark.parametrize(
    ("command", "text"),
    [
        (DriftAck("drift:zzzz"), "matches nothing"),
        (ToleranceAdd("tolerance:a b"), "must be 1 to 100 of letters"),
        (ToleranceAdd("tolerance:a"), "is one of alias, casefold"),
        (
            ToleranceAdd("tolerance:a", kind="casefold", consumer="(other)"),
            "stands for many callers: name one, or * for all",
        ),
        (
            ToleranceAdd("tolerance:a", handling="warn", consumer="a\x1b[1m"),
            "'a\\x1b[1m' must be 1 to 64 of letters",
        ),
        (ToleranceAdd("tolerance:a", kind="casefolt"), "did you mean casefold?"),
        (ToleranceAdd("tolerance:a", kind="casefold", path="x"), "like /items/*/qty"),
        (ToleranceAdd("tolerance:a", kind="casefold", value=1), "of no use"),
        (ToleranceAdd("tolerance:a", kind="default"), "value: of default is missing"),
        (ToleranceAdd("tolerance:a", handling="lax"), "must be one of off, observe"),
        (
            ToleranceAdd("tolerance:a", handling="warn", kind="casefold"),
            "give no kind, path or value",
        ),
        (
            ToleranceAdd("tolerance:a", kind="casefold", for_s=91 * DAY_S),
            "10 s to 90 d",
        ),
        (
            ToleranceAdd("tolerance:a", kind="casefold", for_s=NEVER),
            "needs an end, within 90 d",
        ),
        (
            ToleranceAdd("tolerance:a", kind="casefold", route="GET /nowhere"),
            "--force writes it anyway",
        ),
        (ToleranceEnd("tolerance:old-ios-qyt"), "tolerance:old-ios-qty"),
    ],
)
def test_a_field_that_no_node_could_use_is_refused(command: Command, text: str) -> None:
    view, definitions = look()

    with pytest.raises((Invalid, TargetGone)) as caught:
        plan_of(command, view, definitions)

    assert text in str(caught.value)


def test_a_tolerance_takes_its_fields_from_the_entry() -> None:
    row = entry("/items/*/qty")
    view, definitions = look()

    plan = plan_of(ToleranceAdd(f"drift:{row.id}"), view, definitions)

    assert plan.target == f"tolerance:string_to_number-{row.id[:8]}"
    assert isinstance(plan.doc, ToleranceDoc)
    doc = plan.doc
    assert (doc.route, doc.consumer) == ("POST /cart", "ios-3")
    assert (doc.path, doc.kind) == ("/items/*/qty", "string_to_number")
    assert plan.until_s == 30 * DAY_S
    assert plan.warnings == ("differences met in 30 days: 18,244",)


def test_the_preview_of_a_tolerance_says_what_it_meets() -> None:
    shown = dry(ToleranceAdd(f"drift:{entry('/items/*/qty').id}"))

    assert shown.routes == ("POST /cart",)
    assert shown.consumers == ("ios-3",)
    assert "integer expected, got str:int, 18,244x" in shown.diff[0]
    assert shown.share is not None
    assert shown.share < 0.05
    assert shown.tier == 1


def test_an_answer_of_a_third_party_cannot_be_repaired() -> None:
    view, definitions = look()

    with pytest.raises(Invalid, match="only those are repaired"):
        plan_of(ToleranceAdd(f"drift:{entry('/amount').id}"), view, definitions)


def test_a_handling_is_a_tolerance_of_whole_bodies() -> None:
    command = ToleranceAdd("tolerance:calm", route="POST /cart", handling="tolerate")

    shown = dry(command)

    assert (shown.before, shown.after) == ("-", "tolerate")
    assert shown.answer == "allowed repairs, before the application reads the body"


def test_ending_a_declared_tolerance_keeps_it_ended_for_as_long_as_it_could_last() -> (
    None
):
    view, definitions = look()

    plan = plan_of(ToleranceEnd("tolerance:old-ios-qty"), view, definitions)

    assert isinstance(plan.doc, ToleranceDoc)
    assert (plan.op, plan.doc.stop, plan.until_s) == ("put", True, 90 * DAY_S)
    assert (plan.before, plan.after) == ("string_to_number", "ENDED")


def test_an_ended_tolerance_covers_nothing() -> None:
    stop = stored(ToleranceDoc("ana", "x", stop=True), until_ms=START_MS + DAY_MS)
    records = {("tolerance", "old-ios-qty"): stop}

    view, definitions = look(records)

    assert view.drift is not None
    (row,) = view.drift.tolerances
    assert (row.state, row.by) == ("ended", "ana")
    assert {row.tolerance for row in view.drift.rows} == {""}
    with pytest.raises(Invalid, match="is ended already"):
        plan_of(ToleranceEnd("tolerance:old-ios-qty"), view, definitions)


def test_ending_a_tolerance_by_hand_takes_its_record_away() -> None:
    doc = ToleranceDoc("bo", "x", path="/x", kind="casefold")
    records = {("tolerance", "t"): stored(doc, until_ms=START_MS + DAY_MS)}
    view, definitions = look(records)

    plan = plan_of(ToleranceEnd("tolerance:t"), view, definitions)

    assert (plan.op, plan.if_rev, plan.lifts) == ("del", 7, "bo")


def test_what_many_callers_sent_suggests_a_tolerance_of_all() -> None:
    view, _ = look()
    assert view.drift is not None
    (row,) = [row for row in view.drift.rows if row.path == "/items/*/qty"]
    joined = msgspec.structs.replace(row, consumer="(other)")

    made = suggested(joined)

    assert made is not None
    assert made.consumer == "*"
    assert command_line(joined, made).startswith(
        f"failsoft tolerance add drift:{row.id} --consumer '*' "
    )


def test_what_is_suggested_meets_the_entry_it_was_made_of() -> None:
    view, definitions = look()
    assert view.drift is not None
    ours = [row for row in view.drift.rows if not row.dependency]

    for row in ours:
        made = suggested(row)
        assert made is not None
        if FIELD_OF[made.kind]:
            made = msgspec.structs.replace(made, value=1)
        plan = plan_of(made, view, definitions)
        assert plan.warnings == (f"differences met in 30 days: {row.n:,}",)


@pytest.mark.parametrize(
    ("found", "repair"),
    [
        (("type", "string", "int"), "number_to_string"),
        (("coerced", "integer|null", "str:int"), "string_to_number"),
        (("type", "array", "object"), "wrap_array"),
        (("type", "boolean", "int"), ""),
        (("type", "string|null", "null"), "null_as_missing"),
        (("rejected", "", ""), ""),
        (("case", "", ""), "casefold"),
    ],
)
def test_a_difference_names_the_repair_that_meets_it(
    found: tuple[str, str, str], repair: str
) -> None:
    assert repair_for(*found) == repair
    assert repair in ("", *FIELD_OF)


def test_what_third_parties_announced_stands_beside_the_drift() -> None:
    view, _ = look()

    assert view.drift is not None
    (peer,) = view.drift.peers
    assert (peer.dependency, peer.operation) == ("payments", "POST /charge")
    assert (peer.deprecated, peer.sunset, peer.days_left) == (
        "2026-09-01",
        "2026-11-01",
        40,
    )
    assert peer.successor == "https://docs.payments.example/v2"


def test_a_report_joins_consumers_and_says_what_oasdiff_says() -> None:
    view, _ = look()
    assert view.drift is not None

    rows = report_rows(view.drift)

    found = {(row.operation, row.path): (row.level, row.id) for row in rows}
    assert found == {
        ("POST /charge", "/amount"): ("error", "response-property-type-changed"),
        ("POST /cart", "/items/*/qty"): ("error", "request-property-type-changed"),
        ("POST /charge", ""): ("error", "api-removed-before-sunset"),
        ("POST /checkout", "/coupon"): ("info", "new-optional-request-property"),
        ("POST /reviews", "/rating"): ("info", "request-property-became-optional"),
    }
    assert [is_breaking(row) for row in rows] == [True, True, True, False, False]


def test_a_hostile_name_harms_no_table_of_markdown() -> None:
    row = ReportRow("x", "/a|b", "GET /\x1b[2J", "request", "info", 1, 0, 0, 0)

    text = markdown([row])

    assert "/a\\|b" in text
    assert "\x1b" not in text


def test_only_what_helps_is_suggested() -> None:
    view, _ = look()
    assert view.drift is not None

    assert [row.path for row, _ in suggestions(view.drift)] == ["/rating"]


@pytest.mark.parametrize(
    ("change", "repair"),
    [
        ("rename CartItem.qty to quantity", ""),
        ("change Sizes on CartItem", ""),
        ("rename CartItem.size to width", "string_to_number"),
    ],
)
def test_no_repair_is_offered_in_words_that_a_later_version_changed(
    change: str, repair: str
) -> None:
    found = DriftEntry(
        route="POST /cart",
        path="/qty",
        kind="coerced",
        expected="integer",
        got="str:int",
        version="1",
    )
    read = DriftRead(1, (Counted("a" * 16, found, 1, 1),), 1)
    later = VersionDef("2", changes=((change, ("POST /cart",)),))

    view = drift_view(read, (), (), Definitions(versions=(VersionDef("1"), later)))

    assert [row.suggests for row in view.rows] == [repair]
