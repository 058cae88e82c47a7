"""Calls (Python and C) that failsoft adds to a warm request; exact in every run.

    python tests/bench/call_count.py [--otel]

Prints a JSON object: request -> calls.  --otel: the SDK with 1 % head sampling.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import sys
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parents[1]))

from bench.stacks import REQUESTS, build, drive, sampled_provider
from failsoft import Failsoft, dice


async def calls_of(app: Any, name: str) -> int:
    """Count the calls of one request after three warm ones."""
    method, path, body = REQUESTS[name]
    for _ in range(3):
        await drive(app, method, path, body)
    seen = 0

    def count(frame: Any, event: str, arg: Any) -> None:
        nonlocal seen
        seen += event in ("call", "c_call")

    sys.setprofile(count)
    try:
        await drive(app, method, path, body)
    finally:
        sys.setprofile(None)
    return seen


async def added_calls() -> dict[str, int]:
    found = {}
    for name in REQUESTS:
        guarded = Failsoft(build(name))
        await guarded.runtime.ensure()
        await asyncio.sleep(0)
        both = await calls_of(guarded, name), await calls_of(build(name), name)
        found[name] = both[0] - both[1]
        await guarded.runtime.stop()
    return found | {"fastapi-post, watched": await watched_calls()}


async def watched_calls() -> int:
    """Count what a route costs whose bodies are compared with its model."""
    name = "fastapi-post"
    guarded = Failsoft(app := build(name))
    await guarded.runtime.ensure()
    await guarded.runtime.learn(app)
    guarded.runtime.planner.compile_gates()
    found = await calls_of(guarded, name) - await calls_of(build(name), name)
    await guarded.runtime.stop()
    return found


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--otel", action="store_true")
    if parser.parse_args().otel:
        from opentelemetry import trace

        dice.seed(7)  # no request of these is among the sampled ones
        trace.set_tracer_provider(sampled_provider(0.01))
    print(json.dumps(asyncio.run(added_calls())))
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
