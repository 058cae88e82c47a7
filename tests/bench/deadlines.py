"""Missed deadlines on a real server: when they are answered, and what is left after.

    python tests/bench/deadlines.py [--times 1000]

Routes have 300 ms.  A `def` handler sleeps for 2 s; an `async def` one waits for a
dependency that never answers, through an httpx client of 5 connections: a plain one,
and one with `failsoft.http_transport`.  Took: from the write of the request.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import json
import sys
import tempfile
import threading
import urllib.request
from collections import Counter
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from time import perf_counter, sleep
from typing import Any

sys.path.insert(0, str(Path(__file__).parents[1]))

from load.openloop import Connection, Node, Request
from load.servers import served

HERE = Path(__file__).parent


class Dependency(BaseHTTPRequestHandler):
    """Answers at once, or never."""

    protocol_version = "HTTP/1.1"
    over = threading.Event()

    def do_GET(self) -> None:  # http.server's name
        if self.path == "/hangs":
            self.over.wait()
            self.close_connection = True
            return
        self.send_response(200)
        self.send_header("content-length", "2")
        self.end_headers()
        self.wfile.write(b"ok")

    def log_message(self, *args: Any) -> None:
        """Say nothing."""


@contextlib.contextmanager
def dependency() -> Iterator[str]:
    Dependency.over.clear()
    server = ThreadingHTTPServer(("127.0.0.1", 0), Dependency)
    server.daemon_threads = True
    server.block_on_close = False
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        yield f"http://127.0.0.1:{server.server_port}"
    finally:
        Dependency.over.set()
        server.shutdown()
        server.server_close()


class Kept(Node):
    """Counts the connections that it had to open."""

    opened = 0

    async def _connection(self) -> Connection:
        self.opened += not self._idle
        return await super()._connection()


async def late(url: str, path: str, times: int, callers: int) -> dict[str, Any]:
    """Send `times` requests over as many connections as callers, each kept alive."""
    request, left = Request(f"GET {path}").encoded(), iter(range(times))
    took_ms: list[float] = []
    statuses: Counter[int] = Counter()

    async def call() -> None:
        node = Kept(url)
        for _ in left:
            begun = perf_counter()
            status = await node.ask(request)
            took_ms.append((perf_counter() - begun) * 1000)
            statuses[status] += 1
        connections.append(node.opened)
        await node.close()

    connections: list[int] = []
    await asyncio.gather(*(call() for _ in range(callers)))
    took_ms.sort()
    return {
        "path": path,
        "statuses": statuses,
        "connections": sum(connections),
        "callers": callers,
        "took_ms": {
            "min": round(took_ms[0]),
            "p50": round(took_ms[len(took_ms) // 2]),
            "p99": round(took_ms[int(len(took_ms) * 0.99)]),
            "max": round(took_ms[-1]),
        },
    }


def ask(url: str, timeout_s: float = 5.0) -> Any:
    try:
        with urllib.request.urlopen(url, timeout=timeout_s) as answer:
            return json.loads(answer.read())
    except OSError as error:
        return repr(error)


def answered(url: str) -> str:
    """Say when a client answers again: what was left behind may still fill its pool."""
    began = perf_counter()
    while perf_counter() - began < 20:
        if (found := ask(url)) == "ok":
            return f"ok after {perf_counter() - began:.1f} s"
        sleep(0.2)
    return str(found)


def figures(times: int) -> Iterator[dict[str, Any]]:
    with tempfile.TemporaryDirectory() as home, dependency() as away:
        env = {"BENCH_DEPENDENCY": away}
        with served("late:app", home=Path(home), folder=HERE, env=env) as url:
            import os

            if not os.environ.get("ONLY"):
                yield asyncio.run(late(url, "/late/blocks", 10, 1))
                yield asyncio.run(late(url, "/late/blocks", 400, 60))
                yield {"threads": ask(f"{url}/threads")}
            for client in (os.environ.get("ONLY") or "failsoft plain").split():
                yield asyncio.run(late(url, f"/late/hangs/{client}", times, 50))
                yield {f"{client} client": answered(f"{url}/answers/{client}")}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--times", type=int, default=1000)
    for found in figures(parser.parse_args().times):
        print(json.dumps(found), flush=True)


if __name__ == "__main__":
    main()
