"""A node without a set of its own among peers that know better."""

from __future__ import annotations

import asyncio

import msgspec
import pytest

from failsoft.controls.held import Held
from failsoft.controls.offers import Offers, encode_offer
from failsoft.controls.records import Record
from failsoft.controls.rewind import Peer
from failsoft.controls.watcher import Watcher
from failsoft.errors import StoreUnavailable
from failsoft.store.memory import MemoryStore
from failsoft.store.protocols import Survey

pytestmark = pytest.mark.anyio


class Shaky(MemoryStore):
    """Does not answer surveys while it is `away`."""

    away = False

    async def survey(self, last_id: str) -> Survey:
        if self.away:
            raise StoreUnavailable("no answer", where="a test")
        return await super().survey(last_id)


async def test_an_offer_is_taken_although_the_store_went_away_just_then() -> None:
    good = Held(7, "e1", "5-1")
    good.put(Record("kill", "route:POST /pay", 7, 1, 0, b"{}"))
    store = Shaky("test")
    peer = msgspec.structs.asdict(Peer("rewound", good.digest))
    await store.beat("peer", msgspec.msgpack.encode(peer))
    await store.offer(good.digest, encode_offer(good, "test"))
    watcher = Watcher(
        store, node_id="new", heartbeat=lambda: b"", on_change=lambda _: None
    )
    watcher.start()
    assert await watcher.first_sync(5)
    offers = Offers(store, watcher)

    store.away = True
    with pytest.raises(StoreUnavailable):
        await offers.step(1.0)
    store.away = False
    async with asyncio.timeout(5):
        while watcher.current.state != "rewound":
            await offers.step(2.0)

    await watcher.stop()
    assert list(watcher.current.records) == [("kill", "route:POST /pay")]
