"""`failsoft.start`: the same node without ASGI, and what goes from loop to loop."""

from __future__ import annotations

import asyncio
import os
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec
import pytest
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import PlainTextResponse
from starlette.routing import Route

import failsoft
from asgi.drive import get
from asgi.eventually import eventually
from failsoft import Failsoft
from failsoft.controls.records import KillDoc
from failsoft.errors import StoreUnavailable
from failsoft.runtime import current_runtime
from failsoft.store.protocols import Call, Change
from failsoft.store.redis.store import RedisStore
from flagdoc import FlagDoc

ENV = "startup"
AWAY = "redis://127.0.0.1:1/0"


async def write(url: str, kind: str, name: str, doc: msgspec.Struct) -> None:
    store = RedisStore(url, ENV)
    change = Change(kind, name, "put", json=msgspec.json.encode(doc))
    await store.apply(Call(f"op-{name}", "ana", "test", (change,)))
    await store.aclose()


def edit(url: str, value: str) -> None:
    doc = FlagDoc(variants={"x": value}, defaultVariant="x")
    asyncio.run(write(url, "flag", "price.new", doc))


async def nodes(url: str) -> list[str]:
    store = RedisStore(url, ENV)
    observed = await store.read(ticks_after="", flights_after="")
    await store.aclose()
    return list(observed.nodes)


@pytest.fixture(autouse=True)
def stopped() -> Iterator[None]:
    yield
    failsoft.stop()


