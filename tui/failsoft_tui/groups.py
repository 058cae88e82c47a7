"""Controls of one incident under one head (pure).

A head is a row like any other: it is listed above its members, and `L` on it lifts
them all.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable

from failsoft.ops.views import ControlRow

__all__ = ["group_of", "ticket_of", "with_heads"]

_TICKET = re.compile(r"\s*([A-Z][A-Z0-9]*-\d+)\b")


def ticket_of(reason: str) -> str | None:
    """Return the ticket a reason begins with, such as `INC-311`; None without one."""
    found = _TICKET.match(reason)
    return found.group(1) if found else None


def group_of(row: ControlRow) -> str:
    """Return the group a row stands under, "" for none: what ended has left it."""
    return row.group if row.active else ""


def with_heads(rows: Iterable[ControlRow]) -> tuple[ControlRow, ...]:
    """Return the rows and, for each group with an active member, its head."""
    rows = tuple(rows)
    members: dict[str, list[ControlRow]] = {}
    for row in rows:
        if group_of(row):
            members.setdefault(row.group, []).append(row)
    return (*(_head(name, held) for name, held in members.items()), *rows)


def _head(name: str, rows: list[ControlRow]) -> ControlRow:
    kinds = Counter(row.kind for row in rows)
    ends = [row.until_ms for row in rows if row.until_ms]
    newest = max(rows, key=lambda row: row.at_ms)
    count = ", ".join(f"{n} {kind}{'s' * (n > 1)}" for kind, n in kinds.items())
    # Named here, too: a filter that finds a member finds its head.
    names = ", ".join(row.target for row in rows)
    return ControlRow(
        target=f"group:{name}",
        kind="group",
        now=f"{len(rows)} on",
        default="-",
        rollout=None,
        rps=None,
        until_ms=min(ends, default=0),
        by=", ".join(dict.fromkeys(row.by for row in rows)),
        at_ms=newest.at_ms,
        why=f"{count}: {names}",
        rev=0,
        active=True,
        group=name,
    )
