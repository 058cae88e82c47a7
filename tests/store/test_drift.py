"""The drift ledger, on every store."""

from __future__ import annotations

import pytest

from failsoft.store import drift as seam
from failsoft.store.drift import Counted, DriftEntry, id_of
from failsoft.store.memory import MemoryStore
from failsoft.store.redis.store import RedisStore

pytestmark = pytest.mark.anyio

AnyStore = MemoryStore | RedisStore


def counted(path: str, count: int = 1, **fields: object) -> Counted:
    entry = DriftEntry(route="POST /orders", path=path, kind="unknown", **fields)  # type: ignore[arg-type]
    return Counted(id_of(entry), entry, count)


async def test_counts_of_all_nodes_add_up_and_date_each_entry(store: AnyStore) -> None:
    first = counted("/a", 2, consumer="ios-3", first_ms=7)

    made = await store.drift_add([first, counted("/b")], {"skipped:size": 3})
    again = await store.drift_add([counted("/a", 5, consumer="ios-3")], {})

    found = await store.drift()
    rows = {row.entry.path: row for row in found.rows}
    assert made == {first.id, counted("/b").id}
    assert again == frozenset()
    assert rows["/a"].count == 7
    assert rows["/a"].entry == first.entry
    assert sum(rows["/a"].days.values()) == 7
    assert 0 <= found.now_ms - rows["/a"].last_ms < 2000
    assert (found.total, found.tallies) == (2, {"skipped:size": 3})


async def test_a_reader_gets_the_entries_seen_last(store: AnyStore) -> None:
    await store.drift_add([counted(f"/{n}") for n in range(5)], {})

    found = await store.drift(limit=2, days=1)

    assert (len(found.rows), found.total) == (2, 5)


async def test_an_empty_ledger_reads_empty(store: AnyStore) -> None:
    found = await store.drift()

    assert (found.rows, found.total, dict(found.tallies)) == ((), 0, {})


async def test_beyond_the_cap_new_entries_are_counted_as_overflow(
    store: AnyStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    caps = 3
    for module in ("failsoft.store.memorydrift", "failsoft.store.redis.drift"):
        monkeypatch.setattr(f"{module}.ENTRIES_KEPT", caps)
    await store.drift_add([counted(f"/{n}") for n in range(2)], {})

    made = await store.drift_add([counted("/x", 4), counted("/y", 6)], {})

    found = await store.drift()
    assert len(made) == 1
    assert found.total == caps
    assert found.tallies["overflow"] == 6


async def test_at_the_cap_entries_not_seen_for_long_give_way(
    store: AnyStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    for module in ("failsoft.store.memorydrift", "failsoft.store.redis.drift"):
        monkeypatch.setattr(f"{module}.ENTRIES_KEPT", 1)
        monkeypatch.setattr(f"{module}.IDLE_MS", -10)
    await store.drift_add([counted("/old")], {})

    made = await store.drift_add([counted("/new")], {})

    found = await store.drift()
    assert made == {counted("/new").id}
    assert [row.entry.path for row in found.rows] == ["/new"]


async def test_a_descriptor_of_a_newer_release_is_passed_over(redis_url: str) -> None:
    store = RedisStore(redis_url, "test")
    await store.drift_add([counted("/a")], {})
    strange = {counted("/a").id: b"\xc1"}
    await store.server.ask(
        "a test", "HSET", store.keys.drift_entries, *next(iter(strange.items()))
    )

    found = await store.drift()

    assert (found.rows, found.total) == ((), 1)
    await store.aclose()


def test_ids_name_what_differs_and_not_when() -> None:
    one = DriftEntry(route="GET /a", path="/x", kind="type")
    later = DriftEntry(route="GET /a", path="/x", kind="type", first_ms=9)
    other = DriftEntry(route="GET /a", path="/x", kind="null")

    assert id_of(one) == id_of(later) != id_of(other)
    assert len(id_of(one)) == 16


@pytest.mark.parametrize(
    ("kind", "severity"), [("missing", "warning"), ("unknown", "info")]
)
def test_some_kinds_matter_more(kind: str, severity: str) -> None:
    assert seam.severity_of(kind) == severity