def test_flags_work_from_any_thread_of_a_process_without_asgi(redis_url: str) -> None:
    edit(redis_url, "new")
    failsoft.start(url=redis_url, env=ENV)

    answers: list[str] = []
    threads = [
        threading.Thread(target=lambda: answers.append(failsoft.flag("price.new", "")))
        for _ in range(3)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert answers == ["new"] * 3


def test_a_second_start_is_the_first_one(redis_url: str) -> None:
    failsoft.start(url=redis_url, env=ENV)
    first = current_runtime()

    failsoft.start(url=redis_url, env=ENV)

    assert current_runtime() is first
    assert len(asyncio.run(nodes(redis_url))) == 1


def test_a_second_start_with_other_settings_is_told(
    redis_url: str, caplog: pytest.LogCaptureFixture
) -> None:
    failsoft.start(url=redis_url, env=ENV)

    failsoft.start(url=redis_url, env="another")

    assert "already started, with other settings" in caplog.text


def test_after_the_stop_the_node_is_gone_and_flags_are_their_defaults(
    redis_url: str,
) -> None:
    edit(redis_url, "new")
    failsoft.start(url=redis_url, env=ENV)
    before = failsoft.flag("price.new", "coded")

    failsoft.stop()

    details = failsoft.flag_details("price.new", "coded")
    assert (before, details.value) == ("new", "coded")
    assert details.error == "PROVIDER_NOT_READY"
    assert asyncio.run(nodes(redis_url)) == []
    assert "failsoft" not in {thread.name for thread in threading.enumerate()}


NO_DESCRIPTORS = """
import os, resource, sys, time
import failsoft, failsoft.store.redis.store
from failsoft.runtime import current_runtime
limits = resource.getrlimit(resource.RLIMIT_NOFILE)
def but_one():
    resource.setrlimit(resource.RLIMIT_NOFILE, (64, limits[1]))
    taken = []
    try:
        while True:
            taken.append(os.open(os.devnull, os.O_RDONLY))
    except OSError:
        os.close(taken.pop())
    return taken
taken = but_one()
try:
    failsoft.start(url=sys.argv[1], env="startup")
except OSError as error:
    print("start:", error.strerror, flush=True)
for number in taken:
    os.close(number)
failsoft.start(url=sys.argv[1], env="startup")
if os.fork() == 0:
    taken = but_one()
    print("child:", failsoft.flag("price.new", default=""), flush=True)
    for number in taken:
        os.close(number)
    failsoft.flag("price.new", default="")
    deadline = time.monotonic() + 5
    while not current_runtime().is_up and time.monotonic() < deadline:
        time.sleep(0.01)
    print("later:", current_runtime().is_up, flush=True)
    os._exit(0)
os.wait()
"""


def test_without_file_descriptors_a_start_is_refused_and_a_child_tries_again(
    redis_url: str,
) -> None:
    edit(redis_url, "new")

    done = subprocess.run(
        [sys.executable, "-c", NO_DESCRIPTORS, redis_url],
        capture_output=True,
        text=True,
        timeout=20,
        check=True,
    )

    said = done.stdout.splitlines()
    assert said == ["start: Too many open files", "child: new", "later: True"]
    assert "restart after a fork" in done.stderr


FORK_AMID_START = """
import os, sys, threading, time
import failsoft
from failsoft.lifetime import Lifetime
from failsoft.runtime import current_runtime
begin, begun, forked = Lifetime.begin, threading.Event(), threading.Event()
def held_up(self):
    begun.set()
    forked.wait(5)
    return begin(self)
Lifetime.begin = held_up
ours = {"url": sys.argv[1], "env": "startup"}
starting = threading.Thread(target=failsoft.start, kwargs=ours)
starting.start()
begun.wait(5)
if os.fork() == 0:
    forked.set()
    ends = time.monotonic() + 5
    while not failsoft.flag("price.new", default="") and time.monotonic() < ends:
        time.sleep(0.01)
    print("child:", failsoft.flag("price.new", default=""), flush=True)
    os._exit(0)
forked.set()
os.wait()
starting.join()
print("parent:", failsoft.flag("price.new", default=""), flush=True)
failsoft.stop()
"""


def test_a_child_forked_amid_a_start_follows_the_store(redis_url: str) -> None:
    edit(redis_url, "new")

    done = subprocess.run(
        [sys.executable, "-c", FORK_AMID_START, redis_url],
        capture_output=True,
        text=True,
        timeout=20,
        check=True,
    )

    assert done.stdout.splitlines() == ["child: new", "parent: new"]


def test_it_starts_anew_after_a_stop(redis_url: str) -> None:
    failsoft.start(url=redis_url, env=ENV)
    failsoft.stop()
    edit(redis_url, "new")

    failsoft.start(url=redis_url, env=ENV)

    assert failsoft.flag("price.new", "coded") == "new"


def test_a_start_without_the_store_takes_no_longer_than_its_deadline() -> None:
    began = time.monotonic()
    failsoft.start(url=AWAY, env=ENV)

    assert time.monotonic() - began < 1
    assert failsoft.flag("price.new", "coded") == "coded"


def test_a_start_that_needs_the_store_says_why_it_cannot() -> None:
    with pytest.raises(StoreUnavailable, match="no controls at start"):
        failsoft.start(url=AWAY, env=ENV, store={"require": True})

    assert "failsoft" not in {thread.name for thread in threading.enumerate()}


async def hello(request: Request) -> PlainTextResponse:
    return PlainTextResponse("hello")


def guarded_at(url: str) -> Failsoft:
    return Failsoft(Starlette(routes=[Route("/x", hello)]), redis_url=url, env=ENV)


@pytest.mark.anyio
async def test_a_middleware_beside_it_is_a_node_of_its_own(redis_url: str) -> None:
    await asyncio.to_thread(failsoft.start, url=redis_url, env=ENV)
    guarded = guarded_at(redis_url)
    await guarded.runtime.ensure()

    found = await nodes(redis_url)
    await guarded.runtime.stop()

    assert len(found) == 2


ON_CLOSED_LOOPS = """
import asyncio, sys
from chaos.forking import redis_sockets
from failsoft import Failsoft
async def app(*scope): pass
url = sys.argv[1]
port = int(url.rpartition(":")[2].partition("/")[0])
guarded = Failsoft(app, redis_url=url, env="startup")
open_here = []
for _ in range(3):
    loop = asyncio.new_event_loop()
    loop.run_until_complete(guarded.runtime.ensure())
    loop.run_until_complete(asyncio.sleep(0.1))
    open_here.append(len(redis_sockets(port)))
    loop.close()
print(guarded.runtime.snapshot.state, open_here[0], open_here[-1])
"""


def test_sockets_of_a_closed_loop_are_dropped(redis_url: str) -> None:
    """Nobody ended what ran on it; asyncio complains of that, on stderr."""
    done = subprocess.run(
        [sys.executable, "-c", ON_CLOSED_LOOPS, redis_url],
        capture_output=True,
        text=True,
        env={**os.environ, "PYTHONPATH": str(Path(__file__).parents[1])},
    )

    state, first, last = done.stdout.split()
    # One more may be open for a moment; a loop's own would be three and more.
    assert (state, int(last) <= int(first) + 1) == ("live", True), done.stderr


def test_a_kill_goes_on_from_loop_to_loop_while_the_store_is_away(
    own_redis: Any,
) -> None:
    with own_redis() as server:
        guarded = guarded_at(server.url)

        async def learn() -> None:
            await write(server.url, "kill", "route:* /*", KillDoc("ana", "INC-1"))
            await get(guarded, "/x")
            await eventually(lambda: guarded.runtime.snapshot.kills == 1)

        async def serve() -> int:
            return (await get(guarded, "/x")).status

        asyncio.run(learn())
        server.kill()
        statuses = [asyncio.run(serve()) for _ in range(2)]

    assert statuses == [503, 503]
