"""Things an operator should be told without asking, worst first.  Pure."""

from __future__ import annotations

from collections.abc import Iterable

from failsoft.flags._guard import WHO
from failsoft.ops.guard import proposal_rows
from failsoft.ops.stale import span
from failsoft.ops.views import ControlRow, NodeRow, Notice
from failsoft.store.protocols import Observed

__all__ = ["notices"]

_ENDING_MS = 300_000
_MOST = 20
_NAMED = 6
_MAY_STAY = ("flag", "pin", "version", "drift")
_WHAT_TO_DO = "run failsoft store rewound"


def notices(
    nodes: Iterable[NodeRow],
    controls: Iterable[ControlRow],
    observed: Observed,
    bad_ticks: int,
    more: Iterable[Notice] = (),
) -> tuple[Notice, ...]:
    """Return at most 20 notices; more: further ones, of their level the last."""
    found = [*_of_store(nodes, observed), *_of_nodes(nodes)]
    found += _of_controls(controls, observed.now_ms)
    for one in proposal_rows(observed.proposals, controls):
        what = "guard proposes to kill" if one.kind == "kill" else "proposed for"
        text = f"{what} {one.target}: {one.why}"
        found.append(Notice(2, text, one.target))
    if bad_ticks:
        found.append(Notice(1, f"{bad_ticks} ticks could not be read: newer nodes?"))
    found += more
    return tuple(sorted(found, key=lambda notice: -notice.level)[:_MOST])


def _of_store(nodes: Iterable[NodeRow], observed: Observed) -> list[Notice]:
    live = [node for node in nodes if node.state == "LIVE"]
    held = max((node.rev for node in live), default=0)
    if not observed.epoch and held:
        text = f"no record in Redis, nodes enforce rev {held:,}: {_WHAT_TO_DO}"
        return [Notice(2, text)]
    strangers = [
        node
        for node in live
        if node.control_state == "rewound"
        or (node.rev and node.epoch != observed.epoch)
    ]
    if strangers:
        text = (
            f"REWOUND: {_WHAT_TO_DO}; Redis is at rev {observed.rev:,}, "
            f"{_names(strangers)} keep another history; kills and edits work"
        )
        return [Notice(2, text)]
    return _of_digests(live)


def _of_digests(live: Iterable[NodeRow]) -> list[Notice]:
    """Name nodes that hold different sets under one revision of one history."""
    sets: dict[tuple[str, int], dict[str, list[NodeRow]]] = {}
    for node in live:
        if node.digest:
            digests = sets.setdefault((node.epoch, node.rev), {})
            digests.setdefault(node.digest, []).append(node)
    found = []
    for (_, rev), digests in sets.items():
        if len(digests) > 1:
            parts = [f"{_names(held)} {digest[:8]}" for digest, held in digests.items()]
            text = f"nodes disagree on rev {rev:,}: {' and '.join(parts)}"
            found.append(Notice(2, f"{text}; restart those that differ"))
    return found


def _names(nodes: Iterable[NodeRow]) -> str:
    names = [node.short for node in nodes]
    more = f" and {len(names) - _NAMED} more" if len(names) > _NAMED else ""
    return " ".join(names[:_NAMED]) + more


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
        if node.state == "LIVE" and node.control_state == "stale":
            text = f"{node.short} has controls that are {node.control_state}"
            found.append(Notice(1, text, node.node))
    return found


def _of_controls(controls: Iterable[ControlRow], now_ms: int) -> list[Notice]:
    found = []
    for row in controls:
        left_ms = row.until_ms - now_ms
        if row.active and 0 < left_ms <= _ENDING_MS:
            left = span(left_ms / 1000)
            text = (
                f"EXPIRING in {left}: {row.kind} {row.target} by {row.by} (T extends)"
            )
            found.append(Notice(1, text))
        is_debt = row.active and row.kind not in _MAY_STAY and not row.until_ms
        if is_debt and row.by != WHO:
            text = f"{row.kind} {row.target} by {row.by} has no end"
            found.append(Notice(0, text, row.target))
        if row.active and row.kind == "kill" and row.by == WHO:
            text = f"guard killed {row.target}: {row.why}"
            found.append(Notice(2, text, row.target))
        if row.active and row.by == "?" and not row.lost:
            text = f"{row.target} was set without a log entry"
            found.append(Notice(1, text, row.target))
    return found
