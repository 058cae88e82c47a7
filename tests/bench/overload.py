"""Two nodes at twice what they can serve, with and without failsoft.

    python tests/bench/overload.py [--seconds 60] [--times 2.0] [--wait-ms 20] [--wrk]

Each route burns 5 ms of CPU.  Capacity is what the bare nodes answer to as many
callers as keep them busy; then an open loop offers a multiple of it, and half of it
afterwards.  In time: within 500 ms of the planned arrival.  The generator shares the
machine with the nodes, so with two cores read the figures as ratios.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import json
import shutil
import subprocess
import sys
import tempfile
import urllib.request
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from time import perf_counter
from typing import Any

sys.path.insert(0, str(Path(__file__).parents[1]))

from bench.busy import CPU_S
from load.openloop import Load, Node, Report, Request, Sample
from load.servers import served

HERE = Path(__file__).parent
IN_TIME_MS = 500.0
NODES = 2
# Path -> how many of 10 requests.  Criticality: see `busy`.  At twice the capacity
# what is critical takes 60 % of it, so that it can be served in whole.
MIX = {"/checkout": 1, "/product": 2, "/search": 4, "/ads": 3}
CRITICAL = ("GET /checkout", "GET /product")
CONSUMERS = 23


def requests() -> list[Request]:
    """Return the mix, of many consumers: each has a rank of its own."""
    turn = [path for path, weight in MIX.items() for _ in range(weight)]
    return [
        Request(f"GET {path}", headers=(("x-api-key", f"c{consumer}"),))
        for consumer in range(CONSUMERS)
        for path in turn
    ]


@dataclass
class Bench:
    """The nodes of one run and what they were offered."""

    urls: list[str]

    async def capacity(self, seconds: float, callers: int) -> float:
        """Return answers per second to callers who ask again when answered."""
        ends = perf_counter() + seconds
        nodes = [Node(url) for url in self.urls]
        kinds = [request.encoded() for request in requests()]
        done = 0

        async def ask(node: Node, first: int) -> None:
            nonlocal done
            while perf_counter() < ends:
                await node.ask(kinds[(first + done) % len(kinds)])
                done += 1

        await asyncio.gather(*(ask(n, i) for n in nodes for i in range(callers)))
        for node in nodes:
            await node.close()
        return done / seconds

    async def offer(self, rate: float, seconds: float) -> Report:
        return await Load(self.urls, rate, seconds, requests()).run()

    def states(self) -> list[Any]:
        return [
            json.load(urllib.request.urlopen(f"{url}/state", timeout=10))
            for url in self.urls
        ]

    async def watch(self, seconds: float) -> list[list[Any]]:
        """Return the states of the nodes each 5 s."""
        seen: list[list[Any]] = []
        for _ in range(int(seconds / 5)):
            await asyncio.sleep(5)
            with contextlib.suppress(OSError):
                seen.append(await asyncio.to_thread(self.states))
        return seen


@contextlib.contextmanager
def nodes(environ: dict[str, str]) -> Iterator[Bench]:
    with contextlib.ExitStack() as stack:
        urls = []
        for _ in range(NODES):
            home = Path(stack.enter_context(tempfile.TemporaryDirectory()))
            serving = served("busy:app", home=home, env=environ, folder=HERE)
            urls.append(stack.enter_context(serving))
        yield Bench(urls)


def in_time(report: Report) -> list[Sample]:
    samples = report.samples
    return [s for s in samples if s.status == 200 and s.took_ms <= IN_TIME_MS]


def accepted_p99(report: Report) -> float:
    took = sorted(s.took_ms for s in report.samples if s.status == 200)
    return took[int(0.99 * (len(took) - 1))] if took else float("nan")


def critical_ratio(report: Report) -> float:
    """Return the share of critical requests that were answered in time."""
    asked = [s for s in report.samples if s.line in CRITICAL]
    good = [s for s in in_time(report) if s.line in CRITICAL]
    return len(good) / len(asked) if asked else float("nan")


def normal_after_s(report: Report) -> int:
    """Return the second after which at least 98 % of each second was in time."""
    good, every = Counter[int](), Counter[int]()
    for sample in report.samples:
        second = int(sample.at - sample.took_ms / 1000 - report.started_at)
        every[second] += 1
        good[second] += sample.status == 200 and sample.took_ms <= IN_TIME_MS
    bad = [second for second in every if good[second] < 0.98 * every[second]]
    return max(bad, default=-1) + 1


def tell(name: str, report: Report, seconds: float, capacity: float) -> None:
    goodput = len(in_time(report)) / seconds
    print(
        f"  {name:12}offered {report.sent / seconds:6.0f}/s  in time {goodput:6.0f}/s"
        f" = {goodput / capacity:4.0%} of capacity  p99 of accepted"
        f" {accepted_p99(report):6.0f} ms  critical {critical_ratio(report):6.1%}"
        f"  {report.by_status()}",
        flush=True,
    )


def by_class(report: Report) -> str:
    shares = []
    for path in MIX:
        asked = [s for s in report.samples if s.line == f"GET {path}"]
        good = [s for s in in_time(report) if s.line == f"GET {path}"]
        shares.append(f"{path} {len(good) / max(1, len(asked)):.1%}")
    return ", ".join(shares)


async def run(bench: Bench, given: argparse.Namespace, capacity: float) -> None:
    unloaded = await bench.offer(capacity * 0.2, 5)
    tell("unloaded", unloaded, 5, capacity)
    before_s = sum(state["cpu_s"] for state in bench.states())
    watching = asyncio.create_task(bench.watch(given.seconds))
    over = await bench.offer(capacity * given.times, given.seconds)
    cpu_s = sum(state["cpu_s"] for state in bench.states()) - before_s
    seen = await watching
    tell("overload", over, given.seconds, capacity)
    for part in (1, 2, 3, 4):
        since = over.started_at + (part - 1) * given.seconds / 4
        quarter = over.between(since, since + given.seconds / 4)
        tell(f"  quarter {part}", quarter, given.seconds / 4, capacity)
    minutes = given.seconds // 60
    for minute in range(int(minutes)):
        since = over.started_at + minute * 60
        part_of = over.between(since, since + 60)
        print(f"  minute {minute + 1}: {len(in_time(part_of)) / 60:.1f}/s in time")
    after = await bench.offer(capacity * 0.5, 8)
    tell("after", after, 8, capacity)
    worse = accepted_p99(over) / accepted_p99(unloaded)
    print(f"  in time by route: {by_class(over)}")
    print(
        f"  p99 accepted / unloaded {worse:.1f}; normal after {normal_after_s(after)} s"
    )
    useful = len(in_time(over)) * CPU_S / cpu_s
    print(
        f"  CPU of the nodes {cpu_s:.1f} s, {useful:.0%} of it in answers in time"
        f" (others had the rest of {NODES * given.seconds:.0f} s)"
    )
    limits = [[s.get("limit") for s in states] for states in seen]
    print(f"  limits each 5 s: {limits}")
    if given.wrk and shutil.which("wrk"):
        print(wrk(bench.urls[0]))


def wrk(url: str) -> str:
    """Ask one node from 64 connections for 8 s: a witness that is not ours."""
    command = ["wrk", "-t1", "-c64", "-d8s", "--latency", f"{url}/product"]
    said = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    kept = ("Requests/sec", "Non-2xx", "50%", "99%", "requests in")
    lines = [line.strip() for line in said.splitlines() if any(k in line for k in kept)]
    return "  wrk -c64 on one node: " + "; ".join(lines)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--seconds", type=float, default=60.0)
    parser.add_argument("--times", type=float, default=2.0)
    parser.add_argument("--wait-ms", type=float, default=0.0)
    parser.add_argument("--wrk", action="store_true", help="also ask with wrk")
    parser.add_argument("--only", choices=("with", "without"), help="one of the two")
    given = parser.parse_args()
    environ = {"BENCH_WAIT_MS": str(given.wait_ms)}
    callers = 2 + round(given.wait_ms / 5)
    with nodes(environ) as bench:
        asyncio.run(bench.capacity(2, callers))
        capacity = asyncio.run(bench.capacity(8, callers))
        print(f"capacity of {NODES} bare nodes: {capacity:.0f}/s", flush=True)
        if given.only != "with":
            print("without failsoft:")
            asyncio.run(run(bench, given, capacity))
    if given.only != "without":
        with nodes(environ | {"BENCH_GUARD": "1"}) as bench:
            print("with failsoft:")
            asyncio.run(bench.capacity(2, callers))
            asyncio.run(run(bench, given, capacity))
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
