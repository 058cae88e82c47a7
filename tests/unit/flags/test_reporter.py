"""Two nodes on one store: who counts, who trips, and that it stays calm."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from typing import Any

import msgspec
import pytest

from failsoft.controls.records import parse_record
from failsoft.errors import StoreRefused, StoreUnavailable
from failsoft.flags import FlagState, compile_flags
from failsoft.flags._arms import GuardArms
from failsoft.flags._flush import FlagReporter
from failsoft.store.flagcounts import Outcomes
from failsoft.store.memory import MemoryStore
from failsoft.store.protocols import Answer, Call, Change
from failsoft.testing import ManualClock

pytestmark = pytest.mark.anyio

GUARD = {"x.guard.control": "off"}


class Fleet:
    """Two nodes' guards and reporters, driven by hand at ten seconds a round."""

    def __init__(self, store: MemoryStore, clock: ManualClock) -> None:
        self.store, self.clock = store, clock
        self.guards = [GuardArms(), GuardArms()]
        self.reporters = [
            FlagReporter(store, guard, f"node-{at}")
            for at, guard in enumerate(self.guards)
        ]
        self.state = FlagState()
        self._ids = iter(range(1000))

    async def write(self, change: Change) -> None:
        await self.store.apply(Call(f"op{next(self._ids)}", "ana", "test", (change,)))
        await self.sync()

    async def define(self, **metadata: Any) -> None:
        doc = {
            "state": "ENABLED",
            "variants": {"on": True, "off": False},
            "targeting": {"fractional": [["on", 50], ["off", 50]]},
            "metadata": GUARD | metadata,
        }
        json = msgspec.json.encode(doc)
        await self.write(Change("flag", "price", "put", json=json))

    async def sync(self) -> None:
        held = await self.store.load()
        records = {key: parse_record(*key, raw) for key, raw in held.records.items()}
        state = compile_flags(held.rev, records, {}, (), self.state)
        for guard in self.guards:
            guard.look(self.state, state)
        self.state = state

    def serve(self, variant: str, n: int, bad: int) -> None:
        """Let each node answer `n` requests that saw the variant."""
        for guard in self.guards:
            for at in range(n):
                status = 500 if at < bad else 200
                guard.settle({"price": variant}, self.state, status, 1000)

    async def round(self) -> None:
        """Pass ten seconds; all nodes report, then hear of what was written."""
        self.clock.advance(10)
        for reporter in self.reporters:
            await reporter.report(self.state, int(self.clock() * 1000))
        await self.sync()

    async def kills(self) -> list[Any]:
        log = await self.store.log()
        return [entry for entry in log if entry.kind == "kill" and entry.op == "put"]


@pytest.fixture
def clock() -> ManualClock:
    return ManualClock()


@pytest.fixture
async def fleet(clock: ManualClock) -> Fleet:
    fleet = Fleet(MemoryStore("test", now=clock), clock)
    await fleet.define()
    return fleet


async def bad_round(fleet: Fleet) -> None:
    fleet.serve("on", 60, bad=18)
    fleet.serve("off", 60, bad=1)
    await fleet.round()


async def test_a_variant_at_thirty_percent_is_killed_once_by_all_nodes_together(
    fleet: Fleet, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)

    await bad_round(fleet)

    (entry,) = await fleet.kills()
    record = parse_record("kill", "flag:price", entry.value)
    assert (entry.name, entry.who, record.until_ms) == ("flag:price", "guard", 0)
    assert entry.why == (
        "on: 36 of 120 bad (30.0%), off: 2 of 120 bad (1.7%), z 6.0 in 60 s"
    )
    assert record.doc().variant == "off"
    (alert,) = (r.getMessage() for r in caplog.records if r.name == "failsoft")
    assert "flag price is killed, all get off: on: 36 of 120 bad" in alert


async def test_neither_node_alone_has_enough_requests(fleet: Fleet) -> None:
    """120 of each are the fleet's; a node sees 60."""
    fleet.reporters.pop()
    fleet.guards.pop()
    await bad_round(fleet)

    assert await fleet.kills() == []


async def test_equal_rates_in_both_arms_are_nobodys_fault(fleet: Fleet) -> None:
    for _ in range(10):
        fleet.serve("on", 60, bad=18)
        fleet.serve("off", 60, bad=18)
        await fleet.round()

    assert await fleet.kills() == []


async def test_what_lies_before_the_window_is_not_judged(fleet: Fleet) -> None:
    fleet.serve("on", 49, bad=49)
    await fleet.round()
    for _ in range(6):
        fleet.serve("off", 1, bad=0)
        await fleet.round()
    fleet.serve("on", 60, bad=0)
    fleet.serve("off", 60, bad=0)
    await fleet.round()

    assert await fleet.kills() == []


async def test_after_a_person_clears_it_a_full_fresh_window_is_needed(
    fleet: Fleet, clock: ManualClock
) -> None:
    await bad_round(fleet)
    fleet.serve("off", 60, bad=0)  # killed requests do not count
    await fleet.round()

    await fleet.write(Change("kill", "flag:price", "del"))
    cleared_at, rounds = clock(), 0
    while len(await fleet.kills()) == 1 and rounds < 20:
        await bad_round(fleet)
        rounds += 1

    assert len(await fleet.kills()) == 2
    assert 60 <= clock() - cleared_at <= 80


