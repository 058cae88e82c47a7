"""What a command on pins, brownouts and sunsets would write, and whom it meets.  Pure.

How much of the traffic is met is worked out of 30 days of usage; where that was not
read, or tells nothing, the share is unknown and the tier rises.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping
from typing import Any

from failsoft.controls.records import BrownoutDoc, PinDoc, SunsetDoc
from failsoft.controls.targets import covers, nearest
from failsoft.errors import Invalid, TargetGone
from failsoft.ops.command import (
    BrownoutStart,
    BrownoutStop,
    PinClear,
    PinSet,
    SunsetExtend,
)
from failsoft.ops.contractrows import BrownoutRow, UseRow
from failsoft.ops.controlrows import scoped_routes
from failsoft.ops.killfields import check_route
from failsoft.ops.plan import (
    Plan,
    active_row,
    check_ended,
    check_stored,
    ends_in,
    nearest_targets,
    row_in_force,
    row_of,
    split_kind,
    stored_rev,
)
from failsoft.ops.versionviews import brownout_rows, date_ms, pin_rows, sunset_of
from failsoft.ops.views import FleetView
from failsoft.telemetry import Definitions

__all__ = ["VERSION_PLANNERS", "check_consumer"]

BROWNOUT_S = 900.0
BROWNOUT_MOST_S = 86_400.0
_STATUSES = (503, 410, 429)
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,63}")
_CONSUMER = re.compile(r"[A-Za-z0-9_.@-]{1,64}")
_ID = re.compile("[!-~]{1,64}")
_NAMED = 5


def check_consumer(name: str, field: str = "consumer") -> str:
    """Return a consumer's name; Invalid for one that no request can have."""
    if name.startswith("("):
        raise Invalid(field, f"{name!r} stands for many callers, not for one")
    if not _CONSUMER.fullmatch(name):
        near = re.sub(r"[^A-Za-z0-9_.@-]+", "_", name)[:64]
        what = "must be 1 to 64 of letters, digits and . _ @ -"
        raise Invalid(field, f"{name!r} {what}", nearest=near)
    return name


def _version(target: str, view: FleetView, known: Iterable[str], *, force: bool) -> str:
    name = split_kind(target, ("version",))[1]
    ids = tuple(known)
    if force and not _ID.fullmatch(name):
        raise Invalid("version", f"{name!r} must be 1 to 64 visible ASCII characters")
    if name in ids or force:
        return name
    if not ids:
        raise Invalid(target, "no live release declares versions")
    raise TargetGone(target, nearest_targets("version", name, ids), can_force=False)


def _ids(definitions: Definitions) -> tuple[str, ...]:
    return tuple(version.id for version in definitions.versions)


def _consumer_of(target: str) -> str:
    return check_consumer(split_kind(target, ("consumer", "pin"))[1])


def _pin_set(command: PinSet, view: FleetView, definitions: Definitions) -> Plan:
    who = _consumer_of(command.target)
    version = _version(
        f"version:{command.version}", view, _ids(definitions), force=command.force
    )
    until, until_s = ends_in(command.for_s, default_s=0.0)
    active = row_in_force(view, "pin", f"pin:{who}")
    before = next(
        (p for p in pin_rows(view.controls, definitions) if p.consumer == who), None
    )
    met = _uses(view, who)
    scope, ratio = _reach(who, met, view)
    return Plan(
        target=f"pin:{who}",
        action="pin-set",
        kind="pin",
        name=who,
        op="put",
        before=_pinned(before.version if before else "", definitions),
        after=version,
        doc=PinDoc("", "", version, since_ms=view.server_ms),
        if_rev=stored_rev(active),
        until=until,
        until_s=until_s,
        needs_end=False,
        answer=f"version {version} where it asks for none",
        conflict=f"pinned by {active.by} already: this replaces it" if active else "",
        warnings=_pin_warnings(who, met, view),
        consumers=(who,),
        scope=scope,
        ratio=ratio,
    )


def _pinned(version: str, definitions: Definitions) -> str:
    default = definitions.version_default
    return version or f"no pin, default {default}" if default else version or "no pin"


