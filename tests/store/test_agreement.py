"""Stores agree with each other, and many writers with the log."""

from __future__ import annotations

import asyncio
import contextlib
import random
from typing import Literal

import pytest

from failsoft.errors import StoreConflict, StoreError, StoreUnavailable
from failsoft.store.memory import MemoryStore
from failsoft.store.protocols import (
    Call,
    Change,
    ControlStore,
    Entry,
    parse_value,
)
from failsoft.store.redis.connect import Timeouts
from failsoft.store.redis.store import RedisStore
from failsoft.testing import FaultProxy

pytestmark = pytest.mark.anyio


def random_call(dice: random.Random, number: int) -> Call:
    changes = []
    for name in dice.sample("abcde", dice.randint(0, 3)):
        op: Literal["put", "del"] = "del" if dice.random() < 0.3 else "put"
        if_rev = dice.choice([None, None, 0, dice.randint(1, max(number, 1))])
        json = b"%d" % number if op == "put" else b""
        changes.append(
            Change(dice.choice(["kill", "mode"]), name, op, if_rev, "0", json)
        )
    # A repeated op_id now and then: it must not be applied twice.
    op_id = f"op-{number if dice.random() < 0.9 else max(number - 1, 0)}"
    return Call(op_id, dice.choice(["ana", "bo"]), "a test", tuple(changes))


async def outcome(store: ControlStore, call: Call) -> tuple[object, ...]:
    """What a caller sees, without times and epochs, which differ by nature."""
    try:
        answer = await store.apply(call)
    except StoreConflict as error:
        return "conflict", error.target, error.revision, error.expected, error.actor
    except StoreError as error:
        return (type(error).__name__,)
    return "ok", answer.revision, answer.duplicate


async def content(store: ControlStore) -> object:
    held = await store.load()
    records = {}
    for key, raw in held.records.items():
        rev, _, until_ms, json = parse_value(raw)
        records[key] = (rev, until_ms, json)
    return held.rev, records


def facts(entry: Entry) -> tuple[object, ...]:
    return entry.rev, entry.kind, entry.name, entry.op, entry.who, entry.op_id


@pytest.mark.parametrize("seed", range(5))
async def test_memory_answers_as_redis_does(redis_url: str, seed: int) -> None:
    dice = random.Random(seed)
    memory, redis = MemoryStore("test"), RedisStore(redis_url, "test")

    for number in range(150):
        call = random_call(dice, number)
        assert await outcome(memory, call) == await outcome(redis, call), call

    assert await content(memory) == await content(redis)
    logs = [[facts(e) for e in await store.log(1000)] for store in (memory, redis)]
    await redis.aclose()
    assert logs[0] == logs[1]


async def test_no_edit_is_lost_among_many_writers_and_lost_replies(
    redis_url: str,
) -> None:
    """Each success is one log entry and one revision; each loser is told."""
    dice = random.Random(3)
    with FaultProxy(redis_url) as proxy:
        proxy.lose_replies(lambda: dice.random() < 0.05)
        tallies = await asyncio.gather(*(edit(proxy.url, n) for n in range(4)))

    reader = RedisStore(redis_url, "test")
    held, log = await reader.load(), await reader.log(1000)
    await reader.aclose()
    assert sum(tallies) == held.rev == len(log) > 0
    assert len({entry.op_id for entry in log}) == len(log)


async def edit(url: str, writer: int) -> int:
    """Compare and set one record 25 times; return how often that succeeded."""
    store = RedisStore(url, "test", Timeouts(connect_s=0.5, command_s=0.5))
    successes = 0
    for number in range(25):
        change = Change("flag", "hot", "put", await revision(store), json=b"{}")
        call = Call(f"{writer}-{number}", f"w{writer}", "a test", (change,))
        with contextlib.suppress(StoreConflict):
            await insist(store, call)
            successes += 1
    await store.aclose()
    return successes


async def revision(store: RedisStore) -> int:
    for _ in range(50):
        with contextlib.suppress(StoreUnavailable):
            raw = (await store.load()).records.get(("flag", "hot"))
            return parse_value(raw)[0] if raw else 0
    raise AssertionError("no answer in 50 reads")


async def insist(store: RedisStore, call: Call) -> None:
    for _ in range(50):
        with contextlib.suppress(StoreUnavailable):
            await store.apply(call)
            return
    raise AssertionError("no answer in 50 calls")
