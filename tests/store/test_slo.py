"""SLO buckets and alerts, on memory and on Redis alike."""

from __future__ import annotations

import pytest

from failsoft.store.memory import MemoryStore
from failsoft.store.protocols import TickBatch
from failsoft.store.redis.store import RedisStore
from failsoft.store.slo import BUCKETS, is_bucket_kept, starts_since
from failsoft.testing import ManualClock

pytestmark = pytest.mark.anyio
AnyStore = MemoryStore | RedisStore


async def test_counts_of_all_nodes_add_up_in_every_width(store: AnyStore) -> None:
    await store.write(TickBatch("n1", None, {"pay": (3, 2, 1), "all": (9, 0, 0)}))
    await store.write(TickBatch("n2", None, {"pay": (4, 0, 0)}))

    read = await store.slo_read(("pay", "all", "none"))

    for width_s in BUCKETS:
        # A second may lie on an edge: then it fell into two buckets.
        sums = [sum(c) for c in zip(*read.slos["pay"][width_s].values(), strict=True)]
        assert sums == [7, 2, 1]
        assert not read.slos["none"][width_s]
    assert (9, 0, 0) in read.slos["all"][60].values()


async def test_nothing_counted_differs_from_nobody_reporting(store: AnyStore) -> None:
    await store.write(TickBatch("n1", None, {"pay": (0, 0, 0)}))

    read = await store.slo_read(("pay", "off"))

    assert list(read.slos["pay"][10].values()) == [(0, 0, 0)]
    assert not read.slos["off"][10]


async def test_what_is_new_can_be_read_alone(store: AnyStore) -> None:
    await store.write(TickBatch("n1", None, {"pay": (3, 2, 1)}))
    now_ms = (await store.slo_read(())).now_ms

    new = await store.slo_read(("pay",), now_ms - 2_000)

    assert (3, 2, 1) in new.slos["pay"][10].values()
    assert len(new.slos["pay"]) == len(BUCKETS)


async def test_buckets_that_are_past_their_time_are_dropped() -> None:
    clock = ManualClock()
    store = MemoryStore("test", now=clock)
    await store.write(TickBatch("n1", None, {"pay": (1, 0, 0)}))
    clock.advance(400)

    await store.slo_prune(("pay",))
    read = await store.slo_read(("pay",))

    assert not read.slos["pay"][10]
    assert list(read.slos["pay"][60].values()) == [(1, 0, 0)]


async def test_redis_drops_fields_that_are_past_their_time(redis_url: str) -> None:
    store = RedisStore(redis_url, "test")
    key = store.keys.slo("pay", 10)
    now_s = await store.server.now_ms() // 1000
    old, fresh = now_s - 400, now_s - now_s % 10
    await store.server.ask("set", "HSET", key, f"{old}:t", 1, f"{fresh}:t", 2, "x", 1)

    read = await store.slo_read(("pay",))
    await store.slo_prune(("pay",))

    assert dict(read.slos["pay"][10]) == {fresh: (2, 0, 0)}
    assert await store.server.ask("get", "HLEN", key) == 1
    await store.aclose()


async def test_redis_forgets_names_of_which_nothing_is_left(redis_url: str) -> None:
    store = RedisStore(redis_url, "test")
    await store.write(TickBatch("n1", None, {"pay": (1, 0, 0)}))
    await store.server.ask("set", "SADD", store.keys.slos, "renamed")

    await store.slo_prune(("pay",))

    assert await store.slo_names() == ("pay",)
    await store.aclose()


async def test_states_of_alerts_are_replaced_and_dropped(store: AnyStore) -> None:
    await store.alerts_put({"a": b"1", "b": b"2"})
    await store.alerts_put({"a": b"3"}, ["b", "c"])
    await store.alerts_put({})

    assert dict(await store.alerts()) == {"a": b"3"}
    seen = await store.read(ticks_after="", flights_after="")
    assert dict(seen.alerts) == {"a": b"3"}


async def test_only_the_first_to_say_a_mark_is_told_so(store: AnyStore) -> None:
    firsts = [await store.alert_first(mark, 60) for mark in ("a", "a", "b")]

    assert firsts == [True, False, True]


async def test_nodes_are_known_by_their_last_heartbeat_until_they_leave(
    store: AnyStore,
) -> None:
    now_ms = (await store.beat("n1", b"one")).now_ms
    await store.beat("n2", b"two")
    await store.leave("n2")

    beats = await store.beats()

    assert list(beats) == ["n1"]
    assert abs(beats["n1"] - now_ms) < 1_000


async def test_the_names_of_what_was_reported_are_known(store: AnyStore) -> None:
    await store.write(TickBatch("n1", None, {"pay": (0, 0, 0), "all": (1, 0, 0)}))
    await store.write(TickBatch("n1", b"tick"))

    assert await store.slo_names() == ("all", "pay")


def test_buckets_reach_as_far_as_they_are_kept() -> None:
    now_s = 1_790_000_005
    starts = starts_since(10, 0, now_s * 1000)

    assert len(starts) == 31
    assert starts[-1] == 1_790_000_000
    assert all(is_bucket_kept(10, start, now_s) for start in starts)
    assert not is_bucket_kept(10, starts[0] - 10, now_s)
    assert list(starts_since(10, 1_790_000_004_000, now_s * 1000)) == [starts[-1]]
