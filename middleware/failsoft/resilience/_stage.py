"""What a request meets between the kills and the application.

The stage puts its hooks into each plan and keeps what lives as long as the process:
who is inside, the beat of the loop, the shedder.
"""

from __future__ import annotations

import asyncio
from collections import defaultdict
from collections.abc import Callable, Mapping
from functools import partial
from time import perf_counter_ns
from typing import Any, NamedTuple

from failsoft.consumer import CALLER_HEADERS, NAMING_HEADERS, rank_of
from failsoft.dice import random
from failsoft.pipeline import (
    Exchange,
    Hook,
    Inside,
    Plan,
    Rejection,
    in_turn,
    task_of,
)
from failsoft.resilience._criticality import (
    CRITICALITY_HEADERS,
    criticality_of,
    is_trusted,
)
from failsoft.resilience._guard import Guard
from failsoft.resilience._limits import RateLimits
from failsoft.resilience._reduced import Reduced
from failsoft.resilience._shed import Shedder
from failsoft.resilience._ticker import Ticker
from failsoft.routes.table import RouteDef
from failsoft.settings import Settings

__all__ = ["InboundStage", "ShedState"]

_LONG_S = 30.0
_STREAM_S = 5.0
_STARVED_S = 1.0


class ShedState(NamedTuple):
    """What a node says of itself.  limit: None while not armed.

    refused: by priority or at the hard cap, since the start; observed: would have
    been, with `handling = "observe"`.
    """

    limit: float | None
    inflight: int
    refused: int
    observed: int


