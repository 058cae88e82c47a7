"""The table of Drift: what differs from the schemas, types only (pure)."""

from __future__ import annotations

from collections.abc import Callable

from failsoft.ops.contractnotices import is_news
from failsoft.ops.contractrows import DriftRow
from failsoft.ops.text import safe
from failsoft_tui.figures import ago
from failsoft_tui.paint import Piece
from failsoft_tui.widgets.order import Column, RowOrder

__all__ = ["drift_order", "drift_state", "where_of"]


def where_of(row: DriftRow) -> str:
    """Return the dependency, if it is one's, and the route."""
    return safe(f"{row.dependency} {row.route}".strip(), 200)


def drift_state(row: DriftRow, now_ms: int) -> Piece:
    """Return whether somebody knows of it: TOLERATED, acked, NEW or open."""
    if row.tolerance:
        return "TOLERATED", "good"
    if row.acked_until_ms:
        left_ms = row.acked_until_ms - now_ms
        left = f" {ago(left_ms / 1000)}" if row.acked_until_ms > 0 else ""
        return f"acked{left}", "dim"
    if not is_news(row):
        return "open", ""
    return ("NEW", "bad") if now_ms - row.first_ms <= 86_400_000 else ("OPEN", "warn")


def _kind(row: DriftRow) -> Piece:
    return safe(row.kind, 20), "warn" if row.severity == "warning" else ""


def _change(row: DriftRow) -> Piece:
    return f"{safe(row.expected, 60) or '-'} -> {safe(row.got, 60) or '-'}", "key"


def _rank(row: DriftRow) -> tuple[bool, bool, int]:
    handled = bool(row.tolerance or row.acked_until_ms)
    return handled, row.severity != "warning", -row.first_ms


def drift_order(now_ms: Callable[[], int]) -> RowOrder[DriftRow]:
    """Return the order of Drift: open ones first, severe ones first, newest first."""
    columns = (
        Column("where", "ROUTE", 16, lambda r: (where_of(r), ""), grow=True,
               names=True, sort=lambda r: (r.dependency, r.route)),
        Column("direction", "DIR", 3,
               lambda r: ("in" if r.direction == "request" else "out", "dim"), drop=6,
               sort=lambda r: r.direction),
        Column("path", "PATH", 16, lambda r: (safe(r.path) or "(body)", "bold"),
               names=True, sort=lambda r: r.path),
        Column("kind", "KIND", 8, _kind, sort=lambda r: r.kind),
        Column("change", "EXPECTED -> GOT", 20, _change, drop=4),
        Column("n", "N/30d", 8, lambda r: (f"{r.n:,}", ""), ">", 0, lambda r: r.n),
        Column("first", "FIRST", 5,
               lambda r: (ago((now_ms() - r.first_ms) / 1000), "dim"), ">", 7,
               lambda r: r.first_ms),
        Column("last", "LAST", 4,
               lambda r: (ago((now_ms() - r.last_ms) / 1000), ""), ">", 5,
               lambda r: r.last_ms),
        Column("consumer", "CONSUMER", 12, lambda r: (safe(r.consumer, 64) or "-", ""),
               drop=8, sort=lambda r: r.consumer),
        Column("state", "STATE", 10, lambda r: drift_state(r, now_ms()), marks=True,
               sort=lambda r: (r.tolerance, r.acked_until_ms)),
    )  # fmt: skip
    return RowOrder(columns, key_of=lambda row: row.id, rank=_rank, fault=is_news)
