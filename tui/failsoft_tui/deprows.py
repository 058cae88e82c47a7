"""The table of Deps: what other services do to us, and what is done about it (pure)."""

from __future__ import annotations

from collections.abc import Callable

from failsoft.ops.fleetrows import DependencyRow, DependencySeen
from failsoft.ops.text import safe
from failsoft_tui.figures import ago, millis, percent, rate
from failsoft_tui.paint import Piece
from failsoft_tui.widgets.order import Column, RowOrder

__all__ = ["by_node", "dep_order", "dep_word", "quota_word", "seen_word"]

_RANK = "OFHMT?."
_STYLES = {
    "O": "bad",
    "F": "degraded",
    "H": "warn",
    "M": "key",
    "T": "warn",
    "?": "dim",
}
_SEEN = {
    "open": ("OPEN", "bad"),
    "fleet_open": ("OPEN (fleet)", "bad"),
    "forced_open": ("FORCED OPEN", "degraded"),
    "forced_closed": ("FORCED CLOSED", "degraded"),
    "half_open": ("HALF OPEN", "warn"),
    "metrics_only": ("metrics only", "key"),
    "closed": ("closed", "good"),
}


def dep_word(row: DependencyRow) -> Piece:
    """Return the state of the fleet in words: OPEN 3/4, FORCED OPEN, closed."""
    return safe(row.state, 40), _STYLES.get(row.letter, "good")


def seen_word(seen: DependencySeen) -> Piece:
    """Return what calls meet on one node, in words."""
    return _SEEN.get(seen.state, (safe(seen.state, 20).upper(), "warn"))


def by_node(row: DependencyRow) -> Piece:
    """Return a letter for each node: w1 O, w2 closed as a dot."""
    if not row.nodes:
        return "-", "dim"
    letters = {"open": "O", "fleet_open": "O", "forced_open": "F", "half_open": "H",
               "forced_closed": "F", "metrics_only": "M", "closed": "."}  # fmt: skip
    shown = "".join(letters.get(one.state, "?") for one in row.nodes[:12])
    more = "+" if len(row.nodes) > 12 else ""
    return shown + more, "" if set(shown) <= {"."} else "warn"


def quota_word(row: DependencyRow, now_ms: int) -> Piece:
    """Return what is left of its quota, and when it is whole again."""
    if not row.quota_limit or row.quota_remaining is None:
        return "-", "dim"
    share = row.quota_remaining / row.quota_limit
    left_s = (row.quota_reset_ms - now_ms) / 1000
    reset = f" {ago(left_s)}" if row.quota_reset_ms and left_s > 0 else ""
    style = "bad" if share <= 0 else "warn" if share <= 0.2 else ""
    return f"{100 * share:.0f}%{reset}", style


def _err(row: DependencyRow) -> Piece:
    style = "bad" if (row.err or 0) >= 0.05 else ""
    return percent(row.err, few=row.calls_per_s > 0), style


def _slow(row: DependencyRow) -> Piece:
    style = "warn" if (row.slow or 0) >= 0.05 else "dim"
    return percent(row.slow, few=row.calls_per_s > 0), style


def _refused(row: DependencyRow) -> Piece:
    return rate(row.refused_per_s or None), "warn" if row.refused_per_s else "dim"


def _retries(row: DependencyRow) -> Piece:
    if row.retries_left is None:
        return "-", "dim"
    return f"{row.retries_left:.0f} left", "warn" if row.retries_left < 1 else "dim"


def _probe(row: DependencyRow, now_ms: int) -> Piece:
    if row.probe_ms is None:
        return "-", "dim"
    left_s = (row.probe_ms - now_ms) / 1000
    return (ago(left_s) if left_s > 0 else "now"), "key"


def _by(row: DependencyRow) -> Piece:
    if not row.override:
        return "-", "dim"
    return safe(row.by or row.via, 20) or "?", "" if row.via == "operator" else "dim"


def _ends(row: DependencyRow, now_ms: int) -> Piece:
    if not row.override:
        return "-", "dim"
    if not row.until_ms:
        return "never", "warn"
    return ago((row.until_ms - now_ms) / 1000), ""


def _is_told(row: DependencyRow) -> bool:
    return row.letter != "."


def dep_order(now_ms: Callable[[], int]) -> RowOrder[DependencyRow]:
    """Return the order of Deps: open ones first, then by what fails."""
    columns = (
        Column("name", "DEPENDENCY", 14, lambda r: (safe(r.name, 64), "bold"),
               grow=True, names=True, sort=lambda r: r.name),
        Column("state", "STATE", 17, dep_word, marks=True,
               sort=lambda r: _RANK.find(r.letter)),
        Column("nodes", "NODES", 8, by_node, drop=5),
        Column("rps", "CALLS/s", 7, lambda r: (rate(r.calls_per_s), ""), ">", 6,
               lambda r: r.calls_per_s),
        Column("err", "ERR%", 5, _err, ">", 1, lambda r: r.err),
        Column("slow", "SLOW%", 5, _slow, ">", 8, lambda r: r.slow),
        Column("p99", "p99", 5, lambda r: (millis(r.p99_ms), ""), ">", 7,
               lambda r: r.p99_ms),
        Column("refused", "REFUSED/s", 9, _refused, ">", 3,
               lambda r: r.refused_per_s),
        Column("retries", "RETRIES", 8, _retries, ">", 9, lambda r: r.retries_left),
        Column("quota", "QUOTA", 8, lambda r: quota_word(r, now_ms()), ">", 0,
               lambda r: r.quota_remaining),
        Column("probe", "PROBE", 5, lambda r: _probe(r, now_ms()), ">", 4,
               lambda r: r.probe_ms),
        Column("by", "BY", 8, _by, drop=10, sort=lambda r: r.by),
        Column("ends", "ENDS", 5, lambda r: _ends(r, now_ms()), ">", 2,
               lambda r: r.until_ms or None),
    )  # fmt: skip
    return RowOrder(
        columns,
        key_of=lambda row: row.name,
        rank=lambda r: (_RANK.find(r.letter), -(r.err or 0.0), -r.calls_per_s, r.name),
        fault=_is_told,
    )