class InboundStage:
    """Deadlines, shedding and limits of one process.

    inside: requests that count, admitted and not settled.  threads: of `def` handlers.
    guarded: returns the application as one request sees it, under its deadline and
    with what may stand in.
    """

    def __init__(self, settings: Settings, dice: Callable[[], float] = random) -> None:
        shed = self._shed = settings.shed
        self._peers = settings.criticality.trusted_peers
        self._dice = dice
        self.guard = Guard(settings)
        self.guarded = self.guard.guarded
        self.limits = RateLimits(settings, dice)
        self.shedder = Shedder(shed.target_s, shed.interval_s, shed.max_inflight)
        self.ticker = Ticker(self.beat)
        self.inside: Inside = {}
        self._crowd = 0  # inside at the last beat, and those that came since
        self._last: Any = None  # the task of the newest of them, where it is asked for
        self._loop: asyncio.AbstractEventLoop | None = None
        self._is_timed = False  # whether there was ever a deadline
        self._heard = CRITICALITY_HEADERS | self.guard.headers
        self._callers = self._heard | CALLER_HEADERS | {*self.guard.app_ids}
        self._named = self._callers | NAMING_HEADERS
        self._routes: defaultdict[str, Inside] = defaultdict(dict)
        self._streams: dict[Exchange, float] = {}
        self._refused = self._observed = 0
        self._now_s = self._looked_s = 0.0
        self._starved_at_s: float | None = None
        self.threads: Any = None
        self._failed: Callable[[str, BaseException], None] | None = None
        timing = b"failsoft;desc=shed" if shed.server_timing else b""
        less = "Less important requests are refused for now"
        self._lower = Reduced("shed", less, dice, timing)
        full = "Too many requests at a time"
        self._full = Reduced("max_inflight", full, dice, timing)
        self._crowded = Reduced("concurrency", full, dice, timing)

    # --- plans --------------------------------------------------------------

    def dress(self, route: RouteDef, plan: Plan) -> None:
        """Put hooks into a plan and those of its versions; bypass routes get none."""
        plan.each(partial(self._dress, route))

    def _dress(self, route: RouteDef, plan: Plan) -> None:
        plan.guard = self.guard.of(route, plan)
        timeout_ns = self.guard.timeout_ns(route, plan)
        self._is_timed = self._is_timed or timeout_ns > 0
        rate = self.limits.hook(route, plan)
        plan.reads = self._heard
        if rate is not None:
            plan.reads = self._named
        elif plan.choose is not None:
            plan.reads = self._callers
        limits = route.rules.concurrency_limit, plan.scalars.concurrency
        limit = min((most for most in limits if most is not None), default=None)
        crowd = self._routes[route.key], limit
        plan.admit = (self._asking(plan, timeout_ns, rate, crowd),)

    def _asking(
        self,
        plan: Plan,
        timeout_ns: int,
        rate: Hook | None,
        crowd: tuple[Inside, int | None],
    ) -> Hook:
        """Return all that is asked before the application, as one hook.

        Deadline and criticality; the plan's own hooks, of kills and modes; a slot of
        the node; the limits of rate and of requests at a time.  By itself each would
        cost as much for being called as for what it does.
        """
        criticality, wanted, is_ruled = plan.criticality, self._heard, bool(plan.admit)
        first = in_turn(self._heed, *plan.admit)
        inside, ticker, (room, limit) = self.inside, self.ticker, crowd
        here, here_and_there = (inside,), (inside, room)
        never = Shedder(0, 0, self._shed.max_inflight)
        shedder = never if plan.scalars.no_shed else self.shedder
        # What changes bodies lies around a guard, so that it sees a late answer too.
        is_idle = plan.guard is None or plan.guard.is_idle_in_time

        def ask(exchange: Exchange) -> Rejection | None:
            rejection = None
            exchange.criticality = criticality
            exchange.deadline_ns = timeout_ns and exchange.started_ns + timeout_ns
            said = exchange.said
            if is_ruled or (said is not None and not wanted.isdisjoint(said)):
                rejection = first(exchange)
            if self._crowd >= shedder.safe[exchange.criticality]:
                rejection = rejection or self._judge(exchange, shedder.limit)
            if rejection is not None:
                return rejection
            exchange.counted = here
            inside[exchange] = None
            task = None
            if shedder.is_armed or exchange.deadline_ns:
                task = task_of(self._loop)
                if exchange.deadline_ns and is_idle and not plan.is_held:
                    exchange.task = task
            # Servers have a task for each request.  Who drives them by hand, one after
            # the other, keeps the loop from turning, and is no crowd.
            if task is None or task is not self._last:
                self._crowd += 1
                self._last = task
            if not ticker.is_on:
                ticker.wake()
            if rate is not None:
                rejection = rate(exchange)
            if rejection is None and limit is not None:
                if len(room) >= limit:
                    return self._crowded.answer()
                room[exchange] = None
                exchange.counted = here_and_there
            return rejection

        return ask

    def _heed(self, exchange: Exchange) -> Rejection | None:
        """Take what the caller says of its time and of its importance."""
        scope, said = exchange.scope, exchange.said or {}
        self._is_timed = True
        may_raise = bool(self._peers) and is_trusted(scope, self._peers)
        own = exchange.criticality
        exchange.criticality = criticality_of(own, said, may_raise=may_raise)
        is_timed = scope["type"] == "http"
        return self.guard.heed(exchange, said) if is_timed else None

    @property
    def exercised(self) -> Mapping[str, float]:
        """When the fallback of a route, or a handler, last answered, in Unix ms."""
        return self.guard.exercised

    @property
    def abandoned_threads(self) -> int:
        """How many threads work for requests that were answered without them."""
        return self.guard.abandoned_threads

    def faults(self) -> list[str]:
        """Return what is wrong with what routes declare, one finding each."""
        return self.guard.faults() + self.limits.faults()

    # --- requests -----------------------------------------------------------

    def _judge(self, exchange: Exchange, limit: float | None) -> Rejection | None:
        if len(self.inside) >= self._shed.max_inflight:
            return self._refuse_full(exchange)
        # What is done already made this turn of the loop as long as it is: handlers
        # that never wait are done before the next request is looked at.
        inflight = self._crowd
        if limit is None:
            return None
        task = task_of(self._loop)
        if task is not None and task is self._last:
            inflight -= 1  # its own: one after the other is no crowd
        rank = partial(self._rank, exchange)
        if self.shedder.admits(exchange.criticality, inflight, rank):
            return None
        if self._shed.handling == "observe":
            self._observed += 1
            return None
        self._refused += 1
        return self._lower.answer(is_long=self.is_long)

    def _rank(self, exchange: Exchange) -> float:
        return rank_of(exchange, exchange.runtime.now_ms(), self._dice)

    def _refuse_full(self, exchange: Exchange) -> Rejection:
        self.shedder.is_reached = True
        self._refused += 1
        return self._full.answer(is_long=self.is_long)

    @property
    def is_long(self) -> bool:
        """Whether it has been armed for more than 30 s."""
        shedder = self.shedder
        return shedder.limit is not None and self._now_s - shedder.armed_at_s > _LONG_S

    def opened(self, exchange: Exchange) -> None:
        """Take a WebSocket whose handshake is answered: it may stay for hours."""
        self.inside.pop(exchange, None)

    # --- the loop -----------------------------------------------------------

    def begin(
        self,
        store: Any,
        loop: asyncio.AbstractEventLoop,
        failed: Callable[[str, BaseException], None],
    ) -> None:
        """Belong to the loop that runs; failed: takes errors of the beat."""
        from anyio.to_thread import current_default_thread_limiter

        self.forget()
        self.threads = current_default_thread_limiter()
        self._loop = loop
        self._failed = failed
        self.ticker.begin(loop)
        self.guard.begin(loop)
        self.limits.begin(store, loop, failed)

    async def end(self, loop: asyncio.AbstractEventLoop) -> None:
        """Let go of a loop, unless it belongs to another one already."""
        if not self.ticker.belongs_to(loop):
            return
        self.ticker.end()
        self.guard.end()
        await self.limits.end()

    def forget(self) -> None:
        """Start anew, on another loop or in a forked child: nobody is inside."""
        self.ticker.end()
        self.inside.clear()
        self._crowd, self._last, self._loop = 0, None, None
        self._streams.clear()
        for inside in self._routes.values():
            inside.clear()
        self.shedder.disarm()
        self._starved_at_s = None
        self.guard.end()

    def beat(self, now_s: float, lag_s: float) -> bool:
        """Take a beat of the loop; whether more of them are wanted."""
        self._now_s = now_s
        has_deadlines = False
        try:
            if self._shed.handling != "off":
                lag_s = max(lag_s, self._starvation_s(now_s))
                self.shedder.tick(now_s, lag_s, self._crowd)
            if now_s - self._looked_s >= 1.0:
                self._looked_s = now_s
                self._let_streams_go(now_s)
            self._crowd, self._last = len(self.inside), None
            inside = self.inside if self._is_timed else ()
            has_deadlines = self.guard.sweep(perf_counter_ns(), inside)
        except Exception as error:  # noqa: BLE001 - border: the next beat comes
            if self._failed is not None:
                self._failed("the beat of the loop", error)
        return has_deadlines or bool(self.inside)

    def _starvation_s(self, now_s: float) -> float:
        """Return a lag for the threads of `def` handlers, who starve on an idle loop.

        Twice the target once more than half as many as there are threads have
        waited for a second.
        """
        threads = self.threads
        enough = threads.total_tokens / 2 if threads is not None else 0
        if not threads or len(self.inside) <= enough:
            self._starved_at_s = None
            return 0.0
        if threads.statistics().tasks_waiting <= enough:
            self._starved_at_s = None
            return 0.0
        if self._starved_at_s is None:
            self._starved_at_s = now_s
        is_starving = now_s - self._starved_at_s >= _STARVED_S
        return 2 * self._shed.target_s if is_starving else 0.0

    def _let_streams_go(self, now_s: float) -> None:
        """Count no more what has been answering for 5 s, such as event streams."""
        before, self._streams = self._streams, {}
        for exchange in tuple(self.inside):
            if not exchange.phase or exchange.is_late:
                continue
            since_s = before.get(exchange, now_s)
            if now_s - since_s >= _STREAM_S:
                self.inside.pop(exchange, None)
            else:
                self._streams[exchange] = since_s

    def state(self) -> ShedState:
        """Return what this node says of its shedding; a pure read."""
        return ShedState(
            self.shedder.limit, len(self.inside), self._refused, self._observed
        )
