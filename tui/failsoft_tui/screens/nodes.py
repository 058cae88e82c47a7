"""Nodes: which processes enforce which controls, and from where they have them."""

from __future__ import annotations

from typing import Any, ClassVar

from failsoft.ops.text import safe
from failsoft.ops.views import FleetView, NodeRow
from failsoft_tui.actions import bindings
from failsoft_tui.desk import Desk
from failsoft_tui.dialogs.page import PageDialog
from failsoft_tui.figures import millis, span
from failsoft_tui.paint import Line
from failsoft_tui.rows import node_order
from failsoft_tui.screens.listing import ListScreen
from failsoft_tui.widgets.live_table import LiveTable

__all__ = ["NodesScreen"]


class NodesScreen(ListScreen):
    """Every process of the last minute, those in trouble first."""

    BINDINGS: ClassVar = bindings("list", "nodes")
    name_shown = "nodes"
    rank_name = "in trouble, then first seen"
    places = ("table", "list", "nodes")

    def __init__(self, desk: Desk) -> None:
        super().__init__(desk, node_order())

    def rows(self, view: FleetView) -> tuple[Any, ...]:
        """Return the nodes."""
        return view.nodes

    def empty_text(self) -> str:
        """Say that no process reports."""
        return "no node reports to this environment yet"

    def title_right(self) -> str:
        """Say what the store holds, to compare the nodes with."""
        view = self.desk.view
        epoch = safe(view.epoch)[:8] or "none"
        return f"Redis has rev {view.revision:,}, history {epoch}"

    def on_live_table_opened(self, event: LiveTable.Opened) -> None:
        """Show the node in full."""
        row: NodeRow | None = self.table.cursor_row()
        if row is not None:
            self.app.push_screen(PageDialog(self.desk, _page(row)))


def _page(row: NodeRow) -> list[Line]:
    fields = (
        ("id", safe(row.node)),
        ("state", f"{safe(row.state)}, heartbeat {span(row.age)} old"),
        ("controls", f"{safe(row.control_state)}, proven {span(row.control_age)} ago"),
        ("revision", f"{row.rev:,} of history {safe(row.epoch) or 'none'}"),
        ("digest", safe(row.digest) or "not reported"),
        ("from", safe(row.source) or "not reported"),
        ("bad", ", ".join(safe(name, 80) for name in row.bad) or "nothing"),
        ("errors", f"{row.own_errors} of ours. {safe(row.own_error, 300)}".strip()),
        ("app", f"{safe(row.app) or '-'} {safe(row.release)}".strip()),
        ("failsoft", safe(row.failsoft) or "-"),
        ("process", f"up {span(row.uptime_s)}, {row.rss_bytes / 2**20:.0f} MiB, "
         f"loop lag {millis(row.lag_ms)} ms, {row.inflight} in flight"),
    )  # fmt: skip
    head: Line = ((f" Node {safe(row.short)}", "bold"),)
    return [head, *(((f" {name:<9}", "dim"), (text, "")) for name, text in fields)]
