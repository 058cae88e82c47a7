"""Which routes called whom, and which stand-ins answered, on every store."""

from __future__ import annotations

import pytest

from failsoft.store.callmap import CALLS_KEPT, Seen, read_seen
from failsoft.store.memory import MemoryStore
from failsoft.store.redis.store import RedisStore

pytestmark = pytest.mark.anyio

AnyStore = MemoryStore | RedisStore


async def test_what_was_called_is_told_with_its_time(store: AnyStore) -> None:
    pay, tried = Seen("POST /a|b", "stripe"), Seen("queue_order")
    await store.calls_saw([pay, tried])
    before = await store.calls_seen()
    await store.calls_saw([pay])

    found = await store.calls_seen()

    assert found.keys() == {pay, tried}
    assert found[pay] >= before[pay] > 0


async def test_nothing_seen_is_nothing_written(store: AnyStore) -> None:
    await store.calls_saw([])

    assert await store.calls_seen() == {}


@pytest.mark.parametrize("store", ["memory", "redis"], indirect=True)
async def test_no_more_than_5000_pairs_are_kept(store: AnyStore) -> None:
    await store.calls_saw([Seen(f"GET /{n}", "x") for n in range(CALLS_KEPT + 3)])

    assert len(await store.calls_seen()) == CALLS_KEPT


def test_a_field_reads_back_as_it_was() -> None:
    for seen in (Seen("GET /a|b", "geo"), Seen("handler")):
        assert read_seen(seen.field) == seen
