"""What versions and drift have to tell without being asked.  Pure.

Ends of versions come from what is declared and set; drift and third parties' ends
from the ledgers as they were read last.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from failsoft.ops.contractrows import DriftRow, DriftView
from failsoft.ops.stale import span
from failsoft.ops.versionviews import date_ms, sunset_of
from failsoft.ops.views import ControlRow, Notice
from failsoft.telemetry import Definitions

__all__ = ["NEAR_DAYS", "contract_notices", "is_news"]

NEAR_DAYS = 7
_DAY_MS = 86_400_000


def is_news(row: DriftRow) -> bool:
    """Whether a difference can break somebody, and nobody acked or tolerates it."""
    return row.severity == "warning" and not (row.acked_until_ms or row.tolerance)


def contract_notices(
    definitions: Definitions,
    controls: Iterable[ControlRow],
    drift: DriftView | None,
    now_ms: int,
) -> list[Notice]:
    """Return sunsets of 7 days or less, and drift that is new within a day."""
    found = list(_sunsets(definitions, controls, now_ms))
    if drift is not None:
        found += _peers(drift)
        found += _drift(drift, now_ms)
    return found


def _sunsets(
    definitions: Definitions, controls: Iterable[ControlRow], now_ms: int
) -> Iterator[Notice]:
    moved = [row for row in controls if row.kind == "version"]
    for version in definitions.versions:
        date = sunset_of(version, moved)
        left_ms = (date_ms(date) or 0) - now_ms
        if 0 < left_ms <= NEAR_DAYS * _DAY_MS:
            left = span(left_ms / 1000)
            text = f"sunset of version {version.id} in {left}, on {date}"
            yield Notice(1, f"{text} (S on Versions moves it)")


def _peers(drift: DriftView) -> Iterator[Notice]:
    for peer in drift.peers:
        if peer.days_left is not None and 0 <= peer.days_left <= NEAR_DAYS:
            what = f"{peer.dependency} ends {peer.operation} on {peer.sunset}"
            yield Notice(1, f"{what}, in {peer.days_left}d")


def _drift(drift: DriftView, now_ms: int) -> Iterator[Notice]:
    rows = [r for r in drift.rows if is_news(r) and now_ms - r.first_ms <= _DAY_MS]
    if not rows:
        return
    row = max(rows, key=lambda row: row.first_ms)
    where = f"{row.dependency} {row.route}".strip()
    got = f"{row.expected or 'nothing'} -> {row.got or '-'}"
    more = f", and {len(rows) - 1} more" if len(rows) > 1 else ""
    text = f"new drift: {where} {row.path or '(body)'} {row.kind} {got}{more}"
    yield Notice(1, text)
