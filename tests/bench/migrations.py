"""What the oldest of 100 versions costs, beside the plain app and Cadwyn.

    python tests/bench/migrations.py [--peer PYTHON] [--rounds 30]

Prints the chain alone; a hand-driven POST of 2 KB under failsoft against the plain
application, in interleaved blocks; the start of 100 versions x 100 routes over the
plain one.  --peer: a Python that has cadwyn and fastapi; then the same for Cadwyn, in
its own process right after.  Read the ratios.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parents[1]))

from bench import evolved

BLOCK = 100


def scope_of(version: str | None) -> dict[str, Any]:
    headers = [(b"host", b"a"), (b"content-type", b"application/json")]
    if version is not None:
        headers.append((b"x-api-version", version.encode()))
    return {
        "type": "http",
        "asgi": {"version": "3.0"},
        "http_version": "1.1",
        "method": "POST",
        "scheme": "http",
        "path": "/orders",
        "raw_path": b"/orders",
        "query_string": b"",
        "root_path": "",
        "headers": headers,
        "client": ("127.0.0.1", 1),
        "server": ("127.0.0.1", 80),
        "state": {},
    }


async def post(app: Any, body: bytes, version: str | None) -> int:
    """Send one request; returns the status."""
    seen = []

    async def receive() -> Any:
        return {"type": "http.request", "body": body, "more_body": False}

    async def send(message: Any) -> None:
        seen.append(message)

    scope = scope_of(version)
    scope["headers"].append((b"content-length", str(len(body)).encode()))
    await app(scope, receive, send)
    return int(seen[0]["status"])


async def block_us(app: Any, body: bytes, version: str | None) -> float:
    """Return the microseconds of a request, over one block."""
    begin = time.perf_counter()
    for _ in range(BLOCK):
        await post(app, body, version)
    return (time.perf_counter() - begin) / BLOCK * 1e6


async def compared(name: str, app: Any, rounds: int) -> dict[str, Any]:
    """Drive the versioned app beside the plain one."""
    bare, new, old = (
        evolved.plain(),
        evolved.body(is_old=False),
        evolved.body(is_old=True),
    )
    version = evolved.VERSIONS[0]
    statuses = await post(bare, new, None), await post(app, old, version)
    assert statuses == (200, 200), statuses
    costs: list[tuple[float, float]] = []
    for _ in range(rounds):
        before = await block_us(bare, new, None)
        cost = await block_us(app, old, version)
        after = await block_us(bare, new, None)
        costs.append(((before + after) / 2, cost))
    plain_us = statistics.median(bare for bare, _ in costs)
    ratio = statistics.median(cost / bare for bare, cost in costs)
    return {
        "name": name,
        "body": len(old),
        "plain_us": round(plain_us, 1),
        "ratio": round(ratio, 2),
    }


_START = """
import asyncio, resource, sys, time
sys.path[:0] = {path!r}
from bench import evolved, migrations
import {imports}
app = evolved.{build}
before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
begin = time.perf_counter()
app = {wrap}
asyncio.run(migrations.post(app, evolved.body(is_old={is_old}), {version!r}))
spent = time.perf_counter() - begin
grown = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before
print(spent, grown / 1024)
"""


def started(python: str, **terms: Any) -> tuple[float, float]:
    """Return (s, MB) from the app to its first answer, medians of five processes."""
    code = _START.format(path=[str(Path(__file__).parents[1])], **terms)
    found = []
    for _ in range(5):
        run = subprocess.run(
            [python, "-c", code], capture_output=True, text=True, check=True
        )
        spent, grown = run.stdout.split()
        found.append((float(spent), float(grown)))
    s = statistics.median(one for one, _ in found)
    return s, statistics.median(mb for _, mb in found)


def starts(python: str) -> tuple[float, float]:
    """Print and return what the start under failsoft takes over the plain one."""
    app = {"build": "plain(is_wide=True)", "imports": "failsoft.asgi"}
    bare = started(python, wrap="app", is_old=False, version=None, **app)
    wrap = "failsoft.asgi.Failsoft(app, contract=evolved.contract())"
    ours = started(python, wrap=wrap, is_old=True, version=evolved.VERSIONS[0], **app)
    print(
        f"start 100 x 100: plain {bare[0]:.3f} s, failsoft +{ours[0] - bare[0]:.3f} s"
    )
    print(f"                 memory +{ours[1] - bare[1]:.1f} MB over plain")
    return ours[0] - bare[0], ours[1] - bare[1]


def chain_alone() -> None:
    """Print what the chain itself takes, without a server and an application."""
    from failsoft.routes.models import models_of
    from failsoft.versions._chain import compile_contract

    models = models_of(evolved.plain(is_wide=True))
    begin = time.perf_counter()
    chains = compile_contract(evolved.contract(), models)
    compiled_s = time.perf_counter() - begin
    up = chains.up("POST /orders", evolved.VERSIONS[0])
    assert up is not None
    old = evolved.body(is_old=True)
    begin = time.perf_counter()
    for _ in range(1000):
        up(old)
    each_us = (time.perf_counter() - begin) * 1000
    print(f"chain: compiled in {compiled_s * 1000:.0f} ms, up {each_us:.0f} us")


def show(found: dict[str, Any]) -> None:
    line = "{name:10} POST {body} B, oldest of 100: {ratio:.2f} x plain ({plain_us} us)"
    print(line.format(**found))


async def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--peer", default="", help="a Python that has cadwyn")
    parser.add_argument("--rounds", type=int, default=30)
    parser.add_argument("--as-peer", action="store_true", help=argparse.SUPPRESS)
    args = parser.parse_args()
    if hasattr(os, "sched_setaffinity"):
        os.sched_setaffinity(0, {max(os.sched_getaffinity(0))})
    if args.as_peer:
        begin = time.perf_counter()
        app = evolved.cadwyn(is_wide=True)
        start_s = time.perf_counter() - begin
        found = await compared("cadwyn", app, args.rounds)
        print(json.dumps({**found, "start_s": round(start_s, 2)}))
        return 0
    with tempfile.TemporaryDirectory() as state:
        os.environ["XDG_STATE_HOME"] = state
        from failsoft import Failsoft

        chain_alone()
        app = Failsoft(evolved.plain(), contract=evolved.contract())
        show(await compared("failsoft", app, args.rounds))
        if args.peer:
            command = [args.peer, __file__, "--as-peer", "--rounds", str(args.rounds)]
            run = subprocess.run(  # noqa: ASYNC221 - nothing else runs here
                command, capture_output=True, text=True, check=True
            )
            found = json.loads(run.stdout.splitlines()[-1])
            show(found)
            print(f"cadwyn     start 100 x 100: {found['start_s']} s")
        starts(sys.executable)
        await app.runtime.stop()
    return 0


if __name__ == "__main__":
    sys.exit(asyncio.run(main()))
