"""What SLOs cost: each node a second to report, the leader a second to judge.

    python tests/bench/slo_cost.py     (a Redis of its own, some 20 s)

Per number of SLOs: commands and time of one node's write, and of the leader's second
over 31 days of full buckets: the first one, that reads them all, and those after it.
"""

from __future__ import annotations

import asyncio
import statistics
import time

from failsoft.controls.lead import FleetFacts
from failsoft.settings import AlertSettings, SloDefinition
from failsoft.slo._flush import AlertDuty
from failsoft.slo._notify import Notifier
from failsoft.store.protocols import TickBatch
from failsoft.store.redis.store import RedisStore
from failsoft.store.slo import BUCKETS
from failsoft.testing import redis_server


async def fill(store: RedisStore, names: list[str]) -> None:
    now_s = await store.server.now_ms() // 1000
    for name in names:
        for width_s, count in BUCKETS.items():
            fields: list[str | int] = []
            newest = now_s - now_s % width_s
            for start in range(newest - count * width_s, newest, width_s):
                fields += [f"{start}:t", 1_000, f"{start}:b", 1]
            await store.server.ask(
                "fill", "HSET", store.keys.slo(name, width_s), *fields
            )


async def measure(url: str, count: int) -> str:
    store = RedisStore(url, f"n{count}")
    names = [f"slo-{n}" for n in range(count)]
    await fill(store, names)
    batch = TickBatch("n1", None, dict.fromkeys(names, (100, 1, 1)))
    writes = []
    for _ in range(50):
        began = time.perf_counter()
        await store.write(batch)
        writes.append(time.perf_counter() - began)
    slos = {name: SloDefinition(("* *",)) for name in names}
    duty = AlertDuty(store, lambda: slos, Notifier(AlertSettings(), "n", {}))
    seconds = []
    for _ in range(12):
        facts = FleetFacts(await store.server.now_ms())
        began = time.perf_counter()
        await duty.each_second(facts, None)  # type: ignore[arg-type]
        seconds.append(time.perf_counter() - began)
        await asyncio.sleep(0.5)
    used = await store.server.ask(
        "size", "MEMORY", "USAGE", store.keys.slo(names[0], 60)
    )
    await store.aclose()
    return (
        f"{count:3} SLOs: write {1e3 * statistics.median(writes):5.1f} ms, "
        f"leader's first second {1e3 * seconds[0]:6.1f} ms, then "
        f"{1e3 * statistics.median(seconds[1:]):5.1f} ms (worst "
        f"{1e3 * max(seconds[1:]):5.1f}); the 6 h of minutes take {used / 1024:.0f} KiB"
    )


def main() -> None:
    with redis_server() as redis:
        for count in (1, 5, 20):
            print(asyncio.run(measure(redis.url, count)), flush=True)


if __name__ == "__main__":
    main()
