"""The columns of the three tables: rows of a `FleetView` to cells (pure).

Every text of a row passes `safe`.  `now_ms` returns the store's time, so that ends
and ages go on between views.
"""

from __future__ import annotations

from collections.abc import Callable

from failsoft.ops.text import safe
from failsoft.ops.views import ControlRow, LogRow, RouteRow
from failsoft_tui.figures import (
    ago,
    bar,
    clock_text,
    delta,
    millis,
    percent,
    rate,
    spark,
)
from failsoft_tui.paint import Piece
from failsoft_tui.widgets.order import Column, RowOrder

__all__ = [
    "control_order",
    "is_failing",
    "is_limited",
    "log_order",
    "method_of",
    "path_of",
    "route_order",
]

_STATE_STYLES = {"K": "kill", "B": "bad", "D": "degraded", "S": "warn", "L": "limited"}
_STATE_STYLES |= {"W": "warn", "?": "dim", ".": "dim"}
_RANK = "KBDSLW.?"  # of states, when impact is the same
_SPARK = 15
_FAILING_RATIO = 0.05
_FULL_RATIO = 0.05  # errors of requests that fill a bar at least
_BAR = 12


def method_of(key: str) -> str:
    """Return the method of `POST /v1/checkout`, "" when the key has none."""
    head, _, path = key.partition(" ")
    return safe(head) if path and head.isupper() and head.isalpha() else ""


def path_of(key: str) -> str:
    """Return the path of `POST /v1/checkout`, or the whole key without a method."""
    return safe(key.partition(" ")[2] if method_of(key) else key)


def _too_few(row: RouteRow) -> bool:
    return row.few and row.n > 0


def _err(row: RouteRow) -> Piece:
    warns = (row.err_rate or 0.0) >= 0.01
    style = "bad" if is_failing(row) else "warn" if warns else ""
    return percent(row.err_rate, few=_too_few(row)), style


def _err_delta(row: RouteRow) -> Piece:
    value = row.err_delta or 0.0
    style = "bad" if value >= 0.05 else "warn" if value >= 0.005 else "dim"
    return delta(row.err_delta, few=_too_few(row)), style


def _spark(row: RouteRow) -> Piece:
    bars = spark(row.spark, _SPARK, full=_FULL_RATIO * row.rps)
    return bars, "spark" if any(row.spark) else "dim"


def _state(row: RouteRow) -> Piece:
    lost = "~" if row.ticks_lost else ""
    if row.state == "." and is_failing(row):
        return f"{lost}FAILING", "bad"
    text = safe(row.state_text) or "ok"
    return f"{lost}{text}", _STATE_STYLES.get(row.state, "")


def _letter(row: RouteRow) -> Piece:
    return safe(row.state)[:1], _STATE_STYLES.get(row.state, "")


def is_failing(row: RouteRow) -> bool:
    """Whether so many requests fail that a word must say it."""
    return (row.err_rate or 0.0) >= _FAILING_RATIO


def is_limited(row: RouteRow) -> bool:
    """Whether something of ours holds the route back, or it fails by itself."""
    return row.state not in (".", "?") or is_failing(row)


def _is_fault(row: RouteRow) -> bool:
    return row.state not in (".", "?") or row.err_per_s > 0


_ROUTE_COLUMNS = (
    Column("meth", "METH", 6, lambda r: (method_of(r.key), "dim"), names=True),
    Column(
        "route", "ROUTE", 14, lambda r: (path_of(r.key), ""),
        sort=lambda r: r.key.partition(" ")[2], grow=True, names=True,
    ),
    Column("rps", "RPS", 7, lambda r: (rate(r.rps), ""), ">", 4, lambda r: r.rps),
    Column("err", "ERR%", 5, _err, ">", 0, lambda r: r.err_rate),
    Column("d1m", "d1m", 6, _err_delta, ">", 8, lambda r: r.err_delta),
    Column(
        "p50", "p50", 5, lambda r: (millis(r.p50, few=_too_few(r)), "dim"), ">", 7,
        lambda r: r.p50,
    ),
    Column(
        "p95", "p95", 5, lambda r: (millis(r.p95, few=_too_few(r)), ""), ">", 5,
        lambda r: r.p95,
    ),
    Column("p99", "p99", 5, lambda r: (millis(r.p99), "dim"), ">", 6, lambda r: r.p99),
    Column("spark", "ERR/s, 60s", _SPARK, _spark, drop=9, sort=None),
    Column("letter", "", 1, _letter),
    Column("state", "STATE", 22, _state, drop=3, marks=True, sort=lambda r: r.state),
)  # fmt: skip


