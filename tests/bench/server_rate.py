"""Requests per second on one core of real uvicorn: guarded over bare, in one run.

    python tests/bench/server_rate.py [--rounds 5] [--seconds 5] [--otel]

The server is pinned to one core, wrk (apt install wrk) to another; bare and guarded
servers take turns, each round starts both anew.  redis-server is real, and an
operator watches, so ticks are written.
"""

from __future__ import annotations

import argparse
import os
import re
import shutil
import statistics
import subprocess
import sys
import tempfile
from contextlib import ExitStack
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))

from bench.stacks import BODY, REQUESTS
from failsoft.testing import redis_server
from load.servers import served

HERE = Path(__file__).parent
POST = """
wrk.method = "POST"
wrk.headers["content-type"] = "application/json"
wrk.body = [[{}]]
"""


def requests_per_s(url: str, stack: str, seconds: int, home: Path) -> float:
    """Load the server from the other core; return what wrk measured."""
    method, path, _ = REQUESTS[stack]
    command = ["taskset", "-c", "1", "wrk", "-t1", "-c16", f"-d{seconds}s"]
    if method == "POST":
        script = home / "post.lua"
        script.write_text(POST.format(BODY.decode()))
        command += ["-s", str(script)]
    run = subprocess.run(
        [*command, url + path], capture_output=True, text=True, check=True
    )
    if "Non-2xx" in run.stdout:
        raise RuntimeError(run.stdout)
    found = re.search(r"Requests/sec:\s+([\d.]+)", run.stdout)
    assert found is not None, run.stdout
    return float(found[1])


def one(stack: str, env: dict[str, str], seconds: int) -> float:
    with ExitStack() as hold:
        home = Path(hold.enter_context(tempfile.TemporaryDirectory()))
        whole = {"BENCH_STACK": stack, **env}
        url = hold.enter_context(
            served("served:app", home=home, env=whole, folder=HERE)
        )
        requests_per_s(url, stack, 1, home)
        return requests_per_s(url, stack, seconds, home)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--seconds", type=int, default=5)
    parser.add_argument("--otel", action="store_true")
    args = parser.parse_args()
    if shutil.which("wrk") is None:
        raise SystemExit("this benchmark needs wrk: apt install wrk")
    both = {"BENCH_OTEL": "1"} if args.otel else {}
    os.sched_setaffinity(0, {1})  # Redis is another machine's work, like wrk
    with redis_server() as redis:
        os.sched_setaffinity(0, {0})  # the servers inherit it
        guard = {"BENCH_GUARD": "1", "FAILSOFT_REDIS_URL": redis.url, **both}
        redis.ask("SET", "fs:{default}:obs:1:watch", "bench")
        for stack in REQUESTS:
            ratios, bares = [], []
            for _ in range(args.rounds):
                bare = one(stack, both, args.seconds)
                bares.append(bare)
                ratios.append(one(stack, guard, args.seconds) / bare)
            spread = f"{min(ratios):.3f} to {max(ratios):.3f}"
            print(
                f"{stack:14} bare {statistics.median(bares):7.0f}/s   "
                f"guarded {statistics.median(ratios):.3f} of it ({spread})"
            )
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
