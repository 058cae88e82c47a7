"""A mode that a burning budget enters, on two nodes: from the outage back to normal.

    python tests/bench/burn_mode.py          (some 2 min; loopback only)

40 requests a second on two uvicorn processes with a Redis of their own.  Payments
fail, the mode answers in their place; the leader is killed with -9 and started again;
payments are back, and the mode has to find that out by its probes.
"""

from __future__ import annotations

import asyncio
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import httpx

from failsoft.controls.records import parse_record
from failsoft.store.redis.store import RedisStore
from failsoft.testing import redis_server

sys.path.insert(0, str(Path(__file__).parents[1]))


from load.servers import accepts, eventually, free_port, running

RATE = 40
CONFIG = """
[slo.pay]
routes = ["POST /pay"]
[mode.later]
title = "Payments are taken later"
routes = ["POST /pay"]
actions = [{ static = { body = "later", status = 202 } }]
enter = { burn = "pay" }
timing = { exit_hold = "10s", dwell = "15s" }
recover = [50, 100]
"""


class Traffic:
    """40 requests a second, on each node in turn; answers counted since `marked`."""

    def __init__(self, urls: list[str]) -> None:
        self.urls, self.answers = urls, Counter[str]()
        self._task = asyncio.create_task(self._run())

    async def _run(self) -> None:
        async with httpx.AsyncClient(timeout=5) as client:
            due, number = time.monotonic(), 0
            while True:
                due, number = max(due + 1 / RATE, time.monotonic() - 1), number + 1
                await asyncio.sleep(max(0.0, due - time.monotonic()))
                try:
                    url = self.urls[number % len(self.urls)]
                    said = str((await client.post(f"{url}/pay")).status_code)
                except httpx.HTTPError:
                    said = "no answer"
                self.answers[said] += 1

    def since(self) -> str:
        said = ", ".join(f"{n} x {what}" for what, n in sorted(self.answers.items()))
        self.answers.clear()
        return said

    def end(self) -> None:
        self._task.cancel()


async def mode(store: RedisStore) -> Any:
    """Return what the store says of the mode, None where it is off."""
    raw = (await store.load()).records.get(("mode", "later"))
    return parse_record("mode", "later", raw).doc() if raw else None


async def until(
    store: RedisStore, reached: Callable[[Any], bool], within_s: int
) -> Any:
    """Return the mode once it is so."""
    for _ in range(within_s * 10):
        if reached(doc := await mode(store)):
            return doc
        await asyncio.sleep(0.1)
    raise SystemExit(f"not within {within_s} s: {doc}")


async def run(home: Path, redis_url: str, stack: ExitStack) -> None:
    (home / "failsoft.toml").write_text(CONFIG)
    folder = str(Path(__file__).parents[1] / "e2e")
    store, ports = RedisStore(redis_url, "default"), [free_port(), free_port()]

    def start(port: int) -> Any:
        words = ["-m", "uvicorn", "burning:app", "--app-dir", folder]
        words += ["--port", str(port), "--log-level", "critical"]
        env = {"FAILSOFT_REDIS_URL": redis_url}
        node = stack.enter_context(running(*words, home=home, env=env))
        eventually(lambda: accepts(port), 20)
        return node

    nodes = [await asyncio.to_thread(start, port) for port in ports]
    traffic = Traffic([f"http://127.0.0.1:{port}" for port in ports])
    await asyncio.sleep(20)
    print(f"before: {traffic.since()}", flush=True)
    (home / "down").touch()
    began = time.time()
    doc = await until(store, lambda doc: doc is not None, 60)
    print(f"on after {time.time() - began:.1f} s, via {doc.via}: {doc.trigger}")
    await asyncio.sleep(1)
    print(f"until then: {traffic.since()}", flush=True)
    await asyncio.sleep(15)
    print(f"15 s of outage under the mode: {traffic.since()}")
    nodes[0].kill()  # the first one to start leads
    nodes[0].wait()
    await asyncio.sleep(10)
    print(f"10 s without the leader: still {(await mode(store)).want}", flush=True)
    await asyncio.to_thread(start, ports[0])
    traffic.since()
    (home / "down").unlink()
    began = time.time()
    doc = await until(store, lambda doc: doc is None or doc.share < 1, 90)
    print(f"recovering {time.time() - began:.1f} s after the repair", flush=True)
    await until(store, lambda doc: doc is None or doc.want != "on", 120)
    print(f"off {time.time() - began:.1f} s after the repair")
    print(f"since the repair: {traffic.since()}", flush=True)
    await asyncio.sleep(5)
    print(f"5 s after: {traffic.since()}")
    traffic.end()
    await store.aclose()


def main() -> None:
    with ExitStack() as stack:
        home = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        redis = stack.enter_context(redis_server())
        asyncio.run(run(home, redis.url, stack))


if __name__ == "__main__":
    main()