def route_order() -> RowOrder[RouteRow]:
    """Return the order of Overview: worst first, that is by impact."""
    return RowOrder(
        _ROUTE_COLUMNS,
        key_of=lambda row: row.key,
        rank=lambda row: (-row.impact, _RANK.find(row.state[:1]), -row.rps),
        fault=_is_fault,
    )


def _ends(row: ControlRow, now_ms: int) -> Piece:
    if not row.active:
        return "-", "dim"
    if not row.until_ms:
        return "never", "warn" if row.kind != "flag" else "dim"
    left_s = (row.until_ms - now_ms) / 1000
    return ago(left_s), "warn" if left_s <= 300 else ""


def _now(row: ControlRow) -> Piece:
    text = safe(row.now, 40)
    if not row.active:
        return text, "dim"
    letter, style = {"kill": ("K", "kill"), "mode": ("D", "degraded")}.get(
        row.kind, ("", "key")
    )
    return f"{letter} {text}".strip(), style


def _rollout(row: ControlRow) -> Piece:
    if row.rollout is None:
        return "-", "dim"
    return bar(row.rollout / 100, _BAR), "key" if row.active else "dim"


def _age(at_ms: int, now_ms: int) -> str:
    return ago((now_ms - at_ms) / 1000) if at_ms else "-"


def control_order(now_ms: Callable[[], int]) -> RowOrder[ControlRow]:
    """Return the order of Controls: active ones first, then last changed."""
    columns = (
        Column(
            "target", "TARGET", 20, lambda r: (safe(r.target), ""),
            sort=lambda r: r.target, grow=True, names=True,
        ),
        Column("kind", "KIND", 4, lambda r: (safe(r.kind), "dim"), drop=4, names=True,
               sort=lambda r: r.kind),
        Column("now", "NOW", 9, _now, marks=True, sort=lambda r: r.now),
        Column("default", "DEFAULT", 7, lambda r: (safe(r.default) or "-", "dim"),
               drop=8),
        Column("rollout", "ROLLOUT", _BAR, _rollout, drop=9, sort=lambda r: r.rollout),
        Column("rps", "REQ/s", 7, lambda r: (rate(r.rps), ""), ">", 5,
               lambda r: r.rps),
        Column("ends", "ENDS", 5, lambda r: _ends(r, now_ms()), ">", 0,
               lambda r: r.until_ms or None),
        Column("by", "BY", 9, lambda r: (safe(r.by) or "-", ""), sort=lambda r: r.by),
        Column("age", "AGE", 4, lambda r: (_age(r.at_ms, now_ms()), "dim"), ">", 6,
               lambda r: r.at_ms or None),
        Column("why", "WHY", 22, lambda r: (safe(r.why) or "-", ""), drop=7),
    )  # fmt: skip
    return RowOrder(
        columns,
        key_of=lambda row: row.target if row.kind != "kill" else f"kill {row.target}",
        rank=lambda row: (not row.active, -row.at_ms),
        fault=lambda row: row.active,
    )


def _action(row: LogRow) -> Piece:
    return safe(row.action), "bad" if row.refused else "bold"


def _change(row: LogRow) -> Piece:
    before, after = safe(row.before, 60), safe(row.after, 60)
    return f"{before or '-'} -> {after or '-'}", ""


def _log_time(row: LogRow, now_ms: int) -> Piece:
    old = now_ms - row.at_ms > 86_400_000
    return ago((now_ms - row.at_ms) / 1000) if old else clock_text(row.at_ms), "dim"


def _lasts(row: LogRow) -> Piece:
    if not row.until_ms:
        return "-", "dim"
    return ago((row.until_ms - row.at_ms) / 1000), ""


def log_order(now_ms: Callable[[], int]) -> RowOrder[LogRow]:
    """Return the order of Audit: newest first, refused attempts among them."""
    columns = (
        Column("time", "TIME", 8, lambda r: _log_time(r, now_ms()), names=True,
               sort=lambda r: r.at_ms),
        Column("who", "WHO", 9, lambda r: (safe(r.who) or "?", ""),
               sort=lambda r: r.who),
        Column("action", "ACTION", 10, _action, marks=True, sort=lambda r: r.action),
        Column("target", "TARGET", 20, lambda r: (safe(r.target), ""), grow=True,
               names=True, sort=lambda r: r.target),
        Column("change", "BEFORE -> AFTER", 21, _change, drop=6),
        Column("for", "FOR", 5, _lasts, ">", 7),
        Column("why", "WHY", 22, lambda r: (safe(r.why) or "-", ""), drop=5),
        Column("via", "VIA", 11, lambda r: (safe(r.via) or "-", "dim"), drop=8),
    )  # fmt: skip
    return RowOrder(
        columns,
        key_of=lambda row: row.id,
        rank=lambda row: -row.at_ms,
        fault=lambda row: row.refused,
    )
