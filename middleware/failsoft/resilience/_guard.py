"""Late and failing applications: who is answered at once, and what stands in.

One sweep on the node's 10 ms beat ends what is late.  The handler goes on: cancelling
it at once would break the connection pools that it uses, and never stop a thread.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Iterable, Mapping
from time import perf_counter_ns
from typing import TYPE_CHECKING, Any

from anyio import get_running_tasks
from anyio.to_thread import current_default_thread_limiter

from failsoft.controls.targets import covers
from failsoft.pipeline import Exchange, Plan, Rejection
from failsoft.problem import late_answer
from failsoft.resilience._deadline import heed, timeout_ns_of
from failsoft.resilience._served import ASGIApp, RouteGuard, Served
from failsoft.resilience._stale import Shelf
from failsoft.routes.standins import HANDLERS
from failsoft.routes.table import RouteDef
from failsoft.settings import Settings, suggest

if TYPE_CHECKING:
    from anyio import CapacityLimiter

__all__ = ["Guard"]

# How long a handler in a thread is left alone before it is looked at again.
_AGAIN_NS = 20_000_000
_TURNS = 20
_NOTHING = RouteGuard()
_ADD_HANDLER = 'write @failsoft.handler("{}") on a function that is imported'


class Guard:
    """Deadlines and stand-ins of one process.  headers: that may lower a deadline.

    exercised: when each route's fallback, or a handler, last answered, Unix ms.
    """

    def __init__(self, settings: Settings) -> None:
        self.settings = settings.deadline
        self.headers = frozenset(name.encode() for name in settings.deadline.headers)
        self.shelf = Shelf(settings.stale.body_max_bytes, settings.stale.total_bytes)
        self.app_ids = tuple(name.encode() for name in settings.consumer.header)
        self.exercised: dict[str, float] = {}
        self.timed: set[Served] = set()
        self.tasks: set[asyncio.Task[None]] = set()
        self._overdue: deque[Served] = deque()
        self._is_cancelling = False
        self._busy: set[int] = set()
        self._looked_ns = 0
        self._threads: CapacityLimiter | None = None
        self._named: dict[str, str] = {}  # handler -> where it is asked for
        self._may_be_stale = tuple(
            (glob, value)
            for mode in settings.modes.values()
            for action, value in mode.actions
            if action == "stale"
            for glob in mode.routes
        )

    # --- plans --------------------------------------------------------------

    def timeout_ns(self, route: RouteDef, plan: Plan) -> int:
        """Return what every request of a plan has, 0 for no deadline."""
        return 0 if plan.method == "WS" else timeout_ns_of(route.rules, plan.scalars)

    def heed(self, exchange: Exchange, said: Mapping[bytes, bytes]) -> Rejection | None:
        """Lower a request's deadline by its headers; refuse where it is too late."""
        is_late = heed(exchange, said) is not None
        return late_answer(exchange, perf_counter_ns()) if is_late else None

    def of(self, route: RouteDef, plan: Plan) -> RouteGuard | None:
        """Return what stands before the application on a plan, None for nothing."""
        rules, place = route.rules, plan.in_place
        stale_s = max(rules.stale_s or 0.0, plan.scalars.stale_s or 0.0)
        keeps = bool(stale_s) or self._is_kept_for_modes(route)
        if isinstance(rules.fallback, str):
            self._named[rules.fallback] = f"fallback of {route.key}"
        is_plain = rules.timeout_grace_s is None and rules.timeout_scope != "body"
        has_part = keeps or rules.fallback is not None or place is not None
        if plan.method == "WS" or (is_plain and not has_part):
            return None  # `guarded` serves what has a deadline alone
        return RouteGuard(
            grace_s=rules.timeout_grace_s,
            covers_body=rules.timeout_scope == "body",
            keeps=keeps and plan.method in ("GET", "*"),
            stale_s=stale_s,
            by_consumer=rules.stale_key == "consumer",
            fallback=rules.fallback,
            in_place=place,
        )

    def _is_kept_for_modes(self, route: RouteDef) -> bool:
        """A mode cannot serve what nobody kept before it was entered."""
        return any(
            glob[4:] in route.tags
            if glob.startswith("tag:")
            else covers(glob.removeprefix("route:"), route.key)
            for glob, _ in self._may_be_stale
        )

    # --- requests -----------------------------------------------------------

    def guarded(self, app: ASGIApp, exchange: Exchange) -> ASGIApp:
        """Return the application under the deadline and with what may stand in."""
        return Served(self, app, exchange, exchange.plan.guard or _NOTHING)

    def spawn(self, work: Any, context: Any = None) -> asyncio.Task[None]:
        """Run a task of ours on the loop of the requests."""
        task: asyncio.Task[None] = asyncio.get_running_loop().create_task(
            work, context=context
        )
        self.tasks.add(task)
        task.add_done_callback(self.tasks.discard)
        return task

    # --- the loop -----------------------------------------------------------

    def begin(self, loop: asyncio.AbstractEventLoop) -> None:
        """Belong to the loop that runs."""
        self.end()
        self._threads = current_default_thread_limiter()

    def faults(self) -> list[str]:
        """Return what is wrong with the handlers that routes name."""
        return [
            f"{where} = {name!r}: no failsoft.handler is called so; "
            + (suggest(name, HANDLERS) if HANDLERS else _ADD_HANDLER.format(name))
            for name, where in self._named.items()
            if name not in HANDLERS
        ]

    def end(self) -> None:
        """Let go of the loop; also in a forked child, whose tasks never run."""
        self.timed.clear()
        self.tasks.clear()
        self._overdue.clear()
        self._is_cancelling, self._looked_ns, self._threads = False, 0, None

    def sweep(self, now_ns: int, inside: Iterable[Exchange] = ()) -> bool:
        """End what is late, every 10 ms; whether requests wait for their deadline.

        inside: requests, of which some may have one and nobody who answers for them.
        """
        for exchange in [e for e in inside if 0 < e.deadline_ns <= now_ns]:
            if exchange.task is not None and not exchange.phase and not exchange.late:
                Served.late(self, exchange)
        due = [served for served in self.timed if served.due_ns <= now_ns]
        if due:
            overdue = [served for served in due if not served.expire(now_ns)]
            self._overdue += sorted(overdue, key=lambda served: served.since_ns)
            if self._overdue and not self._is_cancelling:
                self._is_cancelling = True
                self.spawn(self._cancel())
        return bool(self.timed)

    async def _cancel(self) -> None:
        """Cancel handlers whose grace is over, but none that waits for a thread.

        Its token would be free while the thread runs on: in the end there are more
        threads than the limiter allows.

        One after the other, the newest first: httpx 0.28.1 hands the connection of a
        call that ends to one that waits, and loses it for good if that one is
        cancelled before it runs.  200 calls cancelled together left no connection of
        5, 3,000 in turn left all.
        """
        try:
            while self._overdue:
                served = self._overdue.pop()
                now_ns = perf_counter_ns()
                if now_ns - self._looked_ns > _AGAIN_NS:
                    self._busy, self._looked_ns = self._in_threads(), now_ns
                if id(served.task) in self._busy or self._is_in_thread(served):
                    served.due_ns = now_ns + _AGAIN_NS
                elif served.cancel():
                    await self._ended(served)
        finally:
            self._is_cancelling = False

    async def _ended(self, served: Served) -> None:
        """Wait for what a cancelled handler tidies up, some turns of the loop."""
        for _ in range(_TURNS):
            await asyncio.sleep(0)
            if served not in self.timed:
                break
        await asyncio.sleep(0)  # for whoever got what it gave back

    def _is_in_thread(self, served: Served) -> bool:
        threads = self._threads
        return threads is not None and served.task in threads.statistics().borrowers

    def _in_threads(self) -> set[int]:
        """Return the ids of tasks that wait for a thread, with all their parents."""
        borrowers = self._threads.statistics().borrowers if self._threads else ()
        found: set[int] = set()
        if not borrowers:
            return found
        parents = {task.id: task.parent_id for task in get_running_tasks()}
        for borrower in borrowers:
            task: int | None = id(borrower)
            while task is not None and task not in found:
                found.add(task)
                task = parents.get(task)
        return found

    @property
    def abandoned_threads(self) -> int:
        """How many threads work for requests that were answered without them."""
        late = {id(served.task) for served in self.timed if served.is_late}
        return len(late & self._in_threads()) if late else 0
