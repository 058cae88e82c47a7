"""One node among its fleet: who leads, what duties see, what they may write."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import replace
from typing import Any

import msgspec
import pytest

from failsoft import clock
from failsoft.controls.clock import StoreClock
from failsoft.controls.lead import FleetFacts, Lead, Proposal, Write
from failsoft.controls.records import (
    BreakerDoc,
    KillDoc,
    ModeDoc,
    encode_doc,
    parse_record,
)
from failsoft.controls.watcher import ControlState, NodeState
from failsoft.errors import (
    BreakerOpen,
    StoreConflict,
    StoreRefused,
    StoreUnavailable,
)
from failsoft.fleet import AUTOMATION, Fleet, Member
from failsoft.outbound._quota import Announced
from failsoft.outbound._stage import Dependencies
from failsoft.settings import DependencySettings
from failsoft.store.fleet import FleetBeat, FleetSay, NodeRow, QuotaSum, decode_quotas
from failsoft.store.memory import MemoryStore
from failsoft.store.protocols import Answer, Call, Change

pytestmark = pytest.mark.anyio

BROKEN = BreakerDoc("", "", "open", via="auto", since_ms=5)


class Asking:
    """A duty that does what it is told, at each look."""

    is_urgent = True

    def __init__(self) -> None:
        self.facts: list[FleetFacts] = []
        self.wants: tuple[Any, ...] | None = None
        self.write: Write | None = None

    async def each_second(self, facts: FleetFacts, lead: Lead) -> None:
        self.facts.append(facts)
        if self.wants is not None:
            self.write = await lead.write(*self.wants)


class Node:
    """A node on a store of this process."""

    def __init__(self, store: Any, name: str = "a", **more: Any) -> None:
        self.store = store
        self.records: dict[tuple[str, str], bytes] = {}
        self.faults: list[str] = []
        self.asking = Asking()
        self.book = Dependencies({})
        self.lag_ms = 0.0
        self.word: NodeState = "live"
        me = Member(
            node=name,
            row=lambda: NodeRow(rev=1),
            book=self.book,
            controls=self.state,
            now_ms=lambda: clock.unix() * 1000,
            lag_ms=lambda: self.lag_ms,
            failed=lambda what, error: self.faults.append(f"{what}: {error}"),
            duties=lambda: [self.asking],
            **more,
        )
        self.fleet = Fleet(store, me)

    def state(self) -> ControlState:
        records = {key: parse_record(*key, raw) for key, raw in self.records.items()}
        return ControlState(1, "e", self.word, records, {}, False, StoreClock(float))

    async def seconds(self, count: int = 3) -> None:
        for _ in range(count):
            await self.fleet.second()
            if (acting := self.fleet.acting) is not None:
                await acting


@pytest.fixture
def store() -> MemoryStore:
    return MemoryStore("shop")


async def test_one_of_two_nodes_acts_and_the_other_follows_when_it_leaves(
    store: MemoryStore,
) -> None:
    a, b = Node(store, "a"), Node(store, "b")

    await a.seconds()
    await b.seconds()
    assert (a.fleet.is_leading, b.fleet.is_leading) == (True, False)
    assert b.asking.facts == []
    await a.seconds(1)
    assert set(a.asking.facts[-1].nodes) == {"a", "b"}

    await store.fleet_leave("a")
    await b.seconds()

    assert (b.fleet.is_leading, b.fleet.term) == (True, 2)
    assert b.asking.facts != []


@pytest.mark.parametrize("how", ["setting", "lag"])
async def test_a_node_that_may_not_or_cannot_lead_leaves_it_to_others(
    store: MemoryStore, how: str
) -> None:
    node = Node(store, may_lead=how != "setting")
    node.lag_ms = 501.0 if how == "lag" else 0.0

    await node.seconds()

    assert not node.fleet.is_leading
    assert (await store.fleet_read()).leader == ""


async def test_a_breaker_that_nobody_calls_is_no_news_for_ever(
    store: MemoryStore,
) -> None:
    node = Node(store)
    gate = node.book.of("pay")
    gate.breaker.trip(clock.monotonic(), "dead")
    assert node.fleet._has_news()

    await node.seconds(1)

    assert not gate.is_active(clock.monotonic())
    assert not node.fleet._has_news()


def test_of_more_dependencies_than_are_told_the_broken_ones_are() -> None:
    node = Node(None)
    now = clock.monotonic()
    declared = {f"d{nth:02}": DependencySettings() for nth in range(80)}
    node.book = Dependencies(declared)
    node.fleet.me = replace(node.fleet.me, book=node.book)
    for gate in node.book.gates():
        gate.used_at = now
    node.book.of("d79").breaker.trip(now, "dead")

    rows = node.fleet._rows(now, 0.0)

    assert (len(rows), rows[0].name, rows[0].vote) == (65, "d79", True)


async def asked(node: Node, *wants: Any) -> Write:
    node.asking.wants = wants
    await node.seconds()
    assert node.asking.write is not None
    return node.asking.write


async def test_automation_writes_with_its_name_and_compares_what_it_saw(
    store: MemoryStore,
) -> None:
    node = Node(store)

    write = await asked(node, "breaker", "pay", BROKEN, 0, "2 of 2")

    raw = (await store.load()).records["breaker", "pay"]
    doc = parse_record("breaker", "pay", raw).doc()
    (entry,) = await store.log()
    # Asked again each second with the same facts: one entry.
    assert (write.outcome, write.is_done) == ("same", True)
    assert (doc.who, doc.why, doc.via) == (AUTOMATION, "2 of 2", "auto")
    assert (entry.who, entry.via) == (AUTOMATION, "a, term 1")


async def test_a_record_that_changed_meanwhile_is_left_alone(
    store: MemoryStore,
) -> None:
    change = Change("breaker", "pay", "put", json=encode_doc(BROKEN))
    await store.apply(Call("op-1", "bob", "first", (change,)))

    write = await asked(Node(store), "breaker", "pay", BROKEN, 0, "2 of 2")

    assert (write.outcome, write.is_done) == ("kept", False)
    assert len(await store.log()) == 1


@pytest.mark.parametrize(
    ("key", "doc"),
    [
        (("breaker", "pay"), BreakerDoc("ana", "x", "closed")),
        (("mode", "calm"), ModeDoc("ana", "x")),
        (("kill", "route:GET /x"), KillDoc("ana", "x")),
    ],
)
@pytest.mark.parametrize("new", [BROKEN, None])
async def test_automation_never_touches_what_an_operator_wrote(
    store: MemoryStore, key: tuple[str, str], doc: msgspec.Struct, new: Any
) -> None:
    node = Node(store)
    node.records[key] = b"4 5 0 " + encode_doc(doc)

    assert (await asked(node, *key, new, 0, "x")).outcome == "kept"
    assert await store.log() == []


async def test_a_broken_record_counts_as_an_operators(store: MemoryStore) -> None:
    node = Node(store)
    node.records["breaker", "pay"] = b"4 5 0 {"

    assert (await asked(node, "breaker", "pay", None, 0, "x")).outcome == "kept"


async def test_deleting_what_is_not_there_is_done_already(store: MemoryStore) -> None:
    assert (await asked(Node(store), "mode", "calm", None, 0, "x")).is_done


class Refusing(MemoryStore):
    """A store that lets nobody write controls."""

    error: Exception = StoreRefused("no right")

    async def apply(self, call: Call) -> Answer:
        raise self.error


async def test_without_the_right_to_write_it_leaves_one_proposal() -> None:
    store = Refusing("shop")
    until_ms = int(clock.unix() * 1000) + 60_000

    write = await asked(Node(store), "breaker", "pay", BROKEN, until_ms, "2 of 2")

    found = (await store.proposals())["breaker:pay"]
    said = msgspec.json.decode(found.json, type=Proposal)
    assert (write.outcome, write.is_done) == ("proposed", False)
    assert (said.kind, said.name, said.why, said.node) == (
        *("breaker", "pay", "2 of 2"),
        "a",
    )
    assert 50 < said.ttl_s <= 60
    assert msgspec.json.decode(said.doc, type=BreakerDoc).state == "open"


async def test_what_is_wanted_second_by_second_is_proposed_once(
    caplog: pytest.LogCaptureFixture,
) -> None:
    node = Node(Refusing("shop"))
    for second in range(5):
        doc = ModeDoc("", "", via="auto", since_ms=1000 + second, trigger=f"{second} %")
        await asked(node, "mode", "calm", doc, 60_000, f"burns {second} %")

    told = [one for one in caplog.messages if "should be set by an operator" in one]
    assert len(told) == 1

    await asked(node, "mode", "calm", ModeDoc("", "", via="auto", share=0.5), 0, "x")
    told = [one for one in caplog.messages if "should be set by an operator" in one]
    assert len(told) == 2


async def test_a_write_without_an_answer_is_tried_again() -> None:
    store = Refusing("shop")
    store.error = StoreUnavailable("away")

    assert (await asked(Node(store), "mode", "calm", ModeDoc("", ""), 0, "x")) == (
        Write("lost")
    )


async def test_a_conflict_names_the_newer_revision() -> None:
    store = Refusing("shop")
    store.error = StoreConflict("breaker/pay", current=b"", revision=9, expected=0)

    write = await asked(Node(store), "breaker", "pay", BROKEN, 0, "x")

    assert write == Write("kept", 9)


async def test_who_lost_the_lease_writes_nothing(store: MemoryStore) -> None:
    node = Node(store)
    await node.seconds()
    node.asking.wants = ("breaker", "pay", BROKEN, 0, "x")
    await node.fleet.second()
    node.fleet.leads_until = 0.0  # its process stood still

    assert node.fleet.acting is not None
    await node.fleet.acting

    assert node.asking.write == Write("lost")
    assert await store.log() == []


async def test_a_duty_that_fails_is_told_and_asked_again(store: MemoryStore) -> None:
    node = Node(store)

    async def fail(facts: FleetFacts, lead: Lead) -> None:
        raise ValueError("of ours")

    node.asking.each_second = fail  # type: ignore[method-assign]
    await node.seconds()

    assert node.faults == ["duty Asking: of ours"] * 2


async def test_rows_of_nodes_that_are_gone_are_taken_away(store: MemoryStore) -> None:
    node = Node(store)
    await store.fleet_beat("unreadable", FleetSay(b"\xff", leads=False))

    await node.seconds()

    assert set((await store.fleet_read()).rows) == {"a"}


async def test_the_leader_merges_quotas_for_all(store: MemoryStore) -> None:
    leader, other = Node(store, "a"), Node(store, "b")
    gate = other.book.of("pay")
    told: list[Mapping[str, Any]] = []
    other.book.take_quotas = told.append  # type: ignore[method-assign, assignment]
    now = clock.monotonic()
    gate.admit(now)
    gate.announced(0, Announced(100, 40, 60.0), "ok", now)

    await other.fleet.second()
    await leader.seconds()
    await other.seconds()
    beat: FleetBeat = await store.fleet_beat("c", FleetSay(b"", leads=False))

    (known,) = decode_quotas(beat.quotas)
    assert isinstance(known, QuotaSum)
    assert (known.name, known.limit, known.remaining) == ("pay", 100, 40)
    assert told != []


class Away(MemoryStore):
    """A store that answers the fleet only once it is back."""

    is_back = False

    def __init__(self) -> None:
        super().__init__("shop")
        self.asked = asyncio.Event()

    async def fleet_beat(self, node: str, say: FleetSay) -> FleetBeat:
        self.asked.set()
        if not self.is_back:
            raise StoreUnavailable("away")
        return await super().fleet_beat(node, say)


@pytest.mark.parametrize("is_back", [False, True])
async def test_a_node_without_the_store_probes_alone_until_it_is_back(
    is_back: bool,
) -> None:
    store = Away()
    store.is_back = is_back
    node = Node(store)
    gate = node.book.of("pay")
    gate.is_alone = is_back

    running = asyncio.create_task(node.fleet.run())
    await store.asked.wait()
    for _ in range(5):
        await asyncio.sleep(0)
    running.cancel()
    with suppress(asyncio.CancelledError):
        await running

    assert gate.is_alone is not is_back
    assert not node.fleet.is_leading
    assert (await store.fleet_read()).rows == {}  # it left


async def test_a_node_whose_controls_nobody_can_lift_probes_alone(
    store: MemoryStore,
) -> None:
    node = Node(store)
    node.word = "rewound"
    gate = node.book.of("pay")

    running = asyncio.create_task(node.fleet.run())
    for _ in range(5):
        await asyncio.sleep(0)
    running.cancel()
    with suppress(asyncio.CancelledError):
        await running

    assert gate.is_alone


async def test_permits_of_the_fleet_reach_the_calls_that_wait(
    store: MemoryStore,
) -> None:
    node = Node(store)
    since_ms = int(clock.unix() * 1000) - 6_500  # the first probe is due
    opened = msgspec.structs.replace(BROKEN, since_ms=since_ms)
    raw = b"4 %d 0 " % since_ms + encode_doc(opened)
    node.records["breaker", "pay"] = raw
    gate = node.book.of("pay")
    node.book.take([parse_record("breaker", "pay", raw)])

    steps = []
    for calls in (1, 3, 10):
        with pytest.raises(BreakerOpen):
            gate.admit(clock.monotonic())
        await node.fleet.second()
        now = clock.monotonic()
        permits = [gate.admit(now) for _ in range(calls)]
        with pytest.raises(BreakerOpen):
            gate.admit(now)
        for permit in permits:
            gate.settle(permit, "ok", 0.01, now)
        steps.append(node.fleet.has_passed("pay"))
    await node.fleet.second()

    assert steps == [False, False, False]
    assert node.fleet.has_passed("pay")
