"""A total outage for real: when modes could act, when people are paged, what stays.

    python tests/bench/slo_outage.py          (some 6 min; loopback only)

Two uvicorn workers on a Redis of their own, 20 requests a second.  The hour before is
put into the store as it would have been counted (an hour of healthy traffic); from
then on nothing is scaled: `fast` needs 52 s of outage and holds for 2 min.  Then every
process is killed with -9 and started again: buckets and the alert must still be there.
"""

from __future__ import annotations

import asyncio
import os
import signal
import sys
import tempfile
import time
from contextlib import ExitStack, suppress
from pathlib import Path

import httpx

from failsoft.errors import StoreError
from failsoft.slo._alert import AlertState
from failsoft.slo._flush import read_states
from failsoft.store.redis.slo import add_slos
from failsoft.store.redis.store import RedisStore
from failsoft.testing import redis_server

sys.path.insert(0, str(Path(__file__).parents[1]))


from load.servers import accepts, eventually, free_port, running
from load.webhooks import Received, receiver

RATE = 20
SECRET = "a-key-of-the-run"
CONFIG = """
[slo.pay]
routes = ["POST /pay"]
objective = 0.999
runbook = "https://wiki.example.org/pay"
[[alerts.webhook]]
name = "ops"
url_env = "OPS_URL"
secret_env = "OPS_KEY"
"""


async def seed(store: RedisStore) -> None:
    """Put an hour of healthy traffic into the store, ten seconds at a time."""
    now_s = await store.server.now_ms() // 1000
    pipe = store.server.commands.pipeline(transaction=False)
    for at in range(now_s - 3_600, now_s, 10):
        add_slos(pipe, store.keys, {"pay": (10 * RATE, 0, 0)}, at)
    await store.server.run(pipe, "seeding", deadline_s=30)


class Traffic:
    """20 requests a second on both workers' port until it is ended."""

    def __init__(self, url: str) -> None:
        self.url, self.sent = url, 0
        self._task = asyncio.create_task(self._run())

    async def _run(self) -> None:
        async with httpx.AsyncClient(timeout=5) as client:
            due = time.monotonic()
            while True:
                due += 1 / RATE
                await asyncio.sleep(max(0.0, due - time.monotonic()))
                try:
                    await client.post(f"{self.url}/pay")
                    self.sent += 1
                except httpx.HTTPError:
                    await asyncio.sleep(0.2)

    async def end(self) -> None:
        self._task.cancel()
        await asyncio.gather(self._task, return_exceptions=True)


async def alert(store: RedisStore, id_: str) -> AlertState | None:
    """Return an alert as the store has it; patient with a busy machine."""
    with suppress(StoreError):
        return read_states(await store.alerts()).get(id_)
    return None


async def fired(store: RedisStore, id_: str, since: float, within_s: float) -> float:
    """Return after how many seconds an alert fires, as the store says."""
    while time.time() - since < within_s:
        state = await alert(store, id_)
        if state is not None and state.state == "firing":
            return time.time() - since
        await asyncio.sleep(0.2)
    raise SystemExit(f"{id_} did not fire within {within_s} s")


async def counted(store: RedisStore) -> tuple[int, int]:
    """Return (requests, bad) of all 6 h buckets."""
    buckets = (await store.slo_read(("pay",))).slos["pay"][21_600].values()
    return sum(t for t, _, _ in buckets), sum(b for _, b, _ in buckets)


async def run(home: Path, redis_url: str, received: Received) -> None:
    (home / "failsoft.toml").write_text(CONFIG)
    env = {"FAILSOFT_REDIS_URL": redis_url, "OPS_URL": received.url, "OPS_KEY": SECRET}
    store, port = RedisStore(redis_url, "default"), free_port()
    folder = str(Path(__file__).parents[1] / "e2e")
    words = ["-m", "uvicorn", "burning:app", "--app-dir", folder, "--port", str(port)]
    words += ["--workers", "2", "--log-level", "warning"]
    await seed(store)
    traffic = Traffic(f"http://127.0.0.1:{port}")
    with running(*words, home=home, env=env) as supervisor:
        await asyncio.to_thread(eventually, lambda: accepts(port), 20)
        await asyncio.sleep(30)
        began = time.time()
        (home / "down").touch()
        auto_s = await fired(store, "slo:pay:auto", began, 30)
        print(f"auto rule true after {auto_s:.1f} s (computed: 6 to 8 s)", flush=True)
        fast_s = await fired(store, "slo:pay:fast", began, 200)
        print(f"fast fires after {fast_s:.1f} s (computed: 52 + 120 s)", flush=True)
        await asyncio.sleep(2)
        told, signed = received.documents()[0], received.is_signed(0, SECRET)
        print(f"webhook: {told['id']} {told['severity']}, signature good: {signed}")
        print(f"  {told['title']}")
        before = await counted(store)
        nodes = list(await store.beats())
        supervisor.kill()
        for node in nodes:
            with suppress(ProcessLookupError):
                os.kill(int(node.split(":")[1]), signal.SIGKILL)
    (home / "down").unlink()
    print(f"{len(nodes)} nodes killed -9; counted until then: {before}", flush=True)
    restarted = time.time()
    with running(*words, home=home, env=env):
        await asyncio.to_thread(eventually, lambda: accepts(port), 20)
        after = await counted(store)
        held = await alert(store, "slo:pay:fast")
        state = held.state if held else "gone"
        print(f"after the start: {after}, slo:pay:fast {state}", flush=True)
        while not received.documents("resolved"):
            if time.time() - restarted > 700:
                raise SystemExit("it did not resolve")
            await asyncio.sleep(0.5)
        took = time.time() - restarted
        print(f"resolved {took:.0f} s after the restart (5 m window, then 5 min)")
        for state in ("firing", "resolved"):
            ids = [one["id"] for one in received.documents(state)]
            print(f"told as {state}: {', '.join(ids)}")
    await traffic.end()
    await store.aclose()


def main() -> None:
    with ExitStack() as stack:
        home = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        redis = stack.enter_context(redis_server())
        received = stack.enter_context(receiver())
        asyncio.run(run(home, redis.url, received))


if __name__ == "__main__":
    main()
