"""What the pages on versions say: who would break, brownouts, pins (pure)."""

from __future__ import annotations

from collections.abc import Iterable

import msgspec

from failsoft.ops.contractrows import (
    Break,
    BrownoutRow,
    PinRow,
    UseRow,
    VersionRow,
    VersionsView,
)
from failsoft.ops.text import safe
from failsoft.ops.versionviews import would_break
from failsoft_tui.figures import ago, percent, rate, span
from failsoft_tui.paint import Line
from failsoft_tui.sheet import field, rule
from failsoft_tui.versionrows import last_text, version_state

__all__ = ["brownout_lines", "consumer_lines", "pane_lines", "pin_lines",
           "version_lines"]  # fmt: skip

_BREAKS = 20
_USES = 100


def _use_text(use: UseRow, now_ms: int) -> str:
    figures = f"{use.n:,} requests ({percent(use.share)}%)"
    return f"{figures}, {rate(use.per_s)}/s, last {last_text(use, now_ms)}"


def _break_lines(breaks: tuple[Break, ...]) -> list[Line]:
    lines: list[Line] = [
        (
            ("       ", ""),
            (f"{safe(one.route, 80)}  ", "dim"),
            (f"{safe(one.op, 200)} ", "warn"),
            (f"(in {safe(one.version, 64)})", "dim"),
        )
        for one in breaks[:_BREAKS]
    ]
    if len(breaks) > _BREAKS:
        lines.append(((f"       ... {len(breaks) - _BREAKS} more", "dim"),))
    return lines


def _sunset_text(row: VersionRow) -> tuple[str, str]:
    if not row.sunset:
        return "none declared", "dim"
    left = row.days_left or 0
    text = f"{safe(row.sunset, 10)}, " + (f"in {left}d" if left >= 0 else "OVER")
    if row.declared != row.sunset:
        text += f"; moved by operators, declared {safe(row.declared, 10)}"
    return f"{text}   (S moves it)", "bad" if left <= 7 else ""


def version_lines(view: VersionsView, id_: str, now_ms: int) -> list[Line]:
    """Return a version in full: use, sunset, who would break, what it changed."""
    row = next((one for one in view.versions if one.id == id_), None)
    if row is None:
        return [((f"   version {safe(id_)} is not declared or used any more", "dim"),)]
    word, style = version_state(row)
    word += ", W BROWNOUT" if row.brownouts else ""
    who = "who asks for no version, and has no pin, gets"
    lines = [
        rule(f"version {safe(row.id)}"),
        field("state", word, style),
        field("sunset", *_sunset_text(row)),
        field("used", f"{row.n:,} requests in {view.days} days, "
              f"{percent(row.share)}%; {rate(row.per_s)}/s; {row.consumers} consumers"),
        field("default", f"{who} {safe(view.default) or '-'}"),
    ]  # fmt: skip
    if row.deprecated:
        lines.append(field("since", f"deprecated since {safe(row.deprecated, 10)}"))
    if row.link:
        lines.append(field("link", safe(row.link)))
    lines += [(), *_impact_lines(view, row, now_ms)]
    reaching = [b for b in view.brownouts if not b.versions or id_ in b.versions]
    lines += [(), rule("brownouts of it"), *brownout_lines(reaching, now_ms)]
    pins = [pin for pin in view.pins if pin.version == id_]
    lines += [(), rule("pinned to it"), *pin_lines(pins, now_ms)]
    lines += [(), rule("what it changed")]
    for op, routes in row.changes:
        lines.append(((f"   {safe(op, 200)}  ", ""), (_names(routes), "dim")))
    return lines if row.changes else [*lines, (("   nothing is declared", "dim"),)]


def _names(texts: Iterable[str]) -> str:
    return ", ".join(safe(text, 80) for text in texts)


def _older_uses(view: VersionsView, id_: str) -> tuple[UseRow, ...]:
    """Return the uses of a version and all older ones, most requests first."""
    ids = [one.id for one in view.versions if one.state != "unknown"]
    older = frozenset(ids[ids.index(id_) :]) if id_ in ids else frozenset()
    return tuple(use for use in view.uses if use.version in older)


