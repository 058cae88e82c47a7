"""What a process tells the store while it runs, and what it does for its fleet.

Every task here may fail without a request noticing; `Runtime.failed` hears of it.
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import Mapping, Sequence
from typing import Any

from failsoft import dice
from failsoft.controls.alarms import Alarms
from failsoft.controls.lead import Duty
from failsoft.controls.targets import covers
from failsoft.fleet import Fleet, Member
from failsoft.modes._duty import ModeDuty
from failsoft.outbound._fleet import FleetRule
from failsoft.outbound._quorum import QuorumDuty
from failsoft.running import Running
from failsoft.settings import DependencySettings, SloDefinition
from failsoft.slo._flush import AlertDesk, AlertWatch
from failsoft.slo._notify import Notifier
from failsoft.slo._scope import watched_slos
from failsoft.store.fleet import NodeRow
from failsoft.telemetry._flush import CallReporter
from failsoft.tolerance._flush import DriftReporter
from failsoft.versions._flush import UsageReporter

__all__ = ["start_reports"]

_UNDECLARED = DependencySettings()


def start_reports(runtime: Any, running: Running) -> None:
    """Spawn what reports drift, versions, third parties, and this node to its fleet."""
    store, planner = runtime.store, runtime.planner

    def each_second() -> None:
        planner.tick()
        if planner.wants_gates:  # controls may ask for more of them
            running.spawn(asyncio.to_thread(planner.compile_gates), "gates")

    drift = DriftReporter(store, runtime.ledger, each_second)
    running.spawn(drift.run(runtime.failed), "drift")
    usage = UsageReporter(store, runtime.usage, runtime.consumers, planner.notices)
    running.spawn(usage.run(runtime.failed), "usage")
    calls = CallReporter(store, runtime.calls, lambda: _tried(runtime))
    running.spawn(calls.run(runtime.failed), "calls")
    running.spawn(runtime.peers.run(store), "announcements")
    running.spawn(runtime.dependencies.run(), "dependencies")
    desk = _alert_desk(runtime)
    running.spawn(desk.run(runtime.failed), "alerts")
    running.spawn(_fleet(runtime, running, desk).run(), "fleet")


def _tried(runtime: Any) -> Mapping[str, float]:
    """Return when stand-ins of routes answered last."""
    return getattr(runtime.inbound.guard, "exercised", None) or {}


def _alert_desk(runtime: Any) -> AlertDesk:
    settings, store = runtime.settings, runtime.store

    def slos() -> Mapping[str, SloDefinition]:
        return watched_slos(settings.slos, runtime.table.routes)

    def is_muted(id_: str) -> bool:
        acting = runtime.snapshot.acting
        return acting is not None and any(covers(g, id_) for g in acting.muted)

    def controls() -> tuple[str, float, bool]:
        return runtime.snapshot.state, runtime.control_age_s, store.local

    def told(alarms: Alarms) -> None:
        runtime.alarms = alarms

    notifier = Notifier(settings.alerts, settings.store.env, os.environ, is_muted)
    watch = AlertWatch(store, notifier, controls, told, runtime.now_ms)
    drills = {name: mode.drill_every_s for name, mode in settings.modes.items()}
    return AlertDesk(store, slos, notifier, watch, drills)


def _fleet(runtime: Any, running: Running, desk: AlertDesk) -> Fleet:
    settings = runtime.settings

    def duties() -> Sequence[Duty]:
        return _duties(runtime, fleet, desk)

    fleet = Fleet(
        runtime.store,
        Member(
            node=runtime.node,
            row=lambda: _row(runtime, running),
            book=runtime.dependencies,
            # What is in force, not what was read last: rows carry its revision.
            controls=lambda: runtime.state,
            now_ms=runtime.now_ms,
            lag_ms=lambda: running.vitals.lag_ms,
            failed=runtime.failed,
            duties=duties,
            may_lead=settings.health.leader,
            automation_url=settings.store.automation_url,
        ),
    )
    return fleet


def _duties(runtime: Any, fleet: Fleet, desk: AlertDesk) -> list[Duty]:
    """Return what the leader does for all, made anew when a node becomes it."""
    declared = runtime.settings.dependencies

    def rule_of(name: str) -> FleetRule:
        rules = declared.get(name, _UNDECLARED).breaker
        return FleetRule(rules.fail_ratio, rules.slow_ratio, in_row=rules.in_row)

    # Alerts first: modes read what burns.
    modes = ModeDuty(runtime.settings.modes, desk.burns, dice.random)
    return [QuorumDuty(rule_of, fleet.has_passed), desk.duty(), modes]


def _row(runtime: Any, running: Running) -> NodeRow:
    shed, limits = runtime.inbound.state(), runtime.inbound.limits
    return NodeRow(
        rev=runtime.snapshot.revision,
        inflight=shed.inflight,
        lag_ms=running.vitals.lag_ms,
        shed_limit=shed.limit or 0.0,
        shed=shed.refused,
        limits=limits.rows() if limits is not None else (),
        modes=runtime.planner.tallies.rows(),
    )
