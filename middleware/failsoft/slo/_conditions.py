"""What is worth an alert besides burning budgets: modes, breakers, quotas, nodes.

Pure: facts in, conditions out; when they are told is decided in `_alert`.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

import msgspec

from failsoft.controls.lead import FleetFacts
from failsoft.controls.records import Record
from failsoft.settings import SloDefinition
from failsoft.slo._alert import Condition
from failsoft.slo._buckets import SloHistory
from failsoft.slo._burn import RULES, Reading, Rule, read_rule

__all__ = [
    "Seen",
    "fleet_conditions",
    "overdue_drills",
    "redis_conditions",
    "slo_conditions",
    "starts_of",
]

_SLO_REST_S = 300.0
_ENDING_MS = 300_000  # before the end of a record
_MODE_ENDING_MS = 600_000
_LEAST_LIFE_MS = 900_000  # shorter records end as they are meant to
_OPEN_HOLD_MS = 60_000
_QUOTA_LOW = 0.2
_SILENT_MS = 15_000
_SILENT_TOLD_MS = 600_000
_RESTARTS, _RESTARTS_MS = 3, 600_000
_LOST_S = 30.0
_UNITS = {60: "m", 3_600: "h", 86_400: "d"}


@dataclass(frozen=True, slots=True)
class Seen:
    """What the store says besides the facts of a second.

    beats: node -> last heartbeat in ms, of nodes that did not leave by themselves.
    proposals: target -> since ms.
    """

    beats: Mapping[str, int] = field(default_factory=dict)
    proposals: Mapping[str, int] = field(default_factory=dict)


def slo_conditions(
    slos: Mapping[str, SloDefinition], history: SloHistory, now_s: float
) -> Iterator[Condition]:
    """Yield one condition for each SLO and rule."""
    for name, slo in slos.items():
        for rule in RULES:
            reading = read_rule(rule, history, name, slo.objective, now_s)
            yield Condition(
                id=f"slo:{name}:{rule.name}",
                kind="slo",
                severity=rule.severity,
                title=_burn_title(name, rule, reading),
                is_true=reading.is_over,
                hold_s=rule.hold_s,
                rest_s=_SLO_REST_S,
                facts=_burn_facts(name, slo, rule, reading),
                routes=slo.routes,
                runbook=slo.runbook,
            )


def _burn_title(name: str, rule: Rule, reading: Reading) -> str:
    return (
        f"SLO {name}: the error budget burns {reading.long:.1f} times too fast over "
        f"{_span(rule.long_s)} (limit {rule.burn:g})"
    )


def _burn_facts(
    name: str, slo: SloDefinition, rule: Rule, reading: Reading
) -> dict[str, str | float | int]:
    return {
        "slo": name,
        "objective": slo.objective,
        "rule": rule.name,
        "windows": f"{_span(rule.long_s)} + {_span(rule.short_s)}",
        "limit": rule.burn,
        "burn_long": round(reading.long, 2),
        "burn_short": round(reading.short, 2),
        "bad": round(reading.bad),
        "requests": round(reading.total),
    }


def _span(seconds: int) -> str:
    unit = max(size for size in _UNITS if seconds % size == 0)
    return f"{seconds // unit} {_UNITS[unit]}"


def fleet_conditions(
    facts: FleetFacts, seen: Seen, drill_every_s: Mapping[str, float]
) -> Iterator[Condition]:
    """Yield what is the case in the fleet now.  drill_every_s: by mode."""
    for (kind, name), record in facts.records.items():
        doc = _read(record)
        if kind == "mode":
            yield from _mode(name, record, doc, facts.now_ms)
        elif _is_ending(record, doc, facts.now_ms, _ENDING_MS):
            title = f"{kind} {name} ends soon"
            yield Condition(f"record:{kind}:{name}", "record", "info", title)
    for name, since_ms in overdue_drills(facts, drill_every_s).items():
        title = f"mode {name}: its drill is overdue"
        yield Condition(
            f"mode:{name}:drill", "mode", "ticket", title, since_ms=since_ms
        )
    yield from _dependencies(facts)
    yield from _nodes(facts, seen)
    for target, since_ms in seen.proposals.items():
        title = f"{target} waits for an operator to apply or drop it"
        yield Condition(
            f"proposal:{target}", "proposal", "ticket", title, since_ms=since_ms
        )


def _read(record: Record) -> Any:
    try:
        return record.doc()
    except msgspec.DecodeError:
        return None


def _mode(name: str, record: Record, doc: Any, now_ms: int) -> Iterator[Condition]:
    if doc is None or doc.want != "on" or doc.via == "drill" or doc.dry_run:
        return
    since_ms = doc.since_ms or record.at_ms
    facts = {"via": doc.via, "trigger": doc.trigger, "share": doc.share}
    if doc.latched:
        title = (
            f"mode {name} is latched: it flipped too often, an operator has to end it"
        )
        yield Condition(
            f"mode:{name}:latched",
            "mode",
            "page",
            title,
            facts=facts,
            since_ms=since_ms,
        )
    by_hand = doc.via == "operator"
    yield Condition(
        id=f"mode:{name}",
        kind="mode",
        severity="info" if by_hand else "ticket",
        title=f"mode {name} is on",
        since_ms=since_ms,
        facts=facts,
    )
    if by_hand and _is_ending(record, doc, now_ms, _MODE_ENDING_MS):
        title = f"mode {name} ends within 10 min"
        yield Condition(f"mode:{name}:ending", "mode", "info", title)


def _is_ending(record: Record, doc: Any, now_ms: int, within_ms: int) -> bool:
    """Whether what a person set ends soon; automation renews what is its own."""
    if not record.until_ms or record.until_ms - record.at_ms < _LEAST_LIFE_MS:
        return False
    is_theirs = getattr(doc, "via", "operator") == "operator"
    return is_theirs and 0 < record.until_ms - now_ms <= within_ms


def _dependencies(facts: FleetFacts) -> Iterator[Condition]:
    for name, peer in facts.dependencies.items():
        if peer.open_ms and facts.now_ms - peer.open_ms > _OPEN_HOLD_MS:
            how = "by an operator" if peer.via == "operator" else "by the fleet"
            yield Condition(
                id=f"breaker:{name}",
                kind="breaker",
                severity="ticket",
                title=f"calls to {name} are refused, {how}",
                since_ms=peer.open_ms,
                facts={"dependency": name, "refused": peer.refused},
            )
        left = peer.quota_left
        if left is not None and left <= _QUOTA_LOW:
            yield Condition(
                id=f"quota:{name}",
                kind="quota",
                severity="ticket",
                title=f"the quota of {name} is almost spent",
                hold_s=10.0,
                rest_s=60.0,
                facts={"dependency": name, "left": round(left, 3)},
            )


def _nodes(facts: FleetFacts, seen: Seen) -> Iterator[Condition]:
    revisions = {row.rev for row in facts.nodes.values()}
    if len(revisions) > 1:
        yield Condition(
            id="revision",
            kind="revision",
            severity="ticket",
            title="nodes enforce different revisions of the controls",
            hold_s=10.0,
            facts={"lowest": min(revisions), "highest": max(revisions)},
        )
    for host, silent in sorted(_silent_by_host(facts.now_ms, seen.beats).items()):
        yield Condition(
            id=f"node:{host}:silent",
            kind="node",
            severity="ticket",
            title=f"{len(silent)} of the nodes on {host} fell silent",
            facts={"host": host, "nodes": len(silent)},
        )
        restarts = [n for n in silent if facts.now_ms - starts_of(n) <= _RESTARTS_MS]
        if len(restarts) > _RESTARTS:
            yield Condition(
                id=f"node:{host}:restarts",
                kind="node",
                severity="page",
                title=f"nodes on {host} start and die again",
                rest_s=60.0,
                facts={"host": host, "starts": len(restarts)},
            )


def _silent_by_host(now_ms: int, beats: Mapping[str, int]) -> dict[str, list[str]]:
    found: dict[str, list[str]] = {}
    for node, last_ms in beats.items():
        if _SILENT_MS < now_ms - last_ms <= _SILENT_TOLD_MS:
            found.setdefault(node.partition(":")[0][:100], []).append(node)
    return found


def starts_of(node: str) -> int:
    """Return when a node began in ms, as its id `host:pid:start` says; 0 = unknown."""
    start = node.rpartition(":")[2]
    try:
        return int(start, 36)
    except ValueError:
        return 0


def overdue_drills(
    facts: FleetFacts, drill_every_s: Mapping[str, float]
) -> dict[str, int]:
    """Return since when drills of modes are overdue, of those ever drilled.

    drill_every_s: by mode.
    """
    found = {}
    for (kind, name), record in facts.records.items():
        doc = _read(record) if kind == "mode" and name in drill_every_s else None
        if doc is not None and doc.exercised_ms:
            due_ms = doc.exercised_ms + int(drill_every_s[name] * 1000)
            if due_ms < facts.now_ms:
                found[name] = due_ms
    return found


def redis_conditions(
    state: str, age_s: float, *, is_local: bool
) -> Iterable[Condition]:
    """Yield what this node alone knows of its store: lost, or set back in time."""
    if is_local:
        return
    if age_s > _LOST_S:
        yield Condition(
            "redis-lost", "redis", "page", "Redis does not answer the nodes"
        )
    if state == "rewound":
        yield Condition(
            "redis-rewound", "redis", "page", "Redis came back without newer controls"
        )
