"""The drift ledger as changes of contracts, as oasdiff words them.  Pure."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

import msgspec

from failsoft.ops.contractrows import DriftRow, DriftView, PeerRow
from failsoft.ops.text import safe
from failsoft.shapes.diff import BREAKING, LEVELS, drift_id, level_of

__all__ = ["ReportRow", "is_breaking", "markdown", "report_rows"]

_HEADS = ("level", "id", "operation", "section", "path", "count", "consumers", "got")


class ReportRow(msgspec.Struct, frozen=True):
    """One change, of all consumers together, worst and most frequent first.

    id, level: oasdiff's (error, warning, info).  operation: `METHOD template`, after
    the dependency it is of.  section: request or response.  path: `/items/*/qty`.
    count: differences of 30 days.  consumers: how many.  first, last: ms.
    """

    id: str
    path: str
    operation: str
    section: str
    level: str
    count: int
    consumers: int
    first: int
    last: int
    dependency: str = ""
    expected: str = ""
    got: str = ""


def report_rows(view: DriftView) -> tuple[ReportRow, ...]:
    """Return what the ledger holds and what third parties announced."""
    groups: dict[tuple[str, ...], list[DriftRow]] = {}
    for row in view.rows:
        rule = drift_id(row.kind, row.direction, row.path)
        key = (rule, row.path, row.route, row.direction, row.dependency)
        groups.setdefault(key, []).append(row)
    rows = [_joined(key, held) for key, held in groups.items()]
    rows += [_announced(peer) for peer in view.peers if peer.sunset or peer.deprecated]
    return tuple(sorted(rows, key=lambda row: (LEVELS.index(row.level), -row.count)))


def _joined(key: tuple[str, ...], rows: list[DriftRow]) -> ReportRow:
    rule, path, operation, section, dependency = key
    return ReportRow(
        id=rule,
        path=path,
        operation=operation,
        section=section,
        level=_level(rule),
        count=sum(row.n for row in rows),
        consumers=len({row.consumer for row in rows if row.consumer}),
        first=min(row.first_ms for row in rows),
        last=max(row.last_ms for row in rows),
        dependency=dependency,
        expected=_words(row.expected for row in rows),
        got=_words(row.got for row in rows),
    )


def _level(rule: str) -> str:
    # A kind that oasdiff has no word for says nothing of the contract.
    return level_of(rule) if "-" in rule else "info"


def _words(found: Iterable[str]) -> str:
    return "|".join(sorted({word for word in found if word}))


def _announced(peer: PeerRow) -> ReportRow:
    rule = drift_id("lifecycle", "response", "")
    ends = f"sunset {peer.sunset}" if peer.sunset else f"deprecated {peer.deprecated}"
    return ReportRow(
        id=rule,
        path="",
        operation=peer.operation,
        section="response",
        level=level_of(rule) if peer.sunset else "info",
        count=1,
        consumers=0,
        first=peer.first_ms,
        last=peer.last_ms,
        dependency=peer.dependency,
        got=ends,
    )


def is_breaking(row: ReportRow) -> bool:
    """Whether a change can break somebody, as oasdiff sees it."""
    return row.level in BREAKING


def markdown(rows: Iterable[ReportRow]) -> str:
    """Return the rows as a table of Markdown; every cell is safe."""
    lines = [
        f"| {' | '.join(_HEADS)} |",
        f"|{'---|' * len(_HEADS)}",
    ]
    for row in rows:
        fields: Mapping[str, Any] = msgspec.structs.asdict(row)
        fields = {**fields, "operation": f"{row.dependency} {row.operation}".strip()}
        cells = [safe(fields[head], 80).replace("|", "\\|") for head in _HEADS]
        lines.append(f"| {' | '.join(cells)} |")
    return "\n".join(lines)
