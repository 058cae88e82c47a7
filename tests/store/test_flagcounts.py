"""Evaluations, outcomes of guarded flags and proposals, on every store."""

from __future__ import annotations

import pytest

from failsoft.store.flagcounts import Outcomes
from failsoft.store.memory import MemoryStore
from failsoft.store.redis.store import RedisStore

pytestmark = pytest.mark.anyio

AnyStore = MemoryStore | RedisStore


async def test_evaluations_of_all_nodes_add_up_and_date_each_flag(
    store: AnyStore,
) -> None:
    await store.add_evaluations({"a": {"on": 2, "off": 1}})
    await store.add_evaluations({"a": {"on": 3}, "b \n": {"(default)": 1}})

    found = await store.evaluations()

    assert found.counts == {"a": {"on": 5, "off": 1}, "b \n": {"(default)": 1}}
    assert found.seen.keys() == {"a", "b \n"}
    assert 0 <= found.now_ms - found.seen["a"] < 2000
    assert 0 < found.since_ms <= found.seen["a"] + 1


async def test_evaluations_beyond_2000_fields_a_day_are_added_to_the_rest(
    store: AnyStore,
) -> None:
    await store.add_evaluations({f"k{n}": {"on": 1} for n in range(1999)})

    await store.add_evaluations({"new": {"on": 4, "off": 5}, "k7": {"on": 1}})

    counts = (await store.evaluations()).counts
    assert counts["new"] == {"on": 4}
    assert counts["(other)"] == {"": 5}
    assert counts["k7"] == {"on": 2}


async def test_outcomes_of_all_nodes_add_up_in_their_bucket(store: AnyStore) -> None:
    first = Outcomes(10_000, {"f": {"on": (5, 2), "off": (7, 0)}}, {"f": b"rule"})
    await store.add_outcomes(first)
    await store.add_outcomes(Outcomes(10_000, {"f": {"on": (1, 1)}}))
    await store.add_outcomes(Outcomes(20_000, {"f": {"off": (2, 0)}}))

    fresh_ms, buckets = await store.outcomes("f", [0, 10_000, 20_000])

    assert fresh_ms == 0
    assert {at: dict(arms) for at, arms in buckets.items()} == {
        10_000: {"on": (6, 3), "off": (7, 0)},
        20_000: {"off": (2, 0)},
    }
    assert await store.guarded() == {"f": b"rule"}


async def test_judging_begins_anew_where_a_node_said_so(store: AnyStore) -> None:
    await store.add_outcomes(Outcomes(0, fresh={"f": 41_000}))

    assert await store.outcomes("f", []) == (41_000, {})


async def test_a_proposal_replaces_the_one_before_for_its_target(
    store: AnyStore,
) -> None:
    await store.propose("flag:a", b'{"why": "old"}')
    await store.propose("flag:a", b'{"why": "new"}')
    await store.propose("flag:b", b"{}")

    found = await store.proposals()

    assert {t: p.json for t, p in found.items()} == {
        "flag:a": b'{"why": "new"}',
        "flag:b": b"{}",
    }


async def test_only_the_newest_fifty_proposals_are_kept(store: AnyStore) -> None:
    for n in range(52):
        await store.propose(f"flag:{n}", b"{}")

    assert len(await store.proposals()) == 50
