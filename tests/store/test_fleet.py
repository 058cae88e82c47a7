"""Rows of the nodes, the leader's lease and probes, on every store."""

from __future__ import annotations

import pytest

from failsoft.store.fleet import (
    PROBE_STEPS,
    DependencyRow,
    FleetSay,
    NodeRow,
    ProbeAsk,
    decode_quotas,
    decode_row,
    encode_row,
)
from failsoft.store.memory import MemoryStore
from failsoft.store.redis.store import RedisStore

pytestmark = pytest.mark.anyio

AnyStore = MemoryStore | RedisStore


async def test_a_node_reads_what_the_others_said(store: AnyStore) -> None:
    row = encode_row(NodeRow(rev=7, shed_limit=12.5))
    await store.fleet_beat("a", FleetSay(row))

    beat = await store.fleet_beat("b", FleetSay(b"\xff", reads=True))
    read = await store.fleet_read()

    assert beat.rows == read.rows == {"a": row, "b": b"\xff"}
    assert decode_row(beat.rows["a"]) == NodeRow(rev=7, shed_limit=12.5)
    assert decode_row(beat.rows["b"]) is None
    assert abs(beat.now_ms - read.now_ms) < 5_000


def test_a_row_or_quota_that_is_no_text_is_left_out() -> None:
    row = encode_row(NodeRow(dependencies=(DependencyRow("payments", 1, 1, 0),)))

    broken = row.replace(b"payments", b"\xffayments")

    assert decode_row(broken) is None
    assert decode_quotas(broken) == decode_quotas(b"\x91\x91\xa1\xff") == ()


async def test_one_node_leads_until_it_gives_the_lease_up(store: AnyStore) -> None:
    first = await store.fleet_beat("a", FleetSay(b""))
    second = await store.fleet_beat("b", FleetSay(b""))
    given_up = await store.fleet_beat("a", FleetSay(b"", leads=False))
    third = await store.fleet_beat("b", FleetSay(b""))
    await store.fleet_leave("b")

    assert (first.leader, second.leader) == ("a", "a")
    assert (given_up.leader, third.leader) == ("", "b")
    assert third.term == first.term + 1
    assert (await store.fleet_read()).leader == ""


async def test_a_node_that_must_not_lead_never_does(store: AnyStore) -> None:
    beat = await store.fleet_beat("a", FleetSay(b"", leads=False))

    assert (beat.leader, beat.term) == ("", 0)


async def test_only_the_leader_publishes_quotas(store: AnyStore) -> None:
    await store.fleet_beat("a", FleetSay(b"", quotas=b"mine"))
    beat = await store.fleet_beat("b", FleetSay(b"", quotas=b"other"))

    assert beat.quotas == b"mine"


async def test_rows_are_taken_away(store: AnyStore) -> None:
    for node in "abc":
        await store.fleet_beat(node, FleetSay(b"x"))
    await store.fleet_leave("b")

    beat = await store.fleet_beat("c", FleetSay(b"y", reads=True, gone=("a", "none")))

    assert beat.rows == {"c": b"y"}


async def test_a_probe_grants_1_then_3_then_10_calls_to_the_whole_fleet(
    store: AnyStore,
) -> None:
    granted = []
    stand = await store.fleet_probe(ProbeAsk("pay", 5, 0, want=99))
    while not stand.has_passed:
        others = await store.fleet_probe(ProbeAsk("pay", 5, 0, want=99))
        granted.append((stand.granted, others.granted))
        stand = await store.fleet_probe(
            ProbeAsk("pay", 5, 0, ok=stand.granted, want=99)
        )

    assert granted == [(size, 0) for size in PROBE_STEPS]
    assert await store.fleet_probe(ProbeAsk("pay", 5, 0)) == stand


async def test_a_bad_call_ends_the_probe_for_all(store: AnyStore) -> None:
    await store.fleet_probe(ProbeAsk("pay", 5, 1, want=1))
    failed = await store.fleet_probe(ProbeAsk("pay", 5, 1, fail=1, want=1))
    later = await store.fleet_probe(ProbeAsk("pay", 5, 2, want=1))

    assert (failed.granted, failed.fail, failed.has_passed) == (0, 1, False)
    assert (later.granted, later.fail) == (1, 0)


async def test_permits_given_back_go_to_others(store: AnyStore) -> None:
    await store.fleet_probe(ProbeAsk("pay", 5, 0, want=1))
    none = await store.fleet_probe(ProbeAsk("pay", 5, 0, want=1))
    await store.fleet_probe(ProbeAsk("pay", 5, 0, back=1))

    assert none.granted == 0
    assert (await store.fleet_probe(ProbeAsk("pay", 5, 0, want=1))).granted == 1


async def test_looking_at_a_probe_that_nobody_began_begins_none(
    store: AnyStore,
) -> None:
    stand = await store.fleet_probe(ProbeAsk("pay", 5, 9))

    assert (stand.step, stand.granted, stand.fail) == (0, 0, 0)
