"""The drift ledger joined with acks and tolerances, third parties' notes.  Pure."""

from __future__ import annotations

import re
from collections.abc import Iterable

import msgspec

from failsoft.clock import utc_date
from failsoft.controls.records import ToleranceDoc
from failsoft.controls.targets import covers
from failsoft.ops.contractrows import DriftRow, DriftView, PeerRow, ToleranceRow
from failsoft.ops.versionviews import date_ms, decoded
from failsoft.ops.views import ControlRow
from failsoft.store.drift import OVERFLOW, DriftRead, severity_of
from failsoft.store.drift import DriftRow as Counted
from failsoft.telemetry import Definitions, ToleranceDef

__all__ = [
    "drift_view",
    "is_covered",
    "repair_for",
    "tolerance_rows",
]

ROWS_SHOWN = 2_000
_WORD = re.compile(r"\W+")
NO_END = -1
_NUMBERS = ("number", "integer")
_REPAIRS = {
    "null": "null_as_missing",
    "missing": "default",
    "case": "casefold",
    "alias": "alias",
    "array_scalar": "wrap_array",
    "enum": "enum_fallback",
    "unknown": "drop_unknown",
}


def repair_for(kind: str, expected: str, got: str) -> str:
    """Return the repair kind that would meet a difference, "" when none would."""
    types, what = set(expected.split("|")), got.partition(":")[0]
    if kind in ("type", "coerced", "number"):
        if what in ("int", "float") and "string" in types:
            return "number_to_string"
        if what == "str" and not types.isdisjoint(_NUMBERS):
            return "string_to_number"
        if what == "null":
            return "null_as_missing"
        return "wrap_array" if "array" in types and what != "array" else ""
    return _REPAIRS.get(kind, "")


def is_covered(row: DriftRow, route: str, consumer: str, path: str, kind: str) -> bool:
    """Whether a repair of a kind, in that scope, meets a difference of requests."""
    return (
        row.direction == "request"
        and not row.dependency
        and kind == row.suggests
        and path == row.path
        and covers(consumer or "*", row.consumer)
        and covers(route or "* *", row.route)
    )


def tolerance_rows(
    controls: Iterable[ControlRow],
    definitions: Definitions,
    now_ms: int,
    drift: Iterable[DriftRow] = (),
) -> tuple[ToleranceRow, ...]:
    """Return all tolerances and handlings, those in force first."""
    found = {one.name: _declared(one, now_ms) for one in definitions.tolerances}
    for handling, route, consumer in definitions.handlings:
        name = f"handling {route} {consumer}".strip()
        found[name] = ToleranceRow(
            name, "declared", "active", route, consumer, handling=handling
        )
    for row in controls:
        doc = decoded(row, ToleranceDoc) if row.kind == "tolerance" else None
        if doc is None or not row.active:
            continue
        name = row.target[10:]
        if not doc.stop:
            found[name] = _by_hand(name, doc, row)
        elif name in found:
            found[name] = msgspec.structs.replace(
                found[name], state="ended", by=row.by, why=row.why, rev=row.rev
            )
    order = ("active", "expired", "ended")
    rows = sorted(found.values(), key=lambda row: (order.index(row.state), row.name))
    seen = list(drift)
    return tuple(_with_covers(row, seen) for row in rows)


def _with_covers(row: ToleranceRow, drift: list[DriftRow]) -> ToleranceRow:
    if row.handling:
        return row
    scope = (row.route, row.consumer, row.path, row.kind)
    ids = [one.id for one in drift if is_covered(one, *scope)]
    return msgspec.structs.replace(row, covers=tuple(ids)) if ids else row


def _declared(one: ToleranceDef, now_ms: int) -> ToleranceRow:
    until_ms = date_ms(one.until) or 0
    return ToleranceRow(
        name=one.name,
        source="declared",
        state="expired" if 0 < until_ms <= now_ms else "active",
        route=one.route,
        consumer=one.consumer,
        path=one.path,
        kind=one.kind,
        value=one.value,
        until_ms=until_ms,
        owner=one.owner,
        why=one.reason,
    )


def _by_hand(name: str, doc: ToleranceDoc, row: ControlRow) -> ToleranceRow:
    return ToleranceRow(
        name=name,
        source="control",
        state="active",
        route=doc.route,
        consumer=doc.consumer,
        path=doc.path,
        kind=doc.kind,
        value=doc.value,
        handling=doc.handling,
        until_ms=row.until_ms,
        owner=doc.owner,
        by=row.by,
        why=row.why,
        rev=row.rev,
    )


def drift_view(
    read: DriftRead,
    peers: Iterable[PeerRow],
    controls: Iterable[ControlRow],
    definitions: Definitions,
) -> DriftView:
    """Return the picture of drift; at most 2,000 rows, newest first."""
    shown = tuple(controls)
    acks = {row.target[6:]: row for row in shown if row.kind == "drift" and row.active}
    today = utc_date(read.now_ms / 1000).replace("-", "")
    found = [
        _helped(_row(row, acks.get(row.id), today), definitions)
        for row in read.rows[:ROWS_SHOWN]
    ]
    tolerances = tolerance_rows(shown, definitions, read.now_ms, found)
    active = [row for row in tolerances if row.state == "active"]
    names = {id_: row.name for row in reversed(active) for id_ in row.covers}
    return DriftView(
        read_ms=read.now_ms,
        entries=read.total,
        overflow=read.tallies.get(OVERFLOW, 0),
        tallies=tuple(sorted(read.tallies.items())),
        rows=tuple(
            msgspec.structs.replace(row, tolerance=names.get(row.id, ""))
            for row in found
        ),
        tolerances=tolerances,
        peers=tuple(peers),
    )


def _helped(row: DriftRow, definitions: Definitions) -> DriftRow:
    """Name the repair that meets a row; repairs see bodies in the newest words.

    So none where a later version has changed what an older client calls so.
    """
    ids = [one.id for one in definitions.versions]
    since = ids.index(row.version) + 1 if row.version in ids else len(ids)
    changes = (change for one in definitions.versions[since:] for change in one.changes)
    if any(_renames(words, row) for words, routes in changes if row.route in routes):
        return row
    repair = repair_for(row.kind, row.expected, row.got)
    return msgspec.structs.replace(row, suggests=repair)


def _renames(words: str, row: DriftRow) -> bool:
    """Whether a change names a part of the row's path; code may change any."""
    parts = set(row.path.split("/")) - {"", "*", "{*}"}
    return words.startswith("change ") or not parts.isdisjoint(_WORD.split(words))


def _row(counted: Counted, ack: ControlRow | None, today: str) -> DriftRow:
    entry = counted.entry
    return DriftRow(
        id=counted.id,
        route=entry.route,
        direction=entry.direction,
        dependency=entry.dependency,
        path=entry.path,
        kind=entry.kind,
        expected=entry.expected,
        got=entry.got,
        consumer=entry.consumer,
        version=entry.version,
        n=counted.count,
        today=counted.days.get(today, 0),
        first_ms=entry.first_ms,
        last_ms=counted.last_ms,
        acked_until_ms=(ack.until_ms or NO_END) if ack else 0,
        acked_by=ack.by if ack else "",
        severity=severity_of(entry.kind),
    )
