"""A store on a clock of its own, and one node that reports to it each second."""

from __future__ import annotations

from failsoft.slo._buckets import SloHistory
from failsoft.store.memory import MemoryStore
from failsoft.store.protocols import TickBatch
from failsoft.testing import ManualClock


class Reports:
    """Counts of a node over time.  name: of the one SLO."""

    def __init__(self, name: str = "pay") -> None:
        self.name = name
        self.clock = ManualClock(1_800_000_000.0)
        self.store = MemoryStore("test", now=self.clock)

    @property
    def now_s(self) -> float:
        return self.clock()

    async def go(
        self, seconds: int, counts: tuple[int, int, int], step: int = 1
    ) -> None:
        """Report `counts` (of `step` seconds) for so long."""
        for _ in range(0, seconds, step):
            await self.store.write(TickBatch("n1", None, {self.name: counts}))
            self.clock.advance(step)

    async def history(self) -> SloHistory:
        history = SloHistory()
        history.take(await self.store.slo_read((self.name,)))
        return history