def _impact_lines(
    view: VersionsView, row: VersionRow, now_ms: int, most: int = _USES
) -> list[Line]:
    if row.state == "newest":
        text = "   it is the newest version: none is left that could serve them"
        return [rule("who would break without it"), ((text, "dim"),)]
    uses = _older_uses(view, row.id)
    # What each would meet is worked out for those that are shown: for 7,000 uses of
    # 100 versions it takes a second.
    found = would_break(msgspec.structs.replace(view, uses=uses[:most]), row.id)
    broken = [(use, breaks) for use, breaks in found if breaks]
    lines = [rule(f"who would break without it and all older ones: {row.breaking}")]
    for use, breaks in broken:
        name = f"   {safe(use.consumer, 64) or '(nobody known)'} "
        version = f"asks {safe(use.version, 64)}  "
        text = _use_text(use, now_ms)
        lines.append(((name, "bold"), (version, ""), (text, "dim")))
        lines += _break_lines(breaks)
    if not row.breaking:
        lines.append((("   nobody that called in 30 days", "good"),))
    names = dict.fromkeys(use.consumer for use, breaks in found if not breaks)
    if names:
        text = f"   only need to ask for a newer version: {_names(names)}"
        lines.append(((text, "dim"),))
    if len(uses) > most:
        text = f"   ... {len(uses) - most:,} more uses: failsoft versions impact"
        lines.append(((f"{text} {safe(row.id, 64)}", "dim"),))
    return lines


def consumer_lines(view: VersionsView, consumer: str, now_ms: int) -> list[Line]:
    """Return a consumer in full: its versions, routes, what it would meet, its pin."""
    lines = [rule(f"consumer {safe(consumer, 64) or '(nobody known)'}")]
    pins = [pin for pin in view.pins if pin.consumer == consumer]
    lines += pin_lines(pins, now_ms)
    for use in (one for one in view.uses if one.consumer == consumer):
        lines += [(), rule(f"asks {safe(use.version, 64)}")]
        lines.append(field("used", _use_text(use, now_ms)))
        for name, n in use.routes[:_BREAKS]:
            lines.append(field("", f"{n:>12,}  {safe(name, 100)}"))
        if len(use.routes) > _BREAKS:
            lines.append(field("", f"... {len(use.routes) - _BREAKS} more routes"))
        text = "would meet, were this version retired:" if use.breaks else "-"
        lines.append(field("breaks", text, "" if use.breaks else "dim"))
        lines += _break_lines(use.breaks)
    return lines


_BROWNOUT_STYLES = {"open": "warn", "stopped": "key", "next": "", "over": "dim"}


def _window(row: BrownoutRow, now_ms: int) -> str:
    if row.state == "next":
        return f"opens in {span((row.start_ms - now_ms) / 1000)}"
    if row.state == "over" or not row.end_ms:
        return ""
    return f"ends in {span((row.end_ms - now_ms) / 1000)}"


def brownout_lines(rows: Iterable[BrownoutRow], now_ms: int) -> list[Line]:
    """Return brownouts: state, whom they meet, until when, by whom."""
    lines: list[Line] = []
    for row in rows:
        whom = f"{row.percent:g}% of {safe(row.by, 20)}s, {row.status}"
        versions = _names(row.versions) or "all versions"
        scope = f"{versions}; {_names(row.routes)}"
        only = f"; only {_names(row.only)}" if row.only else ""
        spared = f"; not {_names(row.exempt)}" if row.exempt else ""
        by = f" by {safe(row.by_hand, 30)}" if row.by_hand else " declared"
        word = row.state.upper() if row.state in ("open", "stopped") else row.state
        lines.append(
            (
                (f"   {word:<8}", _BROWNOUT_STYLES.get(row.state, "")),
                (f"{safe(row.name, 64)} ", "bold"),
                (f"{whom}; {scope}{only}{spared}", ""),
                (f"{by} {_window(row, now_ms)} {safe(row.why, 80)}", "dim"),
            )
        )
    return lines or [(("   none (B starts one)", "dim"),)]


def pin_lines(rows: Iterable[PinRow], now_ms: int) -> list[Line]:
    """Return pins: to which version, until when, by whom."""
    lines: list[Line] = []
    for row in rows:
        ends = "no end"
        if row.until_ms:
            ends = f"ends in {ago((row.until_ms - now_ms) / 1000)}"
        by = f"by {safe(row.by, 30)}" if row.by else safe(row.source, 20)
        text = f"pinned to {safe(row.version, 64)}, {ends}, {by} "
        name = f"   {safe(row.consumer, 64)} "
        lines.append(((name, "bold"), (text, "key"), (safe(row.why, 80), "dim")))
    return lines or [(("   no pin (P sets one)", "dim"),)]


def pane_lines(view: VersionsView, use: UseRow | None, row: VersionRow, height: int,
               now_ms: int) -> list[Line]:  # fmt: skip
    """Return what stands under the table: who would break, brownouts, pins."""
    tail = [rule("brownouts"), *brownout_lines(view.brownouts[:3], now_ms)]
    tail += [rule("pins"), *pin_lines(view.pins[:3], now_ms)]
    if use is not None:
        head = consumer_lines(view, use.consumer, now_ms)
    else:
        head = _impact_lines(view, row, now_ms, height)
    room = max(2, height - len(tail))
    if len(head) > room:
        head = [*head[: room - 1], (("   ... ENTER shows all", "dim"),)]
    return [*head, *tail]
