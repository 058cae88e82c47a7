"""Versions and Drift by keys: on a real session, and on paper."""

from __future__ import annotations

import msgspec
import pytest

from failsoft.errors import Invalid
from failsoft.ops.command import BrownoutStart, ToleranceAdd
from failsoft.ops.sources.ledgers import Section
from failsoft_tui.fields import brownout_fields, tolerance_fields
from failsoft_tui.paint import plain
from failsoft_tui.versionrows import used_rows
from failsoft_tui.versionsheet import version_lines
from failsoft_tui.wants import PEEK_S, Wants
from tui.contractdesk import open_contract, type_line
from tui.flagdesk import ENV
from tui.fleet import CONTRACT, PaperOperator, incident
from tui.paper import open_app

pytestmark = pytest.mark.anyio
SIZES = pytest.mark.parametrize("size", [(120, 40), (80, 24)], ids=["wide", "small"])
OLD, MIDDLE = "2025-01-15", "2025-06-01"


@SIZES
async def test_a_brownout_is_started_by_its_form_and_stopped(
    size: tuple[int, int],
) -> None:
    async with open_contract(size) as desk:
        await desk.at("partner.bot")
        await desk.press("B")
        refused = desk.text()
        await desk.press("down")
        await type_line(desk, "40")
        await desk.press(*["down"] * 7, "enter", "p")
        dialog = desk.text()
        await desk.confirm()
        started = desk.active("brownout")
        await desk.press("B", "enter")
        stop = desk.text()
        await desk.confirm()

        assert "critical: is needed to brown out critical_plus POST" in refused
        assert "BROWNOUT-START brownout:2025-06-01" in dialog
        assert "40% of requests: 503" in dialog
        assert "partner.bot 100%" in dialog
        assert started == ["brownout:2025-06-01"]
        assert "BROWNOUT-STOP brownout:2025-06-01" in stop
        assert desk.active("brownout") == []


async def test_a_brownout_shows_on_its_version_and_is_undone() -> None:
    async with open_contract() as desk:
        start = BrownoutStart(f"version:{MIDDLE}", force=True)
        await desk.operator.apply(start, reason="to be seen", confirm=ENV)
        await desk.until(lambda: "W BROWNOUT" in desk.text())
        await desk.at("2 consumers")
        shown = desk.text()
        await desk.press("u")
        await desk.until(lambda: "dry run" in desk.text())
        undo = desk.text()
        await desk.confirm()

        assert "OPEN    2025-06-01 100% of requests, 503" in shown
        assert "by ana ends in 15m" in shown
        assert "6 Versions(1)" in shown
        assert "BROWNOUT 100% -> -" in undo
        assert desk.active("brownout") == []


async def test_a_consumer_is_pinned_and_freed() -> None:
    async with open_contract() as desk:
        await desk.at("ios-3")
        await desk.press("P", "down", "enter")
        dialog = desk.text()
        await desk.press("t", "t")
        week = desk.text()
        await desk.confirm()
        await desk.until(lambda: "pin 2025-06-01" in desk.text())
        await desk.press("P", "up", "enter")
        clear = desk.text()
        await desk.confirm()

        assert "no pin, default oldest -> 2025-06-01, no end" in dialog
        assert "an explicit version beats a" in dialog
        assert "2025-06-01, for 7d" in week
        assert "PIN-CLEAR pin:ios-3" in clear
        assert desk.active("pin") == []


async def test_controls_lifts_and_extends_a_brownout() -> None:
    async with open_contract() as desk:
        start = BrownoutStart(f"version:{MIDDLE}", force=True)
        await desk.operator.apply(start, reason="to be seen", confirm=ENV)
        await desk.press("3")
        await desk.at("brownout:2025-06-01")
        await desk.press("T", "t")
        longer = desk.text()
        await desk.press("escape", "L")
        lift = desk.text()
        await desk.press("escape", "enter")

        assert "EXTEND brownout:2025-06-01" in longer
        assert "[t <5m> 15m 1h 4h]" in longer
        assert "BROWNOUT-STOP brownout:2025-06-01" in lift
        assert "brownout:2025-06-01 -- brownout" in desk.text()


def test_the_page_of_a_big_fleet_is_cut_and_says_so() -> None:
    seen = CONTRACT.versions
    assert seen is not None
    uses = tuple(msgspec.structs.replace(seen.uses[2], consumer=f"c{i}",
                 version=OLD) for i in range(300))  # fmt: skip

    lines = version_lines(msgspec.structs.replace(seen, uses=uses), OLD, 0)

    assert any("200 more uses: failsoft versions impact" in plain(one) for one in lines)


async def test_on_a_version_p_asks_whom_to_pin() -> None:
    async with open_contract() as desk:
        await desk.at("2025-01-15 2 consumers")
        await desk.press("P")
        await desk.write("acct_42")
        await desk.press("enter")

        assert "PIN-SET pin:acct_42" in desk.text()


async def test_a_sunset_is_moved_to_a_later_date_only() -> None:
    async with open_contract() as desk:
        await desk.at("2025-01-15 2 consumers")
        await desk.press("S")
        await desk.write("2026-10-01")
        await desk.press("enter")
        refused = desk.text()
        await desk.press("escape", "S")
        await desk.write("2099-01-01")
        await desk.press("enter")
        dialog = desk.text()
        await desk.confirm()
        await desk.until(lambda: "2099-01-01+" in desk.text())

        assert "2026-10-01" in refused
        assert "sunset 2026-11-01 -> sunset 2099-01-01" in dialog


