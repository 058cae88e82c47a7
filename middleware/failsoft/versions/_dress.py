"""The plans of one route, by version: what is refused, edited, migrated, announced.

Pure: the clock and the dice are passed in.  Hooks and body changes are the only code
here that runs in requests; all they need is worked out when a plan is made.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from failsoft.consumer import consumer_of
from failsoft.pipeline import (
    BodyChange,
    BodyPlan,
    Exchange,
    Headers,
    Hook,
    Plan,
    Rejection,
    Start,
    VersionPlans,
)
from failsoft.routes.trie import WEBSOCKET
from failsoft.shapes.findings import Finding
from failsoft.shapes.gate import Gate, compile_gate
from failsoft.shapes.walk import walk
from failsoft.versions._brownout import Open
from failsoft.versions._chain import Failure, Migration, RequestEdits
from failsoft.versions._headers import (
    Stamp,
    add_tag,
    edit_query,
    keep_original,
    rename_headers,
    strip_tags,
)
from failsoft.versions._parts import Part, Parts, RouteEnd
from failsoft.versions._refusals import errors_of, refusal
from failsoft.versions._resolved import INVALID, Resolved, Standing
from failsoft.versions._usage import Usage
from failsoft.versions._windows import FOREVER_S

if TYPE_CHECKING:
    from failsoft.shapes.graph import Node

__all__ = ["Dresser", "Report"]

# Takes (exchange, findings, "request" or "response").
Report = Callable[[Exchange, Sequence[Finding], str], None]
# Hooks and headers of a route's plan before the stages that come later.
_Bare = tuple[tuple[Hook, ...], tuple[tuple[bytes, bytes], ...]]


@dataclass(frozen=True, slots=True)
class Dresser:
    """Makes the plans of one contract.

    now_s: store time in Unix seconds.  dice: 0..1.  report: takes findings in
    bodies.  tags: version -> suffix of entity tags.  counts: what was noticed.
    """

    parts: Parts
    now_s: Callable[[], float]
    dice: Callable[[], float]
    usage: Usage
    report: Report
    tags: Mapping[str, bytes]
    counts: Counter[str]
    on_down_error: str

    def dress(self, route: str, plan: Plan, standing: Standing) -> None:
        """Have the plans of the versions of a route made when they are asked for."""
        rules = [rule for rule in standing.brownouts if rule.covers(route)]
        shared = self._shared_hooks(route, standing, Open(rules) if rules else None)
        made: dict[Part, Plan] = {}
        # As it is now: what is added to the plan later is added to each of them too.
        bare = plan.admit, plan.notices

        def make(version: str) -> Plan | None:
            if version == INVALID:
                return _copy(plan, bare, (_refused,), self._start(route))
            if version not in standing.lives:
                return None
            try:
                part = self.parts.of(route, version)
                if part not in made:
                    made[part] = self._plan((plan, bare), part, standing, shared)
                return made[part]
            except Exception as error:  # noqa: BLE001 - border: never half-migrated
                return _copy(plan, bare, (_broken(error),), self._start(route))

        plan.by_version = VersionPlans(make)

    def _plan(
        self,
        base: tuple[Plan, _Bare],
        part: Part,
        standing: Standing,
        shared: tuple[tuple[Hook, ...], tuple[Hook, ...]],
    ) -> Plan:
        (plan, bare), (before, after) = base, shared
        present = _presence(part, standing)
        edits = self._edits(part, plan.method)
        hooks = (*before, *present, *after, *edits)
        made = _copy(plan, bare, hooks, self._starts(plan.key, part, standing))
        if part.up is not None:
            change = _up_change(part.up, part.old, self.report)
            made.body = BodyPlan((change,), is_required=True)
        if part.answers.is_any:
            down = self._down_change(part, standing)
            made.answer = BodyPlan((down,), is_required=True, statuses=part.answers.has)
        return made

    # --- refusals -----------------------------------------------------------

    def _shared_hooks(
        self, route: str, standing: Standing, brownouts: Open | None
    ) -> tuple[tuple[Hook, ...], tuple[Hook, ...]]:
        """Return the hooks that go before and after "is it there" in all versions."""
        before: list[Hook] = []
        after: list[Hook] = []
        if any(life.ends_s < FOREVER_S for life in standing.lives.values()):
            before.append(self._retired(standing))
        end = self.parts.end(route)
        if end is not None and end.life.ends_s < FOREVER_S:
            before.append(self._ended(end, standing))
        if brownouts is not None:
            after.append(self._browned_out(brownouts, standing))
        if route.startswith(WEBSOCKET + " "):
            # Their answers do not start; nothing else counts them.
            after.append(self._counted(route))
        return tuple(before), tuple(after)

    def _retired(self, standing: Standing) -> Hook:
        def refuse(exchange: Exchange) -> Rejection | None:
            ends_s = exchange.resolved.ends_s
            if ends_s == FOREVER_S or self.now_s() < ends_s:
                return None
            return _refusal("version-retired", exchange, standing)

        return refuse

    def _ended(self, end: RouteEnd, standing: Standing) -> Hook:
        ends_s = end.life.ends_s

        def refuse(exchange: Exchange) -> Rejection | None:
            if self.now_s() < ends_s:
                return None
            return _refusal("endpoint-gone", exchange, standing, link=end.link)

        return refuse

    def _browned_out(self, brownouts: Open, standing: Standing) -> Hook:
        def refuse(exchange: Exchange) -> Rejection | None:
            now_s = self.now_s()
            for rule, end_s in brownouts.at(now_s):
                if rule.versions and exchange.resolved.version not in rule.versions:
                    continue
                consumer = consumer_of(exchange) if rule.asks_caller else ""
                if rule.hits(consumer, self.dice):
                    retry = _retry_after(end_s - now_s)
                    return _refusal(
                        "brownout",
                        exchange,
                        standing,
                        status=rule.status,
                        headers=retry,
                    )
            return None

        return refuse

    def _counted(self, route: str) -> Hook:
        def count(exchange: Exchange) -> None:
            self.usage.add(exchange.resolved.version, route, consumer_of(exchange))

        return count

    # --- requests -----------------------------------------------------------

    def _edits(self, part: Part, method: str) -> tuple[Hook, ...]:
        """Return what changes a request outside of its body, in place."""
        found: list[Hook] = []
        if part.edits is not None:
            found.append(_edit(part.edits))
        # What a PUT or DELETE answers may be the head's; the tag in its `If-Match` is
        # from a GET whose answer was not.
        if part.answers.is_any or method not in ("GET", "HEAD", WEBSOCKET):
            tags = self.tags

            def strip(exchange: Exchange) -> None:
                headers = _headers_of(exchange)
                strip_tags(headers, tags[exchange.resolved.version])

            found.append(strip)
        return tuple(found)

    # --- answers ------------------------------------------------------------

    def _start(self, route: str) -> Start:
        """Return what marks the answers of a route that is as the head's."""
        add, counts = self.usage.add, self.counts

        def start(exchange: Exchange, status: int, headers: Headers) -> int:
            resolved = exchange.resolved
            add(resolved.version, route, consumer_of(exchange))
            resolved.stamp.put(headers, counts)
            return status

        return start

    def _starts(self, route: str, part: Part, standing: Standing) -> Start:
        plain = self._start(route)
        end = self.parts.end(route)
        if part.is_head and end is None:
            return plain

        def stamp_of(resolved: Resolved) -> Stamp:
            if end is None:
                return resolved.stamp
            return standing.ending(resolved.version, end.life)

        return self._changed_start(route, part, stamp_of)

    def _changed_start(
        self, route: str, part: Part, stamp_of: Callable[[Resolved], Stamp]
    ) -> Start:
        """Return what renames and marks answers, besides the stamp."""
        edits = part.edits or RequestEdits()
        statuses = edits.statuses or {}
        names = {new: old for old, new in edits.headers}
        has_tag, counts, tags = part.answers.has, self.counts, self.tags

        def start(exchange: Exchange, status: int, headers: Headers) -> int:
            resolved = exchange.resolved
            self.usage.add(exchange.version, route, consumer_of(exchange))
            # Our own answers are not the head's: nothing in them is older.
            if exchange.rejection is None and not resolved.is_head_body:
                if names:
                    rename_headers(headers, names)
                # A 304 stands for the 200 that is in somebody's cache.
                if has_tag(200 if status == 304 else status):
                    add_tag(headers, tags[resolved.version])
                status = statuses.get(status, status)
            stamp_of(resolved).put(headers, counts)
            return status

        return start

    def _down_change(self, part: Part, standing: Standing) -> BodyChange:
        report, is_head = self.report, self.on_down_error == "head"

        def change(exchange: Exchange, body: bytes) -> bytes | Rejection:
            found = body
            for step in part.answers.steps(exchange.status):
                made = step(found, "json")
                if made.failure is not None:
                    self.counts[f"down failed {made.failure.kind}"] += 1
                    if not is_head:
                        return _failed(made.failure, exchange)
                    exchange.resolved = _as_head(standing)
                    return body
                if made.findings:
                    report(exchange, made.findings, "response")
                found = made.body
            return found

        return change


