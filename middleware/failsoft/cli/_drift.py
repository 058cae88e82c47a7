"""`failsoft drift list|show|ack|report|export`."""

from __future__ import annotations

import argparse
import asyncio
import json
import sys

from failsoft.cli._answers import ERROR, OK, answer, plain, table
from failsoft.cli._ledgers import (
    Picture,
    ago,
    ends,
    read_ledgers,
    save,
    with_ledgers,
    write_command,
)
from failsoft.cli._ledgers import add_verb as add_arguments
from failsoft.cli._session import opened
from failsoft.cli._tolerance import command_line
from failsoft.errors import Invalid, TargetGone
from failsoft.ops.contractrows import DriftRow, DriftView
from failsoft.ops.driftplans import suggested
from failsoft.ops.driftreport import ReportRow, is_breaking, markdown, report_rows
from failsoft.ops.text import safe
from failsoft.ops.verbs import Verb
from failsoft.ops.views import FleetView

__all__ = ["add_arguments", "main"]

_SHOWN = 60
_FORMATS = ("table", "json", "markdown")
_HEADS = (
    *("ID", "WHERE", "PATH", "KIND", "EXPECTED", "GOT", "CONSUMER", "VERSION"),
    *("N", "FIRST", "LAST", "STATE"),
)
_REPORT_HEADS = (
    *("LEVEL", "ID", "OPERATION", "SECTION", "PATH", "COUNT", "CONSUMERS", "GOT"),
)


def main(verb: Verb, values: argparse.Namespace) -> int:
    """Run one verb; returns the exit status."""
    if verb.role == "operator":
        return write_command(verb, values, ("drift",))
    if verb.name == "drift show":
        return read_ledgers(values, ("drift",), lambda view: _show(view, values.id))
    if verb.name == "drift list":
        return read_ledgers(values, ("drift",), _list)
    _check(values)
    act = _report if verb.name == "drift report" else _export
    return asyncio.run(act(values))


def _check(values: argparse.Namespace) -> None:
    form = getattr(values, "format", None)
    if form is not None and form not in _FORMATS:
        raise Invalid("--format", f"{form!r} must be table, json or markdown")
    fail_on = getattr(values, "fail_on", None)
    if fail_on not in (None, "breaking"):
        raise Invalid("--fail-on", f"{fail_on!r} is not known", nearest="breaking")


def _rows(view: FleetView) -> tuple[DriftRow, ...]:
    return view.drift.rows if view.drift else ()


def _list(view: FleetView) -> Picture:
    rows, drift = _rows(view), view.drift or DriftView(0)
    text = table(_HEADS, [_cells(row, view) for row in rows[:_SHOWN]])
    more = drift.entries - min(len(rows), _SHOWN)
    lines = [text if rows else "no drift in 30 days"]
    lines += [f"... {more:,} more entries; --json has the newest 2,000"] * (more > 0)
    lines += [f"{drift.overflow:,} more differences: the ledger is full"] * bool(
        drift.overflow
    )
    peers = [_peer(one.dependency, one.operation, one.sunset) for one in drift.peers]
    fields = {
        "drift": plain(rows),
        "entries": drift.entries,
        "overflow": drift.overflow,
        "tallies": dict(drift.tallies),
        "peers": plain(drift.peers),
    }
    return fields, "\n".join([*lines, *peers])


def _peer(dependency: str, operation: str, sunset: str) -> str:
    what = f"ends on {sunset}" if sunset else "is deprecated"
    return f"! {safe(dependency)} says that {safe(operation)} {safe(what)}"


def _where(row: DriftRow) -> str:
    side = "" if row.direction == "request" else " (answer)"
    return f"{row.dependency} {row.route}{side}".strip()


def _state(row: DriftRow) -> str:
    if row.tolerance:
        return f"tolerated by {row.tolerance}"
    return f"acked by {row.acked_by}" if row.acked_until_ms else "open"


def _cells(row: DriftRow, view: FleetView) -> tuple[str, ...]:
    return (
        *(row.id, _where(row), row.path or "(body)", row.kind, row.expected or "-"),
        *(row.got or "-", row.consumer or "-", row.version or "-", f"{row.n:,}"),
        *(ago(row.first_ms, view), ago(row.last_ms, view), _state(row)),
    )


def _show(view: FleetView, id_: str) -> Picture:
    id_ = id_.removeprefix("drift:")
    found = [row for row in _rows(view) if row.id.startswith(id_)]
    if len(found) != 1:
        close = found or [row for row in _rows(view) if row.id[:2] == id_[:2]]
        raise TargetGone(f"drift:{id_}", tuple(f"drift:{r.id}" for r in close[:3]))
    row = found[0]
    made = suggested(row)
    acked = "-"
    if row.acked_until_ms:
        acked = f"{row.acked_by}, until {ends(row.acked_until_ms)}"
    fields = {
        "where": _where(row),
        "path": row.path or "(body)",
        "kind": row.kind,
        "expected": row.expected or "-",
        "got": row.got or "-",
        "consumer": row.consumer or "-",
        "version": row.version or "-",
        "counted": f"{row.n:,} in 30 days, {row.today:,} today",
        "first": f"{ago(row.first_ms, view)} ago",
        "last": f"{ago(row.last_ms, view)} ago",
        "acked": acked,
        "tolerance": row.tolerance or "-",
    }
    lines = [f"drift:{safe(row.id)}"]
    lines += [f"  {name:<10} {safe(text)}" for name, text in fields.items()]
    line = command_line(row, made) if made is not None else ""
    lines += [f"  {'repair':<10} {line}"] if line else []
    return {"entry": plain(row), "repair": line}, "\n".join(lines)


async def _report(values: argparse.Namespace) -> int:
    async with opened(values) as session:
        view = await with_ledgers(session, ("drift",))
    rows = report_rows(view.drift) if view.drift else ()
    _tell_cut(view)
    breaking = sum(is_breaking(row) for row in rows)
    failed = values.fail_on == "breaking" and breaking > 0
    if values.json or values.format == "json":
        counts = {
            "breaking": breaking,
            "entries": view.drift.entries if view.drift else 0,
        }
        answer({"ok": not failed, **counts, "report": plain(rows)})
    elif values.format == "markdown":
        print(markdown(rows))
    else:
        cells = [_report_cells(row) for row in rows]
        print(table(_REPORT_HEADS, cells) if rows else "no drift in 30 days")
    return ERROR if failed else OK


def _tell_cut(view: FleetView) -> None:
    rows, entries = len(_rows(view)), view.drift.entries if view.drift else 0
    if entries > rows:
        note = f"the newest {rows:,} of {entries:,} entries; older ones are left out"
        print(f"failsoft: {note}", file=sys.stderr)


def _report_cells(row: ReportRow) -> tuple[str, ...]:
    operation = f"{row.dependency} {row.operation}".strip()
    return (
        *(row.level, row.id, operation, row.section, row.path or "(body)"),
        *(f"{row.count:,}", f"{row.consumers:,}", row.got or "-"),
    )


async def _export(values: argparse.Namespace) -> int:
    async with opened(values) as session:
        view = await with_ledgers(session, ("drift",))
    rows = _rows(view)
    _tell_cut(view)
    text = "".join(f"{json.dumps(plain(row), sort_keys=True)}\n" for row in rows)
    if values.out:
        await asyncio.to_thread(save, values.out, text)
        print(f"{len(rows):,} entries in {safe(values.out)}", file=sys.stderr)
    else:
        sys.stdout.write(text)
    return OK