async def test_cleared_and_healthy_again_it_stays_so(fleet: Fleet) -> None:
    await bad_round(fleet)
    await fleet.write(Change("kill", "flag:price", "del"))

    for _ in range(12):
        fleet.serve("on", 60, bad=1)
        fleet.serve("off", 60, bad=1)
        await fleet.round()

    assert len(await fleet.kills()) == 1


async def test_a_kill_and_its_end_between_two_rounds_begin_a_fresh_window(
    fleet: Fleet,
) -> None:
    fleet.serve("on", 60, bad=18)
    fleet.serve("off", 60, bad=1)
    await fleet.write(Change("kill", "flag:pr*", "put", json=b'{"who":"a","why":"b"}'))
    await fleet.write(Change("kill", "flag:pr*", "del"))

    await fleet.round()

    assert [entry.name for entry in await fleet.kills()] == ["flag:pr*"]


class Away(MemoryStore):
    """Takes no counts while it is away."""

    is_away = False

    async def add_evaluations(self, counts: Mapping[str, Mapping[str, int]]) -> None:
        self._reach()
        await super().add_evaluations(counts)

    async def add_outcomes(self, outcomes: Outcomes) -> None:
        self._reach()
        await super().add_outcomes(outcomes)

    def _reach(self) -> None:
        if self.is_away:
            raise StoreUnavailable("is away")


@pytest.fixture
async def away(clock: ManualClock) -> Fleet:
    fleet = Fleet(Away("test", now=clock), clock)
    await fleet.define()
    return fleet


async def unheard_round(fleet: Fleet) -> None:
    """Pass ten seconds in which nothing reaches the store."""
    assert isinstance(fleet.store, Away)
    fleet.store.is_away = True
    fleet.clock.advance(10)
    for reporter in fleet.reporters:
        reporter.exposures.add({"price": {"on": 1}})
        with pytest.raises(StoreUnavailable):
            await reporter.report(fleet.state, int(fleet.clock() * 1000))
    fleet.store.is_away = False


async def test_what_happened_while_the_store_was_away_is_not_judged_later(
    away: Fleet,
) -> None:
    away.serve("on", 60, bad=60)
    away.serve("off", 60, bad=0)
    await unheard_round(away)

    away.serve("on", 60, bad=0)
    await away.round()

    assert await away.kills() == []


async def test_a_kill_that_ended_while_the_store_was_away_begins_a_fresh_window(
    away: Fleet,
) -> None:
    away.serve("on", 45, bad=45)  # of both nodes 90: too few
    await away.round()
    await away.write(Change("kill", "flag:pr*", "put", json=b'{"who":"a","why":"b"}'))
    await away.write(Change("kill", "flag:pr*", "del"))
    await unheard_round(away)

    await bad_round(away)

    assert [entry.name for entry in await away.kills()] == ["flag:pr*"]


async def test_an_end_is_set_where_the_guard_says_so(fleet: Fleet) -> None:
    await fleet.define(**{"x.guard.ttl": 600})

    await bad_round(fleet)

    (entry,) = await fleet.kills()
    record = parse_record("kill", "flag:price", entry.value)
    assert record.until_ms - record.at_ms == 600_000


async def test_slow_answers_are_bad_where_the_guard_says_so(fleet: Fleet) -> None:
    await fleet.define(**{"x.guard.slow_ms": 250})
    for guard in fleet.guards:
        for variant, duration_us in (("on", 250_001), ("off", 250_000)):
            for _ in range(60):
                guard.settle({"price": variant}, fleet.state, 200, duration_us)

    await fleet.round()

    (entry,) = await fleet.kills()
    assert entry.why.startswith("on: 120 of 120 bad (100.0%), off: 0 of 120 bad")


async def test_the_coded_default_and_clients_that_left_are_of_no_arm(
    fleet: Fleet,
) -> None:
    fleet.serve("(default)", 500, bad=500)
    for _ in range(500):
        fleet.guards[0].settle({"price": "on"}, fleet.state, 499, 1000)

    await fleet.round()

    assert await fleet.kills() == []
    assert await fleet.store.guarded() == {}


async def test_a_flag_without_a_guard_costs_the_store_nothing(fleet: Fleet) -> None:
    fleet.guards[0].settle({"other": "on"}, fleet.state, 500, 1000)

    assert fleet.guards[0].take(fleet.state) == ({}, {}, set())


class NoRight(MemoryStore):
    """Writes no controls for the guard, as Redis does for role `app`."""

    async def apply(self, call: Call) -> Answer:
        if call.actor == "guard":
            raise StoreRefused("this user lacks the right", where="Redis at x")
        return await super().apply(call)


async def test_without_the_right_it_proposes_and_alerts_once_a_window(
    clock: ManualClock, caplog: pytest.LogCaptureFixture
) -> None:
    fleet = Fleet(NoRight("test", now=clock), clock)
    await fleet.define()

    for _ in range(3):
        await bad_round(fleet)

    assert await fleet.kills() == []
    (proposed,) = (await fleet.store.proposals()).values()
    told = msgspec.json.decode(proposed.json)
    assert (proposed.target, told["variant"]) == ("flag:price", "off")
    assert "bad (30.0%), off: " in told["why"]
    alerts = [m for m in caplog.messages if "failsoft guard apply price" in m]
    assert len(alerts) == 2  # one a node
