"""A table over a pane that says more of the row under the cursor."""

from __future__ import annotations

import shlex
from collections.abc import Iterable
from typing import Any

from textual.widget import Widget

from failsoft.errors import FailsoftError
from failsoft.ops.text import safe
from failsoft.ops.verbs import parse_line
from failsoft.ops.views import FleetView
from failsoft_tui.desk import Desk
from failsoft_tui.paint import Line
from failsoft_tui.screens.listing import ListScreen
from failsoft_tui.widgets.order import RowOrder

__all__ = ["PaneScreen"]

AROUND = 8  # lines that are neither rows nor pane
PANE_LEAST = 10
PANE_MOST = 18


class PaneScreen(ListScreen):
    """The pane is hidden on low terminals; enter shows its row in full there."""

    def __init__(self, desk: Desk, order: RowOrder[Any]) -> None:
        super().__init__(desk, order)
        self.pane = self.lines("pane")

    def body(self) -> Iterable[Widget]:
        """Return the table and the pane."""
        yield from super().body()
        yield self.pane

    def pane_lines(self, height: int) -> list[Line]:
        """Return the lines of the pane."""
        raise NotImplementedError

    def take_view(self, view: FleetView) -> None:
        """Hand over the rows and paint the pane."""
        super().take_view(view)
        self._paint_pane()

    def _paint_pane(self) -> None:
        pane = self.pane
        # A short table leaves its room to the pane.
        spare = self.size.height - AROUND - len(self.table.order.listed)
        pane.styles.height = min(PANE_MOST, max(PANE_LEAST, spare))
        shown = bool(pane.display) and self.desk.has_data()
        pane.set_lines(self.pane_lines(max(1, pane.size.height)) if shown else [])

    def on_live_table_moved(self) -> None:
        """Show the pane of another row."""
        self._paint_pane()

    def on_resize(self) -> None:
        """Fit the pane, too."""
        super().on_resize()
        self.call_after_refresh(self._paint_pane)

    def say(self, *words: str) -> None:
        """Preview what a line of the one grammar says."""
        try:
            command = parse_line(shlex.join(words)).command()
        except FailsoftError as error:
            self.refuse(safe(error, 300))
        else:
            self.command(command)
