"""What a runtime keeps of third parties: notes in the store, events told once."""

from __future__ import annotations

import asyncio
import json
import logging
from collections.abc import Iterable, Mapping
from dataclasses import replace
from typing import Any

import pytest

from failsoft.errors import StoreUnavailable
from failsoft.outbound._announced import Said, read_note
from failsoft.outbound._flush import PeerReporter
from failsoft.settings import ContractSettings, Settings
from failsoft.shapes.findings import Finding
from failsoft.shapes.graph import Schemas
from failsoft.store.memory import MemoryStore
from failsoft.tolerance._enums import EnumNames

pytestmark = pytest.mark.anyio
DAY_S = 86_400
ENDS = Said(is_deprecated=True, sunset_at=100 * DAY_S, version="v1")
PLACE = ("stripe", "GET /v1/charges/{id}")


class Tallies:
    """A ledger that only counts."""

    def __init__(self) -> None:
        self.words: list[str] = []
        self.added: list[tuple[str, str, str, tuple[Finding, ...]]] = []

    def add(
        self, route: str, direction: str, dependency: str, findings: Iterable[Finding]
    ) -> None:
        self.added.append((route, direction, dependency, tuple(findings)))

    def tally(self, word: str) -> None:
        self.words.append(word)


class Node:
    """One node of a fleet that shares a store and a clock."""

    def __init__(self, clock: list[float], settings: Settings | None = None) -> None:
        self.ledger = Tallies()
        self.faults: list[str] = []
        self.peers = PeerReporter(
            settings or Settings(),
            self.ledger,
            lambda: clock[0] * 1000,
            lambda what, error: self.faults.append(what),
            EnumNames,
        )


@pytest.fixture
def told(caplog: pytest.LogCaptureFixture) -> Any:
    caplog.set_level(logging.INFO, "failsoft.dependency")

    def events() -> list[str]:
        found = [json.loads(record.getMessage()) for record in caplog.records]
        caplog.clear()
        return [f"{event['event']}: {event['text']}" for event in found]

    return events


async def test_two_nodes_keep_one_note_and_tell_each_event_once(told: Any) -> None:
    clock = [10.0 * DAY_S]
    store = MemoryStore("test", lambda: clock[0])
    nodes = [Node(clock), Node(clock)]

    for node in nodes:
        node.peers.note(*PLACE, ENDS)
        await node.peers.flush(store)
    assert told() == ["dependency.deprecated: is announced as deprecated"]

    for days_left, text in ((29.5, "29.5"), (29, ""), (6.5, "6.5"), (0.5, "0.5")):
        clock[0] = (100 - days_left) * DAY_S
        for node in nodes:
            node.peers.note(*PLACE, ENDS)
            await node.peers.flush(store)
        wanted = [f"dependency.sunset: ends in {text} days"] if text else []
        assert told() == wanted

    (blob,) = (await store.peer_notes()).values()
    note = read_note(blob)
    assert note is not None
    assert (note.first_ms, note.last_ms) == (10 * DAY_S * 1000, int(clock[0] * 1000))


async def test_another_version_is_told_by_whoever_meets_it_first(told: Any) -> None:
    clock = [0.0]
    store = MemoryStore("test", lambda: clock[0])
    first, second = Node(clock), Node(clock)
    for node in (first, second):
        node.peers.note(*PLACE, Said(version="v1"))
        await node.peers.flush(store)

    for node in (first, second):
        node.peers.note(*PLACE, Said(version="v2"))
        await node.peers.flush(store)

    assert told() == ["dependency.version: answers as version v2, before v1"]


async def test_what_says_nothing_new_is_written_once_a_minute() -> None:
    clock = [0.0]
    store = MemoryStore("test", lambda: clock[0])
    node = Node(clock)
    node.peers.note(*PLACE, ENDS)
    await node.peers.flush(store)
    before = await store.peer_notes()

    clock[0] = 59.0
    node.peers.note(*PLACE, ENDS)
    await node.peers.flush(store)
    assert await store.peer_notes() == before

    clock[0] = 60.0
    node.peers.note(*PLACE, ENDS)
    await node.peers.flush(store)
    assert await store.peer_notes() != before


async def test_what_is_said_during_a_write_is_written_with_the_next() -> None:
    clock = [0.0]
    node = Node(clock)

    class Slow(MemoryStore):
        async def peer_notes_add(self, notes: Mapping[str, bytes]) -> None:
            await super().peer_notes_add(notes)
            node.peers.note(*PLACE, Said(version="v2"))

    store = Slow("test", lambda: clock[0])
    node.peers.note(*PLACE, Said(version="v1"))
    await node.peers.flush(store)
    await node.peers.flush(store)

    (blob,) = (await store.peer_notes()).values()
    note = read_note(blob)
    assert note is not None
    assert (note.version, note.was) == ("v2", "v1")


async def test_notes_wait_for_a_store_that_is_away() -> None:
    class Away(MemoryStore):
        async def peer_notes(self, ids: Any = ()) -> Any:
            raise ConnectionError

    node = Node([0.0])
    node.peers.note(*PLACE, ENDS)

    with pytest.raises(ConnectionError):
        await node.peers.flush(Away("test"))

    store = MemoryStore("test")
    await node.peers.flush(store)
    assert len(await store.peer_notes()) == 1


def test_notes_of_a_process_are_bounded() -> None:
    node = Node([0.0])

    for at in range(501):
        node.peers.note("x", f"GET /{at}", ENDS)

    assert node.ledger.words == ["skipped:announced"]


def test_walks_are_limited_by_operation_and_process() -> None:
    limits = ContractSettings(walks_per_s=3, route_walks_per_s=2)
    node = Node([0.0], replace(Settings(), contracts=limits))
    asked = ["a", "a", "a", "b", "b", "c"]

    allowed = [node.peers.may_walk(operation) for operation in asked]

    assert allowed[:2] == [True, True]
    assert sum(allowed) in (3, 4, 5)  # a second may begin meanwhile


def test_findings_are_counted_as_answers_of_the_dependency() -> None:
    node = Node([0.0])
    finding = Finding("/a", "type", "string", "int")

    node.peers.found("stripe", "GET /a", [finding])

    assert node.ledger.added == [("GET /a", "response", "stripe", (finding,))]


def test_members_of_enums_are_named_by_operation_and_bounded() -> None:
    node = Node([0.0])
    schema = Schemas({}).node({"properties": {"state": {"enum": ["paid"]}}})
    finding = Finding("/state", "enum", "string", "str")

    found = [
        node.peers.with_members(
            ("x", f"GET /{at}"), schema, b'{"state": "due"}', (finding,)
        )
        for at in range(501)
    ]

    assert found[0] == (replace(finding, got="str=due"),)
    assert found[500] == (finding,)


@pytest.mark.parametrize("is_away", [False, True])
async def test_a_node_that_stops_writes_its_last_notes(is_away: bool) -> None:
    class Store(MemoryStore):
        async def peer_notes(self, ids: Any = ()) -> Any:
            if is_away:
                raise StoreUnavailable("away")
            return await super().peer_notes(ids)

    node, store = Node([0.0]), Store("test")
    node.peers.note(*PLACE, ENDS)
    running = asyncio.ensure_future(node.peers.run(store))
    await asyncio.sleep(0)

    running.cancel()
    with pytest.raises(asyncio.CancelledError):
        await running

    held = await MemoryStore.peer_notes(store)
    assert (len(held), node.faults) == (0 if is_away else 1, [])
