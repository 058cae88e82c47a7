"""Measure limits and a mode while Redis is killed, stopped, slow and flushed.

    python tests/bench/limit_faults.py [--rate 250] [--seconds 8]

Two uvicorns behind a steady open-loop load: most requests under a leased limit, some
under an exact one, which asks Redis each time, some under none.  For each fault: what
was answered, and the 99th percentile beside that of the healthy seconds before it.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import subprocess
import sys
import tempfile
import time
from contextlib import ExitStack
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parents[1]))

from failsoft.testing import RedisServer, redis_server
from failsoft.testing.faults import FaultProxy
from load.openloop import Load, Report, Request
from load.servers import clean_environ, served

HERE = Path(__file__).parent
KEY = (("x-key", "all"),)
MIX = (
    Request("GET /hot", headers=KEY, weight=6),
    Request("GET /exact", headers=KEY),
    Request("GET /free"),
)
HEALTHY_S = 4.0


async def measure(urls: list[str], server: RedisServer, values: Any, proxy: Any) -> int:
    def slow() -> None:
        proxy.delay_s = 0.1  # each way

    faults = {
        "killed": (server.kill, server.start),
        "stopped": (server.stop, server.cont),
        "slow 200 ms": (slow, proxy.heal),
        "flushed": (lambda: server.ask("FLUSHALL"), lambda: None),
    }
    seconds = 4 + len(faults) * (2 * HEALTHY_S + values.seconds)
    load = Load(urls, values.rate, seconds, MIX)
    running = asyncio.create_task(load.run())
    await asyncio.sleep(4)
    spans = []
    for name, (begin, end) in faults.items():
        before = time.time()
        await asyncio.sleep(HEALTHY_S)
        since = time.time()
        await asyncio.to_thread(begin)
        await asyncio.sleep(values.seconds)
        await asyncio.to_thread(end)
        until = time.time()
        await asyncio.sleep(HEALTHY_S)
        spans.append((name, before, since, until, time.time()))
    report = await running
    bad = 0
    for name, before, since, until, after in spans:
        bad += tell(name, report.between(before, since), report.between(since, until))
        tell(f"{name}, after", None, report.between(until, after))
    return bad


def tell(name: str, healthy: Report | None, faulty: Report) -> int:
    """Print a span's figures; returns how many answers were 5xx, lost or late."""
    bad = sum(s.status >= 500 or s.status <= 0 for s in faulty.samples)
    text = f"{name:18} {faulty.by_status()}, bad {bad}"
    for line in ("", "GET /hot", "GET /exact", "GET /free"):
        part = faulty.of(line) if line else faulty
        text += f"; {line or 'all'} p99 {part.percentile_ms(0.99) or 0:.1f}"
        if healthy is not None:
            usual = (healthy.of(line) if line else healthy).percentile_ms(0.99) or 0
            text += f" ({usual:.1f})"
    print(text, "ms", flush=True)
    return bad


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rate", type=float, default=250)
    parser.add_argument("--seconds", type=float, default=8)
    values = parser.parse_args()
    with ExitStack() as stack:
        server = stack.enter_context(redis_server(own=True, persist=True))
        proxy = stack.enter_context(FaultProxy(server.url))
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        store = {"FAILSOFT_REDIS_URL": proxy.url, "FAILSOFT_ENV": "faults"}
        urls, outs = [], [folder / f"{index}.json" for index in range(2)]
        nodes = stack.enter_context(ExitStack())
        for index, out in enumerate(outs):
            home = folder / f"home{index}"
            home.mkdir()
            env = {**store, "LIMITED_OUT": str(out)}
            node = served("limited:app", home=home, env=env, folder=HERE)
            urls.append(nodes.enter_context(node))
        enter = ["-m", "failsoft", "mode", "enter", "busy", "-m", "a test"]
        enter += ["--confirm", "faults", "--for", "30m"]
        subprocess.run(
            [sys.executable, *enter], env=clean_environ() | store, check=True
        )
        bad = asyncio.run(measure(urls, server, values, proxy))
        nodes.close()
        for out in outs:
            seen = json.loads(out.read_text())
            print({k: seen[k] for k in ("allowed", "refused", "trips", "error")})
    print("no 5xx, nothing lost" if not bad else f"{bad} bad answers")
    return int(bool(bad))


if __name__ == "__main__":
    sys.exit(main())
