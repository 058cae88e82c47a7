"""Versions x consumers, who would break, pins and brownouts in force."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from failsoft import clock
from failsoft.controls.records import BrownoutDoc, PinDoc, SunsetDoc
from failsoft.ops.sources.fake import START_MS
from failsoft.ops.versionviews import Changes, UsageBook, date_ms, would_break
from failsoft.ops.views import FleetView
from failsoft.store.usage import Called
from failsoft.telemetry import VersionDef
from unit.ops.contractfleet import DAY_MS, Records, look, stored

OLD, MIDDLE, NEW = "2025-01-15", "2025-06-01", "2026-02-01"
APP = Called(OLD, "GET /x", "app")


def versions(records: Records | None = None, seconds: int = 12) -> FleetView:
    return look(records, seconds)[0]


def test_each_version_tells_its_use_its_days_left_and_whom_its_end_would_break() -> (
    None
):
    seen = versions().versions

    assert seen is not None
    newest, middle, oldest = seen.versions
    assert (newest.id, newest.state, newest.breaking) == (NEW, "newest", 0)
    assert (middle.state, middle.consumers, middle.breaking) == ("deprecated", 2, 3)
    assert (oldest.state, oldest.days_left, oldest.consumers) == ("deprecated", 40, 2)
    assert oldest.breaking == 1
    assert oldest.per_s == pytest.approx(6.0)
    assert sum(row.share for row in seen.versions) == pytest.approx(1.0)


def test_who_would_break_is_told_by_route_and_change() -> None:
    seen = versions().versions
    assert seen is not None

    found = {use.consumer: breaks for use, breaks in would_break(seen, OLD)}

    ops = {(b.route, b.op) for b in found["ios-3"]}
    assert ("GET /orders/{id}", "rename Order.email to customer_email") in ops
    assert {b.version for b in found["ios-3"]} == {MIDDLE}
    assert found["9f2c51e07a3b44d0"] == ()


def test_clients_of_an_older_version_meet_all_that_came_since() -> None:
    seen = versions().versions
    assert seen is not None

    found = dict(would_break(seen, MIDDLE))

    (ios,) = [breaks for use, breaks in found.items() if use.consumer == "ios-3"]
    assert {b.version for b in ios} == {MIDDLE, NEW}


def test_the_end_of_the_newest_or_of_an_unknown_version_breaks_nobody() -> None:
    known = Changes([VersionDef("1"), VersionDef("2", changes=(("x", ("* *",)),))])

    assert known.breaks("2", ["GET /x"], "2") == ()
    assert known.breaks("7", ["GET /x"], "1") == ()
    assert [one.op for one in known.breaks("1", ["GET /x"], "1")] == ["x"]


def test_rates_come_from_two_reads_and_start_again_at_midnight() -> None:
    book = UsageBook()
    book.take({"2026-01-01": {APP: 100}}, 0)
    assert book.per_s(OLD, "app") is None

    book.take({"2026-01-01": {APP: 150}}, 5_000)
    assert book.per_s(OLD, "app") == 10.0
    assert book.last_ms[OLD, "app"] == 5_000

    book.take({"2026-01-02": {APP: 1}, "2026-01-01": {APP: 151}}, 10_000)
    assert book.per_s(OLD, "app") is None
    assert (book.counts[APP], book.today[OLD, "app"]) == (152, 1)


def test_a_rate_is_of_the_last_minute() -> None:
    book = UsageBook()

    for second in range(0, 200, 5):
        n = 1_000 if second < 100 else 1_000 + 60
        book.take({"2026-01-01": {APP: n}}, second * 1000)

    assert book.per_s(OLD, "app") == 0.0


def test_a_pin_of_an_operator_wins_over_a_declared_one() -> None:
    records = {
        ("pin", "acct_42"): stored(PinDoc("ana", "why", MIDDLE)),
        ("pin", "ios-3"): stored(PinDoc("ana", "why", OLD)),
    }

    seen = versions(records).versions

    assert seen is not None
    pins = {pin.consumer: (pin.version, pin.source) for pin in seen.pins}
    assert pins == {"acct_42": (MIDDLE, "control"), "ios-3": (OLD, "control")}
    pinned = {use.consumer: use.pinned for use in seen.uses}
    assert pinned["ios-3"] == OLD


def test_a_brownout_is_open_by_hand_until_its_end() -> None:
    doc = BrownoutDoc("ana", "why", versions=(OLD,), percent=50)
    ends_ms = START_MS + 5_000

    seen = versions({("brownout", "now"): stored(doc, until_ms=ends_ms)}, 2).versions
    later = versions({("brownout", "now"): stored(doc, until_ms=ends_ms)}, 8).versions

    assert seen is not None
    assert later is not None
    assert [(b.name, b.state) for b in seen.brownouts] == [
        ("now", "open"),
        ("autumn", "next"),
    ]
    assert seen.versions[-1].brownouts == ("now",)
    assert seen.versions[0].brownouts == ()
    assert [b.name for b in later.brownouts] == ["autumn"]


def test_a_declared_brownout_that_was_stopped_says_by_whom() -> None:
    record = stored(
        BrownoutDoc("ana", "not now", stop=True), until_ms=START_MS + DAY_MS
    )

    seen = versions({("brownout", "autumn"): record}).versions

    assert seen is not None
    assert [(b.name, b.state) for b in seen.brownouts] == [("autumn", "stopped")]


def test_a_moved_sunset_is_in_force_and_shows_the_declared_one() -> None:
    record = stored(SunsetDoc("ana", "why", "2026-12-31"))

    seen = versions({("version", OLD): record}).versions

    assert seen is not None
    row = seen.versions[-1]
    assert (row.sunset, row.declared) == ("2026-12-31", "2026-11-01")
    assert row.days_left == 100


def test_a_document_of_another_release_is_left_out() -> None:
    broken = b'7 1 0 {"version": 5}'

    seen = versions({("pin", "ios-3"): broken, ("version", OLD): broken}).versions

    assert seen is not None
    assert [pin.consumer for pin in seen.pins] == ["acct_42"]


def test_what_is_not_wanted_is_not_there() -> None:
    view, _ = look(ledgers=False)

    assert (view.versions, view.drift) == (None, None)


@given(st.integers(0, 40_000))
def test_dates_are_read_as_the_clock_writes_them(day: int) -> None:
    at_ms = day * DAY_MS

    assert date_ms(clock.utc_date(at_ms / 1000)) == at_ms


@pytest.mark.parametrize("text", ["", "2026-13-01", "2026-02-30", "26-1-1", "x-y-z"])
def test_what_is_no_date_is_none(text: str) -> None:
    assert date_ms(text) is None
