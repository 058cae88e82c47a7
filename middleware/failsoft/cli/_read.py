"""Verbs that read: one picture, or one a second with --watch."""

from __future__ import annotations

import argparse
import asyncio
from collections.abc import Callable, Sequence
from contextlib import suppress
from datetime import UTC, datetime
from typing import Any

from failsoft.cli._answers import OK, answer, plain, table
from failsoft.cli._log import follow
from failsoft.cli._session import (
    add_store,
    counted_note,
    opened,
    tell_rewound,
    with_figures,
)
from failsoft.clock import elapsed
from failsoft.ops.fleetrows import DependencyRow
from failsoft.ops.session import Session
from failsoft.ops.stale import link_word, span
from failsoft.ops.text import safe
from failsoft.ops.verbs import Verb, add_words
from failsoft.ops.views import ControlRow, FleetView, LogRow, NodeRow, RouteRow

__all__ = ["add_arguments", "main"]

_ROUTES_SHOWN = 40
_CONTROL_HEADS = ("TARGET", "NOW", "DEFAULT", "REQ/S", "ENDS", "BY", "WHY")
_SECTIONS_WITHIN_S = 1.5
_WITH_TRAFFIC = ("status", "routes", "incidents")


def add_arguments(parser: argparse.ArgumentParser, verb: Verb) -> None:
    """Declare a verb's own words and what every read takes."""
    add_words(parser, verb.words)
    add_store(parser)
    parser.add_argument("--watch", action="store_true", help="again each second")
    if verb.name == "log":
        parser.add_argument("--count", type=int, default=50, help="lines (50)")
        parser.add_argument(
            "--follow", action="store_true", help="JSON lines as they come"
        )


def main(verb: Verb, values: argparse.Namespace) -> int:
    """Run one read."""
    return asyncio.run(_read(verb, values))


async def _read(verb: Verb, values: argparse.Namespace) -> int:
    async with opened(values) as session:
        if verb.name in _WITH_TRAFFIC:
            await with_figures(session)
        if verb.name == "status":
            await _with_protection(session)
        if verb.name == "log" and values.follow:
            return await follow(session, _count(values))
        if verb.name != "status":  # which has all notices
            tell_rewound(session.view())
        await _show(verb, values, session)
        while values.watch:
            await _next_second(session)
            await _show(verb, values, session)
    return OK


async def _with_protection(session: Session) -> None:
    """Have dependencies and budgets read, too; the rest is told without them."""
    session.want(("dependencies", "slo"))
    until = elapsed() + _SECTIONS_WITHIN_S
    while elapsed() < until:
        view = session.view()
        if view.dependencies is not None and view.slo is not None:
            return
        await asyncio.sleep(0.02)


async def _next_second(session: Session) -> None:
    """Return with a newer reply a second later, or with none after two."""
    shown = session.view().received
    await asyncio.sleep(1.0)
    with suppress(TimeoutError):
        async with asyncio.timeout(1.0):
            async for view in session.watch():
                if view.received != shown:
                    return


def _count(values: argparse.Namespace) -> int:
    return max(1, min(int(values.count), 1000))


async def _show(verb: Verb, values: argparse.Namespace, session: Session) -> None:
    view = session.view()
    if verb.name == "log":
        rows = await session.log(_count(values))
        fields: dict[str, Any] = {"log": plain(rows)}
        text = _log(rows)
    else:
        fields, text = _PICTURES[verb.name](view, values)
    if values.json:
        word, _ = link_word(view, elapsed())
        head = {"ok": True, "env": view.env, "link": word, "revision": view.revision}
        answer({**head, "server_ms": view.server_ms, **fields})
    else:
        print(text, flush=True)


_Picture = tuple[dict[str, Any], str]


def _status(view: FleetView, _: argparse.Namespace) -> _Picture:
    totals = view.totals
    link = link_word(view, elapsed())[1]
    err = "n<30" if totals.err_rate is None else f"{totals.err_rate:.2%}"
    p95 = "n<30" if totals.p95 is None else f"{totals.p95:.0f}ms"
    lines = [
        f"{safe(view.env)}  rev {view.revision:,}  {link}  "
        f"nodes {totals.nodes_live}/{totals.nodes_known}",
        f"{totals.rps:,.1f} rps  err {err}  p95 {p95}  "
        f"refused {totals.refused_per_s:.1f}/s  shed {totals.shed_per_s:.1f}/s",
        f"{totals.controls_active} controls{_next_end(view)}",
        *_protecting(view),
        *_noted(view),
        *(f"! {safe(notice.text)}" for notice in view.notices),
    ]
    fields = {
        "totals": plain(totals),
        "controls_state": view.controls_state,
        "notices": plain(view.notices),
        "modes": plain([row for row in view.modes if row.state != "off"]),
        "dependencies": plain(_troubled(view)),
        "slos": plain(view.slo.rows if view.slo else ()),
    }
    return fields, "\n".join(lines)


def _protecting(view: FleetView) -> list[str]:
    """Return modes that are not off, dependencies that are not well, budgets."""
    lines = []
    for mode in view.modes:
        if mode.state != "off":
            who, why = safe(mode.by or mode.via), safe(mode.trigger or mode.why)
            lines.append(f"mode {safe(mode.name)} {mode.now} by {who}: {why or '-'}")
    for row in _troubled(view):
        err = "" if row.err is None else f", {row.err:.1%} of its calls fail"
        lines.append(f"dependency {safe(row.name)} {safe(row.state)}{err}")
    for slo in view.slo.rows if view.slo else ():
        left = "no data" if slo.budget_left is None else f"{slo.budget_left:.1%} left"
        known = slo.burn is not None and slo.budget_left is not None
        burn = f", burns {slo.burn:.1f}x" if known else ""
        lines.append(f"budget {safe(slo.name)} {left}{burn}")
    return lines


