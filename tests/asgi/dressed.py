"""An application whose routes have body plans, without any feature that makes them."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from failsoft import Failsoft
from failsoft.controls.records import Record
from failsoft.pipeline import BodyPlan, Exchange, Plan, Start
from failsoft.routes.table import RouteDef


@dataclass
class Dress:
    """A stage that puts the same on every route."""

    body: BodyPlan | None = None
    answer: BodyPlan | None = None
    start: Start | None = None

    def take(self, records: tuple[Record, ...]) -> None:
        pass

    def dress(self, route: RouteDef, plan: Plan) -> None:
        plan.body, plan.answer, plan.start = self.body, self.answer, self.start


def dress(guarded: Failsoft, **parts: Any) -> Failsoft:
    """Give every route of a started application these body plans."""
    guarded.runtime.planner.stages = (Dress(**parts),)
    guarded.runtime.install(guarded.runtime.table)
    return guarded


@dataclass
class Seen:
    """A `look` that keeps what it saw."""

    bodies: list[bytes] = field(default_factory=list)

    def __call__(self, exchange: Exchange, body: bytes) -> None:
        self.bodies.append(body)
