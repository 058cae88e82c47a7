"""The steps of a resync, restore, accept and offers, on every store."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence

import pytest

from conftest import AnyStore
from failsoft.controls.held import Held, hold
from failsoft.controls.records import Record
from failsoft.controls.resync import Gap, read_controls
from failsoft.errors import StoreRefused
from failsoft.store.memory import MemoryStore
from failsoft.store.protocols import KINDS, Call, Change, Entry, parse_value
from failsoft.store.redis.store import RedisStore

pytestmark = pytest.mark.anyio

_ids = iter(range(10**9))


def call(*changes: Change, **fields: object) -> Call:
    return Call(f"r-{next(_ids)}", "ana", "a test", changes, **fields)  # type: ignore[arg-type]


def put(name: str, kind: str = "flag", json: bytes = b"{}") -> Change:
    return Change(kind, name, "put", json=json)


async def fill(store: AnyStore, count: int) -> None:
    changes = [put(f"f{n}", json=b"%d" % n) for n in range(count)]
    for at in range(0, count, 1000):
        await store.apply(call(*changes[at : at + 1000]))


async def test_a_survey_says_where_the_history_stands(store: AnyStore) -> None:
    empty = await store.survey("0-0")
    await store.apply(call(put("a"), put("k", "kill")))
    first, *_, last = reversed(await store.log())
    await store.apply(call(Change("flag", "a", "del")))

    seen = await store.survey(last.id)

    assert (empty.rev, empty.epoch, empty.tail, empty.proof) == (0, "", None, None)
    assert (seen.rev, seen.epoch, seen.oldest_rev) == (3, last.epoch, first.rev)
    assert seen.proof == (last.id, 2, last.op_id)
    assert seen.tail is not None
    assert seen.tail.rev == 3
    assert seen.held == {**dict.fromkeys(KINDS, 0), "kill": 1}
    assert {kind: n for kind, n in seen.counted.items() if n} == {"kill": 1}


async def test_flags_come_in_pieces_and_the_rest_at_once(store: AnyStore) -> None:
    await fill(store, 1200)
    await store.apply(call(put("k", "kill"), put("m", "mode")))

    pieces = [piece async for piece in store.flags()]
    small = await store.small_kinds()

    assert max(len(piece) for piece in pieces) < 700
    found = dict(small)
    for piece in pieces:
        found |= piece
    assert found == (await store.load()).records
    assert set(small) == {("kill", "k"), ("mode", "m")}


async def test_a_full_read_among_edits_is_the_store_at_one_revision(
    store: AnyStore,
) -> None:
    await fill(store, 1100)
    ends = asyncio.Event()

    async def edit() -> None:
        n = 0
        while not ends.is_set():
            n += 1
            gone = Change("flag", f"f{n % 1100}", "del")
            change = gone if n % 3 == 0 else put(f"f{n * 7 % 1100}", json=b"%d" % n)
            await store.apply(call(change, put(f"k{n % 9}", "kill", b"%d" % n)))
            await asyncio.sleep(0)

    editing = asyncio.create_task(edit())
    reads = [await read_controls(store, None) for _ in range(3)]
    ends.set()
    await editing

    whole = hold(await store.load())
    for read in reads:
        held = read.held
        while held.rev < whole.rev:
            assert held.fold(await store.after(held.last_id)) == "changed"
        assert held.records == whole.records
        assert held.digest == whole.digest


async def test_a_log_that_was_trimmed_under_a_read_is_a_gap() -> None:
    class Trimmed(MemoryStore):
        async def after(self, last_id: str, count: int = 500) -> Sequence[Entry]:
            await self.apply(call(put("x"), put("y")))
            return (await super().after(last_id, count))[1:]

    store = Trimmed("test")
    await fill(store, 1)

    with pytest.raises(Gap):
        await read_controls(store, None)


async def test_kills_are_told_before_many_flags_are_read() -> None:
    store = MemoryStore("test")
    await fill(store, 600)
    await store.apply(call(put("k", "kill")))
    told: list[Mapping[tuple[str, str], Record]] = []

    read = await read_controls(store, None, told.append)

    assert [list(found) for found in told] == [[("kill", "k")]]
    assert len(read.held.records) == 601


async def test_what_is_restored_has_its_bytes_and_a_higher_revision(
    store: AnyStore,
) -> None:
    await store.apply(call(put("now"), put("same")))
    json = b'{ "a" : [],\r\n "b": 9007199254740993 }'
    ended = Change("kill", "ended", "restore", until="1000", json=b"{}")
    changes = (Change("flag", "now", "restore", if_rev=1, json=json), ended)

    answer = await store.apply(call(*changes, base=500))

    records = (await store.load()).records
    assert parse_value(records["flag", "now"])[::3] == (501, json)
    assert set(records) == {("flag", "now"), ("flag", "same")}
    assert answer.revision == 501
    assert [(e.op, e.name, e.rev) for e in (await store.log())[:1]] == [
        ("restore", "now", 501)
    ]


async def test_accept_goes_on_in_a_new_epoch_that_replaces_the_others(
    store: AnyStore,
) -> None:
    old = (await store.apply(call(put("a")))).epoch

    answer = await store.apply(call(base=40, accept=("e1", "e2")))

    seen = await store.survey("0-0")
    (entry, *_) = await store.log()
    assert (answer.revision, seen.rev, entry.rev) == (41, 41, 41)
    assert seen.epoch == answer.epoch == entry.epoch != old
    assert seen.lineage == ("e1", "e2", old)
    assert (entry.op, entry.kind, entry.who) == ("accept", "store", "ana")
    assert set((await store.load()).records) == {("flag", "a")}


async def test_an_empty_store_can_be_accepted_and_keeps_sixteen_epochs(
    store: AnyStore,
) -> None:
    answers = [await store.apply(call(accept=())) for _ in range(20)]

    seen = await store.survey("0-0")
    assert (seen.rev, seen.epoch) == (20, answers[-1].epoch)
    assert seen.lineage == tuple(answer.epoch for answer in answers[3:19])


async def test_a_call_repeated_is_accepted_once(store: AnyStore) -> None:
    accept = call(accept=())
    first = await store.apply(accept)

    again = await store.apply(accept)

    assert again.duplicate
    assert (again.revision, again.epoch) == (first.revision, first.epoch)


async def test_accept_counts_what_is_there(redis_url: str) -> None:
    store = RedisStore(redis_url, "test")
    await store.apply(call(put("a"), put("k", "kill")))
    await store.server.ask("losing", "DEL", store.keys.kinds["flag"])
    lost = await store.survey("0-0")

    await store.apply(call(accept=()))

    seen = await store.survey("0-0")
    await store.aclose()
    assert (lost.held["flag"], lost.counted["flag"]) == (0, 1)
    assert (seen.held["flag"], seen.counted["flag"]) == (0, 0)


async def test_an_end_that_lies_too_far_is_refused_but_for_a_restore(
    store: AnyStore,
) -> None:
    far = str((await store.survey("0-0")).now_ms + 40 * 86_400_000)

    with pytest.raises(StoreRefused):
        await store.apply(call(Change("kill", "k", "put", until=far, json=b"{}")))
    await store.apply(call(Change("kill", "k", "restore", until=far, json=b"{}")))

    assert set((await store.load()).records) == {("kill", "k")}


async def test_the_first_offer_of_a_digest_stays(store: AnyStore) -> None:
    assert not await store.keep_offer("aa")

    await store.offer("aa", b"first")
    await store.offer("aa", b"second!")
    await store.offer("bb", b"other")

    assert await store.offered("aa") == b"first"
    assert await store.offered("cc") is None
    assert dict(await store.offers()) == {"aa": 5, "bb": 5}
    assert await store.keep_offer("aa")


async def test_peers_are_the_nodes_that_live(store: AnyStore) -> None:
    await store.beat("n1", b"one")
    await store.beat("n2", b"two")
    await store.leave("n1")

    assert dict(await store.peers()) == {"n2": b"two"}


async def test_a_held_set_is_laid_under_what_was_written_since(
    store: AnyStore,
) -> None:
    await store.apply(call(put("a", json=b"1"), put("b", json=b"1")))
    good = hold(await store.load())
    good.put(Record("flag", "lost", 3, 0, 0, b"{}"))
    good.rev = 9
    await store.apply(call(put("a", json=b"2"), Change("flag", "b", "del")))

    read = await read_controls(store, good)

    assert read.why == "at rev 4, rev 9 was known"
    found = {name: r.json for (_, name), r in read.held.records.items()}
    assert found == {"a": b"2", "lost": b"{}"}
    assert isinstance(read.stored, Held)
