"""The line that says which nodes enforce a write (pure)."""

from __future__ import annotations

from failsoft.ops.text import safe
from failsoft.ops.views import AckState, Applied
from failsoft_tui.figures import span
from failsoft_tui.paint import Line

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


def ack_line(applied: Applied, acks: tuple[AckState, ...], *, over: bool) -> Line:
    """Return `applied rev 8,413: w1 34ms ...  3 of 4 nodes enforce it`.

    over: no more states will come.  Never says "applied" alone while a node is
    missing: without any state it says that it waits for them.
    """
    head: Line = ((f" applied rev {applied.revision:,}: ", "bold"),)
    again = " (was applied before)" if applied.duplicate else ""
    if not acks:
        wait = "no node answers yet" if over else "waiting for the nodes"
        return (*head, (f"{wait}{again}", "warn"))
    done = sum(ack.state == "enforces" for ack in acks)
    pieces = [(f"{text}  ", style) for text, style in map(_state, acks[:12])]
    if len(acks) > 12:
        pieces.append((f"... {len(acks) - 12} more  ", "dim"))
    total = f"{done} of {len(acks)} nodes enforce it{again}"
    style = "good" if done == len(acks) else "bad" if over else "warn"
    return (*head, *pieces, (total, style), ("   u undo", "key"))
