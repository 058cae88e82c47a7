"""A fork of a process that follows the store: nothing shared, nothing frozen."""

from __future__ import annotations

import asyncio
import json
import os
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import msgspec
import pytest

from failsoft.store.protocols import Call, Change
from failsoft.store.redis.store import RedisStore
from flagdoc import FlagDoc

FORKING = Path(__file__).parent / "forking.py"


def edit(url: str, value: str) -> None:
    """Write a flag that always has this value."""

    async def write() -> None:
        store = RedisStore(url, "forks")
        doc = FlagDoc(variants={"x": value}, defaultVariant="x")
        change = Change("flag", "price.new", "put", json=msgspec.json.encode(doc))
        await store.apply(Call(f"op-{value}", "ana", "test", (change,)))
        await store.aclose()

    asyncio.run(write())


@pytest.mark.parametrize("how", ["alone", "serving"])
def test_forked_children_follow_the_store_and_leave_the_parent_alone(
    redis_url: str, how: str, capsys: pytest.CaptureFixture[str]
) -> None:
    edit(redis_url, "first")
    command = [sys.executable, "-X", "dev", str(FORKING), redis_url, how]
    environ = {**os.environ, "PYTHONPATH": str(FORKING.parents[1])}
    with subprocess.Popen(
        command, stdout=subprocess.PIPE, text=True, env=environ
    ) as process:
        assert process.stdout is not None
        lines = iter(process.stdout)
        ready = json.loads(next(lines))
        edited_at = time.time()
        edit(redis_url, "second")
        said: list[dict[str, Any]] = [json.loads(line) for line in lines]

    *followed, after = said
    worst_s = max(one["seen_at"] for one in followed) - edited_at
    with capsys.disabled():
        print(
            f"\nforked {how}: {len(followed)} processes saw the edit in {worst_s:.2f} s"
        )
    assert process.returncode == 0
    assert ready["role"] == "ready"
    assert {one["first"] for one in followed} == {"first"}
    assert {one["last"] for one in followed} == {"second"}
    assert [one["shared"] for one in followed] == [[]] * 5
    assert all(one["own"] >= 2 for one in followed)
    assert len({one["node"] for one in followed}) == 5
    assert after["same"] is True
    assert worst_s < 2  # the start of a node is in it
