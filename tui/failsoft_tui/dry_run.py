"""The text of a preview dialog (pure)."""

from __future__ import annotations

import textwrap

from failsoft.ops.text import safe
from failsoft.ops.views import Preview
from failsoft_tui.figures import rate, span
from failsoft_tui.paint import Line, justify

__all__ = [
    "document_lines",
    "dry_run_lines",
    "fault_lines",
    "outcome_lines",
    "wrapped",
]

_LABEL = 14
_VERBS = {"kill": "would refuse", "unkill": "serves again"}
_VERBS |= {"group-lift": "serves again", "brownout-start": "would refuse"}
_DIFF = 6
_CONSUMERS = 6
_ENDING = (
    "kill",
    "mode-enter",
    "extend",
    "pin-set",
)  # for the others no end is no news


def wrapped(label: str, text: str, width: int, style: str = "") -> list[Line]:
    """Return a label and a text of at most three lines beside it."""
    room = max(16, width - _LABEL - 2)
    parts = textwrap.wrap(text, room, max_lines=3, placeholder=" ...") or ["-"]
    heads = [label, *[""] * (len(parts) - 1)]
    return [
        ((f" {head:<{_LABEL}}", "dim"), (part, style))
        for head, part in zip(heads, parts, strict=True)
    ]


def fault_lines(text: str, width: int) -> list[Line]:
    """Return what went wrong, in at most four lines: the end says what to do."""
    parts = textwrap.wrap(text, width - 2, max_lines=4, placeholder=" ...")
    return [((f" {part}", "bad"),) for part in parts]


def _share(preview: Preview) -> str:
    if preview.share is None:
        return "share of traffic unknown"
    return f"{100 * preview.share:.1f}% of traffic"


def _is_of_flag(preview: Preview) -> bool:
    """Whether a flag is edited or killed, so that no request is refused."""
    return preview.target.startswith("flag:")


def _covers(preview: Preview, width: int) -> list[Line]:
    if preview.target.startswith("drift:"):
        return []  # to know of an entry changes no request
    if _is_of_flag(preview):
        text = f"{rate(preview.rps)} times/s (at most {_share(preview)})"
        return wrapped("evaluated", text, width, "bold")
    count = len(preview.routes)
    routes = ", ".join(safe(route, 80) for route in preview.routes[:8])
    more = f", {count - 8} more" if count > 8 else ""
    text = (
        f"{rate(preview.rps)} req/s on {count} route{'' if count == 1 else 's'} "
        f"({_share(preview)}){': ' if routes else ''}{routes}{more}"
    )
    return wrapped(_VERBS.get(preview.action, "covers"), text, width, "bold")


def _nodes(preview: Preview, width: int) -> list[Line]:
    can, known = preview.nodes_can
    text = f"{can} of {known} nodes can enforce it"
    style = "" if can == known else "warn"
    if _is_of_flag(preview):
        return wrapped("nodes", text, width, style)
    finish = f"{preview.in_flight} requests finish, none are cut; "
    return wrapped("in flight", finish + text, width, style)


def document_lines(preview: Preview, width: int) -> list[Line]:
    """Return what differs in a flag's document, in a few lines."""
    lines: list[Line] = []
    label = "changes" if preview.covers else "document"
    if preview.target.startswith(("drift:", "tolerance:")):
        label = "meets"
    for number, text in enumerate(preview.diff):
        more = wrapped(label, safe(text, 400), width, "key")
        if len(lines) + len(more) > _DIFF:
            left = len(preview.diff) - number
            return [*lines, *wrapped("", f"... {left} more differences", width, "dim")]
        lines += more
        label = ""
    return lines


def _change(preview: Preview, ends: str, width: int) -> list[Line]:
    until = ", no end" if preview.action in _ENDING else ""
    if preview.until_s is not None:
        until = f", for {span(preview.until_s)}"
    text = f"{safe(preview.before) or '-'} -> {safe(preview.after) or '-'}{until}"
    return wrapped("change", f"{text}{ends}", width, "bold")


def outcome_lines(preview: Preview, width: int) -> list[Line]:
    """Return how much traffic is met, what clients get, and who they are."""
    lines = _covers(preview, width)
    if preview.answer:
        lines += wrapped("clients get", safe(preview.answer, 400), width)
    if preview.consumers:
        names = ", ".join(safe(name, 80) for name in preview.consumers[:_CONSUMERS])
        more = len(preview.consumers) - _CONSUMERS
        lines += wrapped("consumers", names + f", {more} more" * (more > 0), width)
    return lines


def dry_run_lines(
    preview: Preview, width: int, *, reason: str, ends: str
) -> list[Line]:
    """Return the lines of a dry run, without what is to be typed.

    reason: printed as it will be written.  ends: the presets, "" when it has none.
    """
    age = f"dry run on data {span(preview.data_age)} old "
    title: Line = (
        (f" {safe(preview.action, 20).upper()} {safe(preview.target)}", "bold"),
    )
    lines = [justify(title, ((age, "dim"),), width)]
    lines += outcome_lines(preview, width)
    lines += _nodes(preview, width)
    lines += _change(preview, ends, width)
    lines += document_lines(preview, width)
    if preview.covers and not preview.diff:
        lifted = ", ".join(safe(target, 80) for target in preview.covers)
        lines += wrapped("all of", lifted, width)
    if preview.group:
        lines += wrapped("group", safe(preview.group, 60), width)
    lines += wrapped("reason", reason, width)
    told = [preview.conflict] if preview.conflict else []
    for warning in (*told, *preview.warnings)[:3]:
        lines += wrapped("note", safe(warning, 300), width, "warn")
    return lines