def _troubled(view: FleetView) -> list[DependencyRow]:
    rows = view.dependencies.rows if view.dependencies else ()
    return [row for row in rows if row.letter not in ".?"]


def _next_end(view: FleetView) -> str:
    at_ms = view.totals.next_end_ms
    return f", next end in {span((at_ms - view.server_ms) / 1000)}" if at_ms else ""


def _noted(view: FleetView) -> tuple[str, ...]:
    note = counted_note(view)
    return (note,) if note else ()


def _routes(view: FleetView, _: argparse.Namespace) -> _Picture:
    heads = ("ROUTE", "RPS", "ERR%", "P50", "P95", "P99", "REFUSED/S", "STATE")
    text = table(heads, [_route_cells(row) for row in view.routes[:_ROUTES_SHOWN]])
    more = len(view.routes) - _ROUTES_SHOWN
    text += f"\n... {more} more routes; --json has all" if more > 0 else ""
    text = "\n".join((text, *_noted(view)))
    return {"routes": plain([row.whole() for row in view.routes])}, text


def _route_cells(row: RouteRow) -> tuple[str, ...]:
    err = "n<30" if row.err_rate is None else f"{100 * row.err_rate:.1f}"
    figures = ["-" if v is None else f"{v:.0f}" for v in (row.p50, row.p95, row.p99)]
    refused = f"{row.refused_per_s:.1f}"
    state = f"{row.state} {row.state_text}"
    return (row.key, f"{row.rps:.1f}", err, *figures, refused, state)


def _nodes(view: FleetView, _: argparse.Namespace) -> _Picture:
    heads = ("", "NODE", "STATE", "AGE", "REV", "CONTROLS", "LAG", "RSS", "RELEASE")
    text = table(heads, [_node_cells(row) for row in view.nodes])
    return {"nodes": plain(view.nodes)}, text


def _node_cells(row: NodeRow) -> tuple[str, ...]:
    controls = f"{row.control_state} {span(row.control_age)}"
    release = f"{row.app} {row.release}".strip() or "-"
    rss = f"{row.rss_bytes / 2**20:.0f}MiB"
    lag = f"{row.lag_ms:.0f}ms"
    age = span(row.age)
    return (
        *(row.short, row.node, row.state, age, f"{row.rev:,}"),
        *(controls, lag, rss, release),
    )


def _incidents(view: FleetView, _: argparse.Namespace) -> _Picture:
    heads = ("N/60s", "LAST", "ROUTE", "EXCEPTION", "FRAME")
    rows = [
        (
            f"{group.count:,}",
            span((view.server_ms - group.last_ms) / 1000),
            group.route,
            group.exception,
            group.frame or "-",
        )
        for group in view.groups
    ]
    newest = view.flights[:1]
    text = table(heads, rows) if rows else "no error group"
    for flight in newest:
        text += f"\n\n{safe(flight.exception)}: {safe(flight.message, 300)}"
        for frame in flight.frames[:12]:
            place = f"{safe(frame.file)}:{frame.line}"
            text += f"\n  {place}  {safe(frame.function)}  {safe(frame.source)}"
    fields = {"groups": plain(view.groups), "flights": plain(view.flights[:20])}
    return fields, text


def _controls(kind: str) -> Callable[[FleetView, argparse.Namespace], _Picture]:
    def picture(view: FleetView, _: argparse.Namespace) -> _Picture:
        rows = [row for row in view.controls if row.kind == kind]
        heads: tuple[str, ...] = _CONTROL_HEADS
        cells = [_control_cells(row, view) for row in rows]
        if kind == "mode":
            heads = (*heads[:1], "SEVERITY", *heads[1:])
            cells = [
                (first, row.severity or "-", *rest)
                for row, (first, *rest) in zip(rows, cells, strict=True)
            ]
        text = table(heads, cells)
        return {f"{kind}s": plain(rows)}, text if rows else f"no {kind}"

    return picture


def _control_cells(row: ControlRow, view: FleetView) -> tuple[str, ...]:
    rps = "-" if row.rps is None else f"{row.rps:.1f}"
    ends = "-"
    if row.active:
        left_s = (row.until_ms - view.server_ms) / 1000
        ends = span(left_s) if row.until_ms else "never"
    return (row.target, row.now, row.default, rps, ends, row.by or "-", row.why or "-")


def _log(rows: Sequence[LogRow]) -> str:
    heads = ("TIME", "REV", "WHO", "ACTION", "TARGET", "CHANGE", "WHY", "OP")
    return table(heads, [_log_cells(row) for row in rows]) if rows else "no entry"


def _log_cells(row: LogRow) -> tuple[str, ...]:
    at = datetime.fromtimestamp(row.at_ms / 1000, UTC).strftime("%m-%d %H:%M:%SZ")
    change = f"refused {row.after}" if row.refused else f"{row.before} -> {row.after}"
    if not row.before and not row.refused:
        change = "-"
    rev = f"{row.rev:,}" if row.rev else "-"
    return (at, rev, row.who, row.action, row.target, change, row.why, row.op_id or "-")


_PICTURES: dict[str, Callable[[FleetView, argparse.Namespace], _Picture]] = {
    "status": _status,
    "routes": _routes,
    "nodes": _nodes,
    "incidents": _incidents,
    "kills": _controls("kill"),
    "mode list": _controls("mode"),
    "flags list": _controls("flag"),
}
