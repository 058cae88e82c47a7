"""Usage on its way to the store, and ends told once."""

from __future__ import annotations

import asyncio
import json
import logging
from collections.abc import Mapping
from contextlib import suppress

import pytest

from failsoft.consumer import Consumers
from failsoft.errors import StoreUnavailable
from failsoft.store.memory import MemoryStore
from failsoft.store.usage import FIELDS_KEPT, OTHER, Called
from failsoft.versions._flush import UsageReporter
from failsoft.versions._lifecycle import Notice
from failsoft.versions._usage import Usage

pytestmark = pytest.mark.anyio

CALLED = Called("2025-01-15", "GET /a", "ios-3")


class AwayStore(MemoryStore):
    """A store that does not answer."""

    async def usage_add(self, counts: Mapping[Called, int]) -> None:
        raise StoreUnavailable("no answer")


async def reported(store: MemoryStore, usage: Usage, consumers: Consumers) -> None:
    """Run a reporter for a moment, and end it as a stop does."""
    reporter = UsageReporter(store, usage, consumers)
    task = asyncio.create_task(reporter.run(lambda what, error: None))
    await asyncio.sleep(0)
    task.cancel()
    with suppress(asyncio.CancelledError):
        await task


async def test_what_was_counted_reaches_the_store_with_the_environments_salt() -> None:
    store, usage, consumers = MemoryStore("test"), Usage(), Consumers()
    usage.add(*CALLED)
    usage.add(*CALLED)

    await reported(store, usage, consumers)

    assert list((await store.usage()).values()) == [{CALLED: 2}]
    assert consumers.salt == await store.environment_salt()


async def test_what_cannot_be_sent_is_counted_on_with() -> None:
    usage = Usage()
    usage.add(*CALLED)

    await reported(AwayStore("test"), usage, Consumers())
    usage.add(*CALLED)

    assert usage.take() == {CALLED: 2}


class LeavingStore(MemoryStore):
    """A store that takes one call, and then is away."""

    calls = 0

    async def usage_add(self, counts: Mapping[Called, int]) -> None:
        self.calls += 1
        if self.calls > 1:
            raise StoreUnavailable("no answer")
        await super().usage_add(counts)


async def test_what_a_store_took_before_it_went_away_is_not_counted_again() -> None:
    store, usage = LeavingStore("test"), Usage()
    for n in range(1_200):
        usage.add("1", "GET /", str(n))

    with pytest.raises(StoreUnavailable):
        await UsageReporter(store, usage, Consumers()).flush()

    (held,) = (await store.usage()).values()
    left = usage.take()
    assert len(held) + len(left) == 1_200
    assert not held.keys() & left.keys()
    assert held


async def test_callers_beyond_the_room_of_a_process_are_counted_as_the_rest() -> None:
    usage = Usage()
    for n in range(FIELDS_KEPT + 3):
        usage.add("1", "GET /", str(n))
    counts = usage.take()
    for n in range(FIELDS_KEPT):
        usage.add("2", "GET /", str(n))

    usage.give_back(counts)

    assert counts[OTHER] == 3
    assert usage.take()[OTHER] == FIELDS_KEPT + 3


async def test_an_end_that_comes_is_told_once_as_a_line_of_json(
    caplog: pytest.LogCaptureFixture,
) -> None:
    notice = Notice("2025-01-15", 7, "2026-11-01", "gone")
    store = MemoryStore("test")
    reporter = UsageReporter(store, Usage(), Consumers(), lambda: (notice,))

    with caplog.at_level(logging.WARNING, "failsoft.versions"):
        reporter.tell()
        reporter.tell()

    (line,) = [json.loads(record.getMessage()) for record in caplog.records]
    assert line == {
        "event": "version.sunset",
        "severity": "warning",
        "what": "2025-01-15",
        "days": 7,
        "sunset": "2026-11-01",
        "after": "gone",
    }
