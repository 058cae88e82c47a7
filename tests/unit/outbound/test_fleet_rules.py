"""When a fleet opens a dependency, how it probes, and what its leader writes."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from failsoft.controls.lead import FleetFacts, Write
from failsoft.controls.records import BreakerDoc, Record, encode_doc
from failsoft.fleet import facts_of
from failsoft.outbound._fleet import (
    FleetProbe,
    FleetRule,
    merged_quotas,
    probe_instant_ms,
    probe_number,
    why_open,
)
from failsoft.outbound._gate import Probed
from failsoft.outbound._quorum import HELD_MS, QuorumDuty
from failsoft.store.fleet import DependencyRow, NodeRow, ProbeAsk, ProbeStand, QuotaSum

pytestmark = pytest.mark.anyio

T0 = 1_800_000_000_000
RULE = FleetRule()
BAD = DependencyRow("pay", calls=10, fail=6, state="open", vote=True, refused=5)
GOOD = DependencyRow("pay", calls=10)


# --- quorum ----------------------------------------------------------------------


@pytest.mark.parametrize(
    ("rows", "opens"),
    [
        ([BAD, *[GOOD] * 7], False),  # one of eight
        ([BAD, BAD, GOOD], False),  # 12 of 30 calls are not half of them
        ([BAD, BAD, DependencyRow("pay", calls=4)], True),
        ([BAD] * 8, True),
        ([BAD] * 4 + [GOOD] * 4, False),  # half of the votes, not of the calls
        ([BAD] * 2, True),
        ([BAD], False),  # 10 calls are too few
        ([DependencyRow("pay", calls=20, fail=10, vote=True)], True),  # alone
        ([DependencyRow("pay", calls=20, slow=16, vote=True)], True),
        ([DependencyRow("pay", calls=20, slow=15, vote=True)], False),
        ([DependencyRow("pay", calls=20, fail=20, vote=True), GOOD], False),
        ([DependencyRow("pay")] * 5, False),  # nobody calls it
        ([], False),
    ],
)
def test_it_takes_calls_ratio_and_votes_to_open_for_all(
    rows: list[DependencyRow], opens: bool
) -> None:
    assert bool(why_open(rows, RULE)) == opens


def test_silent_nodes_neither_vote_nor_count() -> None:
    rows = [BAD, BAD, *[DependencyRow("pay")] * 6]

    assert why_open(rows, RULE) == (
        "2 of 2 nodes hold it for broken: of 20 calls 60% failed, 0% were slow"
    )


# --- probes ----------------------------------------------------------------------


@settings(max_examples=30)
@given(st.text(max_size=20), st.integers(0, 2**45), st.integers(0, 1_000_000))
def test_every_node_finds_the_same_instants_within_their_spread(
    name: str, since_ms: int, number: int
) -> None:
    pauses_s = [5, 10, 20, 40, 60]
    before_s = sum(pauses_s[:number]) + 60 * max(0, number - 5)
    pause_s = pauses_s[min(number, 4)]

    at_ms = probe_instant_ms(name, since_ms, number)

    after_s = (at_ms - since_ms) / 1000 - before_s
    assert 0.8 * pause_s - 0.002 <= after_s <= 1.2 * pause_s + 0.002
    assert probe_number(name, since_ms, at_ms) == number
    assert probe_number(name, since_ms, at_ms - 1) == (number - 1 if number else None)


def want_of(ask: ProbeAsk | None) -> int:
    assert ask is not None
    return ask.want


def test_a_node_asks_for_permits_only_while_calls_wait() -> None:
    probe = FleetProbe("pay", T0)
    due_ms = probe_instant_ms("pay", T0, 0)

    assert probe.ask(due_ms - 1, (), wants=True) is None
    idle, wanting = (
        probe.ask(due_ms, (), wants=False),
        probe.ask(due_ms, (), wants=True),
    )
    assert (idle.want, wanting.want) == (0, 10)  # type: ignore[union-attr]
    assert probe.told(ProbeStand(granted=1)) == 1
    ended = [Probed((T0, 0), ok=1), Probed((7, 0), fail=9)]
    told = probe.ask(due_ms + 1000, ended, wants=True)
    assert (told.ok, told.fail) == (1, 0)  # type: ignore[union-attr]
    probe.told(ProbeStand(step=3))
    assert probe.has_passed


def test_outcomes_of_a_probe_that_is_over_do_not_count_for_the_next() -> None:
    probe = FleetProbe("pay", T0)
    probe.ask(probe_instant_ms("pay", T0, 0), (), wants=True)
    probe.told(ProbeStand(step=3))

    late = probe.ask(
        probe_instant_ms("pay", T0, 1), [Probed((T0, 0), fail=1)], wants=False
    )

    assert (late.number, late.fail) == (1, 0)  # type: ignore[union-attr]
    assert not probe.has_passed


# --- quotas ----------------------------------------------------------------------


def test_the_newest_reset_wins_and_there_the_least_that_is_left() -> None:
    def row(**fields: Any) -> DependencyRow:
        return DependencyRow("pay", **fields)

    merged = merged_quotas(
        [
            [row(quota_limit=100, quota_remaining=90, quota_reset_ms=T0)],
            [row(quota_limit=100, quota_remaining=40, quota_reset_ms=T0 + 60_000)],
            [row(quota_limit=100, quota_remaining=70, quota_reset_ms=T0 + 60_500)],
            [row(spent_per_s=2.0), DependencyRow("mail", spent_per_s=9.0)],
            [row(spent_per_s=0.5, hold_ms=T0 + 5)],
        ]
    )

    assert merged == (QuotaSum("pay", 100, 40, T0 + 60_500, 2.5, T0 + 5),)


# --- the leader's duty -----------------------------------------------------------


class Scribe:
    """Keeps what a duty writes."""

    term = 1

    def __init__(self, outcome: str = "written") -> None:
        self.outcome = outcome
        self.calls: list[tuple[str, Any, int]] = []

    async def write(
        self, kind: str, name: str, doc: Any, until_ms: int, why: str
    ) -> Write:
        self.calls.append((f"{kind}/{name}", doc, until_ms))
        return Write(self.outcome, rev=9)


def record(doc: BreakerDoc, until_ms: int = T0 + HELD_MS) -> Record:
    return Record("breaker", "pay", 8, T0, until_ms, encode_doc(doc))


def facts(*rows: DependencyRow, held: Record | None = None, rev: int = 8) -> FleetFacts:
    nodes = {
        f"n{i}": NodeRow(at_ms=T0, rev=rev, dependencies=(row,))
        for i, row in enumerate(rows)
    }
    records = {("breaker", "pay"): held} if held is not None else {}
    return facts_of(T0, nodes, rev, records)


OPENED = BreakerDoc("(automation)", "x", "open", via="auto", since_ms=T0 - 60_000)


def duty(*, passed: bool = False) -> QuorumDuty:
    return QuorumDuty(lambda name: RULE, lambda name: passed)


async def test_the_leader_opens_what_a_quorum_holds_for_broken() -> None:
    scribe = Scribe()

    await duty().each_second(facts(BAD, BAD), scribe)

    ((target, doc, until_ms),) = scribe.calls
    assert (target, until_ms) == ("breaker/pay", T0 + HELD_MS)
    assert (doc.state, doc.via, doc.since_ms) == ("open", "auto", T0)


@pytest.mark.parametrize("state", ["open", "closed", "metrics_only", "probe"])
async def test_the_leader_leaves_what_an_operator_decided(state: str) -> None:
    scribe = Scribe()

    held = record(BreakerDoc("ana", "x", state))
    await duty(passed=True).each_second(facts(BAD, BAD, held=held), scribe)

    assert scribe.calls == []


async def test_probes_that_passed_end_the_record_and_old_rows_do_not_count() -> None:
    scribe, tending = Scribe(), duty(passed=True)

    await tending.each_second(facts(BAD, BAD, held=record(OPENED)), scribe)
    await tending.each_second(facts(BAD, BAD, rev=8), scribe)  # from before revision 9
    assert [doc for _, doc, _ in scribe.calls] == [None]

    await tending.each_second(facts(BAD, BAD, rev=9), scribe)
    assert len(scribe.calls) == 2


@pytest.mark.parametrize(
    ("left_ms", "refused", "renews"),
    [(HELD_MS // 2 - 1, 5, True), (HELD_MS // 2 + 1, 5, False), (1_000, 0, False)],
)
async def test_a_record_is_renewed_at_half_time_while_calls_are_wanted(
    left_ms: int, refused: int, renews: bool
) -> None:
    scribe, row = Scribe(), DependencyRow("pay", refused=refused)

    await duty().each_second(facts(row, held=record(OPENED, T0 + left_ms)), scribe)

    assert [until for _, _, until in scribe.calls] == [T0 + HELD_MS] * renews


def test_rows_older_than_three_seconds_are_no_facts() -> None:
    rows = {
        "old": NodeRow(at_ms=T0 - 3_001, dependencies=(BAD,), shed_limit=4.0),
        "new": NodeRow(at_ms=T0 - 3_000, dependencies=(GOOD,)),
    }

    found = facts_of(T0, rows, 8, {})

    assert list(found.nodes) == ["new"]
    assert (found.dependencies["pay"].fail, found.shedding_ratio) == (0, 0.0)


def test_facts_tell_since_when_all_refuse_and_the_least_quota_left() -> None:
    quota = DependencyRow("pay", quota_limit=100, quota_remaining=30)
    held = record(BreakerDoc("ana", "x", "open"))

    less = msgspec.structs.replace(quota, quota_remaining=10)
    found = facts(quota, less, held=held).dependencies["pay"]

    assert (found.open_ms, found.via, found.quota_left) == (T0, "operator", 0.1)
