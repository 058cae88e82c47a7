"""What the pages on modes say: a mode, its thresholds, objectives, budgets (pure)."""

from __future__ import annotations

from failsoft.ops.fleetrows import BurnRow, ModeRow, SloRow, SloView
from failsoft.ops.text import safe
from failsoft_tui.figures import ago, bar, clock_text, percent, rate
from failsoft_tui.moderows import drill_word, mode_word
from failsoft_tui.paint import Line, Piece
from failsoft_tui.sheet import field, rule

__all__ = ["budget_lines", "mode_lines", "mode_pane", "slo_lines"]

_BURN_STYLES = {"firing": "bad", "pending": "warn", "frozen": "warn"}
_CELL = 10


def _state(row: ModeRow, now_ms: int) -> Line:
    word, style = mode_word(row)
    parts: list[Piece] = [(f"   {'state':<10}", "dim"), (word, style)]
    if row.since_ms:
        parts.append((f" for {ago((now_ms - row.since_ms) / 1000)}", ""))
    if row.state != "off":
        parts.append((f", {_end(row, now_ms)}", ""))
    if row.by or row.via:
        parts.append((f", by {safe(row.by or row.via, 40)}", "bold"))
    if row.state == "latched":
        parts.append(("  it flips: D leaves it, A hands it back", "bad"))
    return tuple(parts)


def _end(row: ModeRow, now_ms: int) -> str:
    if not row.until_ms:
        return "no end"
    left = ago((row.until_ms - now_ms) / 1000)
    return f"ends in {left}, at {clock_text(row.until_ms)} UTC"


def _about(row: ModeRow, now_ms: int) -> list[Line]:
    scope = ", ".join(safe(glob, 60) for glob in row.scope[:6])
    more = f", {len(row.scope) - 6} more" if len(row.scope) > 6 else ""
    share = "" if row.share >= 1 else f", {row.share:.0%} of requests"
    reach = "-" if row.rps is None else f"{rate(row.rps)} req/s"
    lines = [
        _state(row, now_ms),
        field("users", f"{safe(row.title, 120)} ({safe(row.severity, 10)})"
              f"{'' if row.public else ', not told to users'}"),
        field("clients", f"get {safe(row.gives, 300) or 'what the mode declares'}"),
        field("routes", f"{scope or 'none'}{more}: {reach}{share}"),
    ]  # fmt: skip
    if row.trigger or row.why:
        lines.append(field("why", safe(row.trigger or row.why, 300)))
    return lines


def _thresholds(row: ModeRow) -> list[Line]:
    if not row.enter:
        return [field("enters", "by an operator alone: it declares no trigger", "dim")]
    lines = [
        field("enters" if not i else "", safe(text, 200), "warn")
        for i, text in enumerate(row.enter)
    ]
    lines += [
        field("leaves" if not i else "", safe(text, 200), "good")
        for i, text in enumerate(row.leave)
    ]
    return lines + ([field("timing", safe(row.timing, 200))] if row.timing else [])


def mode_pane(
    row: ModeRow | None, slos: SloView | None, height: int, now_ms: int
) -> list[Line]:
    """Return what stands under the table: the mode, its thresholds, the budgets."""
    lines: list[Line] = []
    if row is not None:
        lines = [rule(safe(row.name, 80)), *_about(row, now_ms), *_thresholds(row)]
    return _within([*lines, *budget_lines(slos)], height)


def _within(lines: list[Line], height: int) -> list[Line]:
    if len(lines) <= height:
        return lines
    return [*lines[: max(1, height - 1)], (("   ... b", "dim"),)]


