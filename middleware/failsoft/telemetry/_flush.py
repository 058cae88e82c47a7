"""The node's second: lag, memory, the tick and the kept failures, sent in one write.

Nothing here is awaited by a request.
"""

from __future__ import annotations

import asyncio
import logging
import os
from collections import deque
from collections.abc import Callable, Mapping
from typing import ClassVar

from failsoft import clock
from failsoft.errors import StoreError
from failsoft.store.callmap import CallMapStore
from failsoft.store.protocols import ObservationStore, TickBatch
from failsoft.telemetry._callmap import CallMap
from failsoft.telemetry._groups import FlightDeck, with_sources
from failsoft.telemetry._window import Window
from failsoft.telemetry._wire import Flight, encode

__all__ = ["CallReporter", "Flusher", "Vitals"]

_log = logging.getLogger("failsoft")
_WAITING = 100  # failures kept while the store is away
_SAMPLE_S = 0.1
_PAGE_BYTES = os.sysconf("SC_PAGE_SIZE") if hasattr(os, "sysconf") else 4096


class Vitals:
    """Event-loop lag and memory of this process, sampled ten times a second."""

    __slots__ = ("_due", "_handle", "_loop", "_worst_s", "lag_ms")

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self._loop = loop
        self._worst_s = 0.0
        self.lag_ms = 0.0  # worst of the last finished second
        self._due = loop.time() + _SAMPLE_S
        self._handle = loop.call_at(self._due, self._sample)

    def _sample(self) -> None:
        now = self._loop.time()
        self._worst_s = max(self._worst_s, now - self._due)
        # From now, not from the due time: after a stall we must not catch up.
        self._due = now + _SAMPLE_S
        self._handle = self._loop.call_at(self._due, self._sample)

    def take_lag_ms(self) -> float:
        """Return the worst lag since the last call, in milliseconds."""
        self.lag_ms, self._worst_s = self._worst_s * 1000, 0.0
        return self.lag_ms

    def stop(self) -> None:
        """End the sampling."""
        self._handle.cancel()

    @staticmethod
    def rss_bytes() -> int:
        """Return resident memory in bytes, 0 where /proc does not tell."""
        try:
            with open("/proc/self/statm", "rb") as statm:
                return int(statm.read().split()[1]) * _PAGE_BYTES
        except (OSError, ValueError, IndexError):
            return 0


class Flusher:
    """Sends this node's seconds; `run` is one background task."""

    def __init__(
        self,
        store: ObservationStore,
        window: Window,
        deck: FlightDeck,
        vitals: Vitals,
        *,
        is_watched: Callable[[], bool],
        failed: Callable[[str, BaseException], None],
    ) -> None:
        self._store = store
        self._window = window
        self._deck = deck
        self._vitals = vitals
        self._is_watched = is_watched
        self._failed = failed
        # Told the evaluations of each second, if somebody wants to know.
        self.count_flags: Callable[[Mapping[str, Mapping[str, int]]], None] | None
        self.count_flags = None
        self._flights: deque[bytes] = deque(maxlen=_WAITING)
        self._last = clock.monotonic()

    async def run(self) -> None:
        """Flush each second until cancelled; a fault of ours costs one second."""
        while True:
            await asyncio.sleep(1.0)
            try:
                await self.flush()
            except Exception as error:  # noqa: BLE001 - border: the next second comes
                self._failed("telemetry", error)

    async def flush(self) -> None:
        """Send this second; one that cannot be written is lost, and counted.

        It is not sent again: late ticks would show as a burst of traffic, and a
        write of unknown outcome would count twice.  Kept failures do wait.
        """
        kept = self._deck.take()
        if kept:
            # Source lines are read from files: not on the loop.
            self._flights.extend(await asyncio.to_thread(_encoded, kept))
        batch = self._collect()
        if batch is None:
            return
        try:
            await self._store.write(batch)
        except StoreError as error:
            self._window.lost_ticks += 1
            _log.debug("a second of telemetry is lost: %s", error)
        else:
            self._flights.clear()

    def _collect(self) -> TickBatch | None:
        now = clock.monotonic()
        interval_ms, self._last = int((now - self._last) * 1000), now
        lag_ms = self._vitals.take_lag_ms()
        tick, slo = self._window.flush(self._deck.node, interval_ms, lag_ms)
        if self.count_flags is not None:
            self.count_flags(tick.flags)
        wanted = encode(tick) if self._is_watched() else None
        if wanted is None and not slo and not self._flights:
            return None
        return TickBatch(self._deck.node, wanted, slo, tuple(self._flights))


def _encoded(kept: list[Flight]) -> list[bytes]:
    return [encode(with_sources(flight)) for flight in kept]


class CallReporter:
    """Tells which routes call what; `run` is one background task.

    tried: when stand-ins answered last, by route or name.
    """

    tick_s: ClassVar[float] = 5.0

    def __init__(
        self,
        store: CallMapStore,
        calls: CallMap,
        tried: Callable[[], Mapping[str, float]],
    ) -> None:
        self._store = store
        self._calls = calls
        self._tried = tried

    async def run(self, failed: Callable[[str, BaseException], None]) -> None:
        """Report until cancelled; what a store does not take is told later."""
        while True:
            await asyncio.sleep(self.tick_s)
            try:
                await self.flush()
            except StoreError as error:
                _log.debug("calls are noted later: %s", error)
            except Exception as error:  # noqa: BLE001 - border: the next comes
                failed("calls of routes", error)

    async def flush(self) -> None:
        """Tell what is new; raises StoreError."""
        found = self._calls.take(self._tried(), clock.monotonic())
        try:
            await self._store.calls_saw(found)
        except BaseException:
            self._calls.give_back(found)
            raise
