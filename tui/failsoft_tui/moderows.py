"""The table of Modes: what is degraded on purpose, by whom and until when (pure)."""

from __future__ import annotations

from collections.abc import Callable

from failsoft.ops.fleetrows import ModeRow
from failsoft.ops.text import safe
from failsoft_tui.figures import ago, rate
from failsoft_tui.paint import Piece
from failsoft_tui.widgets.order import Column, RowOrder

__all__ = ["drill_word", "ends_word", "mode_order", "mode_word", "since_word"]

_STATES = ("latched", "on", "recovering", "kept off", "off")
_STYLES = {"latched": "bad", "on": "degraded", "recovering": "warn", "kept off": "key"}
_SEVERITIES = {"critical": "bad", "major": "warn"}


def mode_word(row: ModeRow) -> Piece:
    """Return the state in words: ON, RECOVERING 25%, LATCHED, KEPT OFF, off."""
    text = safe(row.now, 30)
    letter = "D " if row.is_on and not row.dry_run else ""
    return f"{letter}{text}", _STYLES.get(row.state, "dim")


def since_word(row: ModeRow, now_ms: int) -> str:
    """Return how long the state lasts."""
    return ago((now_ms - row.since_ms) / 1000) if row.since_ms else "-"


def ends_word(row: ModeRow, now_ms: int) -> Piece:
    """Return when it ends by itself."""
    if row.state == "off":
        return "-", "dim"
    if not row.until_ms:
        return "never", "warn"
    left_s = (row.until_ms - now_ms) / 1000
    return ago(left_s), "bad" if left_s <= 300 else ""


def drill_word(row: ModeRow, now_ms: int) -> Piece:
    """Return the age of its last drill; a mode nobody tried is no plan."""
    if row.name.startswith("fs."):
        return "-", "dim"
    if not row.drilled_ms:
        return "never", "warn"
    age = ago((now_ms - row.drilled_ms) / 1000)
    return (f"{age} DUE", "warn") if row.drill_due else (age, "dim")


def _why(row: ModeRow) -> Piece:
    text = row.trigger or row.why
    if not text and row.enter:
        return f"enters: {safe(row.enter[0], 80)}", "dim"
    return safe(text, 120) or "-", "" if row.is_on else "dim"


def _rank(row: ModeRow) -> tuple[int, bool, str]:
    return _STATES.index(row.state), row.name.startswith("fs."), row.name


def _is_told(row: ModeRow) -> bool:
    return row.state != "off" or row.drill_due


def mode_order(now_ms: Callable[[], int]) -> RowOrder[ModeRow]:
    """Return the order of Modes: those on first, then declared, then built in."""
    columns = (
        Column("mode", "MODE", 16, lambda r: (safe(r.name, 60), "bold"), grow=True,
               names=True, sort=lambda r: r.name),
        Column("now", "NOW", 17, mode_word, marks=True,
               sort=lambda r: _STATES.index(r.state)),
        Column("severity", "SEVERITY", 8,
               lambda r: (safe(r.severity, 8), _SEVERITIES.get(r.severity, "dim")),
               drop=9, sort=lambda r: r.severity),
        Column("via", "BY", 9, lambda r: (safe(_by(r), 30) or "-", ""),
               drop=3, sort=lambda r: r.via),
        Column("since", "SINCE", 5, lambda r: (since_word(r, now_ms()), ""), ">", 0,
               lambda r: r.since_ms or None),
        Column("ends", "ENDS", 5, lambda r: ends_word(r, now_ms()), ">", 2,
               lambda r: r.until_ms or None),
        Column("rps", "REQ/s", 6, lambda r: (rate(r.rps), ""), ">", 4,
               lambda r: r.rps),
        Column("gives", "CLIENTS GET", 20, lambda r: (safe(r.gives, 120) or "-", ""),
               drop=5),
        Column("why", "WHY", 20, _why, drop=6),
        Column("drill", "DRILL", 7, lambda r: drill_word(r, now_ms()), ">", 7,
               lambda r: r.drilled_ms or None),
    )  # fmt: skip
    return RowOrder(columns, key_of=lambda row: row.name, rank=_rank, fault=_is_told)


def _by(row: ModeRow) -> str:
    """Return who: automation by its kind, people by their name."""
    return row.by or row.via if row.via in ("", "operator") else row.via
