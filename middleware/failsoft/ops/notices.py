"""Things an operator should be told without asking, worst first.  Pure."""

from __future__ import annotations

from collections.abc import Iterable

from failsoft.ops.stale import span
from failsoft.ops.views import ControlRow, NodeRow, Notice
from failsoft.store.protocols import Observed

__all__ = ["notices"]

_ENDING_MS = 300_000
_MOST = 20


def notices(
    nodes: Iterable[NodeRow],
    controls: Iterable[ControlRow],
    observed: Observed,
    bad_ticks: int,
) -> tuple[Notice, ...]:
    """Return at most 20 notices."""
    found = [*_of_store(nodes, observed), *_of_nodes(nodes)]
    found += _of_controls(controls, observed.now_ms)
    if bad_ticks:
        found.append(Notice(1, f"{bad_ticks} ticks could not be read: newer nodes?"))
    return tuple(sorted(found, key=lambda notice: -notice.level)[:_MOST])


def _of_store(nodes: Iterable[NodeRow], observed: Observed) -> list[Notice]:
    held = max((n.rev for n in nodes if n.state == "LIVE"), default=0)
    if not observed.epoch and held:
        return [Notice(2, f"no record in Redis, nodes enforce rev {held:,}")]
    strangers = [
        node.short
        for node in nodes
        if node.state == "LIVE" and node.rev and node.epoch != observed.epoch
    ]
    if strangers:
        names = " ".join(strangers)
        text = f"Redis was rewound: {names} enforce another history"
        return [Notice(2, text)]
    return []


def _of_nodes(nodes: Iterable[NodeRow]) -> list[Notice]:
    found = []
    for node in nodes:
        if node.state == "SILENT":
            text = f"{node.short} SILENT {span(node.age)}: left out of totals"
            found.append(Notice(2, text, node.node))
        elif node.state == "OLD":
            found.append(Notice(1, f"{node.short} speaks a newer schema", node.node))
        elif node.state == "LIVE" and node.own_error:
            text = f"failsoft degraded on {node.short}: {node.own_error}"
            found.append(Notice(1, text, node.node))
        if node.state == "LIVE" and node.bad:
            text = f"{node.short} cannot enforce {', '.join(node.bad[:3])}"
            found.append(Notice(2, text, node.node))
        if node.state == "LIVE" and node.control_state in ("stale", "rewound"):
            text = f"{node.short} has controls that are {node.control_state}"
            found.append(Notice(1, text, node.node))
    return found


def _of_controls(controls: Iterable[ControlRow], now_ms: int) -> list[Notice]:
    found = []
    for row in controls:
        left_ms = row.until_ms - now_ms
        if row.active and 0 < left_ms <= _ENDING_MS:
            text = f"{row.target} ends in {span(left_ms / 1000)}"
            found.append(Notice(0, text, row.target))
        if row.active and row.by == "?":
            text = f"{row.target} was set without a log entry"
            found.append(Notice(1, text, row.target))
    return found
