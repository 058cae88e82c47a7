"""The columns of the three tables: rows of a `FleetView` to cells (pure).

Every text of a row passes `safe`.  `now_ms` returns the store's time, so that ends
and ages go on between views.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

from failsoft.ops.text import safe
from failsoft.ops.views import ControlRow, LogRow, NodeRow, RouteRow
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
from failsoft_tui.groups import group_of
from failsoft_tui.paint import Piece
from failsoft_tui.widgets.order import Column, RowOrder

__all__ = [
    "control_key",
    "control_order",
    "is_failing",
    "is_limited",
    "is_troubled",
    "log_order",
    "method_of",
    "node_order",
    "path_of",
    "route_order",
]

_STATE_STYLES = {"K": "kill", "B": "bad", "D": "degraded", "S": "warn", "L": "limited"}
_STATE_STYLES |= {"W": "warn", "?": "dim", ".": "dim"}
_RANK = "KBDSLW.?"  # of states, when impact is the same
_SPARK = 15
_FAILING_RATIO = 0.05
_FULL_RATIO = 0.05  # errors of requests that fill a bar at least
_BAR = 8
EXPIRING_S = 300


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
    # Not by colour alone: what the notice line calls EXPIRING bears a mark.
    return (f"!{ago(left_s)}", "warn") if left_s <= EXPIRING_S else (ago(left_s), "")


def _target(row: ControlRow) -> Piece:
    if row.kind == "group":
        return safe(row.target), "head"
    return f"{'  ' if group_of(row) else ''}{safe(row.target)}", ""


def _note(row: ControlRow, notes: Mapping[str, str]) -> Piece:
    if row.lost:
        return "ON NODES", "bad"
    word = notes.get(row.target, "") if row.kind == "flag" else ""
    return (word, "bad" if word == "BAD" else "warn") if word else ("-", "dim")


def _why(row: ControlRow) -> Piece:
    why = safe(row.why) or "-"
    return (f"ONLY ON NODES {why}", "bad") if row.lost else (why, "")


_LETTERS = {"kill": ("K", "kill"), "mode": ("D", "degraded"), "breaker": ("B", "bad")}


def _kind(row: ControlRow) -> str:
    return "brkr" if row.kind == "breaker" else safe(row.kind)


def _now(row: ControlRow) -> Piece:
    text = safe(row.now, 40)
    if not row.active:
        return text, "dim"
    if row.lost:
        text = f"~{text}"
    letter, style = _LETTERS.get(row.kind, ("", "key"))
    if row.kind == "breaker":  # its letter says that it is forced
        text = text.replace("FORCED ", "").replace("FLEET ", "")
    return f"{letter} {text}".strip(), style


def _rollout(row: ControlRow) -> Piece:
    if row.rollout is None:
        return "-", "dim"
    return bar(row.rollout / 100, _BAR), "key" if row.active else "dim"


def _age(at_ms: int, now_ms: int) -> str:
    return ago((now_ms - at_ms) / 1000) if at_ms else "-"


def control_key(row: ControlRow) -> str:
    """Return the key of a row: a kill of a flag and its edit share the target."""
    return row.target if row.kind != "kill" else f"kill {row.target}"


def _control_rank(row: ControlRow) -> tuple[bool, bool, str, bool, int]:
    group = group_of(row)
    return (not row.active, not group, group, row.kind != "group", -row.at_ms)


def control_order(
    now_ms: Callable[[], int],
    notes: Callable[[], Mapping[str, str]] = dict,
) -> RowOrder[ControlRow]:
    """Return the order of Controls: active ones by group first, then last changed.

    notes: target -> what is odd about a flag, in a word.
    """
    columns = (
        Column(
            "target", "TARGET", 25, _target, sort=lambda r: r.target, grow=True,
            names=True,
        ),
        Column("kind", "KIND", 5, lambda r: (_kind(r), "dim"), drop=7, names=True,
               sort=lambda r: r.kind),
        Column("now", "NOW", 9, _now, marks=True, sort=lambda r: r.now),
        Column("note", "NOTE", 9, lambda r: _note(r, notes()), drop=4),
        Column("default", "DEFAULT", 7, lambda r: (safe(r.default) or "-", "dim"),
               drop=8),
        Column("rollout", "ROLLOUT", _BAR, _rollout, drop=9, sort=lambda r: r.rollout),
        Column("rps", "REQ/s", 7, lambda r: (rate(r.rps), ""), ">", 5,
               lambda r: r.rps),
        Column("ends", "ENDS", 5, lambda r: _ends(r, now_ms()), ">", 0,
               lambda r: r.until_ms or None),
        Column("by", "BY", 8, lambda r: (safe(r.by) or "-", ""), sort=lambda r: r.by),
        Column("age", "AGE", 4, lambda r: (_age(r.at_ms, now_ms()), "dim"), ">", 6,
               lambda r: r.at_ms or None),
        Column("why", "WHY", 18, _why, drop=8),
    )  # fmt: skip
    return RowOrder(
        columns,
        key_of=control_key,
        rank=_control_rank,
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


_NODE_STYLES = {"LIVE": "good", "SILENT": "bad", "OLD": "warn", "GONE": "dim"}
_CONTROL_STYLES = {"live": "good", "local": "", "cold": "warn", "stale": "warn"}


def _controls_of(row: NodeRow) -> Piece:
    state = safe(row.control_state, 12)
    loud = state if state in ("live", "local") else state.upper()
    return loud, _CONTROL_STYLES.get(state, "bad")


def _trouble(row: NodeRow) -> Piece:
    parts = []
    if row.bad:
        parts.append(f"BAD {', '.join(safe(name, 60) for name in row.bad[:3])}")
    if row.control_state == "stale":
        parts.append(f"no proof for {ago(row.control_age)}")
    if row.own_error:
        parts.append(safe(row.own_error, 120))
    return "; ".join(parts) or "-", "bad" if parts else "dim"


def node_order() -> RowOrder[NodeRow]:
    """Return the order of Nodes: in trouble first, then by first sight."""
    columns = (
        Column("node", "NODE", 4, lambda r: (safe(r.short), "bold"), names=True,
               sort=lambda r: r.short),
        Column("state", "STATE", 6,
               lambda r: (safe(r.state), _NODE_STYLES.get(r.state, "")), marks=True,
               sort=lambda r: r.state),
        Column("controls", "CONTROLS", 8, _controls_of, sort=lambda r: r.control_state),
        Column("rev", "REV", 7, lambda r: (f"{r.rev:,}", ""), ">", 0,
               lambda r: r.rev),
        Column("digest", "DIGEST", 8, lambda r: (safe(r.digest)[:8] or "-", "dim"),
               drop=6, sort=lambda r: r.digest),
        Column("source", "FROM", 9, lambda r: (safe(r.source, 20) or "-", ""), drop=4,
               sort=lambda r: r.source),
        Column("age", "BEAT", 4, lambda r: (ago(r.age), ""), ">", 3,
               lambda r: r.age),
        Column("lag", "LAG", 4, lambda r: (millis(r.lag_ms), "dim"), ">", 8,
               lambda r: r.lag_ms),
        Column("rss", "MiB", 5, lambda r: (f"{r.rss_bytes / 2**20:.0f}", "dim"), ">",
               9, lambda r: r.rss_bytes),
        Column("up", "UP", 4, lambda r: (ago(r.uptime_s), "dim"), ">", 10,
               lambda r: r.uptime_s),
        Column("release", "RELEASE", 9, lambda r: (safe(r.release) or "-", ""),
               drop=7, sort=lambda r: r.release),
        Column("trouble", "TROUBLE", 16, _trouble, grow=True),
        Column("id", "ID", 16, lambda r: (safe(r.node), "dim"), drop=11),
    )  # fmt: skip
    return RowOrder(
        columns,
        key_of=lambda row: row.node,
        rank=lambda row: (not is_troubled(row), len(row.short), row.short),
        fault=is_troubled,
    )


def is_troubled(row: NodeRow) -> bool:
    """Whether a node does not serve, or not with the newest controls."""
    serves = row.state == "LIVE" and row.control_state in ("live", "local")
    return not serves or bool(row.bad or row.own_error)
