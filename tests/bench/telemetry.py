"""What telemetry costs: a node's flush, its bytes to Redis, a reader's merge.

    python tests/bench/telemetry.py

Flush: CPU of one second with 50 active routes of 40 requests each, real redis-server.
Merge: decode, merge and rank 2,000 routes of 4 nodes, a tenth or all of them active,
and read the latencies of the 50 rows a screen shows; all windows are full, and nodes
tick at different moments of a second.
"""

from __future__ import annotations

import asyncio
import random
import statistics
import sys
from pathlib import Path
from time import process_time, thread_time

sys.path.insert(0, str(Path(__file__).parents[1]))

from failsoft.ops.merge import FleetMerge
from failsoft.ops.sources.source import Batch
from failsoft.ops.views import Link
from failsoft.store.protocols import Observed
from failsoft.store.redis.store import RedisStore
from failsoft.telemetry import Definitions, Heartbeat, Window, encode
from failsoft.telemetry._flush import Flusher, Vitals
from failsoft.telemetry._groups import FlightDeck
from failsoft.testing import RedisServer, redis_server

SECONDS = 30
NODES = 4
FULL_S = 72  # until the last window, the one of a minute ago, is full
SHOWN = 50
_dice = random.Random(7)


def fill(window: Window, routes: list[str], requests: int) -> None:
    for key in routes:
        cell = window.cell(key, "critical")
        for _ in range(requests):
            cell.enter()
            cell.leave(200, int(1000 * _dice.lognormvariate(8.5, 0.6)), 300)


def received_bytes(server: RedisServer) -> int:
    lines = server.ask("INFO", "stats").splitlines()
    return next(int(x[22:]) for x in lines if x.startswith("total_net_input_bytes:"))


async def flush(server: RedisServer) -> None:
    store = RedisStore(server.url, "bench")
    window, vitals = Window(), Vitals(asyncio.get_running_loop())
    flusher = Flusher(
        store,
        window,
        FlightDeck("n1"),
        vitals,
        is_watched=lambda: True,
        failed=print,
    )
    routes = [f"GET /v1/area{n}/{{id}}" for n in range(50)]
    costs, before = [], 0
    for second in range(SECONDS + 1):
        if second == 1:
            before = received_bytes(server)
        fill(window, routes, 40)
        begun = process_time()
        await flusher.flush()
        costs.append((process_time() - begun) * 1000)
    sent = (received_bytes(server) - before) / SECONDS
    vitals.stop()
    await store.aclose()
    cost = statistics.median(costs[1:])
    print(f"flush, 50 active routes:  {cost:.2f} ms CPU a second (bar 1)")
    print(f"bytes to Redis:           {sent / 1024:.1f} KiB a node and second")


def merge(active: int) -> None:
    routes = [f"GET /v1/area{n}/{{id}}" for n in range(2000)]
    windows = [Window() for _ in range(NODES)]
    fleet = FleetMerge()
    definitions = Definitions(routes=tuple((key, "critical", ()) for key in routes))
    now_ms, costs, sorted_costs = 1_790_000_000_000, [], []
    for second in range(FULL_S + SECONDS):
        now_ms += 1000
        ticks, nodes = [], {}
        for number, window in enumerate(windows):
            node = f"n{number}"
            fill(window, routes[:active], 3)
            tick, _ = window.flush(node, 1000, 1.0)
            ticks.append((f"{now_ms - 990 + 330 * number}-0", encode(tick)))
            beat = Heartbeat(node, "h", number, "e", 1, "live", defs="d")
            nodes[node] = encode(beat)
        observed = Observed(now_ms, 1, "e", "bench", nodes, {}, ticks=ticks)
        batch = Batch(
            Link("up"),
            True,
            observed,
            controls={} if not second else None,
            definitions={"d": encode(definitions)} if not second else {},
        )
        begun = thread_time()
        fleet.begin(batch)
        for tick_id, blob in ticks:
            fleet.take_tick(tick_id, blob)
        fleet.settle()
        view = fleet.view(second, Link("up"), float(second))
        for row in view.routes[:SHOWN]:
            _ = row.p50, row.p95, row.p99
        costs.append((thread_time() - begun) * 1000)
        for row in view.routes:
            _ = row.p95
        sorted_costs.append((thread_time() - begun) * 1000)
    settled = statistics.median(costs[FULL_S:])
    by_p95 = statistics.median(sorted_costs[FULL_S:])
    print(
        f"merge, {active:5} of 2,000 routes x {NODES}: {settled:6.1f} ms (bar 20), "
        f"{by_p95:.1f} ms when all are sorted by p95"
    )


def main() -> int:
    with redis_server() as server:
        asyncio.run(flush(server))
    for active in (200, 2000):
        merge(active)
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
