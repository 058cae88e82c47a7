"""What the application answers: its own 422, and bodies that bypass its model."""

from __future__ import annotations

import sys
from dataclasses import replace
from typing import Any

from failsoft.pipeline import BodyPlan, Exchange, Plan
from failsoft.routes.models import RouteShapes
from failsoft.shapes.walk import walk
from failsoft.tolerance._policy import RouteReading
from failsoft.tolerance._requests import Desk
from failsoft.tolerance._words import rejected

__all__ = ["AnswerWork"]

_UNPROCESSABLE = 422


class AnswerWork:
    """Looks at answers of one route; none is ever held back or changed.

    A response model certifies what it serialises.  is_judged: the handler may return
    a Response of its own, so its bodies are.
    """

    def __init__(
        self,
        desk: Desk,
        shapes: RouteShapes,
        reading: RouteReading,
        *,
        is_judged: bool,
    ) -> None:
        self._desk = desk
        self._reading = reading
        self._node = shapes.request
        self._walks = desk.limits.route_rate()
        self._shapes = shapes if is_judged else RouteShapes()
        for node in self._shapes.responses.values():
            desk.gates.of(node)

    def dress(self, plan: Plan) -> None:
        """Add to one plan what its answers need."""
        if plan.answer is None:
            # Asked at each start of an answer, so it is no method where none is needed.
            statuses = self._concerns if self._shapes.responses else _is_refusal
            plan.answer = BodyPlan(look=self._look, statuses=statuses)
        elif plan.answer.look is None:
            # Older versions: what goes on is not in the head's terms, but a 422 is
            # told by its types all the same.
            plan.answer = replace(plan.answer, look=self._look_at_refusals)

    def _concerns(self, status: int) -> bool:
        if status == _UNPROCESSABLE:
            return True
        return self._shapes.response(status) is not None

    def _is_off(self, exchange: Exchange) -> bool:
        consumer = (
            self._desk.consumer_of(exchange) if self._reading.asks_consumer else ""
        )
        return self._reading.for_(consumer).handling == "off"

    def _look(self, exchange: Exchange, body: bytes) -> None:
        if exchange.status == _UNPROCESSABLE:
            self._look_at_refusals(exchange, body)
        else:
            self._judge(exchange, body)

    def _look_at_refusals(self, exchange: Exchange, body: bytes) -> None:
        if exchange.status != _UNPROCESSABLE or self._is_off(exchange):
            return
        if self._desk.limits.may_walk(self._walks):
            findings = rejected(self._node, body, _told_errors())
            self._desk.report(exchange, findings, "request")

    def _judge(self, exchange: Exchange, body: bytes) -> None:
        limits = self._desk.limits
        held = self._desk.gates.of(self._shapes.response(exchange.status))
        if held is None or held.gate is None:
            return
        if len(body) > limits.full_max_bytes and not limits.takes(len(body)):
            return
        if held.gate.passes(body) and not (held.gate.is_partial and limits.sampled()):
            return
        if not self._is_off(exchange) and limits.may_walk(self._walks):
            walked = walk(held.node, body)
            self._desk.report(exchange, walked.findings, "response")


def _is_refusal(status: int) -> bool:
    return status == _UNPROCESSABLE


def _told_errors() -> Any:
    """Return the errors of this request as FastAPI 0.142 and newer tells them."""
    telemetry = sys.modules.get("fastapi.telemetry")
    ask = getattr(telemetry, "get_telemetry_data", None)
    data = ask() if ask is not None else None
    return getattr(data, "errors", None)
