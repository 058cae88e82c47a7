"""`failsoft brownout list|start|stop`."""

from __future__ import annotations

import argparse

from failsoft.cli._answers import plain, table
from failsoft.cli._ledgers import Picture, ends, read_ledgers, write_command
from failsoft.cli._ledgers import add_verb as add_arguments
from failsoft.ops.contractrows import BrownoutRow
from failsoft.ops.verbs import Verb
from failsoft.ops.views import FleetView

__all__ = ["add_arguments", "main"]

_HEADS = ("NAME", "STATE", "SHARE", "VERSIONS", "ROUTES", "FROM", "TO", "BY", "WHY")


def main(verb: Verb, values: argparse.Namespace) -> int:
    """Run one verb; returns the exit status."""
    if verb.role == "operator":
        return write_command(verb, values, ("versions",))
    return read_ledgers(values, ("versions",), _list)


def _list(view: FleetView) -> Picture:
    rows = view.versions.brownouts if view.versions else ()
    text = table(_HEADS, map(_cells, rows)) if rows else "no brownout"
    return {"brownouts": plain(rows)}, text


def _cells(row: BrownoutRow) -> tuple[str, ...]:
    return (
        *(row.name, row.state, f"{row.percent:g}% of {row.by}s"),
        *(", ".join(row.versions) or "all", ", ".join(row.routes)),
        *(ends(row.start_ms), ends(row.end_ms), row.by_hand or "-", row.why or "-"),
    )
