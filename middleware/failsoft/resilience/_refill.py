"""What of the limits talks to the store: refills, exact counts, what goes back.

A refill runs beside the requests; one waits for it only where no token is at hand,
for 50 ms at most, and for none while the store does not answer.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from contextlib import suppress
from typing import Any

from failsoft.errors import StoreError
from failsoft.resilience._lease import ASK, DENIED, TAKEN, Lease, Quota, Window
from failsoft.resilience._rate_limit import Limiter, Link
from failsoft.store.open import open_limits

__all__ = ["Refiller"]

_log = logging.getLogger("failsoft")

_WAIT_S = 0.05
_STALLED_S = 0.2
_TRIES = 2
_TICK_S = 0.25
_COUNT_NODES_S = 2.0
_LAST_S = 0.3
_BACK_AT_ONCE = 200


class Refiller:
    """The way to the store of limits, on one loop.

    peers: the store that knows how many nodes there are.  nodes: as of the newest
    count.  failed: takes faults of ours.
    """

    def __init__(
        self,
        url: str,
        env: str,
        peers: Any,
        loop: asyncio.AbstractEventLoop,
        *,
        now: Callable[[], float],
        failed: Callable[[str, BaseException], None],
    ) -> None:
        self.store = open_limits(url, env)
        self.link = Link()
        self.nodes = 1
        self._peers = peers
        self._now = now
        self._failed = failed
        self._holding: set[Lease] = set()
        self._fetching: set[asyncio.Task[None]] = set()
        self._counted_at = -_COUNT_NODES_S
        self._is_over = False
        self.loop = loop
        self._task = loop.create_task(self._run(), name="failsoft-limits")

    # --- requests -----------------------------------------------------------

    async def ask(
        self, limiter: Limiter, gate: Lease | Window, quota: Quota, cost: int
    ) -> int:
        """Ask for what a gate could not tell: TAKEN, DENIED, or ASK for no answer."""
        if isinstance(gate, Window):
            return await self._count(limiter, gate, quota, cost)
        end = self._now() + _WAIT_S
        tries = 0
        # Twice at least: a loop that was late has not asked a store that was.
        while not self.link.errors and (tries < _TRIES or self._now() < end):
            tries += 1
            gate.short += cost
            try:
                task = self.refill(limiter, gate, quota, cost)
                if task is None:
                    return ASK
                await asyncio.wait({task}, timeout=_WAIT_S)
            finally:
                gate.short -= cost
            verdict = gate.draw(self._now(), cost, quota)
            if verdict != ASK:
                return DENIED if verdict == DENIED else TAKEN
        self.refill(limiter, gate, quota, cost)
        return ASK

    def refill(
        self, limiter: Limiter, lease: Lease, quota: Quota, cost: int = 1
    ) -> asyncio.Task[None] | None:
        """Have tokens fetched; returns the task, None where the store is lost."""
        task: asyncio.Task[None] | None = lease.task
        if task is not None and not task.done():
            return task
        if self.link.is_lost or self._is_over:
            return None
        want = lease.wants(quota, self.nodes, cost)
        task = self.loop.create_task(self._fetch(limiter, lease, quota, want))
        lease.task, lease.quota = task, quota
        self._fetching.add(task)
        task.add_done_callback(self._fetching.discard)
        return task

    async def _fetch(
        self, limiter: Limiter, lease: Lease, quota: Quota, want: int
    ) -> None:
        limiter.trips += 1
        began = self._now()
        try:
            rate = quota.rate_per_s, quota.burst
            debt = lease.debt
            owed = lease.owed(began, quota.scaled(1 / self.nodes))
            answer = await self.store.lease(lease.key, *rate, want=want, back=-owed)
        except Exception as error:  # noqa: BLE001 - border: requests go on
            self._note(error, began)
        else:
            self.link.worked()
            lease.debt -= debt
            lease.granted(self._now(), want, answer, self.nodes)
            self._holding.add(lease)
        finally:
            lease.task = None

    async def _count(
        self, limiter: Limiter, window: Window, quota: Quota, cost: int
    ) -> int:
        if self.link.is_lost or self._is_over:
            return ASK
        where = limiter.name, f"{window.key}:{quota.window_s}"
        rate = quota.amount, quota.window_s
        is_in: bool | None = None
        began = self._now()
        limiter.trips += 1
        try:
            is_in = await self.store.hit(*where, rate, cost)
            self.link.worked()
            if is_in:
                share = quota.scaled(1 / self.nodes)
                window.spare.drain(self._now(), cost, share)
            if not is_in or limiter.said.headers == "full":
                limiter.trips += 1
                window.told(self._now(), *await self.store.window(*where, rate))
        except Exception as error:  # noqa: BLE001 - border: requests go on
            self._note(error, began)
            if is_in is None:
                return ASK
        if not is_in:
            window.refused(self._now())
        return TAKEN if is_in else DENIED

    def _note(self, error: Exception, began: float) -> None:
        if self._now() - began > _STALLED_S:
            return  # it was this loop that was late: the store may well answer
        was_lost = self.link.is_lost
        self.link.failed(self._now(), str(error) or repr(error))
        if not isinstance(error, StoreError):
            self._failed("limits", error)
        if self.link.is_lost and not was_lost:
            text = "limits: %s; each holds as its on_store_error says"
            _log.warning(text, self.link.fault)

    # --- beside them --------------------------------------------------------

    async def _run(self) -> None:
        """Ping, count nodes, give back what is idle; at the end, everything."""
        try:
            await self._ping()  # so that no request waits for the connection
            while True:
                began = self._now()
                try:
                    await self._tick()
                except StoreError as error:
                    self._note(error, began)
                except Exception as error:  # noqa: BLE001 - border: the next comes
                    self._failed("limits", error)
                await asyncio.sleep(_TICK_S)
        finally:
            self._is_over = True
            if self._fetching:  # they would open a connection that nobody closes
                await asyncio.wait(self._fetching, timeout=_WAIT_S)
            with suppress(StoreError, TimeoutError):
                async with asyncio.timeout(_LAST_S):
                    await self._give_back(list(self._holding), len(self._holding))
            with suppress(StoreError, OSError):
                await self.store.aclose()

    async def _tick(self) -> None:
        now = self._now()
        if now - self._counted_at >= _COUNT_NODES_S:
            self._counted_at = now
            with suppress(StoreError):  # the last known number goes on
                self.nodes = max(1, await self._peers.live_nodes())
        if self.link.is_due(now):
            await self._ping()
        if not self.link.errors:
            held = [lease for lease in self._holding if lease.is_idle(now)]
            await self._give_back(held, _BACK_AT_ONCE)

    async def _ping(self) -> None:
        began = self._now()
        try:
            await self.store.ping()
        except StoreError as error:
            self._note(error, began)
        else:
            if self.link.is_lost:
                _log.warning("limits: the store answers again")
            self.link.worked()

    async def _give_back(self, leases: list[Lease], most: int) -> None:
        """Give back what up to `most` of them hold, and forget those with nothing."""
        for lease in leases:
            if not most:
                break
            self._holding.discard(lease)
            unused, quota = lease.unused(self._now()), lease.quota
            if unused:
                most -= 1
                # Once only: a reply that is lost must not add tokens by a second try.
                rate = quota.rate_per_s, quota.burst
                await self.store.lease(lease.key, *rate, back=unused)

    # --- the end ------------------------------------------------------------

    async def end(self) -> None:
        """Give back what is held and close the connections."""
        self._task.cancel()
        await asyncio.wait({self._task})

    def abandon(self) -> None:
        """Let go of it from another loop, or in a forked child."""
        if self.loop.is_closed():
            self.store.cut_copies()
            return
        with suppress(RuntimeError):  # closed just now
            self.loop.call_soon_threadsafe(self._task.cancel)