def _copy(plan: Plan, bare: _Bare, hooks: tuple[Hook, ...], start: Start) -> Plan:
    admit, notices = bare
    every = (*admit, *hooks)
    made = Plan(plan.key, plan.criticality, plan.cell, every, notices)
    made.scalars = plan.scalars
    made.body, made.answer = plan.body, plan.answer
    made.scalars, made.in_place = plan.scalars, plan.in_place
    made.settled = plan.settled
    made.start = start
    return made


def _refused(exchange: Exchange) -> Rejection | None:
    found: Rejection | None = exchange.resolved.refusal
    return found


def _broken(error: Exception) -> Hook:
    def refuse(exchange: Exchange) -> Rejection:
        exchange.runtime.failed(
            f"version {exchange.version} of {exchange.route}", error
        )
        members = {"requested": exchange.version}
        return refusal("migration-failed", members=members)

    return refuse


def _as_head(standing: Standing) -> Resolved:
    head = standing.resolved[standing.contract.head].copy()
    head.is_head_body = True
    return head


def _refusal(
    slug: str,
    exchange: Exchange,
    standing: Standing,
    *,
    link: str = "",
    status: int = 0,
    headers: tuple[tuple[bytes, bytes], ...] = (),
) -> Rejection:
    version = exchange.resolved.version
    members = {
        "requested": version,
        "supported": standing.supported,
        "current": standing.contract.head,
        "link": link or standing.link(version),
    }
    return refusal(slug, members=members, status=status, headers=headers)