def mode_lines(row: ModeRow | None, name: str, now_ms: int) -> list[Line]:
    """Return a mode in full."""
    if row is None:
        return [((f"   no live release declares {safe(name, 80)} any more", "dim"),)]
    drill, style = drill_word(row, now_ms)
    tested = f"{drill} ago" if row.drilled_ms else drill
    if row.name.startswith("fs."):
        tested = "built in: nothing of yours to rehearse"
    lines = [rule(f"mode:{safe(row.name, 80)}"), *_about(row, now_ms)]
    lines += [(), rule("thresholds"), *_thresholds(row)]
    lines += [(), rule("entering by hand"), field("drill", tested, style)]
    lines += [field(safe(n, 10), safe(range_, 120)) for n, range_ in row.params]
    if row.group:
        lines.append(field("group", safe(row.group, 60)))
    return lines


# --- objectives ---------------------------------------------------------------


def budget_lines(slos: SloView | None) -> list[Line]:
    """Return each objective in one line: what is left of its budget, how it burns."""
    if slos is None:
        return [rule("objectives"), (("   not read yet", "dim"),)]
    if not slos.rows:
        return [rule("objectives"), (("   no node counts one", "dim"),)]
    return [rule("objectives: 30 days' budget, burn of 1 h"), *map(_budget, slos.rows)]


def _budget(row: SloRow) -> Line:
    left = row.budget_left
    style = "dim" if left is None else "bad" if left <= 0 else ""
    if left is not None and 0 < left < 0.25:
        style = "warn"
    text = "no data" if left is None else f"{100 * left:.0f}% left"
    worst, worst_style = _worst(row)
    return (
        (f"   {safe(row.name, 24):<16} ", "bold"),
        (f"{100 * row.objective:g}%".ljust(7), "dim"),
        (bar(left or 0.0, _CELL), style or "good"),
        (f" {text:<10}", style),
        (f" burn {_burn(row.burn):<6}", "bad" if (row.burn or 0) >= 1 else ""),
        (f" {worst:<21}", worst_style),
        (f" auto {_auto(row)}", _auto_style(row)),
    )


def _burn(value: float | None) -> str:
    return "-" if value is None else f"{value:.1f}x"


def _auto(row: SloRow) -> str:
    if row.auto is None:
        return "-"
    return f"{percent(row.auto)}% of {percent(row.auto_limit)}%"


def _auto_style(row: SloRow) -> str:
    return "bad" if (row.auto or 0) >= row.auto_limit > 0 else "dim"


def _worst(row: SloRow) -> Piece:
    for state in ("firing", "frozen", "pending"):
        for one in row.rules:
            if one.state == state:
                text = f"{safe(one.rule, 12)} {state.upper()} ({safe(one.severity, 8)})"
                return text, _BURN_STYLES[state]
    return "ok" if row.total else "", "good"


def slo_lines(slos: SloView | None, now_ms: int) -> list[Line]:
    """Return all objectives in full: counts, every rule and its windows."""
    if slos is None or not slos.rows:
        return budget_lines(slos)
    lines: list[Line] = []
    for row in slos.rows:
        lines += [*_objective(row), *(_rule(one, now_ms) for one in row.rules), ()]
    return lines


def _objective(row: SloRow) -> list[Line]:
    within = f" within {1000 * row.latency_s:g} ms" if row.latency_s else ""
    routes = ", ".join(safe(glob, 60) for glob in row.routes[:8]) or "all"
    return [
        rule(f"slo {safe(row.name, 60)}: {100 * row.objective:g}%{within}"),
        _budget(row),
        field("routes", routes),
        field("30 days", f"{row.total:,} requests, {row.bad:,} bad, "
              f"{row.refused:,} refused by us"),
    ]  # fmt: skip


def _rule(one: BurnRow, now_ms: int) -> Line:
    style = _BURN_STYLES.get(one.state, "good")
    windows = "  ".join(f"{safe(w, 8)} {_burn(v):>6}" for w, v in one.burns)
    since = f" for {ago((now_ms - one.since_ms) / 1000)}" if one.since_ms else ""
    state = safe(one.state, 10).upper() if one.state != "ok" else "ok"
    return (
        (f"   {safe(one.rule, 10):<10}", "dim"),
        (f"{state + since:<15}", style),
        (f"  {windows}  over {one.limit:g}x: {safe(one.severity, 8)}", ""),
    )