def _pin_warnings(
    who: str, met: tuple[UseRow, ...] | None, view: FleetView
) -> tuple[str, ...]:
    if met is None:
        return ()
    if not met:
        known = {use.consumer for use in view.versions.uses} if view.versions else set()
        close = nearest(who, known, 1)
        near = f"; did you mean {close[0]}?" if close else ""
        return (f"no request of {who} in 30 days{near}",)
    asked = ", ".join(f"{use.version} {use.n:,}" for use in met[:_NAMED])
    return (f"asked in 30 days: {asked}; an explicit version beats a pin",)


def _pin_clear(command: PinClear, view: FleetView, definitions: Definitions) -> Plan:
    who = _consumer_of(command.target)
    row = active_row(view, "pin", f"pin:{who}")
    scope, ratio = _reach(who, _uses(view, who), view)
    declared = dict(definitions.pins).get(who, "")
    return Plan(
        target=row.target,
        action="pin-clear",
        kind="pin",
        name=who,
        op="del",
        before=row.now,
        after=_pinned(declared, definitions),
        if_rev=row.rev,
        answer="the declared pin, else the default",
        lifts=row.by,
        needs_end=False,
        consumers=(who,),
        scope=scope,
        ratio=ratio,
    )


def _brownout_start(
    command: BrownoutStart, view: FleetView, definitions: Definitions
) -> Plan:
    name, base = _base(command, view, definitions)
    doc = BrownoutDoc(
        who="",
        why="",
        routes=command.routes or base.routes,
        versions=command.versions or base.versions,
        percent=base.percent if command.percent is None else command.percent,
        by=command.by or base.by,
        only=command.only or base.only,
        exempt=command.exempt or base.exempt,
        status=base.status if command.status is None else command.status,
        since_ms=view.server_ms,
    )
    _check_brownout(doc, view, definitions)
    known = tuple(row.key for row in view.routes)
    reached = scoped_routes(doc.routes, definitions, known)
    if not reached:
        raise TargetGone(f"route:{doc.routes[0]}", nearest(doc.routes[0], known))
    warnings = _check_critical(reached, definitions, force=command.force)
    until, until_s = ends_in(command.for_s, BROWNOUT_S, BROWNOUT_MOST_S, "24 h")
    if until_s is None:
        raise Invalid("for", "a brownout by hand needs an end within 24 h")
    active = row_in_force(view, "brownout", f"brownout:{name}")
    return Plan(
        target=f"brownout:{name}",
        action="brownout-start",
        kind="brownout",
        name=name,
        op="put",
        before=active.now if active else "-",
        after=f"BROWNOUT {doc.percent:g}%",
        doc=doc,
        if_rev=stored_rev(active),
        until=until,
        until_s=until_s,
        answer=_brownout_answer(doc),
        conflict=f"started by {active.by} already: this replaces it" if active else "",
        warnings=warnings,
        consumers=_named(view, doc),
        scope=doc.routes,
        ratio=_brownout_ratio(view, doc),
    )


def _base(
    command: BrownoutStart, view: FleetView, definitions: Definitions
) -> tuple[str, BrownoutRow]:
    """Return the record's name, and what holds where the command says nothing."""
    kind, name = split_kind(command.target, ("version", "route", "brownout"))
    empty = BrownoutRow("", "control", "", ("* *",), (), 100.0, "request", 503)
    if not definitions.versions:
        raise Invalid(command.target, "no live release declares versions")
    if kind == "version":
        _version(command.target, view, _ids(definitions), force=False)
        base, own = _with(empty, versions=(name,)), name
    elif kind == "route":
        check_route(command.target, name)
        base, own = _with(empty, routes=(name,)), command.target
    else:
        rows = brownout_rows((), definitions, view.server_ms)
        found = next((row for row in rows if row.name == name), None)
        base, own = found or empty, name
        if found is None and not (command.versions or command.routes):
            names = tuple(row.name for row in rows)
            raise TargetGone(command.target, nearest_targets("brownout", name, names))
    if command.name:
        own = command.name
    if own != command.target and not _NAME.fullmatch(own):
        what = "must be 1 to 64 of letters, digits and . _ -"
        raise Invalid("name", f"{own!r} {what}")
    return own, base


