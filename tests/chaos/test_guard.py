"""Guards on real parts: uvicorn nodes, Redis, its users, and the command line."""

from __future__ import annotations

import asyncio
import itertools
import json
import os
import shlex
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any

import httpx
import msgspec
import pytest

from failsoft.controls.records import parse_record
from failsoft.flags import FlagState, compile_flags
from failsoft.flags._arms import GuardArms
from failsoft.flags._flush import FlagReporter
from failsoft.store.protocols import Call, Change, Entry
from failsoft.store.redis.acl import Role, acl_line
from failsoft.store.redis.store import RedisStore
from failsoft.testing import RedisServer
from load.servers import served

pytestmark = pytest.mark.anyio

ENV = "guarded"
WINDOW_S = 5
HERE = Path(__file__).parent
_ids = itertools.count()


def document(**guard: Any) -> bytes:
    doc = {
        "state": "ENABLED",
        "variants": {"on": True, "off": False},
        "targeting": {"fractional": [["on", 50], ["off", 50]]},
        "metadata": {f"x.guard.{name}": value for name, value in guard.items()},
    }
    return msgspec.json.encode(doc)


async def write(store: RedisStore, *changes: Change) -> None:
    await store.apply(Call(f"op{next(_ids)}", "ana", "a test", changes))


async def kills(store: RedisStore) -> list[Entry]:
    return [e for e in await store.log() if e.kind == "kill" and e.op == "put"]


