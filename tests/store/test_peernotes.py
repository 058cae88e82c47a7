"""What third parties announce, on every store."""

from __future__ import annotations

import pytest

from failsoft.store.memory import MemoryStore
from failsoft.store.redis.store import RedisStore

pytestmark = pytest.mark.anyio

AnyStore = MemoryStore | RedisStore


async def test_a_note_is_replaced_by_a_later_one(store: AnyStore) -> None:
    await store.peer_notes_add({"a|GET /x": b"1", "b|*": b"\xff\0"})
    await store.peer_notes_add({"a|GET /x": b"2"})
    await store.peer_notes_add({})

    assert await store.peer_notes() == {"a|GET /x": b"2", "b|*": b"\xff\0"}
    assert await store.peer_notes(["b|*", "none"]) == {"b|*": b"\xff\0"}


async def test_beyond_1000_notes_the_oldest_give_way(store: AnyStore) -> None:
    await store.peer_notes_add({"a-old|*": b"1"})
    await store.peer_notes_add({f"n{n:04}|*": b"1" for n in range(1000)})

    held = await store.peer_notes()

    assert len(held) == 1000
    assert "a-old|*" not in held


async def test_a_mark_is_first_once_in_the_fleet(store: AnyStore) -> None:
    first = await store.peer_first(["a", "b"])
    again = await store.peer_first(["b", "c"])

    assert list(first) == [True, True]
    assert list(again) == [False, True]
    assert list(await store.peer_first([])) == []
