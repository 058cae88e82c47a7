"""CPU share of the live table: 2,000 rows, all changing, a view a second.

python tests/bench/tui_table.py [rows] [seconds]

Runs headless, so terminal output is not in it; prints shares of one core.
"""

from __future__ import annotations

import asyncio
import sys
import time
from pathlib import Path

import msgspec

from failsoft_tui.app import FailsoftApp

sys.path.insert(0, str(Path(__file__).parents[1]))

from failsoft.ops.views import Late, RouteRow
from tui.fleet import ManualClock, PaperOperator, incident, route


def rows_at(count: int, second: int) -> tuple[RouteRow, ...]:
    """Return rows whose figures and order change each second."""
    base = route("GET /v1/items/0")
    return tuple(
        msgspec.structs.replace(
            base,
            key=f"GET /v1/items/{i}",
            rps=float((i * 7 + second * 13) % 997),
            impact=float((i * 31 + second * 17) % count),
            late=Late(p95=float((i + second) % 900)),
        )
        for i in range(count)
    )


async def measure(count: int, seconds: int) -> None:
    """Print the CPU share of painting `count` rows once a second."""
    clock = ManualClock()
    operator = PaperOperator(clock)
    app = FailsoftApp(operator, clock=clock)
    views = [rows_at(count, second) for second in range(seconds)]
    async with app.run_test(size=(120, 40)):
        await asyncio.sleep(1)
        idle = await busy_share(3)
        spent = 0.0
        worst_s = 0.0
        for second, rows in enumerate(views):
            clock.advance(1)
            before, started = time.process_time(), time.monotonic()
            operator.push(incident(clock(), second + 2, routes=rows))
            await asyncio.sleep(0)
            await asyncio.sleep(0.05)
            worst_s = max(worst_s, time.monotonic() - started - 0.05)
            await asyncio.sleep(max(0.0, started + 1 - time.monotonic()))
            spent += time.process_time() - before
    print(f"{count:,} rows, 1 Hz, all changing and re-sorted, {seconds} s, 120x40:")
    print(
        f"  {100 * spent / seconds:.1f} % of a core, without views {100 * idle:.1f} %"
    )
    print(f"  longest wait for the loop {1000 * worst_s:.0f} ms")


async def busy_share(seconds: int) -> float:
    """Return the CPU share while nothing new arrives."""
    before = time.process_time()
    await asyncio.sleep(seconds)
    return (time.process_time() - before) / seconds


if __name__ == "__main__":
    words = [int(word) for word in sys.argv[1:]]
    asyncio.run(measure(*(words or [2_000, 10])))
