"""Every confirmed write is told on `failsoft.audit` by the process that wrote."""

from __future__ import annotations

import json
import logging
from typing import Any

import pytest

from failsoft.errors import StoreUnavailable
from failsoft.store.memory import MemoryStore
from failsoft.store.protocols import Call, Change
from failsoft.store.redis.store import RedisStore
from failsoft.testing import FaultProxy

AnyStore = MemoryStore | RedisStore
pytestmark = pytest.mark.anyio


def told(caplog: pytest.LogCaptureFixture) -> list[dict[str, Any]]:
    lines = [r.getMessage() for r in caplog.records if r.name == "failsoft.audit"]
    return [json.loads(line) for line in lines]


def call_of(op_id: str, *changes: Change) -> Call:
    return Call(op_id, "ana", "INC-1 fraud", changes, via="ana@host")


async def test_each_change_is_one_line_with_who_why_and_value(
    store: AnyStore, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO, "failsoft.audit")
    put = Change("flag", "a", "put", json=b'{"n": "\xc3\xbc\\n"}')
    gone = Change("kill", "tag:x", "del")

    answer = await store.apply(call_of("op-1", put, gone))

    first, second = told(caplog)
    assert (first["kind"], first["name"], first["op"]) == ("flag", "a", "put")
    assert (first["who"], first["why"], first["via"]) == (
        "ana",
        "INC-1 fraud",
        "ana@host",
    )
    assert (first["rev"], first["epoch"]) == (answer.revision, answer.epoch)
    assert first["value"].encode() == put.json
    assert (second["op"], second["value"]) == ("del", None)


async def test_a_refused_write_is_not_told(
    store: AnyStore, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO, "failsoft.audit")

    with pytest.raises(ConnectionError):
        await store.apply(call_of("op-1", Change("flag", "a", "put", 7, json=b"{}")))

    assert told(caplog) == []


async def test_a_write_of_unknown_outcome_is_told_as_such(
    redis_url: str, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO, "failsoft.audit")
    with FaultProxy(redis_url) as proxy:
        store = RedisStore(proxy.url, "audit")
        await store.apply(call_of("op-1", Change("flag", "a", "put", json=b"{}")))
        proxy.lose_replies(lambda: True)
        with pytest.raises(StoreUnavailable):
            await store.apply(call_of("op-2", Change("flag", "a", "put", json=b"{}")))
        proxy.heal()
        await store.apply(call_of("op-2", Change("flag", "a", "put", json=b"{}")))
        await store.aclose()

    lines = told(caplog)
    assert [line.get("outcome") for line in lines] == [None, "unknown", None]
    assert lines[2]["duplicate"] is True
