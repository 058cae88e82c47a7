"""Many write one record at once while replies get lost: nobody is told wrong."""

from __future__ import annotations

import asyncio
import os
import random
from collections import Counter

import pytest

from failsoft.errors import StoreConflict, StoreUnavailable
from failsoft.store.protocols import Answer, Call, Change
from failsoft.store.redis.store import RedisStore
from failsoft.testing import FaultProxy

pytestmark = pytest.mark.anyio

_WRITERS, _EDITS = 4, 12


async def written(store: RedisStore, call: Call, unknown: Counter[str]) -> Answer:
    """Write until the outcome is known: one op_id is never applied twice."""
    while True:
        try:
            return await store.apply(call)
        except StoreUnavailable as error:
            unknown["outcome unknown" if error.op_id else "not sent"] += 1


async def test_lost_replies_neither_lose_nor_repeat_a_compared_write(
    redis_url: str,
) -> None:
    dice, unknown = random.Random(3), Counter[str]()
    won: list[tuple[int, str]] = []
    lost: list[StoreConflict] = []

    async def edit(url: str, who: str) -> None:
        store = RedisStore(url, "test")
        seen = 0
        for number in range(_EDITS):
            doc = b'{"variants":{"v":%d}}' % number
            change = Change("flag", "contested", "put", seen, json=doc)
            call = Call(os.urandom(8).hex(), who, "contest", (change,))
            try:
                seen = (await written(store, call, unknown)).revision
                won.append((seen, who))
            except StoreConflict as conflict:
                seen = conflict.revision
                lost.append(conflict)
        await store.aclose()

    with FaultProxy(redis_url) as proxy:
        proxy.lose_replies(lambda: dice.random() < 0.05)
        async with asyncio.TaskGroup() as writers:
            for number in range(_WRITERS):
                writers.create_task(edit(proxy.url, f"writer-{number}"))

    store = RedisStore(redis_url, "test")
    entries = [(entry.rev, entry.who) for entry in await store.log(1000)]
    revision = (await store.load()).rev
    await store.aclose()
    assert sorted(won) == sorted(entries)
    assert len(won) == revision
    assert len(won) + len(lost) == _WRITERS * _EDITS
    assert lost
    assert all(c.actor.startswith("writer-") for c in lost)
    assert all(c.revision > c.expected for c in lost)


async def test_a_conflict_stays_one_when_the_read_of_who_gets_lost(
    redis_url: str,
) -> None:
    with FaultProxy(redis_url) as proxy:
        store = RedisStore(proxy.url, "test")
        first = Change("flag", "contested", "put", 0, json=b"{}")
        await store.apply(Call("op1", "ana", "first", (first,)))
        replies = iter((False, True, False))  # the refusal, the log, the log again
        proxy.lose_replies(lambda: next(replies, False))

        with pytest.raises(StoreConflict) as caught:
            await store.apply(Call("op2", "bob", "second", (first,)))

        await store.aclose()
    assert (caught.value.actor, caught.value.revision) == ("ana", 1)
