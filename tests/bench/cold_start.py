"""What a node serves that starts while its store is away, and when it is live again.

    python tests/bench/cold_start.py [--flags 2000] [--outage 12]

A first node leaves its last-known-good file: so many flag edits and a kill of a
route.  Then the store is refused, black-holed (connections are taken, nothing is
answered) or frozen, and a second node starts.  The loop is looked at each 2 ms.
"""

from __future__ import annotations

import argparse
import asyncio
import os
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parents[1]))

import msgspec
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import PlainTextResponse
from starlette.routing import Route

import failsoft
from asgi.drive import get
from asgi.eventually import eventually
from failsoft import Failsoft
from failsoft.controls.records import KillDoc
from failsoft.store.protocols import Call, Change
from failsoft.testing import FaultProxy, RedisServer, redis_server
from flagdoc import FlagDoc

ENV = "cold"
ON = msgspec.json.encode(
    FlagDoc(variants={"on": True, "off": False}, defaultVariant="on")
)

Fault = tuple[Callable[[], None], Callable[[], None]]


async def price(request: Request) -> PlainTextResponse:
    return PlainTextResponse(str(failsoft.flag("flag-7", default=False)))


def node(url: str) -> Failsoft:
    app = Starlette(routes=[Route("/price", price), Route("/pay", price)])
    return Failsoft(app, redis_url=url, env=ENV)


async def leave_a_file(url: str, flags: int) -> None:
    first = node(url)
    await first.runtime.ensure()
    puts = [Change("flag", f"flag-{n}", "put", json=ON) for n in range(flags)]
    kill = msgspec.json.encode(KillDoc("ana", "INC-1"))
    puts.append(Change("kill", "route:GET /pay", "put", json=kill))
    for start in range(0, len(puts), 500):
        part = tuple(puts[start : start + 500])
        await first.runtime.store.apply(Call(f"{start}", "ana", "bench", part))
    await eventually(lambda: first.runtime.snapshot.revision == len(puts), 10)
    await first.runtime.stop()


async def look(worst_ms: list[float]) -> None:
    while True:
        before = time.monotonic()
        await asyncio.sleep(0.002)
        worst_ms[0] = max(worst_ms[0], (time.monotonic() - before - 0.002) * 1000)


async def measure(name: str, fault: Fault, url: str, outage_s: float) -> None:
    break_it, heal = fault
    break_it()
    second, worst_ms = node(url), [0.0]
    looking = asyncio.create_task(look(worst_ms))
    await asyncio.sleep(0.01)
    began = time.monotonic()
    first = await get(second, "/price")
    first_s = time.monotonic() - began
    killed = await get(second, "/pay")
    await asyncio.sleep(outage_s)
    state = second.runtime.snapshot.state
    heal()
    back = time.monotonic()
    await eventually(lambda: second.runtime.snapshot.state == "live", 20)
    live_s = time.monotonic() - back
    looking.cancel()
    await second.runtime.stop()
    print(
        f"{name:12} first request {first_s:.3f} s ({first.body.decode()}, killed route "
        f"{killed.status}), {state}, longest stall {worst_ms[0]:.1f} ms in "
        f"{outage_s:g} s, live {live_s:.2f} s after its return"
    )


async def run(args: argparse.Namespace, server: RedisServer, proxy: FaultProxy) -> None:
    await leave_a_file(proxy.url, args.flags)
    faults: dict[str, Fault] = {
        "refused": (proxy.refuse, proxy.accept),
        "black-holed": (proxy.swallow, proxy.heal),
        "frozen": (server.stop, server.cont),
    }
    for name, fault in faults.items():
        await measure(name, fault, proxy.url, args.outage)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--flags", type=int, default=2000)
    parser.add_argument("--outage", type=float, default=12.0)
    args: Any = parser.parse_args()
    with (
        tempfile.TemporaryDirectory() as state,
        redis_server(own=True) as server,
        FaultProxy(server.url) as proxy,
    ):
        os.environ["XDG_STATE_HOME"] = state
        asyncio.run(run(args, server, proxy))
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
