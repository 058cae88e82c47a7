"""The work on request bodies of one route: look, repair, or refuse.

What passes the gate is certified, and goes on as it came.  A repair needs a named
tolerance in force; what it cannot make fit goes on as it came, too, so that the
application words its own error.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

from failsoft.controls.targets import covers
from failsoft.pipeline import (
    BodyChange,
    BodyLook,
    BodyPlan,
    Exchange,
    Headers,
    Plan,
    Rejection,
    Start,
)
from failsoft.routes.models import RouteShapes
from failsoft.routes.table import RouteDef
from failsoft.settings import ToleranceSettings
from failsoft.shapes.findings import Finding
from failsoft.shapes.repair import repair
from failsoft.shapes.walk import Walked, repeats, walk
from failsoft.tolerance._enums import EnumNames
from failsoft.tolerance._gates import Gates, HeldGate, Limits
from failsoft.tolerance._policy import Reading, RouteReading, Tolerance
from failsoft.tolerance._words import (
    media_family,
    merge_vary,
    notice_of,
    preference,
    violation,
)

__all__ = ["Desk", "RequestWork"]

_MERGE_PATCH = b"application/merge-patch+json"
_JSON_PATCH = b"application/json-patch+json"
# Of what is left after a repair, what the application takes all the same.
_HARMLESS = frozenset(("coerced", "unknown"))
# What the application's parser may read otherwise than we write.
_UNTOUCHABLE = frozenset(("duplicate", "not_json", "encoding", "number", "too_deep"))

Report = Callable[[Exchange, Sequence[Finding], str], None]


@dataclass(frozen=True, slots=True)
class Desk:
    """What the work on all routes shares.  now_ms: store time."""

    settings: ToleranceSettings
    gates: Gates
    limits: Limits
    now_ms: Callable[[], float]
    tally: Callable[[str], None]
    report: Report
    consumer_of: Callable[[Exchange], str]


class RequestWork:
    """Judges the request bodies of one route for whoever calls."""

    def __init__(
        self, desk: Desk, route: RouteDef, shapes: RouteShapes, reading: RouteReading
    ) -> None:
        self._desk = desk
        self._limits = desk.limits
        self._reading = reading
        self._held = desk.gates.of(
            shapes.request, is_patch=route.key.startswith("PATCH ")
        )
        self._walks = desk.limits.route_rate()
        self._alone = None if reading.asks_consumer else reading.for_("")
        self._enums = EnumNames() if _names_enums(desk.settings, route) else None
        self._prefer = desk.settings.prefer
        self._strict_kinds = frozenset(desk.settings.strict_kinds)

    def dress(self, plan: Plan) -> None:
        """Add to one plan what its request bodies need."""
        if self._held is None:
            return
        was = plan.body or BodyPlan()
        may_refuse = "strict" in self._reading.handlings or self._prefer != "off"
        if may_refuse or self._reading.tolerances:
            # Of an older version's body the versions' stage reports, in its terms.
            change = self._change_quietly if was.changes else self._change
            plan.body = self._planned(was, (*was.changes, change), was.look)
        elif not was.changes:
            plan.body = self._planned(was, (), self._look)
        if self._prefer != "off":
            plan.start = self._started(plan.start)

    def _planned(
        self, was: BodyPlan, changes: tuple[BodyChange, ...], look: BodyLook | None
    ) -> BodyPlan:
        return replace(was, changes=changes, look=look, elsewhere=self._elsewhere)

    # --- looking ------------------------------------------------------------

    def _reads(self, exchange: Exchange) -> Reading:
        if self._alone is not None:
            return self._alone
        return self._reading.for_(self._desk.consumer_of(exchange))

    def _look(self, exchange: Exchange, body: bytes) -> None:
        """Judge a body that goes on as it is, within the limits."""
        held, limits = self._held, self._limits
        if held is None or (gate := held.gate) is None:
            return
        if len(body) > limits.full_max_bytes and not limits.takes(len(body)):
            return
        if gate.passes(body) and not (gate.is_partial and limits.sampled()):
            return
        reading = self._reads(exchange)
        fit = self._fit(exchange, held)
        if reading.handling == "off" or fit is None or not limits.may_walk(self._walks):
            return
        walked = self._walked(exchange, body, fit)
        if reading.handling == "warn" and walked.findings:
            exchange.notice(notice_of(walked.findings))

    def _walked(
        self, exchange: Exchange, body: bytes, held: HeldGate, *, is_quiet: bool = False
    ) -> Walked:
        walked = walk(held.node, body, is_patch=held.is_patch)
        if walked.truncated:
            self._desk.tally("truncated")
        if not is_quiet:
            findings = walked.findings
            if self._enums is not None:
                findings = self._enums.named(held.node, body, findings)
            self._desk.report(exchange, findings, "request")
        return walked

    def _fit(self, exchange: Exchange, held: HeldGate) -> HeldGate | None:
        """Return what judges a body by its media type; None for JSON Patch."""
        for name, value in exchange.scope["headers"]:
            if name == b"content-type":
                media = value.partition(b";")[0].strip().lower()
                if media == _JSON_PATCH:
                    return None
                if media == _MERGE_PATCH and not held.is_patch:
                    return self._desk.gates.of(held.node, is_patch=True)
        return held

    def _elsewhere(self, exchange: Exchange) -> None:
        """Count a body that does not call itself JSON; it is never repaired."""
        try:
            family = media_family(exchange.scope["headers"])
            if family is None or self._reads(exchange).handling == "off":
                return
            if self._limits.may_walk(self._walks):
                finding = Finding("", "content_type", "application/json", family)
                self._desk.report(exchange, (finding,), "request")
        except Exception as error:  # noqa: BLE001 - border: a request must go on
            exchange.runtime.failed("a body's media type", error)

    # --- repairs and refusals -----------------------------------------------

    def _change(self, exchange: Exchange, body: bytes) -> bytes | Rejection:
        return self._safely(exchange, body, is_quiet=False)

    def _change_quietly(self, exchange: Exchange, body: bytes) -> bytes | Rejection:
        return self._safely(exchange, body, is_quiet=True)

    def _safely(
        self, exchange: Exchange, body: bytes, *, is_quiet: bool
    ) -> bytes | Rejection:
        try:
            return self._settled(exchange, body, is_quiet=is_quiet)
        except Exception as error:  # noqa: BLE001 - border: a request must go on
            # Here, as an error in a plan that has to be carried out refuses.
            exchange.runtime.failed(f"reading a body of {exchange.plan.key}", error)
            return body

    def _settled(
        self, exchange: Exchange, body: bytes, *, is_quiet: bool
    ) -> bytes | Rejection:
        """Return the body to go on with, or why it is refused."""
        held, reading = self._held, self._reads(exchange)
        handling = self._preferred(exchange, reading.handling)
        if held is None or held.gate is None or handling == "off":
            return body
        fit = self._fit(exchange, held)
        if fit is None or fit.gate is None:
            return body
        if handling == "strict":
            return self._strict(exchange, body, fit, is_quiet=is_quiet)
        if not reading.may_repair:
            if not is_quiet:
                self._look(exchange, body)
            return body
        # A loose gate may pass what needs a repair.
        if fit.gate.passes(body) and not fit.gate.is_partial:
            return body
        walked = self._walked(exchange, body, fit, is_quiet=is_quiet)
        if handling == "warn" and walked.findings:
            exchange.notice(notice_of(walked.findings))
        if any(finding.kind in _UNTOUCHABLE for finding in walked.findings):
            return body
        return self._mended(exchange, body, fit, reading.tolerances)

    def _strict(
        self, exchange: Exchange, body: bytes, fit: HeldGate, *, is_quiet: bool
    ) -> bytes | Rejection:
        assert fit.gate is not None
        is_certified = fit.gate.passes(body) and not fit.gate.is_partial
        if is_certified and not ("duplicate" in self._strict_kinds and repeats(body)):
            return body
        walked = self._walked(exchange, body, fit, is_quiet=is_quiet)
        broken = [f for f in walked.findings if f.kind in self._strict_kinds]
        return violation(broken) if broken else body

    def _mended(
        self,
        exchange: Exchange,
        body: bytes,
        fit: HeldGate,
        tolerances: Sequence[Tolerance],
    ) -> bytes:
        """Make the repairs in force; count those that would have been, once."""
        now_ms, desk = self._desk.now_ms(), self._desk
        over = [one.allowed for one in tolerances if one.is_over(now_ms)]
        if over:
            missed = repair(fit.node, body, over, is_patch=fit.is_patch)
            for name in missed.counts:
                desk.tally(f"would_repair:{name}")
        mine = [one.allowed for one in tolerances if not one.is_over(now_ms)]
        found = repair(fit.node, body, mine, is_patch=fit.is_patch) if mine else None
        if found is None:
            return body
        if found.ambiguous:
            paths = sorted(found.ambiguous)
            unclear = [Finding(path, "ambiguous") for path in paths]
            desk.report(exchange, unclear, "request")
        if found.body is None or not _is_fit(fit, found.body):
            return body
        for name in found.counts:
            desk.tally(f"repaired:{name}")
        return found.body

    # --- preferences (RFC 7240) -----------------------------------------------

    def _preferred(self, exchange: Exchange, handling: str) -> str:
        """Return the handling as the client prefers it; never one more repair."""
        wanted = self._honoured(exchange)
        if wanted == "strict" and handling != "off":
            return "strict"
        return "observe" if wanted == "lenient" and handling == "strict" else handling

    def _honoured(self, exchange: Exchange) -> str:
        if self._prefer == "off":
            return ""
        wanted = preference(exchange.scope["headers"])
        return wanted if self._prefer == "both" or wanted == "strict" else ""

    def _started(self, then: Start | None) -> Start:
        """Return a hook that says which preference counted, after an existing one."""

        def start(exchange: Exchange, status: int, headers: Headers) -> int:
            if then is not None:
                status = then(exchange, status, headers)
            merge_vary(headers, b"Prefer")
            if wanted := self._honoured(exchange):
                applied = f"handling={wanted}".encode()
                headers.append((b"preference-applied", applied))
            return status

        return start


def _names_enums(settings: ToleranceSettings, route: RouteDef) -> bool:
    """Whether the members sent to a route's enums may be named."""
    return any(
        glob[4:] in route.tags if glob.startswith("tag:") else covers(glob, route.key)
        for glob in settings.enum_values
    )


def _is_fit(fit: HeldGate, body: bytes) -> bool:
    """Whether a repaired body is one the application takes."""
    assert fit.gate is not None
    if fit.gate.passes(body):
        return True
    # A model that ignores other keys takes them still: its old clients send some.
    left = walk(fit.node, body, is_patch=fit.is_patch)
    kinds = {finding.kind for finding in left.findings}
    is_taken = kinds <= _HARMLESS and not ("unknown" in kinds and fit.forbids)
    return is_taken and not left.truncated