def _with(row: BrownoutRow, **fields: tuple[str, ...]) -> BrownoutRow:
    return BrownoutRow(**{f: getattr(row, f) for f in row.__struct_fields__} | fields)


def _check_brownout(
    doc: BrownoutDoc, view: FleetView, definitions: Definitions
) -> None:
    for version in doc.versions:
        _version(f"version:{version}", view, _ids(definitions), force=False)
    for glob in doc.routes:
        check_route(f"route:{glob}", glob)
    for who in (*doc.only, *doc.exempt):
        check_consumer(who, "only" if who in doc.only else "exempt")
    if not 0 < doc.percent <= 100:
        raise Invalid("percent", f"{doc.percent:g} must be above 0, to 100")
    if doc.by not in ("request", "consumer"):
        raise Invalid("by", f"{doc.by!r} must be request or consumer")
    if doc.status not in _STATUSES:
        raise Invalid("status", f"{doc.status} must be 503, 410 or 429")


def _check_critical(
    reached: Iterable[str], definitions: Definitions, *, force: bool
) -> tuple[str, ...]:
    levels = {key: level for key, level, _ in definitions.routes}
    top = [key for key in reached if levels.get(key) == "critical_plus"]
    if not top:
        return ()
    names = ", ".join(top[:_NAMED])
    if not force:
        raise Invalid("--force", f"is needed to brown out critical_plus {names}")
    return (f"covers critical_plus {names}",)


def _brownout_answer(doc: BrownoutDoc) -> str:
    share = "" if doc.percent == 100 else f"{doc.percent:g}% of {doc.by}s: "
    versions = f", in {', '.join(doc.versions)}" if doc.versions else ""
    retry = ", Retry-After its end" if doc.status != 410 else ""
    return f"{share}{doc.status}{retry}, problem+json{versions}"


def _brownout_ratio(view: FleetView, doc: BrownoutDoc) -> float | None:
    whole = 1.0
    if doc.versions or doc.only or doc.exempt:
        share = _share(view, doc)
        if share is None:
            return None
        whole = share
    return whole * doc.percent / 100


def _share(view: FleetView, doc: BrownoutDoc) -> float | None:
    """Return which part of the requests of 30 days is met, None when not known."""
    seen = view.versions
    if seen is None or not seen.total:
        return None
    total = met = 0
    for use in seen.uses:
        n = _on_routes(use, doc.routes)
        total += n
        met += n if _is_met(use, doc) else 0
    return met / total if total else None


def _on_routes(use: UseRow, globs: tuple[str, ...]) -> int:
    if "* *" in globs:
        return use.n
    return sum(n for route, n in use.routes if any(covers(g, route) for g in globs))


def _is_met(use: UseRow, doc: BrownoutDoc) -> bool:
    if doc.only and use.consumer not in doc.only:
        return False
    return use.consumer not in doc.exempt and (
        not doc.versions or use.version in doc.versions
    )


def _uses(view: FleetView, consumer: str) -> tuple[UseRow, ...] | None:
    if view.versions is None:
        return None
    return tuple(use for use in view.versions.uses if use.consumer == consumer)


def _reach(
    who: str, met: tuple[UseRow, ...] | None, view: FleetView
) -> tuple[tuple[str, ...], float | None]:
    """Return the routes a consumer calls, and its part of their requests."""
    if met is None or view.versions is None:
        return ("* *",), None
    routes = tuple(dict.fromkeys(route for use in met for route, _ in use.routes))
    total = sum(_on_routes(use, routes) for use in view.versions.uses)
    return routes, sum(use.n for use in met) / total if total else 0.0


def _named(view: FleetView, doc: BrownoutDoc) -> tuple[str, ...]:
    """Return the consumers that are met, as `name 44%` of what is met."""
    counts: dict[str, int] = {}
    for use in view.versions.uses if view.versions else ():
        n = _on_routes(use, doc.routes) if _is_met(use, doc) else 0
        if n:
            counts[use.consumer] = counts.get(use.consumer, 0) + n
    total = sum(counts.values())
    most = sorted(counts.items(), key=lambda pair: (-pair[1], pair[0]))
    return tuple(f"{who} {n / total:.0%}" for who, n in most)