@SIZES
async def test_enter_tells_who_would_break_and_what_a_consumer_calls(
    size: tuple[int, int],
) -> None:
    async with open_app(size) as desk:
        await desk.press("6", "down", "down", "enter")
        version = desk.text()
        await desk.press("pagedown")
        version += desk.text()
        await desk.press("escape", "down", "enter")
        consumer = desk.text()

    assert "who would break without it and all older ones: 3" in version
    assert "gone POST /reviews (in 2026-02-01)" in version
    assert "android-7 asks 2025-06-01" in version
    assert "consumer android-7" in consumer
    assert "GET /orders/{id}" in consumer


async def test_an_entry_is_acked() -> None:
    async with open_contract(keys="7") as desk:
        await desk.at("/rating")
        await desk.press("A")
        dialog = desk.text()
        await desk.confirm()
        await desk.until(lambda: "acked 30d" in desk.text())

        assert "new -> ACKED, for 30d" in dialog
        assert "tier 0 (changes no answer)" in dialog
        assert "7 Drift(1)" in desk.text()


async def test_a_tolerance_is_added_by_its_form_and_ended() -> None:
    async with open_contract(keys="7") as desk:
        await desk.at("/rating")
        await desk.press("T")
        missing = desk.text()
        await desk.press("down", "down")
        await type_line(desk, "3")
        await desk.press("p")
        dialog = desk.text()
        await desk.confirm()
        (name,) = desk.active("tolerance")
        await desk.at("/rating")
        await desk.until(lambda: "default-" in desk.text())
        await desk.press("T", "enter")
        end = desk.text()
        await desk.confirm()

        assert "value: of default is missing" in missing
        assert "meets         POST /reviews /rating missing" in dialog
        assert name.startswith("tolerance:default-")
        assert f"TOLERANCE-END {name}" in end
        assert desk.active("tolerance") == []


async def test_what_a_third_party_answers_cannot_be_repaired() -> None:
    async with open_contract(keys="7") as desk:
        await desk.at("/amount")
        await desk.press("T")

        assert "only what clients send us is repaired" in desk.text()


@SIZES
async def test_the_shape_says_what_is_declared_and_what_came(
    size: tuple[int, int],
) -> None:
    async with open_app(size) as desk:
        await desk.press("7", "end", "d")
        shape = desk.text()
        await desk.press("escape", "p")
        peers = desk.text()
        await desk.press("escape", "t")

        assert "- integer" in shape
        assert "+ str:int" in shape
        assert "request-property-type" in shape
        assert "payments POST /charge ENDS 2026-11-01 (in 40d)" in peers
        assert "old-ios-qty string_to_number" in desk.text()


@SIZES
async def test_empty_screens_say_what_to_do(size: tuple[int, int]) -> None:
    async with open_contract(size, full=False) as desk:
        versions = desk.text()
        await desk.press("7")
        await desk.until(lambda: "30 days" in desk.text())

        assert "no live release declares versions" in versions
        assert "[versions]" in versions
        assert "[tolerance]" in desk.text()


async def test_rows_are_sorted_and_filtered() -> None:
    async with open_app() as desk:
        await desk.press("7", "s", *["down"] * 3, "enter")
        by_path = [line.split()[3:] for line in desk.lines()[5:9]]
        await desk.press("s", "down", "down", "down", "down", "down", "enter")
        counts = desk.lines()[5:9]
        await desk.press("slash", *"partner", "enter")

        assert "/amount" in str(by_path[0])
        assert "18,226" in counts[0]
        assert "rows 1-1 of 1 of 4" in desk.text()


async def test_writes_are_refused_while_disarmed() -> None:
    async with open_app(armed=False) as desk:
        told = []
        for keys in (("6", "B"), ("P",), ("S",), ("7", "A"), ("end", "T")):
            await desk.press(*keys)
            told.append("disarmed: press W" in desk.text())

        assert told == [True] * 5
        assert desk.operator.applied == []


async def test_sections_are_read_only_while_they_are_looked_at() -> None:
    async with open_app() as desk:
        paper: PaperOperator = desk.operator
        seen = []
        for key in "761":
            await desk.press(key)
            seen.append(paper.wanted)

    assert seen == [{"drift", "versions"}, {"versions"}, frozenset()]


def test_drift_is_looked_at_each_minute_from_every_screen() -> None:
    wants, before = Wants(), incident(0, drift=None)
    read = incident(0)

    nothing: frozenset[Section] = frozenset()
    first = [wants.sections("overview", view, 0.0) for view in (before, before, read)]
    quiet = wants.sections("overview", read, PEEK_S - 1)
    later = wants.sections("overview", read, PEEK_S)

    assert [*first, quiet, later] == [*[{"drift"}] * 2, nothing, nothing, {"drift"}]


def test_forms_say_what_the_command_line_would() -> None:
    assert CONTRACT.drift is not None
    fields = brownout_fields("version:a", only="ios-3")
    row = CONTRACT.drift.rows[-1]
    tolerance = tolerance_fields(row)

    started, added = (f.command(f.fields) for f in (fields, tolerance))

    assert started == BrownoutStart(
        "version:a", percent=100.0, by="request", only=("ios-3",), status=503,
        for_s=900.0,
    )  # fmt: skip
    assert isinstance(added, ToleranceAdd)
    assert (added.route, added.path) == (row.route, row.path)


def test_a_form_names_the_line_that_is_wrong() -> None:
    fields = brownout_fields("version:a")
    fields.go(3)

    with pytest.raises(Invalid) as caught:
        fields.command(fields.typed("soon"))

    assert "until" in fields.in_words(str(caught.value))


def test_many_consumers_are_cut_to_those_with_most_requests() -> None:
    seen = CONTRACT.versions
    assert seen is not None
    many = tuple(
        msgspec.structs.replace(seen.uses[0], consumer=f"c{i}") for i in range(20_000)
    )

    rows = used_rows(msgspec.structs.replace(seen, uses=many))

    assert len(rows) == 2_000 + len(seen.versions)
