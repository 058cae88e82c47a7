"""What the detail screen says about one control (pure)."""

from __future__ import annotations

import json
import shlex
from collections.abc import Iterable
from typing import Any

from failsoft.errors import Invalid
from failsoft.ops.flagexplain import Explanation
from failsoft.ops.flagforms import Form
from failsoft.ops.flagsheet import FlagSheet
from failsoft.ops.guard import GuardRow
from failsoft.ops.history import ChangeRow
from failsoft.ops.ruletext import outcome_line, rule_line
from failsoft.ops.text import safe
from failsoft.ops.views import ControlRow
from failsoft_tui.figures import ago, clock_text, span
from failsoft_tui.paint import FILL, Line

__all__ = [
    "control_lines",
    "document_lines",
    "explained_lines",
    "field",
    "flag_lines",
    "guard_lines",
    "history_lines",
    "rule",
    "who_of",
]

_LAYERS = {"file": "flags file", "code": "code", "settings": "settings",
           "asked": "only asked for, declared nowhere"}  # fmt: skip


def rule(text: str) -> Line:
    """Return a heading, drawn to the end of the line."""
    return (("-- ", "dim"), (f"{text} ", "head"), ("-", FILL))


def field(name: str, text: str, style: str = "") -> Line:
    """Return a named line."""
    return ((f"   {name:<10}", "dim"), (text, style))


def _since(at_ms: int, now_ms: int) -> str:
    return f"{ago((now_ms - at_ms) / 1000)} ago" if at_ms else "-"


def control_lines(row: ControlRow, now_ms: int) -> list[Line]:
    """Return who set a control, why, and until when."""
    ends = "never" if row.active else "-"
    if row.active and row.until_ms:
        left_s = (row.until_ms - now_ms) / 1000
        ends = f"in {span(left_s)}, at {clock_text(row.until_ms)} UTC"
        ends += "  EXPIRING: T extends" if left_s <= 300 else ""
    lines = [rule(f"{safe(row.target)} -- {safe(row.kind)} -- {safe(row.now, 60)}")]
    if row.rev:
        who = f"{safe(row.by) or '?'}, {_since(row.at_ms, now_ms)}, rev {row.rev:,}"
        lines += [field("set by", who), field("why", safe(row.why) or "-")]
    if row.group:
        lines.append(field("group", f"{safe(row.group)}   (G lifts all of it)"))
    if row.kind != "flag":
        lines.append(field("ends", ends))
    if row.lost:
        text = "ONLY ON NODES: a rewound store lost it; run failsoft store rewound"
        lines.append(field("store", text, "bad"))
    return lines


def flag_lines(sheet: FlagSheet, now_ms: int) -> list[Line]:
    """Return what is odd, what is served and where from, rules, use."""
    lines: list[Line] = []
    if sheet.row is not None:
        lines += control_lines(sheet.row, now_ms)
    lines += _odd_lines(sheet, now_ms)
    lines.append(field("served", _layer(sheet)))
    lines += _declared_lines(sheet)
    if sheet.form is not None:
        lines += _form_lines(sheet.form)
    elif sheet.doc and not sheet.fault:
        text = "fit no form; edit them as text: failsoft flags edit"
        lines.append(field("rules", f"{text} {safe(sheet.key)}", "warn"))
    lines += _use_lines(sheet, now_ms)
    return lines


def _layer(sheet: FlagSheet) -> str:
    below = _LAYERS.get(sheet.below.origin, "?") if sheet.below else "no release"
    if sheet.row is not None and sheet.row.rev:
        return f"the edit in the store, over {below}"
    default = f", default {safe(sheet.row.default, 60)}" if sheet.row else ""
    return f"{below}{default}"


def _odd_lines(sheet: FlagSheet, now_ms: int) -> list[Line]:
    lines = []
    kill = sheet.kill
    if kill is not None:
        text = f"KILLED by {safe(kill.by)}: {safe(kill.why)} ({safe(kill.target)})"
        lines.append(field("kill", text, "kill"))
    if sheet.bad_on:
        nodes = " ".join(safe(name, 20) for name in sheet.bad_on)
        text = f"BAD: {nodes} cannot read it and keep what was before"
        lines.append(field("poison", text, "bad"))
    if sheet.fault:
        lines.append(field("fault", safe(sheet.fault, 400), "bad"))
    if sheet.older:
        text = "OLDER: the edit overrides an older definition; flags promote or L"
        lines.append(field("layers", text, "warn"))
    reasons = sheet.life.stale if sheet.life else ()
    stale = (f"STALE: {safe(reason.text, 120)}" for reason in reasons)
    return [*lines, *(field("stale", text, "warn") for text in stale)]


def _declared_lines(sheet: FlagSheet) -> list[Line]:
    words = ("owner", "kind", "expires", "link", "desc", "fail", "max_stale", "hash")
    known = {word: sheet.metadata.get(f"x.{word}") for word in words}
    if sheet.below is not None:
        known["owner"] = known["owner"] or sheet.below.owner
        known["expires"] = known["expires"] or sheet.below.expires
        known["fail"] = known["fail"] or sheet.below.fail
    shown = [f"{word} {safe(str(v), 80)}" for word, v in known.items() if v]
    guard = [
        f"{name[8:]} {safe(str(value), 40)}"
        for name, value in sheet.metadata.items()
        if name.startswith("x.guard.")
    ]
    lines = [field("declared", ", ".join(shown))] if shown else []
    return [*lines, *([field("guard", ", ".join(guard))] if guard else [])]