def _brownout_stop(
    command: BrownoutStop, view: FleetView, definitions: Definitions
) -> Plan:
    name = split_kind(command.target, ("brownout",))[1]
    rows = brownout_rows(view.controls, definitions, view.server_ms)
    found = next((row for row in rows if row.name == name), None)
    if found is None:
        check_ended(view, "brownout", command.target)
        names = tuple(row.name for row in rows)
        raise TargetGone(command.target, nearest_targets("brownout", name, names))
    if found.source == "control":
        return _lift_brownout(found, view)
    if found.state in ("stopped", "over"):
        raise Invalid(command.target, f"is {found.state} already")
    until, until_s = ends_in(command.for_s, BROWNOUT_MOST_S, 30 * 86_400.0, "30 d")
    return Plan(
        target=command.target,
        action="brownout-stop",
        kind="brownout",
        name=name,
        op="put",
        before=f"BROWNOUT {found.percent:g}%" if found.state == "open" else "declared",
        after="STOPPED",
        doc=BrownoutDoc("", "", stop=True, since_ms=view.server_ms),
        if_rev=stored_rev(row_of(view, "brownout", command.target)),
        until=until,
        until_s=until_s,
        answer="answers of the application again",
        scope=found.routes,
        ratio=_brownout_ratio(view, _doc_of(found)),
    )


def _lift_brownout(found: BrownoutRow, view: FleetView) -> Plan:
    row = active_row(view, "brownout", f"brownout:{found.name}")
    return Plan(
        target=row.target,
        action="brownout-stop",
        kind="brownout",
        name=found.name,
        op="del",
        before=row.now,
        after="-",
        if_rev=row.rev,
        answer="answers of the application again",
        lifts=row.by,
        needs_end=False,
        scope=found.routes,
        ratio=_brownout_ratio(view, _doc_of(found)),
    )


def _doc_of(row: BrownoutRow) -> BrownoutDoc:
    return BrownoutDoc(
        "",
        "",
        routes=row.routes,
        versions=row.versions,
        percent=row.percent,
        only=row.only,
        exempt=row.exempt,
    )


def _sunset_extend(
    command: SunsetExtend, view: FleetView, definitions: Definitions
) -> Plan:
    name = _version(command.target, view, _ids(definitions), force=False)
    version = next(one for one in definitions.versions if one.id == name)
    now = sunset_of(version, view.controls)
    at_ms = date_ms(command.sunset)
    if at_ms is None:
        raise Invalid("sunset", f"{command.sunset!r} must be a date like 2026-12-31")
    if at_ms <= view.server_ms:
        raise Invalid("sunset", f"{command.sunset} is over")
    if not version.sunset:
        raise Invalid(command.target, "declares no sunset that could be moved")
    for bound, what in ((version.sunset, "the declared sunset"), (now, "the sunset")):
        if command.sunset <= bound:
            raise Invalid(
                "sunset", f"{command.sunset} must be later than {what}, {bound}"
            )
    row = row_of(view, "version", command.target)
    if row is not None and row.lost:
        check_stored(row)
    doc = BrownoutDoc("", "", versions=(name,))
    return Plan(
        target=command.target,
        action="sunset-extend",
        kind="version",
        name=name,
        op="put",
        before=f"sunset {now}",
        after=f"sunset {command.sunset}",
        doc=SunsetDoc("", "", command.sunset, since_ms=view.server_ms),
        if_rev=stored_rev(row if row is not None and row.active else None),
        needs_end=False,
        answer=f"version {name} until {command.sunset}, Sunset header moved",
        consumers=_named(view, doc),
        scope=doc.routes,
        ratio=_brownout_ratio(view, doc),
    )


VERSION_PLANNERS: Mapping[type, Callable[[Any, FleetView, Definitions], Plan]] = {
    PinSet: _pin_set,
    PinClear: _pin_clear,
    BrownoutStart: _brownout_start,
    BrownoutStop: _brownout_stop,
    SunsetExtend: _sunset_extend,
}
