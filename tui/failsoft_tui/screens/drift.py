"""Drift: bodies that differ from their schemas, and what is done about it."""

from __future__ import annotations

from typing import Any, ClassVar

from failsoft.ops.command import DriftAck, ToleranceEnd
from failsoft.ops.contractrows import DriftRow, DriftView
from failsoft.ops.text import safe
from failsoft.ops.views import FleetView
from failsoft_tui.actions import bindings
from failsoft_tui.desk import Desk
from failsoft_tui.dialogs.fields import FieldsDialog
from failsoft_tui.dialogs.page import PageDialog
from failsoft_tui.dialogs.pick import PickDialog
from failsoft_tui.driftrows import drift_order, where_of
from failsoft_tui.driftsheet import (
    drift_lines,
    drift_pane,
    peer_lines,
    shape_lines,
    tolerance_lines,
)
from failsoft_tui.fields import tolerance_fields
from failsoft_tui.paint import Line
from failsoft_tui.screens.pane import PaneScreen
from failsoft_tui.screens.sheet import SheetScreen
from failsoft_tui.widgets.live_table import LiveTable

__all__ = ["DriftScreen"]


class DriftScreen(PaneScreen):
    """The ledger: what nobody handled first."""

    BINDINGS: ClassVar = bindings("list", "drift")
    name_shown = "drift"
    rank_name = "open, newest"
    places = ("table", "list", "drift")

    def __init__(self, desk: Desk) -> None:
        super().__init__(desk, drift_order(desk.now_ms))

    @property
    def _seen(self) -> DriftView:
        return self.desk.view.drift or DriftView(0)

    def rows(self, view: FleetView) -> tuple[Any, ...]:
        """Return the entries."""
        return view.drift.rows if view.drift else ()

    def empty_text(self) -> str:
        """Say why the ledger is empty, and what fills it."""
        if self.desk.view.drift is None:
            return "reading the ledger; it is read while this is open"
        return (
            "no body differed from its schema in 30 days; routes without models are "
            'not looked at, nor those with [tolerance] handling = "off"'
        )

    def title_right(self) -> str:
        """Say what is not listed."""
        seen = self._seen
        more = seen.entries - len(seen.rows)
        parts = [f"{more:,} older entries left out"] * (more > 0)
        parts += [f"ledger FULL, {seen.overflow:,} uncounted"] * bool(seen.overflow)
        parts += [f"{len(seen.peers)} announced (p)"] * bool(seen.peers)
        return "   ".join(parts)

    def pane_lines(self, height: int) -> list[Line]:
        """Return the entry under the cursor, and what third parties announced."""
        row: DriftRow | None = self.table.cursor_row()
        return drift_pane(self._seen, row, height, self.desk.now_ms())

    def on_live_table_opened(self, event: LiveTable.Opened) -> None:
        """Open the entry in full."""
        id_ = event.key

        def lines(view: FleetView) -> list[Line]:
            return drift_lines(view.drift or DriftView(0), id_, self.desk.now_ms())

        about = f"drift:{safe(id_)}"
        self.app.push_screen(SheetScreen(self.desk, "drift", about, lines))

    def action_diff(self) -> None:
        """Show what is declared of the entry's body, and what came."""
        row = self._row("d")
        if row is not None:
            self._page(shape_lines(self._seen, row))

    def action_peers(self) -> None:
        """Show what third parties announced."""
        self._page(peer_lines(self._seen.peers))

    def action_repairs(self) -> None:
        """Show tolerances and handlings."""
        self._page(tolerance_lines(self._seen, self.desk.now_ms()))

    def _page(self, lines: list[Line]) -> None:
        self.app.push_screen(PageDialog(self.desk, lines))

    def _row(self, what: str) -> DriftRow | None:
        row: DriftRow | None = self.table.cursor_row()
        if row is None:
            self.refuse(f"{what} is for an entry: none is under the cursor")
        return row

    def action_ack(self) -> None:
        """Preview that the entry is known."""
        row = self._row("A")
        if row is not None:
            self.command(DriftAck(f"drift:{row.id}"))

    def action_tolerance(self) -> None:
        """End what repairs the entry, or open the form of a tolerance."""
        row = self._row("T")
        if row is None:
            return
        refusal = self.desk.refusal()
        if refusal:
            self.refuse(refusal)
        elif row.tolerance:
            self._pick(row)
        elif row.dependency or row.direction != "request":
            self.refuse(f"{where_of(row)}: only what clients send us is repaired")
        else:
            self._tolerate(row)

    def _pick(self, row: DriftRow) -> None:
        entries: list[tuple[str, Line]] = [
            ("end", ((f"end {safe(row.tolerance, 100)}", "bold"),)),
            ("add", (("add another tolerance", ""),)),
        ]

        def chosen(what: str | None) -> None:
            if what == "end":
                self.command(ToleranceEnd(f"tolerance:{row.tolerance}"))
            elif what == "add":
                self._tolerate(row)

        dialog = PickDialog(self.desk, "It is tolerated already", entries)
        self.app.push_screen(dialog, chosen)

    def _tolerate(self, row: DriftRow) -> None:
        operator = self.desk.operator
        if operator is not None:
            dialog = FieldsDialog(self.desk, operator, tolerance_fields(row))
            self.app.push_screen(dialog, self.applied)
