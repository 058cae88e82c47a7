"""Pins, brownouts and sunsets: what is refused, what is written, whom it meets."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest

from failsoft.controls.records import BrownoutDoc, PinDoc, SunsetDoc, ToleranceDoc
from failsoft.errors import Invalid, TargetGone
from failsoft.ops.command import (
    NEVER,
    BrownoutStart,
    BrownoutStop,
    Command,
    Extend,
    PinClear,
    PinSet,
    SunsetExtend,
    ToleranceEnd,
)
from failsoft.ops.plans import action_of, plan_of
from failsoft.ops.preview import preview
from failsoft.ops.sources.fake import START_MS
from failsoft.ops.views import Preview, Totals
from unit.ops.contractfleet import DAY_MS, Records, look, stored

OLD, MIDDLE, NEW = "2025-01-15", "2025-06-01", "2026-02-01"
HAND = {
    ("brownout", "hand"): stored(
        BrownoutDoc("bo", "x", versions=(OLD,)), until_ms=START_MS + DAY_MS
    )
}


def dry(command: Command, records: Records | None = None, **how: bool) -> Preview:
    view, definitions = look(records, **how)
    return preview(command, view, definitions, 1.0, me="ana", code="42")


@pytest.mark.parametrize(
    ("command", "text"),
    [
        (PinSet("consumer:(anonymous)", OLD), "stands for many callers"),
        (PinSet("consumer:ios 3/x", OLD), "did you mean ios_3_x?"),
        (PinSet("flag:x", OLD), "must be one of consumer, pin"),
        (PinSet("consumer:web", OLD, for_s=5), "10 s to 30 d"),
        (PinSet("consumer:web", "\x1b[1m", force=True), "64 visible ASCII characters"),
        (BrownoutStart(f"version:{OLD}"), "is needed to brown out critical_plus"),
        (BrownoutStart("route:GET /items", for_s=86_401), "10 s to 24 h"),
        (BrownoutStart("route:GET /items", for_s=NEVER), "needs an end within 24 h"),
        (BrownoutStart("route:GET /items", percent=0), "must be above 0, to 100"),
        (BrownoutStart("route:GET /items", percent=101), "must be above 0, to 100"),
        (BrownoutStart("route:GET /items", status=500), "must be 503, 410 or 429"),
        (BrownoutStart("route:GET /items", by="route"), "request or consumer"),
        (BrownoutStart("route:GET /items", name="a b"), "must be 1 to 64 of letters"),
        (BrownoutStart("route:GET /items", only=("a b",)), "did you mean a_b?"),
        (BrownoutStart("route:get items"), "did you mean route:GET /items"),
        (SunsetExtend(f"version:{OLD}", "soon"), "must be a date like 2026-12-31"),
        (
            SunsetExtend(f"version:{OLD}", "2026-10-01"),
            "later than the declared sunset",
        ),
        (SunsetExtend(f"version:{OLD}", "2020-01-01"), "is over"),
        (SunsetExtend(f"version:{NEW}", "2030-01-01"), "declares no sunset"),
        (Extend("brownout:hand", 86_401), "10 s to 24 h"),
        (Extend("brownout:hand", NEVER), "a brownout needs an end"),
    ],
)
def test_a_field_that_no_node_could_use_is_refused(command: Command, text: str) -> None:
    view, definitions = look(HAND)

    with pytest.raises(Invalid) as caught:
        plan_of(command, view, definitions)

    assert text in str(caught.value)


@pytest.mark.parametrize(
    ("command", "near"),
    [
        (PinSet("consumer:web", "2025-01-14"), f"version:{OLD}"),
        (PinClear("consumer:acct_41"), ""),
        (BrownoutStart("version:2025-06-02"), f"version:{MIDDLE}"),
        (BrownoutStart("brownout:autum"), "brownout:autumn"),
        (BrownoutStart("route:GET /nowhere"), ""),
        (BrownoutStop("brownout:autum"), "brownout:autumn"),
        (SunsetExtend("version:2025-01-51", "2030-01-01"), f"version:{OLD}"),
    ],
)
def test_what_matches_nothing_is_refused_with_the_nearest(
    command: Command, near: str
) -> None:
    view, definitions = look()

    with pytest.raises(TargetGone) as caught:
        plan_of(command, view, definitions)

    assert near in (*caught.value.nearest, "")


def test_a_pin_says_whom_it_meets_and_what_was_pinned_before() -> None:
    shown = dry(PinSet("consumer:ios-3", MIDDLE))

    assert (shown.action, shown.before, shown.after) == (
        "pin-set",
        "no pin, default oldest",
        MIDDLE,
    )
    assert set(shown.routes) == {"POST /checkout", "GET /orders/{id}"}
    assert shown.share is not None
    assert 0 < shown.share < 0.1
    assert (shown.consumers, shown.until_s) == (("ios-3",), None)
    assert "asked in 30 days: 2025-01-15" in shown.warnings[0]
    assert dry(PinSet("consumer:acct_42", MIDDLE)).before == OLD


def test_a_pin_without_an_end_is_no_debt() -> None:
    shown = dry(PinSet("consumer:9f2c51e07a3b44d0", MIDDLE))

    assert (shown.tier, shown.until_s) == (1, None)


def test_a_share_that_is_not_known_asks_for_more() -> None:
    shown = dry(PinSet("consumer:ios-3", MIDDLE), ledgers=False)

    assert (shown.share, shown.tier) == (None, 2)


def test_a_brownout_of_everything_is_told_so_also_without_traffic() -> None:
    view, definitions = look(seconds=1)
    view = msgspec.structs.replace(view, totals=Totals())

    command = BrownoutStart("route:* *", name="all", force=True)
    shown = preview(command, view, definitions, 1.0, me="ana", code="42")

    assert (shown.share, shown.tier) == (None, 3)
    assert shown.tier_why == "covers everything"


def test_a_pin_of_nobody_known_names_who_is_close() -> None:
    shown = dry(PinSet("consumer:androit-7", MIDDLE))

    assert shown.warnings == (
        "no request of androit-7 in 30 days; did you mean android-7?",
    )


def test_clearing_a_pin_compares_and_tells_what_holds_then() -> None:
    records = {("pin", "acct_42"): stored(PinDoc("bo", "x", NEW))}
    view, definitions = look(records)

    plan = plan_of(PinClear("pin:acct_42"), view, definitions)

    assert (plan.op, plan.if_rev, plan.before, plan.after) == ("del", 7, NEW, OLD)
    assert plan.lifts == "bo"


def test_a_brownout_meets_the_share_that_its_version_has() -> None:
    command = BrownoutStart(f"version:{MIDDLE}", percent=50, force=True)

    shown = dry(command)

    assert (shown.target, shown.until_s) == (f"brownout:{MIDDLE}", 900.0)
    assert shown.answer == (
        f"50% of requests: 503, Retry-After its end, problem+json, in {MIDDLE}"
    )
    assert shown.share == pytest.approx(0.05, abs=0.01)
    assert shown.consumers == ("android-7 100%", "partner.bot 0%")
    assert shown.warnings == ("covers critical_plus POST /checkout",)
    assert shown.tier == 2


def test_a_brownout_writes_what_was_asked_for() -> None:
    view, definitions = look()
    command = BrownoutStart(
        "route:GET /items*",
        name="items",
        versions=(OLD,),
        percent=10,
        by="consumer",
        exempt=("ios-3",),
        status=429,
        for_s=3600,
    )

    (change,) = plan_of(command, view, definitions).changes("ana", "why")

    assert (change.kind, change.name, change.until) == ("brownout", "items", "+3600000")
    doc = msgspec.json.decode(change.json, type=BrownoutDoc)
    assert (doc.who, doc.why, doc.routes) == ("ana", "why", ("GET /items*",))
    assert (doc.versions, doc.percent, doc.by) == ((OLD,), 10, "consumer")
    assert (doc.exempt, doc.status, doc.since_ms) == (("ios-3",), 429, view.server_ms)


def test_a_declared_brownout_starts_now_with_its_own_fields() -> None:
    view, definitions = look()

    plan = plan_of(BrownoutStart("brownout:autumn", force=True), view, definitions)

    assert isinstance(plan.doc, BrownoutDoc)
    assert (plan.doc.versions, plan.doc.percent) == ((OLD,), 50.0)


def test_stopping_lifts_what_is_by_hand_and_holds_back_what_is_declared() -> None:
    view, definitions = look(HAND)

    by_hand = plan_of(BrownoutStop("brownout:hand"), view, definitions)
    declared = plan_of(BrownoutStop("brownout:autumn"), view, definitions)

    assert (by_hand.op, by_hand.if_rev, by_hand.lifts) == ("del", 7, "bo")
    assert isinstance(declared.doc, BrownoutDoc)
    assert (declared.op, declared.doc.stop, declared.until_s) == ("put", True, 86_400)


@pytest.mark.parametrize(
    ("doc", "command"),
    [
        (BrownoutDoc("bo", "x", stop=True), BrownoutStop("brownout:autumn")),
        (PinDoc("bo", "x", OLD), PinSet("consumer:autumn", MIDDLE)),
        (ToleranceDoc("bo", "x", stop=True), ToleranceEnd("tolerance:old-ios-qty")),
    ],
)
def test_what_has_ended_is_absent_for_the_next_write(
    doc: Any, command: Command
) -> None:
    kind = type(doc).__name__.removesuffix("Doc").lower()
    name = command.target.partition(":")[2]
    over = {(kind, name): stored(doc, until_ms=START_MS + 1)}

    assert plan_of(command, *look(over)).if_rev == 0


def test_a_pin_that_another_one_set_says_so() -> None:
    pinned = {("pin", "ios-3"): stored(PinDoc("bo", "x", OLD))}

    shown = dry(PinSet("consumer:ios-3", MIDDLE), pinned)

    assert shown.conflict == "pinned by bo already: this replaces it"


def test_a_brownout_that_is_over_says_since_when() -> None:
    doc = BrownoutDoc("bo", "x", versions=(OLD,))
    over = {("brownout", "over"): stored(doc, until_ms=START_MS + 1)}
    view, definitions = look(over)

    with pytest.raises(Invalid, match="already ended"):
        plan_of(BrownoutStop("brownout:over"), view, definitions)


def test_a_brownout_stands_among_the_controls_and_marks_its_routes() -> None:
    doc = BrownoutDoc("bo", "x", routes=("GET /items",), percent=20)
    record = stored(doc, until_ms=START_MS + DAY_MS)

    view, _ = look({("brownout", "items"): record})

    (row,) = [row for row in view.controls if row.kind == "brownout"]
    assert (row.target, row.now) == ("brownout:items", "BROWNOUT 20%")
    states = {row.key: (row.state, row.state_text) for row in view.routes}
    assert states["GET /items"] == ("W", "BROWNOUT 20%")
    assert states["GET /items/{id}"][0] == "."


def test_a_sunset_moves_and_says_from_where() -> None:
    records = {("version", OLD): stored(SunsetDoc("bo", "x", "2026-12-01"))}

    first = dry(SunsetExtend(f"version:{OLD}", "2026-12-31"))
    again = dry(SunsetExtend(f"version:{OLD}", "2026-12-31"), records)

    assert (first.before, first.after) == ("sunset 2026-11-01", "sunset 2026-12-31")
    assert (again.before, again.if_revision) == ("sunset 2026-12-01", 7)
    assert "ios-3" in first.consumers[0]


@pytest.mark.parametrize(
    ("command", "word"),
    [
        (PinSet("consumer:a", OLD), "pin-set"),
        (PinClear("consumer:a"), "pin-clear"),
        (BrownoutStart("version:x"), "brownout-start"),
        (BrownoutStop("brownout:x"), "brownout-stop"),
        (SunsetExtend("version:x", ""), "sunset-extend"),
    ],
)
def test_attempts_are_called_as_in_the_log(command: Command, word: str) -> None:
    assert action_of(command) == word
