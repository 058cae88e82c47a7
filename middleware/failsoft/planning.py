"""What each route does with a request: plans put together from all features.

A plan begins with kills and modes; then the versions' stage gives each version its
own, and the tolerance's stage adds what is watched and repaired.  Without models a
stage has nothing to say, so until they are read plans are as without it.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Mapping
from typing import Any, Protocol

from failsoft.controls.records import Record
from failsoft.modes import Acting, compile_plan
from failsoft.pipeline import Hook, Plan
from failsoft.routes.models import models_of
from failsoft.routes.table import RouteDef, RouteTable
from failsoft.settings import Settings
from failsoft.telemetry import Window

__all__ = ["Planner", "Stage"]


class Stage(Protocol):
    """A feature that has its say on plans."""

    def take(self, records: tuple[Record, ...]) -> None:
        """Read the controls in force."""

    def dress(self, route: RouteDef, plan: Plan) -> None:
        """Add to the plan of a route."""


class Planner:
    """Compiles the plans of one process, whenever routes, models or controls change.

    answers: `METHOD template` -> hook, of routes that failsoft answers itself.
    stages: in the order in which they dress a plan.
    """

    def __init__(
        self,
        settings: Settings,
        contract: Any,
        window: Window,
        now_ms: Callable[[], float],
    ) -> None:
        self._settings = settings
        self._contract = contract
        self._window = window
        self._now_ms = now_ms
        self.answers: Mapping[str, Hook] = {}
        self.stages: tuple[Stage, ...] = ()
        self._learnt: tuple[RouteDef, ...] = ()

    @property
    def is_strict(self) -> bool:
        """Whether something declared can be wrong of the models: then it is judged
        before the first request.
        """
        return self._contract is not None

    @property
    def has_learnt(self) -> bool:
        """Whether the models are known of just these routes."""
        return self._learnt == self._routes

    def learn(self, app: Any) -> None:
        """Read the application's models and compile what depends on them.

        For a thread: 100 routes take some 0.1 s.  Raises DefinitionError with every
        fault of the contract; what was learnt before then stays.
        """
        routes = self._routes
        models_of(app, transparent=self._settings.tolerance.transparent)
        self._learnt = routes

    def install(self, table: RouteTable) -> None:
        """Take a new route table; counters of routes that stay go on."""
        self._table = table
        self._routes = table.routes
        self._cells = [self._window.cell(r.key, r.criticality) for r in table.routes]

    def plans(self, acting: Acting, records: tuple[Record, ...]) -> tuple[Plan, ...]:
        """Return one plan per route of the table, same index."""
        found = [
            self._plan(route, cell, acting)
            for route, cell in zip(self._routes, self._cells, strict=True)
        ]
        for stage in self.stages:
            stage.take(records)
            for route, plan in zip(self._routes, found, strict=True):
                if not route.bypass and route.key not in self.answers:
                    stage.dress(route, plan)
        return tuple(found)

    def _plan(self, route: RouteDef, cell: Any, acting: Acting) -> Plan:
        if hook := self.answers.get(route.key):
            return Plan(route.key, route.criticality, cell, (hook,))
        return compile_plan(route, cell, acting, self._now_ms, random.random)
