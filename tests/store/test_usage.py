"""Who called which version of what, day by day, on every store."""

from __future__ import annotations

import pytest

from failsoft.clock import unix, utc_date
from failsoft.store.memory import MemoryStore
from failsoft.store.redis.store import RedisStore
from failsoft.store.usage import DAYS_KEPT, FIELDS_KEPT, OTHER, Called, capped_usage

pytestmark = pytest.mark.anyio

AnyStore = MemoryStore | RedisStore

OLD = Called("2025-01-15", "GET /orders/{id}", "ios-3")
NEW = Called("2025-06-01", "GET /a|b", "(anonymous)")


async def test_usage_of_all_nodes_adds_up_by_day(store: AnyStore) -> None:
    await store.usage_add({OLD: 2, NEW: 1})
    await store.usage_add({OLD: 3})

    found = await store.usage()

    assert found == {utc_date(unix()): {OLD: 5, NEW: 1}}


async def test_nothing_called_is_no_day(store: AnyStore) -> None:
    await store.usage_add({})

    assert await store.usage(days=1) == {}


async def test_callers_beyond_the_room_of_a_day_are_counted_as_the_rest() -> None:
    counts = {OLD: 2, NEW: 1, OLD._replace(consumer="x"): 4}

    assert capped_usage(counts, [NEW], 1) == {OLD: 2, NEW: 1, OTHER: 4}


@pytest.mark.parametrize("store", ["memory", "redis"], indirect=True)
async def test_a_day_holds_20000_callers(store: AnyStore) -> None:
    many = {Called("1", "GET /", f"c{n}"): 1 for n in range(FIELDS_KEPT + 5)}
    await store.usage_add(many)

    (today,) = (await store.usage(days=1)).values()

    assert len(today) == FIELDS_KEPT + 1
    assert today[OTHER] == 5


async def test_memory_forgets_days_past_their_time() -> None:
    now = [0.0]
    store = MemoryStore("test", lambda: now[0])
    for day in range(DAYS_KEPT + 2):
        now[0] = day * 86_400.0
        await store.usage_add({OLD: 1})

    assert len(await store.usage(days=1000)) == DAYS_KEPT
    assert list(await store.usage(days=2)) == ["1970-04-12", "1970-04-11"]


async def test_who_asks_for_the_salt_first_makes_it(store: AnyStore) -> None:
    first = await store.environment_salt()

    assert len(first) == 16
    assert await store.environment_salt() == first
