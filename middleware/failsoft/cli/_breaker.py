"""`failsoft breaker list|open|close|metrics-only|probe|auto`."""

from __future__ import annotations

import argparse

from failsoft.cli._answers import plain, table
from failsoft.cli._ledgers import Picture, ago, read_ledgers, write_command
from failsoft.cli._ledgers import add_verb as add_arguments
from failsoft.ops.fleetrows import DependencyRow, DependencySeen
from failsoft.ops.stale import left, span
from failsoft.ops.text import safe
from failsoft.ops.verbs import Verb
from failsoft.ops.views import FleetView

__all__ = ["add_arguments", "dependency_table", "main"]

_HEADS = (
    *("DEPENDENCY", "STATE", "NODES", "CALLS/S", "FAILED", "SLOW", "P99", "REFUSED/S"),
    *("PROBE", "LEFT", "BY", "WHY"),
)


def main(verb: Verb, values: argparse.Namespace) -> int:
    """Run one verb; returns the exit status."""
    if verb.role == "operator":
        return write_command(verb, values, ("dependencies",))
    return read_ledgers(values, ("dependencies",), _list)


def _list(view: FleetView) -> Picture:
    rows = view.dependencies.rows if view.dependencies else ()
    leader = view.dependencies.leader if view.dependencies else ""
    lines = [dependency_table(rows, view) if rows else "no dependency is called"]
    lines += [
        _at_node(row, one, view) for row in rows for one in row.nodes if _odd(one)
    ]
    return {"leader": leader, "dependencies": plain(rows)}, "\n".join(lines)


def dependency_table(rows: tuple[DependencyRow, ...], view: FleetView) -> str:
    """Return one line a dependency."""
    return table(_HEADS, [_cells(row, view) for row in rows])


def _cells(row: DependencyRow, view: FleetView) -> tuple[str, ...]:
    p99 = "-" if row.p99_ms is None else f"{row.p99_ms:.0f} ms"
    due = "-"
    if row.probe_ms is not None:
        due = span(max(0.0, (row.probe_ms - view.server_ms) / 1000))
    return (
        *(row.name, row.state, f"{len(row.nodes)}", f"{row.calls_per_s:.1f}"),
        *(_ratio(row.err, row), _ratio(row.slow, row), p99),
        *(f"{row.refused_per_s:.1f}", due),
        left(row.until_ms, view.server_ms) if row.override else "-",
        *(row.by or "-", row.why or "-"),
    )


def _ratio(ratio: float | None, row: DependencyRow) -> str:
    return ("n<30" if row.nodes else "-") if ratio is None else f"{ratio:.0%}"


def _odd(one: DependencySeen) -> bool:
    return one.own != "closed" or one.throttle > 0


def _at_node(row: DependencyRow, one: DependencySeen, view: FleetView) -> str:
    held = f", {one.throttle:.0%} held back" if one.throttle else ""
    return (
        f"{safe(row.name)} on {safe(one.short)} ({safe(one.node)}): {safe(one.own)}"
        f" for {ago(one.since_ms, view)}{held}: {safe(one.why) or '-'}"
    )
