"""Rows of dependencies, modes and objectives that operators see.

All strings are raw, as in `views`; surfaces pass them through `text.safe`.  Ratios
are 0..1, rates per second, instants the store's milliseconds with 0 for none; None =
not known, printed as `-`, never as 0.
"""

from __future__ import annotations

from typing import Any, Literal

import msgspec

__all__ = [
    "AlertRow",
    "BurnRow",
    "CallRow",
    "DependencyRow",
    "DependencySeen",
    "DependencyView",
    "ModeRow",
    "SloRow",
    "SloView",
]


class DependencySeen(msgspec.Struct, frozen=True):
    """One dependency as one node sees it.

    state: what calls meet there: closed, open, half_open, forced_open, forced_closed,
    metrics_only or fleet_open.  own: of the local breaker.  calls, fail, slow,
    refused: of 30 s.  retry_ms: when its next probe is, 0 = none.  age_s: of the row.
    """

    node: str
    short: str
    state: str = "closed"
    own: str = "closed"
    why: str = ""
    since_ms: int = 0
    calls: int = 0
    fail: int = 0
    slow: int = 0
    refused: int = 0
    retry_ms: int = 0
    throttle: float = 0.0
    p99_ms: float | None = None
    last_ok_ms: int = 0
    age_s: float = 0.0


class CallRow(msgspec.Struct, frozen=True):
    """A route that called a dependency in 24 h, and what protects it.

    timeout_s: of the route, None = none.  fallback, stale: whether it has one.
    drilled_ms: when its fallback last answered somebody, 0 = never seen.
    """

    route: str
    criticality: str = "critical"
    timeout_s: float | None = None
    fallback: str = ""
    stale_s: float | None = None
    drilled_ms: int = 0


class DependencyRow(msgspec.Struct, frozen=True):
    """One dependency as the fleet sees it.

    state: in words, OPEN 3/4, FORCED OPEN, closed ...; letter: O open, F forced, H
    half open, M metrics only, T throttled, `.` closed, `?` no node tells.
    calls_per_s, refused_per_s: over 30 s.  err, slow: of the calls, None below 30.
    override: the record's state, "" for none; via, by, why, until_ms: of it.
    retries_left: there is room for on the node that has the least, of 10 and a tenth of
    its calls in 10 s.  probe_ms: when the next probe is, None = none due.  routes:
    that called it.
    """

    name: str
    state: str
    letter: str = "."
    nodes: tuple[DependencySeen, ...] = ()
    open_nodes: int = 0
    calls_per_s: float = 0.0
    refused_per_s: float = 0.0
    err: float | None = None
    slow: float | None = None
    p99_ms: float | None = None
    retries_left: float | None = None
    throttle: float = 0.0
    override: str = ""
    via: str = ""
    by: str = ""
    why: str = ""
    since_ms: int = 0
    until_ms: int = 0
    rev: int = 0
    probe_ms: int | None = None
    quota_limit: int = 0
    quota_remaining: int | None = None
    quota_reset_ms: int = 0
    routes: tuple[CallRow, ...] = ()


class DependencyView(msgspec.Struct, frozen=True):
    """The section `dependencies`.  leader: node that leads, "" for none now.

    calls_ms: when the routes of the rows were read, 0 = not yet.
    """

    read_ms: int
    rows: tuple[DependencyRow, ...] = ()
    leader: str = ""
    calls_ms: int = 0


class ModeRow(msgspec.Struct, frozen=True):
    """One mode, defined or built in, with what holds of it now.

    state: off, on, recovering, latched or kept off; now: in words for a cell, such as
    `RECOVERING 25%`.  via: operator, auto, schedule, drill, "" while off.  share:
    0..1 of requests that meet it.  enter, leave: its thresholds in words, one a
    line.  params: (name, allowed range in words) it takes.  drilled_ms: last
    exercise, 0 = never; drill_due: a drill is overdue.
    """

    name: str
    title: str
    severity: str
    state: Literal["off", "on", "recovering", "latched", "kept off"]
    now: str
    scope: tuple[str, ...] = ()
    gives: str = ""
    via: str = ""
    by: str = ""
    why: str = ""
    trigger: str = ""
    since_ms: int = 0
    until_ms: int = 0
    rev: int = 0
    share: float = 1.0
    rps: float | None = None
    dry_run: bool = False
    public: bool = True
    enter: tuple[str, ...] = ()
    leave: tuple[str, ...] = ()
    timing: str = ""
    params: tuple[tuple[str, str], ...] = ()
    drilled_ms: int = 0
    drill_due: bool = False
    group: str = ""

    @property
    def is_on(self) -> bool:
        """Whether any request meets it now."""
        return self.state in ("on", "recovering", "latched")


class AlertRow(msgspec.Struct, frozen=True):
    """One alert.  state: firing, pending or frozen (no data since `frozen_ms`).

    told_ms: when it was told last, 0 = never.  facts: figures as they were at_ms.
    """

    id: str
    kind: str
    severity: str
    state: str
    title: str
    since_ms: int
    told_ms: int = 0
    frozen_ms: int = 0
    at_ms: int = 0
    facts: dict[str, Any] = {}
    routes: tuple[str, ...] = ()
    runbook: str = ""


class BurnRow(msgspec.Struct, frozen=True):
    """One alert rule of an objective.

    burns: (window in words, how many times faster than allowed; None = no data).
    state: ok, pending, firing, frozen or resolved.
    """

    rule: str
    severity: str
    limit: float
    burns: tuple[tuple[str, float | None], ...] = ()
    state: str = "ok"
    since_ms: int = 0


class SloRow(msgspec.Struct, frozen=True):
    """One objective.

    budget_left: ratio of the 30 days' budget, below 0 when overspent; None = no data.
    burn: of the last hour; auto: what the rule for modes sees now, `bad ratio` of
    60 s and its limit.  total, bad, refused: of 30 days.  ends_s: until the budget is
    spent at this burn, None = it is not.  silent_ms: nobody reports since, 0 = some do.
    """

    name: str
    objective: float
    latency_s: float | None = None
    routes: tuple[str, ...] = ()
    total: int = 0
    bad: int = 0
    refused: int = 0
    budget_left: float | None = None
    burn: float | None = None
    auto: float | None = None
    auto_limit: float = 0.0
    rules: tuple[BurnRow, ...] = ()
    ends_s: float | None = None
    silent_ms: int = 0


class SloView(msgspec.Struct, frozen=True):
    """The section `slo`."""

    read_ms: int
    rows: tuple[SloRow, ...] = ()
