"""`failsoft limits list|show`."""

from __future__ import annotations

import argparse

from failsoft.cli._answers import plain, table
from failsoft.cli._ledgers import Picture, read_ledgers
from failsoft.cli._ledgers import add_verb as add_arguments
from failsoft.controls.targets import nearest
from failsoft.errors import Invalid
from failsoft.ops.limitrows import LimitSeen, LimitSum
from failsoft.ops.text import safe
from failsoft.ops.verbs import Verb
from failsoft.ops.views import FleetView

__all__ = ["add_arguments", "main"]

_HEADS = (
    *("LIMIT", "RATE", "HOW", "ALLOWED/S", "REFUSED/S", "REFUSED", "TRIPS", "NODES"),
    "STORE",
)
_NODE_HEADS = (
    *("NODE", "HOW", "ALLOWED/S", "REFUSED/S", "TRIPS", "KEYS", "LEFT", "STORE"),
)


def main(verb: Verb, values: argparse.Namespace) -> int:
    """Run one verb; returns the exit status."""
    if verb.name == "limits list":
        return read_ledgers(values, ("dependencies",), _list)
    return read_ledgers(
        values, ("dependencies",), lambda view: _show(view, values.name)
    )


def _list(view: FleetView) -> Picture:
    rows = view.limits
    text = "no live node limits its clients"
    if rows:
        text = table(_HEADS, [_cells(row) for row in rows])
    return {"limits": plain(rows)}, text


def _cells(row: LimitSum) -> tuple[str, ...]:
    share = "-" if row.refused is None else f"{row.refused:.1%}"
    lost = f"lost by {row.lost_nodes}" if row.lost_nodes else "ok"
    return (
        *(row.name, row.policy, row.how, f"{row.allowed_per_s:.1f}"),
        *(f"{row.refused_per_s:.1f}", share, _trips(row.trips)),
        *(f"{len(row.nodes)}", "-" if row.how == "local" else lost),
    )


def _trips(trips: float | None) -> str:
    return "-" if trips is None else f"{trips:.3f}"


def _show(view: FleetView, name: str) -> Picture:
    found = next((row for row in view.limits if row.name == name), None)
    if found is None:
        known = [row.name for row in view.limits]
        near = ", ".join(map(safe, nearest(name, known) or known[:5])) or "none"
        raise Invalid(
            "limit", f"{safe(name)!r} is counted by no live node; known: {near}"
        )
    head = f"limit {safe(found.name)}: {safe(found.policy)}, {safe(found.how)}"
    text = table(_NODE_HEADS, [_node_cells(one) for one in found.nodes])
    return {"limit": plain(found)}, f"{head}\n{text}"


def _node_cells(one: LimitSeen) -> tuple[str, ...]:
    return (
        *(one.short, one.how, f"{one.allowed_per_s:.1f}", f"{one.refused_per_s:.1f}"),
        *(_trips(one.trips), f"{one.keys:,}", "-" if one.left < 0 else f"{one.left:,}"),
        one.fault or "ok",
    )
