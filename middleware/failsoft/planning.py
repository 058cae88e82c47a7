"""What each route does with a request: plans put together from all features.

A plan begins with kills and modes; then the versions' stage gives each version its
own, and the tolerance's stage adds what is watched and repaired.  Without models a
stage has nothing to say, so until they are read plans are as without it.
"""

from __future__ import annotations

import json
import logging
import os
from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path
from typing import Any, Protocol

from failsoft import dice
from failsoft.application import compressing_inside
from failsoft.consumer import Consumers
from failsoft.controls.records import Record
from failsoft.errors import DefinitionError
from failsoft.flags._definitions import IN_CODE
from failsoft.modes import Acting, Chooser, Tallies, compile_plan
from failsoft.modes._check import doubts_of as mode_doubts
from failsoft.modes._check import faults_of as mode_faults
from failsoft.modes._check import unmatched
from failsoft.pipeline import Hook, Plan
from failsoft.resilience._stage import InboundStage
from failsoft.routes.bypass import bypassing
from failsoft.routes.models import Models, models_from_document, models_of
from failsoft.routes.standins import HANDLERS
from failsoft.routes.table import RouteDef, RouteTable
from failsoft.settings import (
    EndpointSettings,
    Settings,
    declared_slos,
    unset_variables,
)
from failsoft.slo._scope import aims_of, faults_of
from failsoft.telemetry import Window
from failsoft.tolerance._ledger import Ledger
from failsoft.tolerance._stage import ToleranceStage
from failsoft.versions._chain import compile_contract
from failsoft.versions._lifecycle import Notice
from failsoft.versions._stage import VersionStage
from failsoft.versions._toml import contract_of
from failsoft.versions._usage import Usage

__all__ = ["Planner", "Stage"]


_log = logging.getLogger("failsoft")


class Stage(Protocol):
    """A feature that has its say on plans."""

    def take(self, records: tuple[Record, ...]) -> None:
        """Read the controls in force."""

    def dress(self, route: RouteDef, plan: Plan) -> None:
        """Add to the plan of a route."""


