"""A screen around one live table: filter, sort, faults."""

from __future__ import annotations

import textwrap
from collections.abc import Iterable
from typing import Any, ClassVar

from textual import on
from textual.widget import Widget
from textual.widgets import Input

from failsoft.ops.text import safe
from failsoft.ops.views import FleetView
from failsoft_tui.desk import Desk
from failsoft_tui.dialogs.pick import PickDialog
from failsoft_tui.paint import Line
from failsoft_tui.screens.fleet import FleetScreen
from failsoft_tui.widgets.live_table import LiveTable
from failsoft_tui.widgets.order import FILTER_LIMIT, RowOrder

__all__ = ["ListScreen"]


class ListScreen(FleetScreen):
    """Shows rows of the view in a table.  rank_name: the default order in words."""

    AUTO_FOCUS = "#table"
    rank_name: ClassVar[str] = ""

    def __init__(self, desk: Desk, order: RowOrder[Any]) -> None:
        super().__init__(desk)
        self.table = LiveTable(order, clock=desk.clock, ascii_only=desk.ascii_only)
        self.entry = Input(
            id="filter",
            placeholder="filter: words, * any text, !not",
            compact=True,
            max_length=FILTER_LIMIT,
        )
        self.entry.display = False

    def body(self) -> Iterable[Widget]:
        """Return the table and the filter's input."""
        yield self.table
        yield self.entry

    def rows(self, view: FleetView) -> tuple[Any, ...]:
        """Return the rows of a view."""
        raise NotImplementedError

    def empty_text(self) -> str:
        """Return why the table has no rows."""
        raise NotImplementedError

    def title_right(self) -> str:
        """Return more for the right end of the title."""
        return ""

    def take_view(self, view: FleetView) -> None:
        """Hand the rows to the table."""
        self.table.empty = self._empty()
        self.table.set_rows(self.rows(view), view.seq)

    def _empty(self) -> tuple[Line, ...]:
        order = self.table.order
        if not self.desk.has_data():
            text = "connecting; the table fills with the first reply"
        elif order.total and (order.filter_text or order.faults_only):
            text = "no row passes the filter (esc drops it)"
        else:
            text = self.empty_text()
        parts = textwrap.wrap(text, max(20, self.size.width - 4))
        return ((), *(((f"  {part}", "dim"),) for part in parts))

    def tick(self) -> None:
        """Dim the table when its values are stale."""
        self.table.set_stale(self.desk.is_stale())
        super().tick()

    def title_ends(self) -> tuple[str, str]:
        """Return order, filter, and what part of the rows is on screen."""
        order = self.table.order
        column = order.columns.get(order.sort_key)
        arrow = " reversed" if order.reverse and not column else ""
        sort = f"sort: {column.title if column else self.rank_name}{arrow}"
        faults = "   faults only" if order.faults_only else ""
        held = "   order held" if self.table.is_held() else ""
        shown = f"   filter: {safe(order.filter_text, 40) or '-'}{faults}{held}"
        first, last, count = self.table.window.bounds()
        of = f"{count} of {order.total}" if count != order.total else f"{count}"
        right = f"rows {first}-{last} of {of}"
        more = self.title_right()
        return f"{sort}{shown}", f"{right}   {more}" if more else right

    def on_live_table_listed(self) -> None:
        """Bring the title up to date."""
        self.table.empty = self._empty()
        self.tick()

    # -- filter and sort -------------------------------------------------------

    def action_filter(self) -> None:
        """Type a filter."""
        self.entry.value = self.table.order.filter_text
        self.entry.display = True
        self.entry.focus()

    @on(Input.Changed, "#filter")
    def filter_changed(self, event: Input.Changed) -> None:
        """Filter while typing."""
        if self.entry.display:
            self._filter(event.value)

    @on(Input.Submitted, "#filter")
    def filter_done(self) -> None:
        """Keep the filter."""
        self._close_filter()

    def _filter(self, text: str) -> None:
        self.table.order.filter_text = text
        self.table.rearrange()

    def _close_filter(self) -> None:
        self.entry.display = False
        self.table.focus()

    def action_back(self) -> None:
        """Drop the filter."""
        order = self.table.order
        self._close_filter()
        if order.filter_text or order.faults_only:
            order.faults_only = False
            self._filter("")

    def action_faults(self) -> None:
        """Show faults only, or all."""
        self.table.order.faults_only = not self.table.order.faults_only
        self._filter(self.table.order.filter_text)

    def action_sort(self) -> None:
        """Choose what to sort by."""
        order = self.table.order
        entries: list[tuple[str, Line]] = [("", ((self.rank_name, "bold"),))]
        entries += [
            (key, ((column.title, ""),))
            for key, column in order.columns.items()
            if column.sort is not None
        ]
        dialog = PickDialog(self.desk, "Sort by (the same again reverses)", entries)
        self.app.push_screen(dialog, self._sort)

    def _sort(self, key: str | None) -> None:
        if key is not None:
            self.table.order.sort_by(key)
            self._filter(self.table.order.filter_text)

    def action_undo(self) -> None:
        """Undo the last write of this session."""
        self.undo(None)
