"""What protection adds to a request over the spine, by hand-driven ASGI, in one run.

    python tests/bench/resilience.py [--rounds 40] [--app starlette|fastapi-get]

The spine is the middleware with the route bypassed: it measures, and protects from
nothing.  Each stack adds one thing; `all` has them together on each request: the
deadline, an armed shedder, the limits of rate and of requests at a time, a declared
dependency under an override, and a mode in force.  Apart from it are told: a limit
that is leased from Redis, a mode that holds for a share of the callers (of whom each
request then asks who it is), and a call that goes through a breaker.  Blocks of a
stack are interleaved with blocks of the spine; the figure is the median difference,
in CPU time of the thread, so that other processes hardly show in it.
"""

from __future__ import annotations

import argparse
import asyncio
import os
import statistics
import sys
import tempfile
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from time import thread_time
from typing import Any

sys.path.insert(0, str(Path(__file__).parents[1]))

from asgi.controls import put
from bench.stacks import REQUESTS, build, drive
from failsoft import Failsoft, dependency
from failsoft.controls.records import BreakerDoc, ModeDoc
from failsoft.testing import redis_server

BLOCK = 400
YIELD_EVERY = 8  # so that the beat of the loop comes as on a server
BUDGET_US = 5.0
DEADLINE = {"timeout": "2s"}
RATE = {"rate_limit": "1000000/second"}
CROWD = {"concurrency_limit": 500}
BYPASS = {"bypass": True}

App = Callable[..., Any]


async def block(
    app: App, request: tuple[str, str, bytes], guarded: Any = None
) -> float:
    """Return microseconds of CPU a request."""
    method, path, body = request
    statuses = set()
    begin = thread_time()
    for n in range(BLOCK):
        statuses.add(await drive(app, method, path, body))
        if n % YIELD_EVERY == 0:
            await asyncio.sleep(0)
    took = thread_time() - begin
    assert statuses == {200}, statuses
    if guarded is not None:  # what armed it must go on
        guarded.runtime.inbound.shedder.limit = 900.0
    return took / BLOCK * 1e6


class Calling:
    """An application that calls somebody, who answers at once, in each request."""

    def __init__(self, app: Any, *, is_protected: bool) -> None:
        self.routes, self.router, self._app = app.routes, app.router, app
        self._bank = dependency("bank") if is_protected else None

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        if self._bank is not None:
            with self._bank.attempt():
                pass
        await self._app(scope, receive, send)


@dataclass(frozen=True)
class Stack:
    """One way to be protected.

    is_armed: the shedder has a limit, never reached.  mode: share of the callers for
    whom one is in force.  calls: whether each request calls through a breaker.
    has_breaker: a dependency is declared, and its breaker held closed by a record.
    is_leased: limits are shared, in a Redis of this run.
    """

    rules: dict[str, Any]
    is_armed: bool = False
    mode: float = 0.0
    calls: bool = False
    has_breaker: bool = False
    is_leased: bool = False

    async def start(self, name: str, redis_url: str = "") -> Failsoft:
        app = Calling(build(name), is_protected=self.calls)
        more: dict[str, Any] = {"routes": {"* *": self.rules}, "env": "bench"}
        if self.has_breaker:
            more["dependency"] = {"bank": {"timeout": "1s"}}
        if self.is_leased:
            more["redis_url"] = redis_url
        guarded = Failsoft(app, **more)
        await guarded.runtime.ensure()
        if self.mode:
            doc = ModeDoc("ana", "INC-1", share=self.mode)
            await put(guarded, "mode", "fs.banner", doc)
        if self.has_breaker:
            held = BreakerDoc("ana", "INC-1", "closed")
            await put(guarded, "breaker", "bank", held)
        return guarded


LIMITS = DEADLINE | RATE | CROWD
STACKS = {
    "nothing declared": Stack({}),
    "deadline": Stack(DEADLINE),
    "armed shedder": Stack({}, is_armed=True),
    "concurrency limit": Stack(CROWD),
    "rate limit": Stack(RATE),
    "mode": Stack({}, mode=1.0),
    "breaker held": Stack({}, has_breaker=True),
    "rate limit, leased": Stack(RATE, is_leased=True),
    "mode for a share": Stack({}, mode=0.001),
    "one call, breaker": Stack({}, calls=True),
    "all, mode for a share": Stack(LIMITS, is_armed=True, mode=0.001, has_breaker=True),
    "all": Stack(LIMITS, is_armed=True, mode=1.0, has_breaker=True),
}


async def added_us(spine: App, stack: Stack, name: str, rounds: int) -> float:
    """Return the median of what a stack adds to the spine."""
    with ExitStack() as servers:
        url = servers.enter_context(redis_server()).url if stack.is_leased else ""
        guarded = await stack.start(name, url)
        try:
            return await added_by(guarded, spine, stack, (name, rounds))
        finally:
            await guarded.runtime.stop()


async def added_by(
    guarded: Failsoft, spine: App, stack: Stack, run: tuple[str, int]
) -> float:
    request, rounds = REQUESTS[run[0]], run[1]
    armed = guarded if stack.is_armed else None
    for _ in range(2):
        await block(spine, request)
        await block(guarded, request, armed)
    added = []
    for _ in range(rounds):
        before = await block(spine, request)
        cost = await block(guarded, request, armed)
        after = await block(spine, request)
        if abs(before - after) / before <= 0.07:
            added.append(cost - (before + after) / 2)
    return statistics.median(added) if added else float("nan")


async def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=40)
    parser.add_argument("--app", choices=tuple(REQUESTS), default="starlette")
    given = parser.parse_args()
    if hasattr(os, "sched_setaffinity"):
        os.sched_setaffinity(0, {max(os.sched_getaffinity(0))})
    with tempfile.TemporaryDirectory() as state:
        os.environ["XDG_STATE_HOME"] = state
        spine = await Stack(BYPASS).start(given.app)
        base = statistics.median(
            [await block(spine, REQUESTS[given.app]) for _ in range(10)]
        )
        print(f"{given.app}: the spine with the application {base:.1f} us a request")
        for name, stack in STACKS.items():
            cost = await added_us(spine, stack, given.app, given.rounds)
            print(f"  {name:22}{cost:+7.2f} us", flush=True)
        await spine.runtime.stop()
    print(f"budget of all together: {BUDGET_US:.0f} us; it is {cost:.2f}")
    return 0 if cost <= BUDGET_US else 1


if __name__ == "__main__":
    raise SystemExit(asyncio.run(main()))