@pytest.fixture(scope="module")
def nodes(
    redis_server: RedisServer, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[tuple[str, str]]:
    redis_server.ask("FLUSHALL")
    home = tmp_path_factory.mktemp("nodes")
    env = {"FAILSOFT_REDIS_URL": redis_server.url, "FAILSOFT_ENV": ENV}
    with (
        served("guarded_app:app", home=home, env=env, folder=HERE) as one,
        served("guarded_app:app", home=home, env=env, folder=HERE) as two,
    ):
        yield one, two


class Traffic:
    """Users one after the other, each at both counters, on either node in turn."""

    def __init__(self, nodes: tuple[str, str], *, broken: bool) -> None:
        self.nodes = nodes
        self.broken = "&broken=1" if broken else ""
        self.new_prices = 0

    async def run(self, seconds: float, until: Callable[[], Any] | None = None) -> Any:
        """Go on for a time, or until something is found, which is returned."""
        ends = time.monotonic() + seconds
        async with httpx.AsyncClient(trust_env=False) as client:
            for user in itertools.count():
                node = self.nodes[user % 2]
                bought, _ = await asyncio.gather(
                    client.get(f"{node}/buy?user={user // 2}{self.broken}"),
                    client.get(f"{node}/look?user={user // 2}"),
                )
                self.new_prices += bought.text == "new"
                if until is not None and user % 20 == 0 and (found := await until()):
                    return found
                if time.monotonic() > ends:
                    return None


async def test_a_broken_variant_is_killed_in_one_window_and_does_not_flap(
    nodes: tuple[str, str], redis_server: RedisServer
) -> None:
    store = RedisStore(redis_server.url, ENV)
    guard = document(control="off", min=50, window=WINDOW_S)
    flags = [Change("flag", key, "put", json=guard) for key in ("price", "layout")]
    await write(store, *flags)

    async def tripped() -> list[Entry]:
        return await kills(store)

    began = time.monotonic()
    (trip,) = await Traffic(nodes, broken=True).run(3 * WINDOW_S, tripped)
    took_s = time.monotonic() - began

    # Three in ten of each arm break at the other counter: nobody's fault.
    assert (trip.name, trip.who) == ("flag:price", "guard")
    assert trip.why.startswith("on: ")
    assert "off: 0 of " in trip.why
    assert took_s < WINDOW_S + 2
    print(f"tripped after {took_s:.1f} s: {trip.why}")
    # All nodes tripped it at about one time, and it stands once in the log.
    after = Traffic(nodes, broken=True)
    await after.run(1.5)
    assert len(await kills(store)) == 1
    assert after.new_prices == 0

    await write(store, Change("kill", "flag:price", "del"))
    mended = Traffic(nodes, broken=False)
    await mended.run(WINDOW_S + 1)

    assert len(await kills(store)) == 1
    assert mended.new_prices > 50
    await store.aclose()


@pytest.fixture(scope="module")
def guarded(
    own_redis: Callable[[], AbstractContextManager[RedisServer]],
) -> Iterator[RedisServer]:
    """A server with one user a role, named like the role."""
    roles: tuple[Role, ...] = ("app", "operator", "automation")
    with own_redis() as server:
        for role in roles:
            line = acl_line(role, ENV, role).replace("PASSWORD", "secret")
            assert server.ask(*shlex.split(line)) == "OK"
        yield server


def url_of(server: RedisServer, user: str) -> str:
    return server.url.replace("redis://", f"redis://{user}:secret@")


class BadNode:
    """What a node of role `app` does with a variant that always fails."""

    def __init__(self, store: RedisStore) -> None:
        self.store = store
        self.guard = GuardArms()
        self.state = FlagState()

    async def sync(self) -> None:
        held = await self.store.load()
        records = {key: parse_record(*key, raw) for key, raw in held.records.items()}
        self.state = compile_flags(held.rev, records, {}, (), self.state)

    async def report(self, automation_url: str = "") -> None:
        await self.sync()
        for variant, status in (("on", 500), ("off", 200)):
            for _ in range(100):
                self.guard.settle({"price": variant}, self.state, status, 1000)
        node = FlagReporter(self.store, self.guard, "n1", automation_url=automation_url)
        await node.report(self.state, await self.store.server.now_ms())


@pytest.fixture
async def node(guarded: RedisServer, anyio_backend: str) -> AsyncIterator[BadNode]:
    guarded.ask("FLUSHALL")
    operator = RedisStore(url_of(guarded, "operator"), ENV)
    await write(operator, Change("flag", "price", "put", json=document(control="off")))
    await operator.aclose()
    store = RedisStore(url_of(guarded, "app"), ENV)
    yield BadNode(store)
    await store.aclose()


async def test_a_node_without_the_right_trips_through_its_automation_login(
    node: BadNode, guarded: RedisServer
) -> None:
    await node.report(automation_url=url_of(guarded, "automation"))

    (trip,) = await kills(node.store)
    assert (trip.name, trip.who, trip.via) == ("flag:price", "guard", "n1")


def failsoft(server: RedisServer, *words: str) -> tuple[int, Any, str]:
    login = {
        "FAILSOFT_REDIS_URL": url_of(server, "operator"),
        "FAILSOFT_ENV": ENV,
    }
    done = subprocess.run(
        [sys.executable, "-m", "failsoft", *words, "--json"],
        env=os.environ | login,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=30,
    )
    assert done.stdout, done.stderr
    return done.returncode, json.loads(done.stdout), done.stderr


async def test_what_a_node_may_not_do_it_proposes_and_an_operator_applies(
    node: BadNode, guarded: RedisServer
) -> None:
    await node.report()

    assert await kills(node.store) == []
    _, status, _ = await asyncio.to_thread(failsoft, guarded, "status")
    assert status["notices"][0]["text"].startswith(
        "guard proposes to kill flag:price: on: 100 of 100 bad (100.0%), off: 0 of"
    )
    _, shown, _ = await asyncio.to_thread(failsoft, guarded, "guard", "status")
    (row,) = shown["guards"]
    assert (row["flag"], row["state"], row["control"]) == ("price", "proposed", "off")
    arms = [(arm["variant"], arm["n"], arm["verdict"]) for arm in row["arms"]]
    assert arms == [("off", 100, "control"), ("on", 100, "trip")]

    words = ("guard", "apply", "price", "--confirm", ENV, "--wait", "0s")
    code, _, told = await asyncio.to_thread(failsoft, guarded, *words)

    assert code in (0, 3), told  # no node beats here
    (kill,) = await kills(node.store)
    record = parse_record("kill", kill.name, kill.value or b"")
    assert (kill.who, record.until_ms, record.doc().variant) == ("operator", 0, "off")
    assert kill.why.startswith("guard: on: 100 of 100 bad (100.0%)")
    _, shown, _ = await asyncio.to_thread(failsoft, guarded, "guard", "status")
    assert shown["guards"][0]["state"] == "killed"
    code, _, told = await asyncio.to_thread(failsoft, guarded, *words)
    assert code == 2
    assert "is killed already, by operator" in told
