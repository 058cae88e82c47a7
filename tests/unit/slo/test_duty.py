"""What the leader does each second, and each node, on a store with its own clock."""

from __future__ import annotations

import json
import logging
from dataclasses import dataclass, field
from typing import Any

import msgspec
import pytest

from failsoft.controls.alarms import Alarms
from failsoft.controls.lead import DependencyFacts, FleetFacts
from failsoft.controls.records import KillDoc, ModeDoc, Record, encode_doc
from failsoft.settings import AlertSettings, SloDefinition
from failsoft.slo._conditions import Seen, fleet_conditions
from failsoft.slo._flush import AlertDuty, AlertWatch, alarms_of
from failsoft.slo._notify import Notifier
from failsoft.store.fleet import NodeRow
from failsoft.store.memory import MemoryStore
from failsoft.store.protocols import TickBatch
from failsoft.testing import ManualClock

pytestmark = pytest.mark.anyio

SLOS = {"pay": SloDefinition(("POST /pay",))}
LEAD: Any = None  # alerts write no controls
NOW_MS = 1_800_000_000_000


@dataclass
class Fleet:
    """A node that reports and leads, once a second."""

    clock: ManualClock = field(default_factory=ManualClock)

    def __post_init__(self) -> None:
        self.store = MemoryStore("test", now=self.clock)
        self.lead()

    def lead(self) -> AlertDuty:
        notifier = Notifier(AlertSettings(), "test", {})
        self.duty = AlertDuty(self.store, lambda: SLOS, notifier)
        return self.duty

    async def go(self, seconds: int, counts: tuple[int, int, int] | None) -> None:
        for _ in range(seconds):
            self.clock.advance(1)
            if counts is not None:
                await self.store.write(TickBatch("n1", None, {"pay": counts}))
            facts = FleetFacts(int(self.clock() * 1000))
            await self.duty.each_second(facts, LEAD)


@pytest.fixture
def told(caplog: pytest.LogCaptureFixture) -> pytest.LogCaptureFixture:
    caplog.set_level(logging.INFO, "failsoft.alerts")
    return caplog


def lines(told: pytest.LogCaptureFixture) -> list[tuple[str, str]]:
    found = [json.loads(record.getMessage()) for record in told.records]
    return [(one["id"], one["state"]) for one in found]


async def test_an_outage_is_told_once_and_ended_once(
    told: pytest.LogCaptureFixture,
) -> None:
    fleet = Fleet()
    await fleet.store.write(TickBatch("n1", None, {"pay": (36_000, 0, 0)}))
    await fleet.go(60, (10, 0, 0))
    await fleet.go(170, (10, 10, 0))
    early = lines(told)
    await fleet.go(10, (10, 10, 0))
    during = lines(told)
    # 5 min until the short window is clean, 5 more at rest.
    await fleet.go(610, (10, 0, 0))

    assert early == []
    assert during == [("slo:pay:fast", "firing")]
    assert lines(told)[1:] == [("slo:pay:fast", "resolved")]


async def test_the_next_leader_neither_forgets_nor_repeats(
    told: pytest.LogCaptureFixture,
) -> None:
    fleet = Fleet()
    await fleet.go(100, (10, 10, 0))
    old = fleet.duty
    fleet.lead()
    await fleet.go(25, (10, 10, 0))
    first = lines(told)
    fleet.duty = old  # it was away, and does not know yet that it leads no more
    await fleet.go(25, (10, 10, 0))
    fleet.lead()
    await fleet.go(25, (10, 10, 0))

    assert first == [("slo:pay:fast", "firing")]
    assert lines(told) == first


async def test_without_reports_nothing_is_resolved(
    told: pytest.LogCaptureFixture,
) -> None:
    fleet = Fleet()
    await fleet.go(130, (10, 10, 0))
    await fleet.go(1_200, None)
    frozen = await fleet.store.alerts()

    assert ("slo:pay:fast", "firing") in lines(told)
    assert {state for _, state in lines(told)} == {"firing"}
    assert json.loads(frozen["slo:pay:fast"])["frozen_ms"] > 0
    assert fleet.duty.burns["pay"].has_data is False


async def test_burns_are_there_within_the_second_for_modes() -> None:
    fleet = Fleet()
    await fleet.go(60, (20, 0, 0))
    await fleet.go(5, (20, 20, 0))
    before = fleet.duty.burns["pay"].is_over
    await fleet.go(3, (20, 20, 0))

    assert (before, fleet.duty.burns["pay"].is_over) == (False, True)


async def test_users_status_knows_what_burns_and_how_old_that_is() -> None:
    fleet = Fleet()
    none = alarms_of(await fleet.store.alerts())
    await fleet.go(20, (10, 10, 0))
    failing = alarms_of(await fleet.store.alerts())
    await fleet.go(110, (10, 10, 0))
    paged = alarms_of(await fleet.store.alerts())

    assert none is None
    assert failing is not None
    assert paged is not None
    (alarm,) = failing.alarms
    assert (alarm.slo, alarm.is_failing, alarm.pages) == ("pay", True, False)
    assert alarm.routes == ("POST /pay",)
    assert paged.alarms[0].pages
    assert fleet.clock() * 1000 - paged.at_ms < 10_000


