"""The lines around every screen: header, tabs, notice, title, footer (pure)."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import NamedTuple

from failsoft.ops.contractnotices import is_news
from failsoft.ops.text import safe
from failsoft.ops.views import FleetView, Identity, Notice
from failsoft_tui.actions import Action
from failsoft_tui.figures import ago, millis, percent, rate
from failsoft_tui.paint import Line, fit, join, justify, line_width, plain
from failsoft_tui.rows import is_troubled
from failsoft_tui.versionrows import is_pressing

__all__ = [
    "Session",
    "footer_line",
    "header_line",
    "notice_line",
    "tabs_line",
    "title_line",
    "too_small_line",
]

_BAR: tuple[str, str] = (" | ", "dim")
_KEYS = "? keys "
_LONG: Mapping[str, str] = {}
_SHORT = {"Overview": "Over", "Controls": "Ctrl", "Versions": "Vers"}
_LINK_STYLES = {"LIVE": "good", "SLOW": "warn", "HELD": "armed", "CONNECTING": "warn"}


class Session(NamedTuple):
    """What the header says about the operator and the link.

    word: `LIVE 0.8s`, `STALE 12s` ...  armed_s: seconds left, None = disarmed.
    now_ms: the store's time.
    """

    word: str
    identity: Identity | None
    role: str
    armed_s: float | None
    reason: str
    now_ms: int


def _word(session: Session) -> Line:
    head = session.word.partition(" ")[0]
    return ((session.word, _LINK_STYLES.get(head, "alarm")),)


def _environment(view: FleetView) -> Line:
    env = safe(view.env, 40) or "(environment not known yet)"
    if view.production:
        return (("PROD", "prod"), (f" {env}", "bold"))
    return ((f" {env} ", "env"),)


def _nodes(view: FleetView) -> Line:
    live, known = view.totals.nodes_live, view.totals.nodes_known
    return ((f"nodes {live}/{known}", "" if live == known else "bad"),)


def _totals(view: FleetView) -> Line:
    totals = view.totals
    err = totals.err_rate or 0.0
    return (
        (f"{rate(totals.rps)} rps ", ""),
        (f"err {_with(percent(totals.err_rate), '%')}", "bad" if err >= 0.01 else ""),
        (f" p95 {_with(millis(totals.p95), 'ms')} shed {_shed(view)}", ""),
    )


def _with(figure: str, unit: str) -> str:
    return figure if figure == "-" else f"{figure}{unit}"


def _shed(view: FleetView) -> str:
    return rate(view.totals.shed_per_s) if view.totals.shed_per_s else "0"


def _controls(view: FleetView) -> Line:
    count = view.totals.controls_active
    text = f"{count} control{'' if count == 1 else 's'}"
    return ((text, "warn" if count else "dim"),)


def _next_end(view: FleetView, now_ms: int) -> Line:
    left = ago((view.totals.next_end_ms - now_ms) / 1000)
    return (*_controls(view), (f", next end {left}", ""))


def _operator(session: Session) -> Line:
    if session.identity is None:
        return (("-", "dim"),)
    doubt = "" if session.identity.verified else "?"
    who = f"{safe(session.identity.user, 20)}{doubt} "
    if session.armed_s is None or session.armed_s <= 0:
        return ((who, ""), ("RO", "good"))
    left = ago(session.armed_s)
    return ((who, ""), (f"ARMED {left} {safe(session.reason, 20)}", "armed"))


def header_line(view: FleetView, session: Session, width: int) -> Line:
    """Return the first line; environment, link word and operator never leave it."""
    parts = {
        "env": _environment(view),
        "nodes": _nodes(view),
        "word": _word(session),
        "totals": _totals(view),
        "controls": _controls(view),
        "operator": _operator(session),
    }
    if view.totals.next_end_ms:
        line = join(
            {**parts, "controls": _next_end(view, session.now_ms)}.values(), _BAR
        )
        if line_width(line) <= width:
            return line
    for leaving in ("", "totals", "controls", "nodes"):
        parts.pop(leaving, None)
        line = join(parts.values(), _BAR)
        if line_width(line) <= width:
            return line
    return join(parts.values(), (" ", ""))


def tabs_line(active: str, view: FleetView, faults: int, width: int) -> Line:
    """Return the screens by their keys, with what waits on them."""
    versions = view.versions.versions if view.versions else ()
    drift = view.drift.rows if view.drift else ()
    deps = view.dependencies.rows if view.dependencies else ()
    names = (
        ("1", "Overview", faults),
        ("3", "Controls", view.totals.controls_active),
        ("4", "Modes", sum(row.is_on for row in view.modes)),
        ("5", "Deps", sum(row.letter in "OFHT" for row in deps)),
        ("6", "Versions", sum(map(is_pressing, versions))),
        ("7", "Drift", sum(map(is_news, drift))),
        ("8", "Nodes", sum(map(is_troubled, view.nodes))),
        ("9", "Audit", 0),
    )
    # Narrow screens lose the air between the tabs, then the ends of long names.
    for pad, hint in ((" ", "/ filter  ? keys "), (" ", _KEYS), ("", _KEYS)):
        line = justify(_tabs(names, active, pad), ((hint, "dim"),), width)
        if line[-1][0] == hint:
            return line
    return _tabs(names, active, "", _SHORT)


def _tabs(
    names: Iterable[tuple[str, str, int]],
    active: str,
    pad: str,
    short: Mapping[str, str] = _LONG,
) -> Line:
    pieces: list[tuple[str, str]] = [(" ", "")]
    for key, name, count in names:
        text = f"{key} {short.get(name, name)}" + (f"({count})" if count else "")
        on = name.lower() == active
        shown = f"[{text}]" if on else f"{pad}{text}{pad}"
        pieces.append((shown, "tab" if on else "head"))
        pieces += [] if pad else [(" ", "")]
    return tuple(pieces)


def notice_line(notices: Sequence[Notice], index: int, width: int) -> Line:
    """Return one notice, the worst first; empty when there is nothing to tell."""
    if not notices:
        return ()
    notice = notices[index % len(notices)]
    style = ("", "warn", "bad")[min(2, max(0, notice.level))]
    mark = " ! " if notice.level else "   "
    target = f" -> {safe(notice.target)}" if notice.target else ""
    left: Line = ((f"{mark}{safe(notice.text, 300)}{target}", style),)
    if len(notices) == 1:
        return left
    where = f" {index % len(notices) + 1} of {len(notices)}  n next "
    room = width - len(where)
    if line_width(left) >= room:  # `n` tells of the others: it must stay
        left = ((fit(plain(left), room - 1), style),)
    return justify(left, ((where, "dim"),), width)


def title_line(left: str, right: str, stale_of: str, width: int) -> Line:
    """Return a table's title; a stale one says of when its values are."""
    if stale_of:
        head: Line = ((f" STALE: values of {stale_of} ", "stale"), (f" {left}", "dim"))
    else:
        head = ((f" {left}", "dim"),)
    return justify(head, ((f"{right} ", "dim"),), width)


def footer_line(actions: Sequence[Action], armed: bool, width: int) -> Line:
    """Return as many keys as fit; until armed, writes are dim and come last."""
    if not armed:
        actions = sorted(actions, key=lambda action: action.write)
    pieces: list[tuple[str, str]] = []
    room = width
    for action in actions:
        words = f" {action.word}  "
        size = len(action.shown) + len(words) + (0 if pieces else 1)
        if size > room:
            continue
        usable = armed or not action.write
        lead = "" if pieces else " "
        pieces.append((f"{lead}{action.shown}", "key" if usable else "dim"))
        pieces.append((words, "" if usable else "dim"))
        room -= size
    return tuple(pieces)


def too_small_line(view: FleetView, session: Session) -> Line:
    """Return the one line of a terminal below 40x10."""
    env = safe(view.env, 20) or "?"
    return ((f"{env} ", "bold"), *_word(session), (" needs 40x10", "dim"))
