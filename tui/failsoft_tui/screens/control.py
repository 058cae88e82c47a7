"""One control in full: what it is, its document, and its history."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable
from typing import ClassVar

from textual.widget import Widget

from failsoft.errors import FailsoftError
from failsoft.ops.flagsheet import pretty
from failsoft.ops.guard import GuardRow
from failsoft.ops.history import ChangeRow
from failsoft.ops.text import safe
from failsoft.ops.views import ControlRow, FleetView
from failsoft_tui.actions import bindings
from failsoft_tui.desk import Desk
from failsoft_tui.paint import FILL, Line
from failsoft_tui.rows import control_key
from failsoft_tui.screens.fleet import FleetScreen
from failsoft_tui.sheet import (
    control_lines,
    document_lines,
    flag_lines,
    guard_lines,
    history_lines,
)

__all__ = ["ControlScreen"]

READ_S = 5.0


class ControlScreen(FleetScreen):
    """Over Controls until esc.  at: `` or `history`, what is on top."""

    BINDINGS: ClassVar = bindings("control")
    AUTO_FOCUS = ""
    name_shown = "controls"
    places = ("control",)

    def __init__(self, desk: Desk, row: ControlRow, *, at: str = "") -> None:
        super().__init__(desk)
        self._row = row
        self._jump = at
        self._history_at = 0
        self._changes: tuple[ChangeRow, ...] | None = None
        self._guard: GuardRow | None = None
        self._read_at = -1
        self._fault = ""
        self._reading: asyncio.Task[None] | None = None
        self.page = self.lines("page")

    def on_mount(self) -> None:
        """Read on while it is open: a guard judges every ten seconds."""
        super().on_mount()
        self.set_interval(READ_S, self._read)

    def body(self) -> Iterable[Widget]:
        """Return the page."""
        yield self.page

    def title_ends(self) -> tuple[str, str]:
        """Return the target and the revision."""
        return safe(self._row.target), f"rev {self.desk.view.revision:,}"

    def take_view(self, view: FleetView) -> None:
        """Paint the control anew; its history is read when the revision moved."""
        if view.revision != self._read_at:
            self._read_at = view.revision
            self._reading = asyncio.create_task(self._read())
        self._row = _same(view, self._row)
        lines = self._lines(view)
        self.page.set_lines(lines)
        if self._jump and self._changes is not None:
            self._jump = ""
            self.page.scroll_by(self._history_at - self.page.top)

    async def _read(self) -> None:
        operator = self.desk.operator
        if operator is None or self.desk.is_stale():
            return
        try:
            self._changes = await operator.history(self._row.target)
            if self._row.kind == "flag":
                guards = await operator.guards()
                mine = (g for g in guards if f"flag:{g.flag}" == self._row.target)
                self._guard = next(mine, None)
            self._fault = ""
        except FailsoftError as error:
            self._fault = safe(error, 300)
        self.show()

    def _lines(self, view: FleetView) -> list[Line]:
        now_ms, row = self.desk.now_ms(), self._row
        key = row.target.partition(":")[2]
        if row.kind == "flag":
            sheet = self.desk.sheet(key)
            lines = flag_lines(sheet, now_ms)
            lines += guard_lines(self._guard) if self._guard else []
            tail = document_lines(sheet.doc, pretty(sheet.doc))
        else:
            lines = control_lines(row, now_ms)
            tail = document_lines(row.doc, pretty(row.doc))
        lines.append(())
        self._history_at = len(lines)
        lines.append((("-- ", "dim"), ("history, newest first ", "head"), ("-", FILL)))
        lines += self._history_lines(now_ms)
        return [*lines, (), *tail]

    def _history_lines(self, now_ms: int) -> list[Line]:
        if self._fault:
            return [((f"   {self._fault}", "bad"),)]
        if self._changes is None:
            return [(("   reading the log", "dim"),)]
        return history_lines(self._changes, now_ms)

    def action_go(self, where: str) -> None:
        """Scroll: up, down, page_up, page_down."""
        count = self.page.size.height if where.startswith("page") else 1
        self.page.scroll_by(-count if where.endswith("up") else count)

    def action_history(self) -> None:
        """Put the history on top."""
        self._jump = "history"
        self.show()

    def action_undo(self) -> None:
        """Undo the last write of this session."""
        self.undo(None)

    def action_back(self) -> None:
        """Return to the table."""
        self.app.pop_screen()


def _same(view: FleetView, row: ControlRow) -> ControlRow:
    key = control_key(row)
    return next((r for r in view.controls if control_key(r) == key), row)
