"""Audit: every change and every refused attempt; undo of a row, before and after."""

from __future__ import annotations

from typing import Any, ClassVar

from failsoft.errors import FailsoftError
from failsoft.ops.text import safe
from failsoft.ops.views import FleetView, LogRow
from failsoft_tui.actions import bindings
from failsoft_tui.desk import Desk
from failsoft_tui.dialogs.page import PageDialog
from failsoft_tui.figures import clock_text, span
from failsoft_tui.paint import Line
from failsoft_tui.rows import log_order
from failsoft_tui.screens.listing import ListScreen
from failsoft_tui.widgets.live_table import LiveTable

__all__ = ["AuditScreen"]

READ_S = 2.0
LINES = 500


class AuditScreen(ListScreen):
    """The change log, newest first, with refused attempts merged in."""

    BINDINGS: ClassVar = bindings("list", "audit")
    name_shown = "audit"
    rank_name = "newest"
    places = ("list", "audit")

    def __init__(self, desk: Desk) -> None:
        super().__init__(desk, log_order(desk.now_ms))
        self._log: tuple[LogRow, ...] = ()

    def on_mount(self) -> None:
        """Read the log now and then; views carry it without refused attempts."""
        super().on_mount()
        self.set_interval(READ_S, self.read_log)
        self.call_after_refresh(self.read_log)

    async def read_log(self) -> None:
        """Read log and attempts, merged; keep the last ones when that fails."""
        operator = self.desk.operator
        if operator is None or self.desk.is_stale() or not self.is_current:
            return
        try:
            self._log = await operator.log(LINES)
        except FailsoftError as error:
            self.refuse(safe(error, 300))
        else:
            self.show()

    def rows(self, view: FleetView) -> tuple[Any, ...]:
        """Return the log."""
        return self._log or view.log

    def empty_text(self) -> str:
        """Say that the log is empty."""
        return "nothing was changed yet"

    def title_right(self) -> str:
        """Say which clock."""
        return f"times in UTC   rev {self.desk.view.revision:,}"

    def action_undo(self) -> None:
        """Preview the inverse of the row."""
        row: LogRow | None = self.table.cursor_row()
        if row is None or row.refused or not row.op_id:
            self.refuse("this line changed nothing: there is nothing to undo")
        else:
            self.undo(row.op_id)

    def action_diff(self) -> None:
        """Show the row in full."""
        row: LogRow | None = self.table.cursor_row()
        if row is not None:
            self.app.push_screen(PageDialog(self.desk, _page(row)))

    def on_live_table_opened(self, event: LiveTable.Opened) -> None:
        """Show the row in full."""
        self.action_diff()


def _page(row: LogRow) -> list[Line]:
    ends = span((row.until_ms - row.at_ms) / 1000) if row.until_ms else "no end"
    fields = (
        ("target", safe(row.target)),
        ("before", safe(row.before) or "-"),
        ("after", safe(row.after) or "-"),
        ("for", ends),
        ("why", safe(row.why) or "-"),
        ("who", f"{safe(row.who)} via {safe(row.via) or '-'}"),
        ("when", f"{clock_text(row.at_ms)} UTC, rev {row.rev:,}"),
        ("op", safe(row.op_id) or "-"),
    )
    head = "REFUSED " if row.refused else ""
    lines: list[Line] = [((f" {head}{safe(row.action)}", "bold"),)]
    lines += [((f" {name:<8}", "dim"), (text, "")) for name, text in fields]
    return lines