def _retry_after(seconds: float) -> tuple[tuple[bytes, bytes], ...]:
    if seconds == FOREVER_S:
        return ()
    return ((b"retry-after", str(max(1, math.ceil(seconds))).encode()),)


def _presence(part: Part, standing: Standing) -> tuple[Hook, ...]:
    """Refuse where the route is not there in these versions."""
    if part.gone is not None:
        link = part.gone
        return (lambda ex: _refusal("endpoint-gone", ex, standing, link=link),)
    if part.is_absent:
        return (lambda ex: _refusal("endpoint-not-in-version", ex, standing),)
    return ()


def _headers_of(exchange: Exchange) -> Headers:
    """Return the request's own list of headers, that it may be edited in place."""
    headers = exchange.scope["headers"]
    if not isinstance(headers, list):
        headers = exchange.scope["headers"] = list(headers)
    return headers


def _edit(edits: RequestEdits) -> Hook:
    headers, query = dict(edits.headers), dict(edits.query)
    values = edits.values or {}

    def edit(exchange: Exchange) -> None:
        resolved, scope = exchange.resolved, exchange.scope
        if resolved.original is None:
            original = keep_original(scope)
            resolved = exchange.resolved = resolved.copy()
            resolved.original = original
        if headers:
            rename_headers(_headers_of(exchange), headers)
        if query or values:
            scope["query_string"] = edit_query(scope["query_string"], query, values)

    return edit


def _up_change(up: Migration, old: Node | None, report: Report) -> BodyChange:
    look = _old_gate(old, report) if old is not None else None

    def change(exchange: Exchange, body: bytes) -> bytes | Rejection:
        kind = _kind_of(exchange)
        if look is not None and kind != "patch":
            look(exchange, body, kind == "merge")
        made = up(body, kind)
        if made.failure is not None:
            return _failed(made.failure, exchange)
        if made.findings:
            report(exchange, made.findings, "request")
        return made.body

    return change


def _old_gate(old: Node, report: Report) -> Callable[[Exchange, bytes, bool], None]:
    """Return what compares bodies with the schema of their version, for the ledger."""
    gates: dict[bool, Gate] = {}

    def look(exchange: Exchange, body: bytes, is_patch: bool) -> None:
        gate = gates.get(is_patch)
        if gate is None:  # compiled at its first body: most versions see none
            gate = gates[is_patch] = compile_gate(old, is_patch=is_patch)
        if not gate.passes(body):
            report(exchange, walk(old, body, is_patch=is_patch).findings, "request")

    return look


def _kind_of(exchange: Exchange) -> str:
    scope = exchange.scope
    for name, value in scope["headers"]:
        if name == b"content-type":
            if value == b"application/json":
                break
            media = value.partition(b";")[0].strip().lower()
            if media == b"application/json-patch+json":
                return "patch"
            if media == b"application/merge-patch+json":
                return "merge"
    return "merge" if scope["method"] == "PATCH" else "json"


def _failed(failure: Failure, exchange: Exchange) -> Rejection:
    members = {
        "requested": exchange.version,
        "errors": errors_of(failure.pointer, failure.kind),
    }
    return refusal(failure.slug, members=members, detail=failure.detail)
