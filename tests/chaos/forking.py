"""A process that follows the store, then forks four children: `forking.py URL HOW`.

HOW: `alone` by `failsoft.start`, while threads hold locks and evaluate; `serving`
from inside a request.  Prints one JSON line once it forked and one for each process
that has seen the edit that is made then.
"""

from __future__ import annotations

import asyncio
import json
import logging
import os
import sys
import threading
import time
from pathlib import Path

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import PlainTextResponse
from starlette.routing import Route

import failsoft
from asgi.drive import get
from failsoft.runtime import current_runtime

KEY = "price.new"
CHILDREN = 4


def redis_sockets(port: int) -> list[str]:
    """Return the kernel's names of this process's connections to the server."""
    lines = Path("/proc/self/net/tcp").read_text().splitlines()[1:]
    to_redis = {
        fields[9]
        for line in lines
        if (fields := line.split())[2].endswith(f":{port:04X}")
    }
    held = set()
    for entry in os.listdir("/proc/self/fd"):
        try:
            held.add(os.readlink(f"/proc/self/fd/{entry}"))
        except OSError:
            continue  # the one of this listing
    return [inode for inode in to_redis if f"socket:[{inode}]" in held]


def say(**fact: object) -> None:
    os.write(1, (json.dumps(fact) + "\n").encode())


def follow(role: str, port: int, before: list[str]) -> None:
    """Ask for the flag until it is on; report how it went."""
    inherited = failsoft.flag_details(KEY, default="none").value
    shared = [name for name in redis_sockets(port) if name in before]
    deadline = time.monotonic() + 10
    while failsoft.flag(KEY, default="none") != "second":
        if time.monotonic() > deadline:
            break
        time.sleep(0.005)
    seen = time.time()
    runtime = current_runtime()
    assert runtime is not None
    say(
        role=role,
        pid=os.getpid(),
        node=runtime.node,
        first=inherited,
        last=failsoft.flag(KEY, default="none"),
        shared=shared,
        own=len(redis_sockets(port)),
        seen_at=seen,
    )


def hold_locks(handler: logging.Handler, held: threading.Event) -> None:
    """Hold a lock that evaluation may need when it logs, across the fork."""
    handler.acquire()
    held.set()
    threading.Event().wait(1.0)
    handler.release()


def evaluate_on(going: threading.Event) -> None:
    while going.is_set():
        failsoft.flag(KEY, default="none")
        failsoft.start()


def follow_alone(url: str, port: int) -> None:
    """Fork beside the thread that follows the store."""
    handler = logging.StreamHandler()
    logging.getLogger("failsoft").addHandler(handler)
    failsoft.start(url=url, env="forks")
    failsoft.flag(KEY, default="none")
    held, going = threading.Event(), threading.Event()
    going.set()
    threading.Thread(target=hold_locks, args=(handler, held)).start()
    busy = threading.Thread(target=evaluate_on, args=(going,))
    busy.start()
    held.wait()
    before = redis_sockets(port)
    children = []
    for nth in range(CHILDREN):
        if not (child := os.fork()):
            follow(f"child {nth}", port, before)
            os._exit(0)
        children.append(child)
    going.clear()
    busy.join()
    say(role="ready")
    follow("parent", port, [])
    for child in children:
        os.waitpid(child, 0)
    say(role="after", same=sorted(redis_sockets(port)) == sorted(before))
    failsoft.stop()


async def serve(url: str, port: int) -> None:
    """Fork from inside a request, as a process pool does."""
    children = []

    async def fork(request: Request) -> PlainTextResponse:
        failsoft.flag(KEY, default="none")
        before.extend(redis_sockets(port))
        for nth in range(CHILDREN):
            if not (child := os.fork()):
                follow(f"child {nth}", port, before)
                os._exit(0)
            children.append(child)
        return PlainTextResponse("forked")

    async def ask(request: Request) -> PlainTextResponse:
        return PlainTextResponse(failsoft.flag(KEY, default="none"))

    before: list[str] = []
    app = Starlette(routes=[Route("/fork", fork), Route("/ask", ask)])
    guarded = failsoft.Failsoft(app, redis_url=url, env="forks")
    await get(guarded, "/ask")
    await asyncio.sleep(0.3)  # a copy of what is just being connected stays, unused
    await get(guarded, "/fork")
    say(role="ready")
    async with asyncio.timeout(10):
        while True:
            answer = await get(guarded, "/ask")
            if answer.body == b"second":
                break
            await asyncio.sleep(0.005)
    node = guarded.runtime.node
    facts = {"first": "first", "last": "second", "shared": [], "own": 2}
    say(role="parent", node=node, seen_at=time.time(), **facts)
    for child in children:
        await asyncio.to_thread(os.waitpid, child, 0)
    say(role="after", same=sorted(redis_sockets(port)) == sorted(before))
    await guarded.runtime.stop()


if __name__ == "__main__":
    address, how = sys.argv[1:]
    number = int(address.rpartition(":")[2].partition("/")[0])
    if how == "alone":
        follow_alone(address, number)
    else:
        asyncio.run(serve(address, number))
