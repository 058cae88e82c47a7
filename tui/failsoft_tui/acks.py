"""The line that says which nodes enforce a write (pure)."""

from __future__ import annotations

from failsoft.ops.text import safe
from failsoft.ops.views import AckState, Applied
from failsoft_tui.figures import span
from failsoft_tui.paint import Line, line_width

__all__ = ["ack_line"]

_STYLES = {"enforces": "good", "waiting": "warn", "gone": "dim"}


def _state(ack: AckState) -> tuple[str, str]:
    name = safe(ack.short or ack.node, 24)
    style = _STYLES.get(ack.state, "bad")
    if ack.state == "enforces":
        return f"{name} {ack.ms}ms" if ack.ms is not None else f"{name} ok", style
    since = f" {span(ack.ms / 1000)}" if ack.ms is not None else ""
    detail = f" ({safe(ack.detail, 60)})" if ack.detail else ""
    return f"{name} {ack.state.upper()}{since}{detail}", style


def ack_line(
    applied: Applied, acks: tuple[AckState, ...], width: int, *, over: bool
) -> Line:
    """Return `applied rev 8,413: w1 34ms ...  3 of 4 nodes enforce it`.

    over: no more states will come.  Never says "applied" alone while a node is
    missing.  When there is no room, nodes that enforce leave first.
    """
    head: Line = ((f" applied rev {applied.revision:,}: ", "bold"),)
    again = " (was applied before)" if applied.duplicate else ""
    if not acks:
        wait = "no node answers yet" if over else "waiting for the nodes"
        return (*head, (f"{wait}{again}", "warn"))
    done = sum(ack.state == "enforces" for ack in acks)
    style = "good" if done == len(acks) else "bad" if over else "warn"
    total: Line = ((f"{done} of {len(acks)} nodes enforce it{again}", style),)
    room = width - line_width(head) - line_width(total)
    line = (*head, *_states(acks, room), *total)
    undo: Line = (("   u undo", "key"),)
    return (*line, *undo) if line_width(line) + line_width(undo) <= width else line


def _states(acks: tuple[AckState, ...], room: int) -> Line:
    """Return the states that fit, the missing nodes before those that enforce."""
    shown = set(range(len(acks)))
    leaving = sorted(shown, key=lambda i: (acks[i].state != "enforces", -i))
    pieces = [_state(ack) for ack in acks]
    while shown and sum(line_width((pieces[i],)) + 2 for i in shown) > room:
        shown.discard(leaving.pop(0))
    kept = [pieces[i] for i in sorted(shown)]
    return tuple((f"{text}  ", style) for text, style in kept)
