"""What versions cost a request that they do not change, by hand-driven ASGI.

    python tests/bench/versions.py [--rounds 40]

First `resolve` alone; then a GET of the oldest of 100 versions, which no op touches,
beside the same application under failsoft without a contract.  Blocks of both are
interleaved, and measured in processor time: a busy host slows all, but adds little.
"""

from __future__ import annotations

import argparse
import asyncio
import os
import statistics
import sys
import tempfile
import time
import timeit
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parents[1]))

from bench.stacks import REQUESTS, build, drive, scope_of
from failsoft import Failsoft
from failsoft.consumer import Consumers
from failsoft.routes.models import Models
from failsoft.versions import Contract, Header, PathPrefix, Query, Version
from failsoft.versions._chain import compile_contract
from failsoft.versions._stage import VersionStage

IDS = [f"{2015 + n // 12}-{1 + n % 12:02}-01" for n in range(100)]
CALLS = 100_000
BLOCK = 400


class Asking:
    """Adds a header to each request, as a client would."""

    def __init__(self, app: Any, version: str) -> None:
        self.app = app
        self.header = (b"x-api-version", version.encode())

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        scope["headers"].append(self.header)
        await self.app(scope, receive, send)


def contract(**options: Any) -> Contract:
    return Contract([Version(one) for one in IDS], **options)


def resolve_us(version: str | None, path: str = "/hello", **options: Any) -> float:
    """Return the microseconds of one `resolve`."""
    made, models = contract(**options), Models(routes={}, names={}, document={})
    stage = VersionStage(
        made,
        compile_contract(made, models),
        models,
        consumers=Consumers(),
        now_ms=lambda: time.time() * 1000,
    )
    scope = scope_of("GET", path)
    if version is not None:
        scope["headers"].append((b"x-api-version", version.encode()))

    def once() -> None:
        scope["root_path"] = ""
        stage.resolve(scope)

    return (
        min(timeit.repeat(once, timer=time.process_time, number=CALLS, repeat=3))
        / CALLS
        * 1e6
    )


def print_resolve() -> None:
    every = [Header("X-API-Version"), Query("v"), PathPrefix("v")]
    for words, us in (
        ("header, a declared id", resolve_us(IDS[0])),
        ("header, a date between two", resolve_us("2015-01-09")),
        ("nothing asked, default oldest", resolve_us(None)),
        ("nothing asked, pins by caller", resolve_us(None, pins={"bench-1": IDS[3]})),
        ("path prefix", resolve_us(None, f"/v{IDS[0]}/hello", read=every)),
        ("a wrong value, refused", resolve_us("nonsense")),
    ):
        print(f"resolve: {words:32}{us:6.2f} us")


async def block_us(app: Any, request: tuple[str, str, bytes]) -> float:
    began = time.process_time()
    for _ in range(BLOCK):
        await drive(app, *request)
    return (time.process_time() - began) / BLOCK * 1e6


async def added_us(
    plain: Any, versioned: Any, request: tuple[str, str, bytes], rounds: int
) -> tuple[float, float]:
    """Return the medians of (plain us, added us)."""
    bases, added = [], []
    for _ in range(rounds):
        before = await block_us(plain, request)
        cost = await block_us(versioned, request)
        base = (before + await block_us(plain, request)) / 2
        bases.append(base)
        added.append(cost - base)
        await asyncio.sleep(0)
    return statistics.median(bases), statistics.median(added)


async def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=40)
    args = parser.parse_args()
    if hasattr(os, "sched_setaffinity"):
        os.sched_setaffinity(0, {max(os.sched_getaffinity(0))})
    print_resolve()
    for name in ("starlette", "fastapi-get"):
        state = tempfile.TemporaryDirectory()
        os.environ["XDG_STATE_HOME"] = state.name
        plain, versioned = (
            Failsoft(build(name)),
            Failsoft(build(name), contract=contract()),
        )
        stacks = Asking(plain, IDS[0]), Asking(versioned, IDS[0])
        for stack in stacks:
            await drive(stack, *REQUESTS[name])
        await asyncio.sleep(1.0)
        base, added = await added_us(*stacks, REQUESTS[name], args.rounds)
        print(
            f"{name}: GET under failsoft {base:.1f} us, with 100 versions "
            f"{added:+.2f} us"
        )
        await plain.runtime.stop()
        await versioned.runtime.stop()
    return 0


if __name__ == "__main__":
    raise SystemExit(asyncio.run(main()))
