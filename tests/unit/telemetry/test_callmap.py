"""What one process saw of its routes' calls."""

from __future__ import annotations

from types import SimpleNamespace

import pytest

from failsoft.errors import StoreUnavailable
from failsoft.store.callmap import Seen
from failsoft.store.memory import MemoryStore
from failsoft.telemetry._callmap import CallMap
from failsoft.telemetry._flush import CallReporter

STRIPE = SimpleNamespace(dependency="stripe")


def test_a_pair_is_told_once_an_hour() -> None:
    calls = CallMap()
    calls.saw("POST /pay", [STRIPE, STRIPE])
    first = calls.take({}, 5_000.0)
    calls.saw("POST /pay", [STRIPE])
    again = calls.take({}, 5_010.0)
    calls.take({}, 8_700.0)
    calls.saw("POST /pay", [STRIPE])

    assert first == [Seen("POST /pay", "stripe")]
    assert again == []
    assert calls.take({}, 8_710.0) == first


def test_a_stand_in_is_told_each_time_it_answered() -> None:
    calls = CallMap()

    told = [calls.take({"queue": at}, 5_000.0) for at in (1.0, 1.0, 2.0)]

    assert told == [[Seen("queue")], [], [Seen("queue")]]


@pytest.mark.anyio
async def test_what_a_store_does_not_take_is_told_later() -> None:
    calls, store = CallMap(), MemoryStore("test")
    calls.saw("POST /pay", [STRIPE])

    class Away(MemoryStore):
        async def calls_saw(self, seen: object) -> None:
            raise StoreUnavailable("away")

    with pytest.raises(StoreUnavailable):
        await CallReporter(Away("test"), calls, dict).flush()
    await CallReporter(store, calls, dict).flush()

    assert list(await store.calls_seen()) == [Seen("POST /pay", "stripe")]
