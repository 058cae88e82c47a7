"""What protection adds to a request over the spine, by hand-driven ASGI, in one run.

    python tests/bench/resilience.py [--rounds 40] [--app starlette|fastapi-get]

The spine is the middleware with the route bypassed: it measures, and protects from
nothing.  Each stack adds one thing; `all` has them together on each request: the
deadline, an armed shedder, the limits of rate and of requests at a time, a declared
dependency under an override, and a mode that holds for a share of the callers.  What
a call costs that goes through a breaker is told apart.  Blocks of a
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
from dataclasses import dataclass
from pathlib import Path
from time import thread_time
from typing import Any

sys.path.insert(0, str(Path(__file__).parents[1]))

from asgi.controls import put
from bench.stacks import REQUESTS, build, drive
from failsoft import Failsoft, dependency
from failsoft.controls.records import BreakerDoc, ModeDoc

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

    is_armed: the shedder has a limit, never reached.  has_mode: one is in force for
    a share of the callers.  calls: whether each request calls through a breaker.
    has_breaker: a dependency is declared, and its breaker held closed by a record.
    """

    rules: dict[str, Any]
    is_armed: bool = False
    has_mode: bool = False
    calls: bool = False
    has_breaker: bool = False

    async def start(self, name: str) -> Failsoft:
        app = Calling(build(name), is_protected=self.calls)
        bank = {"dependency": {"bank": {"timeout": "1s"}}} if self.has_breaker else {}
        guarded = Failsoft(app, env="bench", routes={"* *": self.rules}, **bank)
        await guarded.runtime.ensure()
        if self.has_mode:
            doc = ModeDoc("ana", "INC-1", share=0.001)
            await put(guarded, "mode", "fs.banner", doc)
        if self.has_breaker:
            held = BreakerDoc("ana", "INC-1", "closed")
            await put(guarded, "breaker", "bank", held)
        return guarded


STACKS = {
    "nothing declared": Stack({}),
    "deadline": Stack(DEADLINE),
    "armed shedder": Stack({}, is_armed=True),
    "concurrency limit": Stack(CROWD),
    "mode for a share": Stack({}, has_mode=True),
    "these together": Stack(DEADLINE | CROWD, is_armed=True, has_mode=True),
    "rate limit": Stack(RATE),
    "breaker held": Stack({}, has_breaker=True),
    "one call, breaker": Stack({}, calls=True),
    "all": Stack(
        DEADLINE | RATE | CROWD, is_armed=True, has_mode=True, has_breaker=True
    ),
}


async def added_us(spine: App, stack: Stack, name: str, rounds: int) -> float:
    """Return the median of what a stack adds to the spine."""
    guarded, request = await stack.start(name), REQUESTS[name]
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
    await guarded.runtime.stop()
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
            print(f"  {name:20}{cost:+7.2f} us", flush=True)
        await spine.runtime.stop()
    print(f"budget of all together: {BUDGET_US:.0f} us; it is {cost:.2f}")
    return 0 if cost <= BUDGET_US else 1


if __name__ == "__main__":
    raise SystemExit(asyncio.run(main()))
