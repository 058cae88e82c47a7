"""What nodes report and viewers read, on every store."""

from __future__ import annotations

import asyncio

import pytest

from failsoft.store.memory import MemoryStore
from failsoft.store.protocols import Call, Change, TickBatch
from failsoft.store.redis.store import RedisStore
from failsoft.testing import ManualClock

pytestmark = pytest.mark.anyio

AnyStore = MemoryStore | RedisStore


async def test_a_node_is_seen_by_its_heartbeat(store: AnyStore) -> None:
    await store.beat("n1", b"one")
    first = await store.read(ticks_after="", flights_after="")
    await store.beat("n1", b"two")
    await store.beat("n2", b"new")
    second = await store.read(ticks_after="", flights_after="")

    assert dict(first.nodes) == {"n1": b"one"}
    assert dict(second.nodes) == {"n1": b"two", "n2": b"new"}
    assert (second.env, second.rev, second.epoch) == ("test", 0, "")


async def test_a_node_that_left_is_gone(store: AnyStore) -> None:
    await store.beat("n1", b"one")
    await store.leave("n1")

    seen = await store.read(ticks_after="", flights_after="")
    assert (dict(seen.nodes), dict(seen.silent)) == ({}, {})


async def test_a_beat_tells_revision_epoch_and_store_time(store: AnyStore) -> None:
    change = Change("kill", "x", "put", json=b"{}")
    answer = await store.apply(Call("op-1", "ana", "a test", (change,)))

    beat = await store.beat("n1", b"")
    assert (beat.rev, beat.epoch) == (1, answer.epoch)
    assert 0 <= beat.now_ms - answer.now_ms < 2000


async def test_a_reader_makes_the_nodes_send_ticks(store: AnyStore) -> None:
    before = await store.beat("n1", b"")
    await store.read(ticks_after="", flights_after="")
    after = await store.beat("n1", b"")

    assert (before.watched, after.watched) == (False, True)


async def test_ticks_are_read_once_each_in_order(store: AnyStore) -> None:
    for n in range(3):
        await store.write(TickBatch("n1", b"t%d" % n))
    first = await store.read(ticks_after="", flights_after="")
    await store.write(TickBatch("n1", b"t3"))
    last_id = first.ticks[-1][0]
    second = await store.read(ticks_after=last_id, flights_after="")

    assert [blob for _, blob in first.ticks] == [b"t0", b"t1", b"t2"]
    assert [blob for _, blob in second.ticks] == [b"t3"]


async def test_flights_are_read_oldest_first_whether_new_or_kept(
    store: AnyStore,
) -> None:
    await store.write(TickBatch("n1", None, flights=[b"f0", b"f1"]))
    first = await store.read(ticks_after="", flights_after="")
    await store.write(TickBatch("n1", None, flights=[b"f2", b"f3"]))
    last_id = first.flights[-1][0]
    second = await store.read(ticks_after="", flights_after=last_id)

    assert [blob for _, blob in first.flights] == [b"f0", b"f1"]
    assert [blob for _, blob in second.flights] == [b"f2", b"f3"]
    assert not first.ticks


async def test_definitions_are_found_by_their_digest(store: AnyStore) -> None:
    assert not await store.keep_definitions("abc")
    await store.publish_definitions("abc", b"\x00blob")
    assert await store.keep_definitions("abc")

    assert await store.definitions("abc") == b"\x00blob"
    assert await store.definitions("other") is None


async def test_attempts_come_newest_first(store: AnyStore) -> None:
    await store.attempt({"who": "ana", "what": "first"})
    await store.attempt({"who": "bö", "what": "second"})

    newest = await store.attempts(1)
    assert [dict(fields) for _, fields in newest] == [{"who": "bö", "what": "second"}]


async def test_without_proof_everybody_is_an_operator_with_a_question_mark(
    store: AnyStore,
) -> None:
    user, role = await store.identify()

    assert (user in ("default?", "local?"), role) == (True, "operator")


