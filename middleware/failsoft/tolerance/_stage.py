"""Towards the pipeline: which plans watch, repair or refuse bodies.

A route whose schema is not known, or whose handling is `off` for everybody, gets
nothing and pays nothing.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from typing import Any

from failsoft import clock, dice
from failsoft.consumer import consumer_of
from failsoft.controls.records import Record
from failsoft.controls.targets import covers
from failsoft.errors import DefinitionError
from failsoft.pipeline import SETTLED, Exchange, Plan
from failsoft.routes.models import Models, RouteShapes
from failsoft.routes.table import RouteDef
from failsoft.settings import Settings
from failsoft.shapes.findings import Finding
from failsoft.shapes.repair import unusable
from failsoft.tolerance._answers import AnswerWork
from failsoft.tolerance._flush import emit
from failsoft.tolerance._gates import Gates, Limits
from failsoft.tolerance._ledger import Ledger
from failsoft.tolerance._policy import compile_policy
from failsoft.tolerance._requests import Desk, RequestWork

__all__ = ["ToleranceStage"]


class ToleranceStage:
    """Says for each route what is done with bodies that differ from its schema.

    models: of the application.  bypassing: routes whose answers are looked at, as
    their handlers may pass by the response model.  now_ms: store time.

    Gates are compiled by `compile_gates`, off the loop; until then no drift is
    seen, nothing repaired.
    """

    def __init__(
        self,
        settings: Settings,
        models: Models,
        ledger: Ledger,
        *,
        bypassing: Collection[str] = (),
        now_ms: Callable[[], float] = lambda: clock.unix() * 1000,
        rand: Callable[[], float] = dice.random,
    ) -> None:
        self._settings = settings
        self._ledger = ledger
        self._now_ms = now_ms
        self._shapes: Mapping[str, RouteShapes] = models.routes
        self.policy = compile_policy(settings.tolerance)
        self._gates = Gates(self._shapes, models.ungated, threading.Lock())
        self._bypassing = frozenset(bypassing)
        self._told: set[str] = set()
        self._desk = Desk(
            settings=settings.tolerance,
            gates=self._gates,
            limits=Limits(settings.contracts, rand, clock.monotonic, ledger.tally),
            now_ms=now_ms,
            tally=ledger.tally,
            report=self.report,
            consumer_of=consumer_of,
        )

    # --- what planning calls ------------------------------------------------

    def take(self, records: Iterable[Record]) -> None:
        """Read the controls in force."""
        settings, before = self._settings.tolerance, self.policy
        self.policy = compile_policy(
            settings, records, before=before, now_ms=self._now_ms()
        )

    def dress(self, route: RouteDef, plan: Plan) -> None:
        """Add to the plan of a route, and to that of each version that has its own."""
        shapes = self._shapes.get(route.key)
        if shapes is None or shapes.is_stream:
            return
        reading = self.policy.of(route)
        if reading.handlings == {"off"} and self._settings.tolerance.prefer == "off":
            return
        request = RequestWork(self._desk, route, shapes, reading)
        answer = AnswerWork(
            self._desk, shapes, reading, is_judged=route.key in self._bypassing
        )
        plan.each(request.dress)
        plan.each(answer.dress)

    def report(
        self, exchange: Exchange, findings: Sequence[Finding], direction: str
    ) -> None:
        """Count findings in a body of an exchange.  direction: request or response."""
        if not findings or exchange.phase == SETTLED:
            return  # settled: cancelled while a thread was at work
        exchange.drift += len(findings)
        key, consumer = exchange.plan.key, consumer_of(exchange)
        self._ledger.add(key, direction, "", findings, consumer, exchange.version)

    def check(self, routes: Iterable[RouteDef]) -> None:
        """Raise DefinitionError with every declared tolerance that cannot work."""
        keys = [route.key for route in routes]
        findings = []
        for index, one in enumerate(self._settings.tolerance.allow):
            allowed = next(t.allowed for t in self._declared() if t.name == one.name)
            mine = [key for key in keys if covers(one.route, key)]
            known = [
                shapes.request
                for key in mine
                if (shapes := self._shapes.get(key)) and shapes.request is not None
            ]
            where = f"settings: tolerance.allow.{index} ({one.name})"
            if not mine:
                findings.append(f"{where}: route {one.route!r} covers none; correct it")
            elif known and all(unusable(node, allowed) for node in known):
                findings.append(f"{where}: {unusable(known[0], allowed)}; correct it")
        if findings:
            raise DefinitionError(findings)

    def _declared(self) -> Sequence[Any]:
        return compile_policy(self._settings.tolerance).tolerances

    # --- what the runtime calls each second -----------------------------------

    def tick(self) -> None:
        """Tell of tolerances whose end has come, each once."""
        now_ms = self._now_ms()
        for one in (*self.policy.tolerances, *self.policy.ended):
            if not one.is_over(now_ms):
                self._told.discard(one.name)
            elif one.name not in self._told:
                self._told.add(one.name)
                said = {"name": one.name, "route": one.route, "owner": one.owner}
                emit("tolerance.expired", "warning", **said, reason=one.reason)

    @property
    def wants_gates(self) -> bool:
        """Whether `compile_gates` has something to do."""
        return bool(self._gates.wanted)

    def compile_gates(self) -> None:
        """Compile what plans asked for; may take a second, from any thread."""
        self._gates.compile()
