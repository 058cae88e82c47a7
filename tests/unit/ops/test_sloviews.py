"""Objectives and alerts as operators read them."""

from __future__ import annotations

import msgspec
import pytest

from failsoft.ops.alertrows import alert_notices, alert_rows
from failsoft.ops.sloviews import SloBook, slo_view
from failsoft.slo._alert import AlertState, encode_state
from failsoft.store.slo import SloRead
from failsoft.telemetry import SloDef
from unit.slo.history import Reports

pytestmark = pytest.mark.anyio
PAY = SloDef("pay", 0.999, 0.8, ("POST /pay",), "https://wiki/pay")
FAST = AlertState("slo:pay:fast", "slo", "page", "burns", 1, "firing", at_ms=1)


def held(*states: AlertState) -> dict[str, bytes]:
    return {state.id: encode_state(state) for state in states}


async def read_of(reports: Reports) -> SloRead:
    return await reports.store.slo_read(await reports.store.slo_names())


async def test_a_row_says_budget_burn_and_what_its_rules_do() -> None:
    reports = Reports()
    await reports.go(3_600, (10, 0, 0))
    await reports.go(60, (10, 9, 1))

    view = slo_view(await read_of(reports), (PAY, SloDef("new", 0.99)), held(FAST))

    pay, new = view.rows
    assert (pay.total, pay.bad, pay.refused) == (36_600, 540, 60)
    assert pay.budget_left == pytest.approx(1 - 600 / 36.6, abs=0.5)
    assert (pay.ends_s, pay.silent_ms) == (0.0, 0)
    assert pay.auto == 1.0  # of what reached the application
    fast, slow = pay.rules[:2]
    assert (fast.rule, fast.state, fast.since_ms) == ("fast", "firing", 1)
    assert [window for window, _ in fast.burns] == ["1h", "5m"]
    assert slow.state == "ok"
    assert (new.budget_left, new.burn, new.auto) == (None, None, None)


async def test_what_nobody_reports_says_since_when() -> None:
    reports = Reports()
    await reports.go(60, (10, 0, 0))
    last_ms = int(reports.now_s * 1000)
    reports.clock.advance(600)

    (row,) = slo_view(await read_of(reports), (PAY,), {}).rows

    assert row.auto is None
    assert row.rules[0].burns[1] == ("5m", None)
    assert last_ms - 60_000 <= row.silent_ms <= last_ms


async def test_a_view_is_made_once_for_what_says_the_same() -> None:
    reports, book = Reports(), SloBook()
    await reports.go(10, (10, 0, 0))
    assert book.view((PAY,), {}) is None

    book.take(await read_of(reports))

    first = book.view((PAY,), held(FAST))
    assert book.view((PAY,), held(FAST)) is first
    assert book.view((PAY,), {}) is not first


def test_alerts_stand_worst_first_and_triggers_are_left_out() -> None:
    frozen = msgspec.structs.replace(FAST, id="slo:x:slow", frozen_ms=9)
    rows = alert_rows(
        held(
            AlertState("mode:calm", "mode", "info", "on", 5, "firing"),
            AlertState("slo:pay:day", "slo", "ticket", "burns", 9),
            AlertState("slo:pay:auto", "slo", "", "fails", 2, "firing"),
            FAST,
            frozen,
        )
        | {"@": b"12", "old": b"{}"}
    )

    assert [(row.id, row.state) for row in rows] == [
        ("slo:pay:fast", "firing"),
        ("slo:x:slow", "frozen"),
        ("mode:calm", "firing"),
        ("slo:pay:day", "pending"),
    ]
    assert [(one.level, one.text) for one in alert_notices(rows)] == [
        (2, "burns"),
        (2, "burns (no data now)"),
    ]