async def test_each_node_tells_that_redis_is_lost_and_that_it_is_back(
    told: pytest.LogCaptureFixture,
) -> None:
    fleet, age_s = Fleet(), [0.0]
    heard: list[Alarms] = []
    watch = AlertWatch(
        fleet.store,
        Notifier(AlertSettings(), "test", {}),
        lambda: ("stale", age_s[0], False),
        heard.append,
        lambda: fleet.clock() * 1000,
    )
    for age in (10.0, 31.0, 32.0, 0.5):
        age_s[0] = age
        fleet.clock.advance(1)
        await watch.second()

    assert lines(told) == [("redis-lost", "firing"), ("redis-lost", "resolved")]


async def test_nodes_that_see_redis_set_back_tell_it_once(
    told: pytest.LogCaptureFixture,
) -> None:
    fleet, state = Fleet(), ["rewound"]
    nodes = [
        AlertWatch(
            fleet.store,
            Notifier(AlertSettings(), "test", {}),
            lambda: (state[0], 0.0, False),
            lambda _: None,
            lambda: fleet.clock() * 1000,
        )
        for _ in range(3)
    ]
    for state[0] in ("rewound", "rewound", "live"):
        for node in nodes:
            fleet.clock.advance(0.3)
            await node.second()

    assert lines(told) == [("redis-rewound", "firing"), ("redis-rewound", "resolved")]


# --- what else is worth an alert ----------------------------------------------


def record(kind: str, name: str, doc: Any, until_s: float = 0) -> Record:
    until_ms = int(NOW_MS + until_s * 1000) if until_s else 0
    return Record(kind, name, 1, NOW_MS - 3_600_000, until_ms, encode_doc(doc))


def ids(facts: FleetFacts, seen: Seen | None = None) -> dict[str, str]:
    found = fleet_conditions(facts, seen or Seen(), {"calm": 86_400.0, "new": 1.0})
    return {one.id: one.severity for one in found if one.is_true}


def with_records(*records: Record) -> FleetFacts:
    return FleetFacts(NOW_MS, records={(r.kind, r.name): r for r in records})


def test_modes_are_told_by_who_entered_them_and_drills_are_not() -> None:
    doc = ModeDoc("(automation)", "burns", via="auto")
    facts = with_records(
        record("mode", "auto", doc, 200),
        record("mode", "stuck", msgspec.structs.replace(doc, latched=True)),
        record("mode", "hand", ModeDoc("ana", "why"), 500),
        record("mode", "later", ModeDoc("ana", "why"), 5_000),
        record("mode", "drill", ModeDoc("ana", "why", via="drill")),
        record("mode", "kept-off", ModeDoc("ana", "why", want="off")),
        record("mode", "counted", ModeDoc("ana", "why", dry_run=True)),
        Record("mode", "broken", 1, 1, 0, b"{"),
    )

    assert ids(facts) == {
        "mode:auto": "ticket",
        "mode:stuck": "ticket",
        "mode:stuck:latched": "page",
        "mode:hand": "info",
        "mode:hand:ending": "info",
        "mode:later": "info",
    }


def test_what_people_set_is_told_before_it_ends() -> None:
    facts = with_records(
        record("kill", "route:a", KillDoc("ana", "why"), 299),
        record("kill", "route:b", KillDoc("ana", "why"), 301),
        record("kill", "route:c", KillDoc("ana", "why")),
    )

    assert ids(facts) == {"record:kill:route:a": "info"}


def test_dependencies_are_told_when_open_for_a_minute_or_almost_spent() -> None:
    peers = {
        "a": DependencyFacts("a", open_ms=NOW_MS - 61_000, via="auto"),
        "b": DependencyFacts("b", open_ms=NOW_MS - 59_000, via="auto"),
        "c": DependencyFacts("c", quota_left=0.1),
        "d": DependencyFacts("d", quota_left=0.5),
    }

    assert ids(FleetFacts(NOW_MS, dependencies=peers)) == {
        "breaker:a": "ticket",
        "quota:c": "ticket",
    }


def test_nodes_are_told_when_they_differ_fall_silent_or_keep_dying() -> None:
    rows = {"n1": NodeRow(rev=3), "n2": NodeRow(rev=4)}
    start = NOW_MS - 60_000

    def base36(number: int) -> str:
        digits = ""
        while number:
            number, digit = divmod(number, 36)
            digits = "0123456789abcdefghijklmnopqrstuvwxyz"[digit] + digits
        return digits

    dead = {f"h1:{n}:{base36(start + n)}": NOW_MS - 20_000 for n in range(4)}
    old = {f"h2:1:{base36(start)}": NOW_MS - 700_000}
    alive = {f"h3:1:{base36(start)}": NOW_MS - 1_000}

    assert ids(FleetFacts(NOW_MS, nodes=rows), Seen(dead | old | alive)) == {
        "revision": "ticket",
        "node:h1:silent": "ticket",
        "node:h1:restarts": "page",
    }


def test_proposals_and_drills_that_wait_are_told() -> None:
    seen = Seen(proposals={"mode:calm": NOW_MS})
    rested = ModeDoc("", "", want="auto", via="auto", exercised_ms=NOW_MS - 86_500_000)
    facts = with_records(
        record("mode", "calm", rested), record("mode", "other", rested)
    )

    assert ids(facts, seen) == {
        "mode:calm:drill": "ticket",
        "proposal:mode:calm": "ticket",
    }