class Planner:
    """Compiles the plans of one process, whenever routes, models or controls change.

    answers: `METHOD template` -> hook, of routes that failsoft answers itself.
    stages: in the order in which they dress a plan.  versions: the one that resolves
    requests, None without a contract.
    """

    def __init__(
        self,
        settings: Settings,
        contract: Any,
        window: Window,
        now_ms: Callable[[], float],
        inbound: InboundStage,
    ) -> None:
        self._settings = settings
        self._inbound = inbound
        self._contract = contract_of(contract, settings.versions)
        self._window = window
        self._now_ms = now_ms
        self.answers: Mapping[str, Hook] = {}
        self.own_document: Callable[[RouteDef, Plan], None] | None = None
        self.stages: tuple[Stage, ...] = ()
        self.versions: VersionStage | None = None
        self._tolerance: ToleranceStage | None = None
        self._learnt: tuple[RouteDef, ...] = ()
        self.tallies = Tallies()
        self._worn: list[Any] = []
        self._worn_for: Any = None

    def forget(self, ledger: Ledger, consumers: Consumers, usage: Usage) -> None:
        """Take what stages report to; what was learnt is to be learnt again."""
        self._ledger, self._consumers, self._usage = ledger, consumers, usage
        self._learnt = ()

    @property
    def contract(self) -> Any:
        """What is declared of versions, None without a contract."""
        return self._contract

    @property
    def endpoints(self) -> EndpointSettings:
        """What failsoft answers itself."""
        return self._settings.endpoints

    @property
    def bad(self) -> tuple[str, ...]:
        """Controls that this node cannot enforce, as `kind:name`."""
        versions = self.versions.bad if self.versions is not None else ()
        tolerance = self._tolerance.policy.bad if self._tolerance is not None else ()
        return (*versions, *tolerance)

    @property
    def is_strict(self) -> bool:
        """Whether something declared can be wrong of the models: then it is judged
        before the first request.
        """
        return self._contract is not None or bool(self._settings.tolerance.allow)

    @property
    def has_learnt(self) -> bool:
        """Whether the models are known of just these routes."""
        return self._learnt == self._routes

    def learn(self, app: Any, root_path: str) -> None:
        """Read the application's models and compile what depends on them.

        For a thread: 100 routes take some 0.1 s.  Raises DefinitionError with every
        fault of the contract; what was learnt before then stays.
        """
        routes, settings = self._routes, self._settings
        models = self._read(app)
        tolerance = ToleranceStage(
            settings,
            models,
            self._ledger,
            bypassing=bypassing(app),
            now_ms=self._now_ms,
        )
        tolerance.check(routes)
        versions = None
        if self._contract is not None:
            _warn_of_compression(app)
            versions = VersionStage(
                self._contract,
                compile_contract(self._contract, models, [r.key for r in routes]),
                models,
                consumers=self._consumers,
                now_ms=self._now_ms,
                report=tolerance.report,
                usage=self._usage,
                bypass=settings.endpoints.prefix,
                app_root=root_path,
            )
        self._tolerance, self.versions, self._learnt = tolerance, versions, routes
        self.stages = (tolerance,) if versions is None else (versions, tolerance)

    def _read(self, app: Any) -> Models:
        path = self._contract.schemas if self._contract is not None else None
        if path is None:
            return models_of(app, transparent=self._settings.tolerance.transparent)
        try:
            document = json.loads(Path(path).read_bytes())
        except (OSError, ValueError) as error:
            fault = f"contract: schemas = {path!r} cannot be read: {error}"
            raise DefinitionError([f"{fault}; give it an OpenAPI file"]) from None
        return models_from_document(document)

    @property
    def wants_gates(self) -> bool:
        """Whether gates wait to be compiled; until then they see no drift."""
        return self._tolerance is not None and self._tolerance.wants_gates

    def compile_gates(self) -> None:
        """Compile gates that plans ask for.  For a thread: large APIs take seconds."""
        if self._tolerance is not None:
            self._tolerance.compile_gates()

    def notices(self) -> tuple[Notice, ...]:
        """Return ends of versions that are to be told now."""
        return self.versions.notices() if self.versions is not None else ()

    def tick(self) -> None:
        """Tell what goes by the clock; once a second."""
        if self._tolerance is not None:
            self._tolerance.tick()

    def install(self, table: RouteTable) -> None:
        """Take a new route table; counters of routes that stay go on."""
        self._table = table
        self._routes = table.routes
        self._cells = [
            (self._window.apart if r.key in self.answers else self._window.cell)(
                r.key, r.criticality
            )
            for r in table.routes
        ]
        self._aim()

    def faults(self) -> list[str]:
        """Return what is declared of routes or names that are not there."""
        own, settings = self._own(), self._settings
        faults = self._inbound.faults() + faults_of(settings.slos, own)
        faults += mode_faults(settings.modes, settings.never, own, HANDLERS)
        return [*faults, *self._table.faults]

    def doubts(self) -> list[str]:
        """Return what is declared in vain as far as is known: it may come yet."""
        own, settings = self._own(), self._settings
        globs: dict[str, tuple[str, ...]] = {
            f'routes."{glob}"': (glob,) for glob in settings.routes
        }
        parts = settings.components.items()
        globs |= {f"component.{name}.routes": part.routes for name, part in parts}
        flags = {*settings.flags.declare, *IN_CODE}
        doubts = mode_doubts(settings.modes, flags) + unmatched(globs, own)
        return doubts + unset_variables(settings.alerts, os.environ)

    def check(self) -> None:
        """Judge what is declared, once all routes are there; warns of doubts.

        Raises DefinitionError with every fault.
        """
        if faults := self.faults():
            raise DefinitionError(faults)
        for doubt in self.doubts():
            _log.warning("%s", doubt)

    def _own(self) -> list[RouteDef]:
        return [r for r in self._routes if r.key not in self.answers]

    def _aim(self) -> None:
        """Have the cells judge answers by the SLOs of their routes."""
        slos = self._settings.slos
        aims = aims_of(slos, self._own())
        for cell in self._cells:
            cell.aim(aims.get(cell.key, ()))
        self._window.slos = tuple(declared_slos(slos))

    def plans(self, acting: Acting, records: tuple[Record, ...]) -> tuple[Plan, ...]:
        """Return one plan per route of the table, same index."""
        self.tallies.keep(acting.modes)
        found = [
            self._plan(route, cell, acting)
            for route, cell in zip(self._routes, self._cells, strict=True)
        ]
        said = tuple(record for record in records if record.kind == "tolerance")
        worn_for = self.stages, self._routes, said
        if self.versions is None and worn_for == self._worn_for:
            for plan, worn in zip(found, self._worn, strict=True):
                plan.body, plan.answer, plan.start = worn
            self._protect(found)
            return tuple(found)
        self._dress(found, records)
        # Without versions nothing of it depends on kills and modes, and dressing
        # 2,000 routes would hold up each flip for 0.1 s.
        self._worn = [(plan.body, plan.answer, plan.start) for plan in found]
        self._worn_for = worn_for
        self._protect(found)
        return tuple(found)

    def _dress(self, found: list[Plan], records: tuple[Record, ...]) -> None:
        for stage in self.stages:
            stage.take(records)
            for route, plan in zip(self._routes, found, strict=True):
                if route.key not in self.answers:
                    stage.dress(route, plan)
        if self.own_document is not None:
            for route, plan in zip(self._routes, found, strict=True):
                self.own_document(route, plan)

    def _protect(self, found: list[Plan]) -> None:
        for route, plan in zip(self._routes, found, strict=True):
            if not route.bypass and route.key not in self.answers:
                self._inbound.dress(route, plan)
            plan.each(Plan.seal)

    def _plan(self, route: RouteDef, cell: Any, acting: Acting) -> Plan:
        if hook := self.answers.get(route.key):
            return Plan(route.key, route.criticality, cell, (hook,))
        made_by = self._now_ms, dice.random, self.tallies
        plan = compile_plan(route, cell, acting, *made_by)
        if isinstance(plan.choose, Chooser):
            plan.choose.dress = partial(self._dress_chosen, route, plan)
        return plan

    def _dress_chosen(self, route: RouteDef, base: Plan, plan: Plan) -> None:
        """Give the plan of a share of a route's requests what the base has."""
        if self.versions is None:
            plan.body, plan.answer, plan.start = base.body, base.answer, base.start
        else:
            for stage in self.stages:
                stage.dress(route, plan)
            if self.own_document is not None:
                self.own_document(route, plan)
        self._inbound.dress(route, plan)
        plan.each(Plan.seal)


def _warn_of_compression(app: Any) -> None:
    for name in compressing_inside(app):
        text = "%s compresses answers before failsoft can migrate them; add it after "
        text += "Failsoft, so that it lies around it"
        _log.warning(text, name)