def _form_lines(form: Form) -> list[Line]:
    state = "enabled" if form.enabled else "DISABLED: serves the coded default, not off"
    variants = ", ".join(safe(name, 40) for name in form.variants)
    default = safe(form.default) if form.default else "the code's"
    lines = [
        field("state", state, "" if form.enabled else "warn"),
        field("variants", f"{variants}; default {default}"),
    ]
    for number, rule in enumerate(form.rules, 1):
        lines.append(field(f"rule {number}", safe(rule_line(rule), 1_000)))
    return [*lines, field("others", safe(outcome_line(form.otherwise), 400), "bold")]


def _use_lines(sheet: FlagSheet, now_ms: int) -> list[Line]:
    life = sheet.life
    if life is None:
        return [field("used", "evaluations are not read yet", "dim")]
    counts = ", ".join(f"{safe(name, 40)} {n:,}" for name, n in life.counts[:8])
    last = f"; last {_since(life.seen_ms, now_ms)}" if life.seen_ms else ""
    text = f"{counts} (3 days){last}" if counts else f"no evaluation in 3 days{last}"
    return [field("used", text)]


def guard_lines(guard: GuardRow) -> list[Line]:
    """Return what a guard judges now: its state, and the figures of each variant."""
    style = "" if guard.state == "watching" else "bad"
    state = guard.state if guard.state == "watching" else guard.state.upper()
    why = f": {safe(guard.why)}" if guard.why else ""
    lines = [
        field("guard", f"{safe(state)}{why}", style),
        field("", f"serves {safe(guard.control)} after a trip; judges "
               f"{guard.window_s:g} s, from {guard.least:,} requests an arm", "dim"),
    ]  # fmt: skip
    for arm in guard.arms:
        share = "-" if arm.share is None else f"{arm.share:.1%}"
        text = f"{safe(arm.variant, 30):<12} {arm.bad:,} of {arm.n:,} bad ({share})"
        words = {"trip": "TRIP", "none": "no verdict"}.get(arm.verdict, arm.verdict)
        style = "bad" if arm.verdict == "trip" else ""
        lines.append(field("", f"{text}  {words}  {safe(arm.text, 120)}", style))
    if guard.state == "proposed":
        lines.append(field("", "A on Controls applies it", "key"))
    return lines


def document_lines(doc: bytes, text: str) -> list[Line]:
    """Return a document, indented as `text`, line by line."""
    if not doc:
        return [rule("document"), (("   none: the code decides", "dim"),)]
    lines: list[Line] = [rule(f"document, {len(doc):,} bytes")]
    return lines + [((f"   {safe(part, 1_000)}", ""),) for part in text.split("\n")]


def who_of(answer: str) -> tuple[str | None, dict[str, Any]]:
    """Return (user id, attributes) of `user-1 country=DE age=30`; raises Invalid."""
    try:
        words = shlex.split(answer)
    except ValueError as error:
        raise Invalid("who", f"{error}; write it like: user-1 country=DE") from None
    pairs = [word.partition("=") for word in words]
    users = [name for name, equals, _ in pairs if not equals]
    if len(users) > 1:
        raise Invalid("who", f"{users[1]!r} must be KEY=VALUE; one word is the user")
    values = {name: _plain(text) for name, equals, text in pairs if equals}
    return (users[0] if users else None), values


def _plain(text: str) -> Any:
    try:
        return json.loads(text)
    except ValueError:
        return text


def explained_lines(told: Explanation, who: str) -> list[Line]:
    """Return what a flag gives somebody, and why."""
    value = json.dumps(told.value, ensure_ascii=False)
    lines: list[Line] = [
        ((f" {safe(told.key)} for {safe(who, 200)}", "bold"),),
        field("value", safe(value, 300), "key"),
        field("variant", safe(told.variant) if told.variant else "-"),
        field("reason", f"{safe(told.reason)}, decided by: {safe(told.layer)}"),
    ]
    lines += [field("", safe(line, 300)) for line in told.lines]
    return lines + ([field("error", safe(told.error), "bad")] if told.error else [])


def history_lines(changes: Iterable[ChangeRow], now_ms: int) -> list[Line]:
    """Return the changes, newest first: who, when, what, why, and what differed."""
    lines: list[Line] = []
    for change in changes:
        row = change.row
        when = f"{clock_text(row.at_ms)} {_since(row.at_ms, now_ms)}"
        what = f"{safe(row.before, 60) or '-'} -> {safe(row.after, 60) or '-'}"
        lines.append(
            (
                (f"   rev {row.rev:<6,} {when:<18} ", "dim"),
                (f"{safe(row.who, 30)} {safe(row.action, 20)} ", "bold"),
                (what, "key"),
                (f"  {safe(row.why)}", ""),
            )
        )
        lines += [((f"              {safe(d, 300)}", "warn"),) for d in change.diff[:8]]
    return lines or [(("   no change of it in the kept log", "dim"),)]
