"""What third parties announced, as operators read it.  Pure."""

from __future__ import annotations

from collections.abc import Mapping

from failsoft.clock import utc_date
from failsoft.ops.contractrows import PeerRow
from failsoft.outbound._announced import PeerNote, read_note

__all__ = ["peer_rows"]

_DAY_S = 86_400
_FAR = 100_000  # days: those without an end come last


def peer_rows(notes: Mapping[str, bytes], now_ms: int) -> tuple[PeerRow, ...]:
    """Return the notes that can be read, those that end soonest first."""
    found = (read_note(blob) for blob in notes.values())
    rows = [_row(note, now_ms) for note in found if note is not None]
    return tuple(
        sorted(rows, key=lambda row: (_soon(row), row.dependency, row.operation))
    )


def _soon(row: PeerRow) -> int:
    return _FAR if row.days_left is None else row.days_left


def _row(note: PeerNote, now_ms: int) -> PeerRow:
    left = (note.sunset_at - now_ms // 1000) // _DAY_S if note.sunset_at else None
    since = utc_date(note.deprecated_at) if note.deprecated_at else ""
    links = dict(reversed(note.links))
    return PeerRow(
        dependency=note.dependency,
        operation=note.operation,
        deprecated=since or ("true" if note.is_deprecated else ""),
        sunset=utc_date(note.sunset_at) if note.sunset_at else "",
        days_left=left,
        link=links.get("sunset") or links.get("deprecation") or "",
        successor=links.get("successor-version", ""),
        warning=note.warning,
        versions=note.versions,
        version=note.version,
        was=note.was,
        first_ms=note.first_ms,
        last_ms=note.last_ms,
    )
