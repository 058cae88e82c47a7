"""Measure a limit of 1000/s that four nodes share, their clocks 5 s apart.

    python tests/bench/shared_limit.py [--seconds 30] [--wrk]

Each node is a process that calls its application by a schedule (open loop), or with
`--wrk` a real uvicorn that wrk loads.  Over budget: the most that any stretch of time
admitted beyond the rate; the burst is what may be.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import subprocess
import sys
import tempfile
import time
from collections import Counter
from contextlib import ExitStack
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parents[1]))

from failsoft.testing import redis_server
from load.servers import clean_environ, served

HERE = Path(__file__).parent
RATE, BURST, NODES = 1000, 1000, 4
SKEWS = (-5, 0, 3, 5)
SLACK = 2  # stamps are taken a moment after the tokens


# --- a node that loads itself -------------------------------------------------


async def node(start_at: float, seconds: float, plan: dict[str, float]) -> None:
    """Call the application as planned, requests per second by key; print a report."""
    from bench.limited import make, report

    app = make()
    await call(app, "warm-up")
    statuses: Counter[str] = Counter()
    took: list[float] = []
    tasks: set[asyncio.Task[None]] = set()

    async def one(key: str, planned: float) -> None:
        status = await call(app, key)
        statuses[f"{key} {status}"] += 1
        took.append(time.monotonic() - planned)

    due = sorted(
        (start_at + index / per_s, key)
        for key, per_s in plan.items()
        for index in range(int(per_s * seconds))
    )
    for planned, key in due:
        if (wait := planned - time.monotonic()) > 0.001:
            await asyncio.sleep(wait)
        task = asyncio.create_task(one(key, planned))
        tasks.add(task)
        task.add_done_callback(tasks.discard)
    await asyncio.gather(*tasks)
    seen = report(app)
    await app.runtime.stop()
    took.sort()
    seen |= {"statuses": statuses, "p99_ms": took[int(len(took) * 0.99)] * 1000}
    print(json.dumps(seen))


async def call(app: Any, key: str, path: str = "/hot") -> int:
    """Return the status of one request, without a server."""
    status = 0

    async def receive() -> dict[str, Any]:
        return {"type": "http.request", "body": b""}

    async def send(message: dict[str, Any]) -> None:
        nonlocal status
        status = message.get("status", status)

    scope = {
        "type": "http",
        "asgi": {"version": "3.0"},
        "http_version": "1.1",
        "method": "GET",
        "scheme": "http",
        "path": path,
        "raw_path": path.encode(),
        "query_string": b"",
        "root_path": "",
        "headers": [(b"host", b"test"), (b"x-key", key.encode())],
        "client": ("127.0.0.1", 1),
        "server": ("127.0.0.1", 80),
    }
    await app(scope, receive, send)
    return status


# --- a fleet ------------------------------------------------------------------


def fleet(url: str, env: str, seconds: float, plan: dict[str, float]) -> list[Any]:
    """Run the nodes for as long; return their reports."""
    words = ["--seconds", str(seconds), "--plan", json.dumps(plan)]
    words += ["--node", str(time.monotonic() + 6.0)]
    store = {"FAILSOFT_REDIS_URL": url, "FAILSOFT_ENV": env}
    with tempfile.TemporaryDirectory() as folder:
        running = [
            subprocess.Popen(
                [sys.executable, __file__, *words],
                env=clean_environ()
                | store
                | {"LIMITED_SKEW": str(skew), "XDG_STATE_HOME": f"{folder}/{skew}"},
                stdout=subprocess.PIPE,
            )
            for skew in SKEWS
        ]
        return [json.loads(process.communicate()[0]) for process in running]


def over_rate(reached: list[float]) -> float:
    """Return the most that any stretch of time admitted beyond rate x its length."""
    least, most = float("inf"), 0.0
    for index, at in enumerate(sorted(reached)):
        least = min(least, index - RATE * at)
        most = max(most, index + 1 - RATE * at - least)
    return most


def tell(name: str, reports: list[Any], seconds: float, offered: float) -> bool:
    """Print the figures of a run; whether they are within the bars."""
    reached = [at for one in reports for at, key in one["reached"] if key == "all"]
    trips = sum(one["trips"] for one in reports)
    total = sum(one["allowed"] + one["refused"] for one in reports)
    could = min(offered * seconds, BURST + RATE * seconds)
    excess, share = over_rate(reached), len(reached) / could
    errors = [one["error"] for one in reports if one["errors"]]
    late = max(one.get("p99_ms", 0.0) for one in reports)
    print(
        f"{name}: {total} requests in {seconds:g} s, {len(reached)} admitted = "
        f"{share:.1%} of what the limit allows; most beyond the rate in any stretch "
        f"{excess:.0f} (burst {BURST}); {trips / total:.4f} trips a request",
        *([f"p99 {late:.1f} ms"] if late else []),
        *errors,
        sep="; ",
        flush=True,
    )
    return excess <= BURST + SLACK and share >= 0.97 and trips / total <= 0.05


def abuse(reports: list[Any]) -> bool:
    """Print how others fare beside a consumer who asks for twice its limit."""
    sums: Counter[str] = Counter()
    for one in reports:
        sums.update(one["statuses"])
    good = sum(n for key, n in sums.items() if key.startswith("good") and "200" in key)
    asked = sum(n for key, n in sums.items() if key.startswith("good"))
    print(f"abuse: others get {good} of {asked}; {dict(sums)}", flush=True)
    return good >= 0.99 * asked


def by_wrk(url: str, seconds: int) -> bool:
    """Load four uvicorns by wrk, closed loop; the applications note what came in."""
    with ExitStack() as stack, tempfile.TemporaryDirectory() as folder:
        outs = [Path(folder) / f"{index}.json" for index in range(NODES)]
        servers = stack.enter_context(ExitStack())
        urls = []
        for skew, out in zip(SKEWS, outs, strict=True):
            home = Path(folder) / f"home{skew}"
            home.mkdir()
            env = {"FAILSOFT_REDIS_URL": url, "FAILSOFT_ENV": "wrk"}
            env |= {"LIMITED_SKEW": str(skew), "LIMITED_OUT": str(out)}
            app = served("limited:app", home=home, env=env, folder=HERE)
            urls.append(servers.enter_context(app))
        time.sleep(2.5)  # until each knows how many there are
        command = ["wrk", "-t1", "-c8", f"-d{seconds}", "-H", "x-key: all"]
        loads = [
            subprocess.Popen(
                [*command, f"{one}/hot"], stdout=subprocess.PIPE, text=True
            )
            for one in urls
        ]
        said = [load.communicate()[0] for load in loads]
        servers.close()
        offered = sum(float(text.split("Requests/sec:")[1].split()[0]) for text in said)
        reports = [json.loads(out.read_text()) for out in outs]
        name = f"uvicorn and wrk, {offered:.0f}/s offered"
        return tell(name, reports, seconds, offered)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seconds", type=float, default=30)
    parser.add_argument("--node", type=float)
    parser.add_argument("--plan", type=json.loads)
    parser.add_argument("--wrk", action="store_true")
    values = parser.parse_args()
    if values.node is not None:
        asyncio.run(node(values.node, values.seconds, values.plan))
        return 0
    good = True
    with redis_server(own=True) as server:
        if values.wrk:
            return int(not by_wrk(server.url, int(values.seconds)))
        for offered in (2400, 800):
            plan = {"all": offered / NODES}
            reports = fleet(server.url, f"b{offered}", values.seconds, plan)
            good &= tell(f"{offered}/s offered", reports, values.seconds, offered)
        plan = {"bad": 500.0} | {f"good{n}": 20.0 for n in range(5)}
        good &= abuse(fleet(server.url, "abuse", values.seconds / 2, plan))
    print("within the bars" if good else "NOT within the bars")
    return int(not good)


if __name__ == "__main__":
    sys.exit(main())