async def test_a_wait_ends_with_the_first_entry(store: AnyStore) -> None:
    waiting = asyncio.create_task(store.wait("0-0", 5.0))
    await asyncio.sleep(0)
    change = Change("kill", "x", "put", json=b"{}")
    await store.apply(Call("op-1", "ana", "a test", (change,)))

    entries = await asyncio.wait_for(waiting, 2.0)
    assert [(entry.name, entry.op) for entry in entries] == [("x", "put")]
    assert await store.wait(entries[-1].id, 0.01) == []


async def test_the_log_is_read_forwards_and_backwards(store: AnyStore) -> None:
    for name in "abcd":
        change = Change("kill", name, "put", json=b"{}")
        await store.apply(Call(f"op-{name}", "ana", "a test", (change,)))

    newest = await store.log(2)
    older = await store.log(5, before=newest[-1].id)
    later = await store.after(older[-1].id, 2)
    assert [entry.name for entry in newest] == ["d", "c"]
    assert [entry.name for entry in older] == ["b", "a"]
    assert [entry.name for entry in later] == ["b", "c"]


@pytest.mark.parametrize("kind", ["fakeredis", "redis"])
async def test_observations_expire_and_are_bounded(
    kind: str, request: pytest.FixtureRequest
) -> None:
    place = request.getfixturevalue(
        {"fakeredis": "fake_redis_url", "redis": "redis_url"}[kind]
    )
    store = RedisStore(place, "ttl")
    ask, keys = store.server.ask, store.keys
    await store.write(TickBatch("n1", b"t", {"pay": (3, 2, 0)}, [b"f"]))
    await store.write(TickBatch("n1", b"t", {"pay": (4, 0, 1)}))
    await store.beat("n1", b"")

    ttl = [await ask("ttl", "TTL", key) for key in (keys.ticks, keys.node("n1"))]
    buckets = sorted(await ask("keys", "KEYS", "fs:{ttl}:obs:1:slo:*"))
    lives = [await ask("ttl", "TTL", bucket) for bucket in buckets]
    await store.aclose()

    assert 115 <= ttl[0] <= 120
    assert 14 <= ttl[1] <= 15
    widths = {b"10", b"60", b"900", b"21600"}
    assert {bucket.split(b":")[6] for bucket in buckets} == widths
    assert all(life == pytest.approx(31 * 86_400, abs=5) for life in lives)


async def test_a_silent_node_is_told_with_when_it_was_seen() -> None:
    clock = ManualClock()
    store = MemoryStore("test", now=clock)
    await store.beat("n1", b"one")
    seen_ms = int(clock() * 1000)
    clock.advance(16)
    await store.beat("n2", b"two")

    seen = await store.read(ticks_after="", flights_after="")

    assert (dict(seen.nodes), dict(seen.silent)) == ({"n2": b"two"}, {"n1": seen_ms})


async def test_a_silent_node_is_told_by_redis_too(redis_url: str) -> None:
    store = RedisStore(redis_url, "test")
    await store.beat("n1", b"one")
    await store.server.ask("expiring", "DEL", store.keys.node("n1"))

    seen = await store.read(ticks_after="", flights_after="")
    await store.aclose()

    assert (list(seen.nodes), list(seen.silent)) == ([], ["n1"])


async def test_what_other_hands_wrote_does_not_stop_a_reader(redis_url: str) -> None:
    store = RedisStore(redis_url, "test")
    ask, keys = store.server.ask, store.keys
    await ask("meddling", "HSET", keys.kinds["kill"], b"\xff", b"what")
    await ask("meddling", "HSET", keys.meta, "rev", "many", "n:\u00fc", "x")
    await ask("meddling", "XADD", keys.log, "*", "rev", "x", "name", b"\xff")

    held, log = await store.load(), await store.log()
    await store.aclose()

    assert (held.rev, list(held.records)) == (0, [("kill", "\ufffd")])
    assert [(entry.rev, entry.name) for entry in log] == [(0, "\ufffd")]
