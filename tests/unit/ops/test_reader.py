"""The reader lives through the loss of its store, and says what it knows."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterable, Sequence

import pytest

from failsoft.errors import Stale, StoreError, StoreRefused, StoreUnavailable
from failsoft.ops.command import Kill
from failsoft.ops.connect import open_session
from failsoft.ops.reader import Reader
from failsoft.ops.session import Session
from failsoft.ops.sources.ledgers import Section
from failsoft.ops.sources.source import Batch
from failsoft.ops.sources.store import StoreSource
from failsoft.ops.stale import link_word
from failsoft.ops.views import FleetView, Identity, Link
from failsoft.store.memory import MemoryStore
from failsoft.store.protocols import Entry, Observed
from unit.ops.fake_node import FakeNode

pytestmark = pytest.mark.anyio

ANA = Identity("ana", True, "ana@desk")


class LosableStore(MemoryStore):
    """A memory store that can be made to answer with an error."""

    fault: StoreError | None = None
    deaf = False  # the push channel brings nothing

    async def read(self, *, ticks_after: str, flights_after: str) -> Observed:
        if self.fault is not None:
            raise self.fault
        return await super().read(ticks_after=ticks_after, flights_after=flights_after)

    async def wait(self, last_id: str, block_s: float) -> Sequence[Entry]:
        if self.fault is not None:
            raise self.fault
        after = "999999999999999-0" if self.deaf else last_id
        return await super().wait(after, min(block_s, 0.02))


@pytest.fixture
async def store() -> LosableStore:
    store = LosableStore("shop")
    node = FakeNode(store)
    await node.declare()
    await node.beat()
    await node.tick()
    return store


@pytest.fixture
async def reader(store: LosableStore) -> AsyncIterator[Reader]:
    reader = Reader(StoreSource(store, "memory", period_s=0.01, rand=lambda: 0.5))
    reader.start()
    yield reader
    await reader.aclose()


async def until(reader: Reader, state: str, *, after: int = -1) -> FleetView:
    async with asyncio.timeout(5):
        async for view in reader.watch():
            if view.link.state == state and view.seq > after and view.received:
                return view
    raise AssertionError("the reader ended")


async def test_rows_of_nodes_are_read_when_they_are_asked_for(
    store: LosableStore,
) -> None:
    reader = Reader(StoreSource(store, "memory", period_s=60.0))
    reader.start()
    try:
        before = await until(reader, "up")

        reader.want(("dependencies",))
        async with asyncio.timeout(5):
            async for view in reader.watch():
                if view.dependencies is not None:
                    break
    finally:
        await reader.aclose()

    assert before.dependencies is None


async def test_a_lost_store_keeps_the_last_view_and_its_age(
    store: LosableStore, reader: Reader
) -> None:
    up = await until(reader, "up")

    store.fault = StoreUnavailable("no answer: timed out")
    down = await until(reader, "down", after=up.seq)

    assert down.routes
    assert down.received >= up.received
    assert down.link.cause == "no answer: timed out"
    assert link_word(down, down.received + 12) == ("STALE", "STALE 12s")


async def test_the_age_does_not_move_while_the_store_is_lost(
    store: LosableStore, reader: Reader
) -> None:
    await until(reader, "up")
    store.fault = StoreUnavailable("no answer")
    first = await until(reader, "down")

    later = await until(reader, "down", after=first.seq)

    assert later.received == first.received
    assert later.link.since == first.link.since
    assert later.link.tries > first.link.tries


async def test_the_reader_recovers_by_itself(
    store: LosableStore, reader: Reader
) -> None:
    await until(reader, "up")
    store.fault = StoreUnavailable("no answer")
    down = await until(reader, "down")

    store.fault = None
    back = await until(reader, "up", after=down.seq)

    assert back.received > down.received


async def test_a_refused_login_is_not_tried_again(
    store: LosableStore, reader: Reader
) -> None:
    await until(reader, "up")

    store.fault = StoreRefused("refused the user or password: reading")
    refused = await until(reader, "auth")
    store.fault = None
    await asyncio.sleep(0)

    assert refused.link.tries == 1
    assert reader.view.link.state == "auth"


async def test_writes_are_refused_while_stale_never_queued(
    store: LosableStore, reader: Reader
) -> None:
    session = Session(store, reader, ANA, "operator", needs_arming=False)
    await until(reader, "up")
    store.fault = StoreUnavailable("no answer")
    await until(reader, "down")

    with pytest.raises(Stale, match="writes are refused, never queued"):
        await session.apply(Kill("route:POST /checkout"), reason="INC-1")

    assert (await store.load()).rev == 0


async def test_controls_are_read_again_when_the_push_brings_nothing(
    store: LosableStore,
) -> None:
    store.deaf = True
    session = await open_session(store, identity=ANA, needs_arming=False)
    await session.ready()
    await session.apply(Kill("route:POST /checkout"), reason="INC-1", confirm="shop")

    async with asyncio.timeout(5):
        async for view in session.watch():
            if view.totals.controls_active:
                break

    assert session.view().controls[0].now == "KILLED"
    await session.aclose()


async def test_a_store_that_is_away_at_the_start_is_told_on_connecting() -> None:
    class Away(MemoryStore):
        async def identify(self) -> tuple[str, str]:
            raise StoreUnavailable("no answer", where="Redis at redis://h")

    with pytest.raises(StoreUnavailable, match="Redis at redis://h"):
        await open_session(Away("shop"))


class BrokenSource:
    """Faults once in a way nobody foresaw, then works."""

    live = True

    def __init__(self) -> None:
        self.calls = 0

    async def batches(self) -> AsyncIterator[Batch]:
        self.calls += 1
        if self.calls == 1:
            raise ZeroDivisionError
        yield Batch(Link("up"), True, Observed(1, 0, "", "shop"))
        await asyncio.Event().wait()

    def want(self, sections: Iterable[Section]) -> None:
        """Nothing to read."""

    async def aclose(self) -> None:
        """Nothing to release."""


async def test_a_fault_of_ours_starts_the_reader_again() -> None:
    source = BrokenSource()
    reader = Reader(source)
    reader.start()

    view = await until(reader, "up")

    assert (source.calls, view.env) == (2, "shop")
    await reader.aclose()
