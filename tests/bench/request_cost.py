"""What failsoft adds to a request, by hand-driven ASGI, against the bare app.

    python tests/bench/request_cost.py [--redis URL] [--rounds 40]

Each stack runs in blocks interleaved with blocks of the bare app; the figure is the
median of (block - mean of the bare blocks around it).  Rounds whose bare brackets
differ by more than 7 % are dropped.  The background tasks of the middleware run on
the same loop and are in the figure.  Read the ratios, not the microseconds.
"""

from __future__ import annotations

import argparse
import asyncio
import os
import statistics
import sys
import tempfile
from pathlib import Path
from time import perf_counter
from typing import Any

sys.path.insert(0, str(Path(__file__).parents[1]))

from bench.stacks import REQUESTS, SendWrapper, build, drive, sampled_provider

BLOCK = 400


async def block(app: Any, request: tuple[str, str, bytes]) -> float:
    method, path, body = request
    begin = perf_counter()
    for _ in range(BLOCK):
        await drive(app, method, path, body)
    await asyncio.sleep(0)
    return (perf_counter() - begin) / BLOCK * 1e6


async def added_us(
    bare: Any, app: Any, request: tuple[str, str, bytes], rounds: int
) -> tuple[float, float, int]:
    """Return (median bare us, median added us, rounds that counted)."""
    await block(bare, request)
    await block(app, request)
    bares, added = [], []
    for _ in range(rounds):
        before = await block(bare, request)
        cost = await block(app, request)
        after = await block(bare, request)
        if abs(before - after) / before > 0.07:
            continue
        bares.append((before + after) / 2)
        added.append(cost - bares[-1])
    if not added:
        return float("nan"), float("nan"), 0
    return statistics.median(bares), statistics.median(added), len(added)


async def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--redis", default="", help="store of the middleware")
    parser.add_argument("--rounds", type=int, default=40)
    parser.add_argument("--otel", action="store_true", help="SDK, 1 %% head sampling")
    args = parser.parse_args()
    if hasattr(os, "sched_setaffinity"):
        os.sched_setaffinity(0, {max(os.sched_getaffinity(0))})
    if args.otel:
        from opentelemetry import trace

        trace.set_tracer_provider(sampled_provider(0.01))
    from failsoft import Failsoft

    print(
        f"{'request':14}{'stack':22}{'bare us':>9}{'added us':>10}{'ratio':>8}  rounds"
    )
    for name, request in REQUESTS.items():
        bare = build(name)
        store = {"redis_url": args.redis} if args.redis else {}
        state = tempfile.TemporaryDirectory()  # no last-known-good file at home
        os.environ["XDG_STATE_HOME"] = state.name
        guarded = Failsoft(build(name), env="bench", **store)
        await guarded.runtime.ensure()
        await asyncio.sleep(0.5)
        stacks = {"send wrapper (floor)": SendWrapper(build(name)), "failsoft": guarded}
        if args.otel and name != "starlette":
            native = {"tracing": True, "metrics": False, "logs": False}
            stacks["FastAPI telemetry"] = build(name, native)
        for label, app in stacks.items():
            base, added, counted = await added_us(bare, app, request, args.rounds)
            ratio = 1 + added / base
            print(f"{name:14}{label:22}{base:9.1f}{added:10.2f}{ratio:8.3f}  {counted}")
        await guarded.runtime.stop()
    return 0


if __name__ == "__main__":
    raise SystemExit(asyncio.run(main()))
