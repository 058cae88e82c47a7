"""`failsoft tolerance list|add|end|suggest`."""

from __future__ import annotations

import argparse
import shlex

from failsoft.cli._answers import plain, table
from failsoft.cli._ledgers import Picture, ends, read_ledgers, write_command
from failsoft.cli._ledgers import add_verb as add_arguments
from failsoft.ops.command import ToleranceAdd
from failsoft.ops.contractrows import DriftRow, ToleranceRow
from failsoft.ops.driftplans import suggestions
from failsoft.ops.text import safe
from failsoft.ops.verbs import Verb
from failsoft.ops.views import FleetView
from failsoft.settings import FIELD_OF

__all__ = ["add_arguments", "command_line", "main"]

_HEADS = (
    *("NAME", "STATE", "READS", "ROUTE", "CONSUMER", "PATH", "ENDS"),
    *("MEETS", "REPAIRED", "BY", "WHY"),
)


def main(verb: Verb, values: argparse.Namespace) -> int:
    """Run one verb; returns the exit status."""
    if verb.role == "operator":
        return write_command(verb, values, ("versions", "drift"))
    return read_ledgers(
        values, ("drift",), _suggest if verb.name.endswith("suggest") else _list
    )


def _list(view: FleetView) -> Picture:
    rows = view.drift.tolerances if view.drift else ()
    tallies = dict(view.drift.tallies) if view.drift else {}
    cells = [_cells(row, tallies.get(f"repaired:{row.name}", 0)) for row in rows]
    fields = {"tolerances": plain(rows), "tallies": tallies}
    return fields, table(_HEADS, cells) if rows else "no tolerance"


def _cells(row: ToleranceRow, repaired: int) -> tuple[str, ...]:
    return (
        *(row.name, row.state, row.handling or row.kind, row.route),
        *(row.consumer or "*", row.path or "-", ends(row.until_ms)),
        *(f"{len(row.covers):,}", f"{repaired:,}", row.by or row.owner or "-"),
        row.why or "-",
    )


def _suggest(view: FleetView) -> Picture:
    found = suggestions(view.drift) if view.drift else ()
    lines = []
    for row, made in found:
        what = f"{row.n:,} x {safe(row.route)} {safe(row.path) or '(body)'}"
        got = f"{row.kind}, {row.expected or 'nothing'} expected, got {row.got or '-'}"
        lines += [f"# {what}: {safe(got)}, by {safe(row.consumer) or 'anybody'}"]
        lines += [command_line(row, made), ""]
    text = "\n".join(lines).rstrip() or "nothing that a repair would meet"
    shown = [
        {"entry": plain(row), "add": plain(made), "line": command_line(row, made)}
        for row, made in found
    ]
    return {"suggestions": shown}, text


def command_line(row: DriftRow, made: ToleranceAdd) -> str:
    """Return the line that adds a tolerance; people fill in the value it needs."""
    words = ["failsoft", "tolerance", "add", f"drift:{safe(row.id)}"]
    if made.consumer != row.consumer:
        words += ["--consumer", made.consumer]
    # Last, without its value: the line is refused until somebody has filled it in.
    value = " --value" if FIELD_OF[made.kind] else ""
    return f"{shlex.join(words)} --for 30d -m REASON{value}"
