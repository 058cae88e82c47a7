"""What the leader writes for modes, on facts that follow what it wrote."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import msgspec
import pytest

from failsoft.controls.burns import Burn
from failsoft.controls.lead import DependencyFacts, FleetFacts, Write
from failsoft.controls.records import ModeDoc, Record
from failsoft.modes._duty import ModeDuty
from failsoft.settings import ModeDefinition, ModeTiming, Shed, Trigger
from failsoft.store.fleet import ModeRow, NodeRow

pytestmark = pytest.mark.anyio

T0 = 1_790_000_000_000
BURN = Trigger("burn", "search")
OPEN = Trigger("breaker", "elastic", for_s=30.0)
STALE = ModeDefinition(
    "Old",
    actions=(("timeout", 0.3), ("no_retries", True)),
    enter=Trigger("any", parts=(BURN, OPEN)),
    timing=ModeTiming(5, 60, 60),
)


def answering() -> ModeDefinition:
    return ModeDefinition(
        "Less", actions=(("shed", Shed(1.0)),), enter=BURN, timing=ModeTiming(5, 60, 60)
    )


class Fleet:
    """Records, rows and a store that takes what the duty writes, or does not."""

    def __init__(self, mode: ModeDefinition = STALE, **records: ModeDoc) -> None:
        self.now_ms, self.rev, self.outcome = T0, 1, "written"
        self.records: dict[tuple[str, str], Record] = {}
        self.rows: tuple[ModeRow, ...] = ()
        self.burn = Burn("search", 0.1, 100.0, has_data=True)
        self.open_ms = 0
        self.whys: list[str] = []
        self.term = 1
        self.mode = mode
        for name, doc in records.items():
            self.put(name, doc, 0)
        self.lead_anew()

    def lead_anew(self) -> None:
        """Another node becomes the leader."""
        said = {"m": self.mode}
        self.duty = ModeDuty(said, lambda: {"search": self.burn}, lambda: 0.5)

    def put(self, name: str, doc: ModeDoc, until_ms: int) -> None:
        self.rev += 1
        json = msgspec.json.encode(doc)
        record = Record("mode", name, self.rev, self.now_ms, until_ms, json)
        self.records["mode", name] = record

    async def write(
        self, kind: str, name: str, doc: Any, until_ms: int, why: str
    ) -> Write:
        if self.outcome == "written":
            self.whys.append(why)
            self.records.pop((kind, name), None)
            if doc is not None:
                self.put(name, doc, until_ms)
        return Write(self.outcome, self.rev)

    async def seconds(self, count: int) -> None:
        for _ in range(count):
            self.now_ms += 1000
            held = self.records.items()
            self.records = {k: r for k, r in held if not r.is_due(self.now_ms)}
            state = "open" if self.open_ms else ""
            elastic = DependencyFacts("elastic", state=state, open_ms=self.open_ms)
            facts = FleetFacts(
                self.now_ms,
                self.rev,
                {"n": NodeRow(modes=self.rows)},
                {"elastic": elastic},
                self.records,
            )
            await self.duty.each_second(facts, self)

    def burns(self, ratio: float) -> None:
        self.burn = Burn("search", 0.1, 100.0, ratio, ratio, has_data=True)

    @property
    def doc(self) -> ModeDoc | None:
        record = self.records.get(("mode", "m"))
        return record.doc() if record is not None else None


async def test_a_burning_budget_enters_a_mode_in_the_same_second() -> None:
    fleet = Fleet()
    fleet.burns(0.6)

    await fleet.seconds(1)

    doc, record = fleet.doc, fleet.records["mode", "m"]
    assert doc is not None
    assert (doc.via, doc.share, record.until_ms) == ("auto", 1.0, T0 + 1_801_000)
    assert fleet.whys == [
        "SLO search burns: 60% in 60 s, 60% in 10 s of its answers fail"
    ]


async def test_a_breaker_enters_it_after_its_own_time_and_the_hold() -> None:
    fleet = Fleet()
    fleet.open_ms = T0

    await fleet.seconds(34)
    before = fleet.doc
    await fleet.seconds(1)

    assert (before, fleet.doc is not None) == (None, True)


async def test_requests_come_back_step_by_step_until_the_record_is_gone() -> None:
    fleet = Fleet()
    fleet.burns(0.6)
    await fleet.seconds(1)
    fleet.burns(0.01)
    fleet.rows = (ModeRow("m", T0 + 1000, touched=1_234),)

    shares = []
    for _ in range(200):
        await fleet.seconds(1)
        shares.append(fleet.doc.share if fleet.doc else None)

    assert list(dict.fromkeys(shares)) == [1.0, 0.9, 0.75, 0.5, 0.0, None]
    assert fleet.whys[-1] == "recovered; 1,234 requests touched"


async def test_half_of_the_burn_is_not_good_enough_to_leave() -> None:
    fleet = Fleet()
    fleet.burns(0.6)
    await fleet.seconds(1)
    fleet.burns(0.06)

    await fleet.seconds(300)

    assert fleet.doc is not None
    assert fleet.doc.step == 0


async def test_no_data_ends_nothing() -> None:
    fleet = Fleet()
    fleet.burns(0.6)
    await fleet.seconds(1)
    fleet.burn = Burn("search", 0.1)

    await fleet.seconds(300)

    assert fleet.doc is not None
    assert fleet.doc.step == 0


async def test_what_answers_itself_is_left_by_probes_of_all_nodes() -> None:
    fleet = Fleet(answering())
    fleet.burns(0.6)
    await fleet.seconds(1)
    fleet.burns(0.0)

    await fleet.seconds(100)
    unproven = fleet.doc
    fleet.rows = (ModeRow("m", T0 + 1000, probes=25, bad=1),)
    await fleet.seconds(1)

    assert unproven is not None
    assert fleet.doc is not None
    assert (unproven.step, fleet.doc.step) == (0, 1)


async def test_a_mode_that_lasts_is_renewed_long_before_its_end() -> None:
    fleet = Fleet()
    fleet.burns(0.6)

    await fleet.seconds(3_600)

    assert 3 <= len(fleet.whys) <= 4
    assert fleet.doc is not None


async def test_a_mode_whose_leaders_are_all_dead_ends_by_itself() -> None:
    fleet = Fleet()
    fleet.burns(0.6)
    await fleet.seconds(1)

    assert fleet.records["mode", "m"].is_due(fleet.now_ms + 1_800_000)


@pytest.mark.parametrize(
    "doc",
    [
        ModeDoc("ana", "x"),
        ModeDoc("ana", "x", want="off"),
        ModeDoc("ana", "x", via="drill"),
    ],
)
async def test_automation_never_overwrites_a_person(doc: ModeDoc) -> None:
    fleet = Fleet(m=doc)
    fleet.burns(0.9)

    await fleet.seconds(100)

    assert fleet.whys == []


async def test_after_a_person_gave_it_back_automation_decides_again() -> None:
    fleet = Fleet(m=ModeDoc("ana", "x", want="off"))
    fleet.burns(0.9)
    await fleet.seconds(5)

    fleet.records.clear()
    await fleet.seconds(1)

    assert len(fleet.whys) == 1


async def test_another_leader_goes_on_where_the_last_one_stopped() -> None:
    fleet = Fleet()
    fleet.burns(0.6)
    await fleet.seconds(1)
    fleet.burns(0.0)
    await fleet.seconds(70)
    fleet.lead_anew()

    await fleet.seconds(5)
    stood = fleet.doc
    await fleet.seconds(150)

    assert stood is not None
    assert (stood.step, fleet.doc) == (1, None)


async def test_a_leader_whose_recovery_has_fewer_steps_ends_it_all_the_same() -> None:
    fleet = Fleet(replace(STALE, recover=(100,)))
    doc = ModeDoc("", "", via="auto", since_ms=T0 - 900_000, step=3, share=0.5)
    fleet.put("m", doc, T0 + 300_000)  # so near its end that it is renewed

    await fleet.seconds(1)
    assert fleet.doc is not None
    assert fleet.doc.step == 1
    await fleet.seconds(30)

    assert fleet.records == {}


async def test_a_latch_holds_until_a_person_acts_whoever_leads() -> None:
    fleet = Fleet(m=ModeDoc("(automation)", "x", via="auto", latched=True))

    await fleet.seconds(2_000)
    fleet.lead_anew()
    await fleet.seconds(100)

    assert fleet.doc is not None
    assert fleet.doc.latched
    assert fleet.whys == []


async def test_it_flaps_three_times_and_is_latched_without_an_end() -> None:
    fleet = Fleet()
    for _ in range(4):
        fleet.burns(0.6)
        await fleet.seconds(1)
        fleet.burns(0.0)
        await fleet.seconds(65)

    assert fleet.doc is not None
    assert (fleet.doc.latched, fleet.records["mode", "m"].until_ms) == (True, 0)


async def test_a_trigger_that_raises_is_told_and_keeps_no_other_mode_from_acting() -> (
    None
):
    fleet = Fleet()
    broken = replace(STALE, enter=Trigger("nonsense"))
    fleet.duty = ModeDuty(
        {"broken": broken, "m": STALE}, lambda: {"search": fleet.burn}, lambda: 0.5
    )
    fleet.burns(0.2)

    with pytest.raises(KeyError, match="nonsense"):
        await fleet.seconds(1)

    assert fleet.doc is not None


async def test_what_cannot_be_written_is_tried_again() -> None:
    fleet = Fleet()
    fleet.burns(0.6)
    fleet.outcome = "lost"
    await fleet.seconds(3)
    fleet.outcome = "written"

    await fleet.seconds(1)

    assert len(fleet.whys) == 1


async def test_a_drill_that_went_well_is_remembered_when_it_is_over() -> None:
    fleet = Fleet(m=ModeDoc("ana", "x", via="drill", since_ms=T0))
    fleet.put("m", ModeDoc("ana", "x", via="drill", since_ms=T0), T0 + 60_000)
    acts = {"timeout": 100, "no_retries": 100}
    fleet.rows = (ModeRow("m", T0, touched=100, acts=acts),)

    await fleet.seconds(70)

    assert fleet.doc is not None
    assert (fleet.doc.want, fleet.doc.exercised_ms) == ("auto", T0 + 1_000)


@pytest.mark.parametrize(
    "row",
    [
        ModeRow("m", T0, acts={"timeout": 500, "no_retries": 99}),
        ModeRow("m", T0, acts={"timeout": 500, "no_retries": 500}, failed=1),
    ],
)
async def test_a_drill_that_proves_little_is_not_remembered(row: ModeRow) -> None:
    fleet = Fleet(m=ModeDoc("ana", "x", via="drill", since_ms=T0))
    fleet.rows = (row,)

    await fleet.seconds(5)

    assert fleet.whys == []


async def test_a_schedule_holds_a_mode_just_for_its_window() -> None:
    start_s = T0 // 1000 + 100
    window = Trigger("schedule", window=(start_s, start_s + 50))
    fleet = Fleet(ModeDefinition("Night", actions=(("quiet", True),), enter=window))

    held = []
    for _ in range(200):
        await fleet.seconds(1)
        held.append(fleet.doc.via if fleet.doc else "")

    assert (held.count("schedule"), held[99], held[148:150]) == (
        50,
        "schedule",
        ["schedule", ""],
    )
