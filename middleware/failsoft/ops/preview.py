"""The dry run: what a change would do to the traffic of this moment.  Pure."""

from __future__ import annotations

import msgspec

from failsoft.controls.targets import covers
from failsoft.ops.command import Command
from failsoft.ops.controlrows import covered_routes, scoped_routes
from failsoft.ops.plans import Plan, plan_of
from failsoft.ops.stale import age_s
from failsoft.ops.tiers import OWN_CHANGE, Facts, tier_of
from failsoft.ops.views import FleetView, Preview
from failsoft.telemetry import Definitions

__all__ = ["preview", "preview_plan"]


class _Reach(msgspec.Struct, frozen=True):
    """Which traffic a target covers; share is None when it is not known."""

    routes: tuple[str, ...]
    rps: float
    share: float | None
    in_flight: int
    critical_plus: bool


def preview(
    command: Command,
    view: FleetView,
    definitions: Definitions,
    now: float,
    *,
    me: str = "",
    code: str = "",
) -> Preview:
    """Return the dry run of a command.

    now: `clock.elapsed()`.  me: the actor, so that lifting another's control shows.
    code: two digits that tier 2 asks for.  Raises Invalid and TargetGone.
    """
    plan = plan_of(command, view, definitions)
    return preview_plan(plan, view, definitions, now, me=me, code=code)


def preview_plan(
    plan: Plan,
    view: FleetView,
    definitions: Definitions,
    now: float,
    *,
    me: str = "",
    code: str = "",
) -> Preview:
    """Return the dry run of a plan, see `preview`."""
    reach = _reach(plan, view, definitions)
    live = [node for node in view.nodes if node.state == "LIVE"]
    silent = sum(node.state == "SILENT" for node in view.nodes)
    targets = {plan.target, *plan.covers}
    can = [node for node in live if targets.isdisjoint(node.bad)]
    age = age_s(view, now)
    tier, why = tier_of(
        Facts(
            share=reach.share,
            routes=len(reach.routes),
            critical_plus=reach.critical_plus,
            bare_star=plan.op == "put" and _is_all(plan),
            ends=plan.until_s is not None,
            needs_end=plan.needs_end,
            harmless=plan.harmless or (OWN_CHANGE if plan.earlier else ""),
            lifts_other=plan.lifts if plan.lifts != me else "",
            data_age=age,
            silent=silent,
            cannot=len(live) - len(can),
        )
    )
    idle = () if live else ("no live node: nothing enforces it yet",)
    return Preview(
        target=plan.target,
        action=plan.action,
        before=plan.before,
        after=plan.after,
        until_s=plan.until_s,
        routes=reach.routes,
        rps=reach.rps,
        share=reach.share,
        answer=plan.answer,
        in_flight=reach.in_flight,
        nodes_can=(len(can), len(live) + silent),
        warnings=(*plan.warnings, *idle),
        data_age=age,
        tier=tier,
        tier_why=why,
        code={2: code, 3: view.env}.get(tier, ""),
        if_revision=plan.if_rev,
        made_at=now,
        conflict=plan.conflict,
        covers=plan.covers,
        diff=plan.diff,
        moves=plan.moves,
        was=plan.was,
        group=getattr(plan.doc, "group", None) or "",
        seen_on=_seen_on(plan.target, view),
        consumers=plan.consumers,
    )


def _is_all(plan: Plan) -> bool:
    name = plan.target.partition(":")[2]
    globs = (name, *(plan.scope if plan.ratio == 1.0 else ()))
    return any(glob and not glob.strip("* ") for glob in globs)


def _reach(plan: Plan, view: FleetView, definitions: Definitions) -> _Reach:
    total = view.totals.rps + view.totals.refused_per_s
    targets = plan.covers or (plan.target,)
    flags = [target[5:] for target in targets if target.startswith("flag:")]
    flag_rates = [_flag_rate(glob, view) for glob in flags]
    known = bool(total) and None not in flag_rates
    flag_rps = sum(rate for rate in flag_rates if rate is not None)
    if len(flags) == len(targets):
        share = min(1.0, flag_rps / total) if known else None
        return _Reach((), flag_rps, share, 0, critical_plus=False)
    rows = {row.key: row for row in view.routes}
    covered = [covered_routes(target, definitions, rows) for target in targets]
    if plan.scope:
        covered = [scoped_routes(plan.scope, definitions, rows)]
    keys = tuple(dict.fromkeys(key for found in covered for key in found))
    reached = [rows[key] for key in keys if key in rows]
    levels = {key: level for key, level, _ in definitions.routes}
    rps = flag_rps + sum(row.rps + row.refused_per_s for row in reached)
    if plan.ratio is not None:
        rps *= plan.ratio
    return _Reach(
        routes=keys,
        rps=rps,
        share=min(1.0, rps / total) if known and plan.ratio is not None else None,
        in_flight=sum(row.inflight for row in reached),
        critical_plus=any(levels.get(key) == "critical_plus" for key in keys),
    )


def _seen_on(target: str, view: FleetView) -> tuple[str, ...]:
    kind, _, glob = target.partition(":")
    if kind != "flag":
        return ()
    saw = (f.route for f in view.flights if any(covers(glob, k) for k, _ in f.flags))
    return tuple(dict.fromkeys(saw))


def _flag_rate(glob: str, view: FleetView) -> float | None:
    # One evaluation is taken for one request: the share is an upper bound.
    rates = [
        row.rps
        for row in view.controls
        if row.kind == "flag" and covers(glob, row.target[5:])
    ]
    known = [rate for rate in rates if rate is not None]
    return sum(known) if known else 0.0 if view.totals.n else None
