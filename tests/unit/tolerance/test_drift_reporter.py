"""Each second of drift goes to the store; new entries and ends are told."""

from __future__ import annotations

import json
import logging

import pytest

from failsoft.errors import StoreUnavailable
from failsoft.shapes.findings import Finding
from failsoft.store.memory import MemoryStore
from failsoft.tolerance._flush import DriftReporter
from failsoft.tolerance._ledger import Ledger

pytestmark = pytest.mark.anyio


class AwayStore(MemoryStore):
    is_away = False

    async def drift_add(self, counted, tallies):  # type: ignore[no-untyped-def]
        if self.is_away:
            raise StoreUnavailable("no answer")
        return await super().drift_add(counted, tallies)


def filled(*findings: Finding) -> Ledger:
    ledger = Ledger(lambda: 1_000)
    ledger.add("POST /a", "request", "", findings, "ios-3", "")
    return ledger


def told(caplog: pytest.LogCaptureFixture) -> list[dict[str, object]]:
    records = [r for r in caplog.records if r.name == "failsoft.drift"]
    return [{"level": r.levelname, **json.loads(r.getMessage())} for r in records]


async def test_what_is_new_is_told_once_by_severity(
    caplog: pytest.LogCaptureFixture,
) -> None:
    caplog.set_level(logging.INFO, "failsoft.drift")
    store = MemoryStore("test")
    ledger = filled(
        Finding("/a", "missing", "string", "absent"), Finding("/b", "unknown")
    )

    await DriftReporter(store, ledger).flush()
    ledger.add("POST /a", "request", "", [Finding("/b", "unknown")], "ios-3", "")
    await DriftReporter(store, ledger).flush()

    assert [
        (event["event"], event["severity"], event["path"]) for event in told(caplog)
    ] == [
        ("drift.new", "warning", "/a"),
        ("drift.new", "info", "/b"),
    ]
    assert told(caplog)[0]["level"] == "WARNING"
    assert sorted(row.count for row in (await store.drift()).rows) == [1, 2]


async def test_a_flood_of_new_entries_is_told_in_short(
    caplog: pytest.LogCaptureFixture,
) -> None:
    caplog.set_level(logging.INFO, "failsoft.drift")
    ledger = filled(*(Finding(f"/p{n}x", "type") for n in range(100)))

    await DriftReporter(MemoryStore("test"), ledger).flush()

    events = told(caplog)
    assert len(events) == 21
    assert events[-1]["more"] == 80


async def test_with_the_store_away_the_ledger_counts_on() -> None:
    store, ledger = AwayStore("test"), filled(Finding("/a", "type"))
    reporter = DriftReporter(store, ledger)

    store.is_away = True
    with pytest.raises(StoreUnavailable):
        await reporter.flush()
    ledger.add("POST /a", "request", "", [Finding("/a", "type")], "ios-3", "")
    store.is_away = False
    await reporter.flush()

    (row,) = (await store.drift()).rows
    assert row.count == 2


class BusyStore(MemoryStore):
    """While it is told of drift, requests go on."""

    calls = 0

    def __init__(self, ledger: Ledger) -> None:
        super().__init__("test")
        self.ledger = ledger

    async def drift_add(self, counted, tallies):  # type: ignore[no-untyped-def]
        self.calls += 1
        assert self.calls < 100
        more = [Finding(f"/p{self.calls}.{n}", "type") for n in range(600)]
        self.ledger.add(f"POST /{self.calls % 3}", "request", "", more, "", "")
        return await super().drift_add(counted, tallies)


async def test_a_flush_ends_while_requests_go_on_counting() -> None:
    ledger = filled(Finding("/a", "type"))
    store = BusyStore(ledger)

    await DriftReporter(store, ledger).flush()
    after_one = store.calls
    await DriftReporter(store, ledger).flush()

    assert (after_one, store.calls) == (1, 5)
