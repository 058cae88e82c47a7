"""Modes: degraded on purpose, by hand or by rule; objectives and what burns them."""

from __future__ import annotations

from typing import Any, ClassVar

from failsoft.ops.command import Extend
from failsoft.ops.fleetrows import ModeRow
from failsoft.ops.text import safe
from failsoft.ops.views import FleetView
from failsoft_tui.actions import bindings
from failsoft_tui.desk import Desk
from failsoft_tui.dialogs.fields import FieldsDialog
from failsoft_tui.fields import mode_fields
from failsoft_tui.moderows import mode_order
from failsoft_tui.modesheet import mode_lines, mode_pane, slo_lines
from failsoft_tui.paint import Line
from failsoft_tui.plans import ENDS
from failsoft_tui.screens.pane import PaneScreen
from failsoft_tui.screens.sheet import SheetScreen
from failsoft_tui.widgets.live_table import LiveTable

__all__ = ["ModesScreen"]


class ModesScreen(PaneScreen):
    """Those on first; under them the mode's thresholds and the budgets."""

    BINDINGS: ClassVar = bindings("list", "modes")
    name_shown = "modes"
    rank_name = "on, declared, built in"
    places = ("table", "list", "modes")

    def __init__(self, desk: Desk) -> None:
        super().__init__(desk, mode_order(desk.now_ms))

    def rows(self, view: FleetView) -> tuple[Any, ...]:
        """Return the modes."""
        return view.modes

    def empty_text(self) -> str:
        """Say what declares modes."""
        return "no node has reported yet: it tells its [mode.*] and the built-in ones"

    def title_right(self) -> str:
        """Return the revision."""
        return f"rev {self.desk.view.revision:,}"

    def pane_lines(self, height: int) -> list[Line]:
        """Return the mode under the cursor, and the budgets."""
        row: ModeRow | None = self.table.cursor_row()
        slos = self.desk.view.slo
        return mode_pane(row, slos, height, self.desk.now_ms())

    def on_live_table_opened(self, event: LiveTable.Opened) -> None:
        """Open the mode in full."""
        name = event.key

        def lines(view: FleetView) -> list[Line]:
            row = next((one for one in view.modes if one.name == name), None)
            return mode_lines(row, name, self.desk.now_ms())

        about = f"mode:{safe(name, 80)}"
        self.app.push_screen(SheetScreen(self.desk, "modes", about, lines))

    def action_budget(self) -> None:
        """Open all objectives with their rules."""

        def lines(view: FleetView) -> list[Line]:
            return slo_lines(view.slo, self.desk.now_ms())

        self.app.push_screen(SheetScreen(self.desk, "modes", "objectives", lines))

    # -- writes ----------------------------------------------------------------

    def _row(self, what: str) -> ModeRow | None:
        row: ModeRow | None = self.table.cursor_row()
        if row is None:
            self.refuse(f"{what} is for a mode: none is under the cursor")
        return row

    def action_mode(self) -> None:
        """Preview that the mode is entered, or left when it is on.

        Built-in ones with parameters are asked what they shall do.
        """
        row = self._row("D")
        if row is None:
            return
        if row.is_on:
            self.say("mode", "leave", row.name)
        elif row.params and row.name.startswith("fs."):
            self._form(row)
        else:
            self.say("mode", "enter", row.name)

    def action_form(self) -> None:
        """Open the form of entering the mode, also of one that is on."""
        row = self._row("E")
        if row is not None:
            self._form(row)

    def _form(self, row: ModeRow) -> None:
        operator, refusal = self.desk.operator, self.desk.refusal()
        if operator is None or refusal:
            self.refuse(refusal)
            return
        dialog = FieldsDialog(self.desk, operator, mode_fields(row))
        self.app.push_screen(dialog, self.applied)

    def action_auto(self) -> None:
        """Preview that the mode goes back to its triggers; clears a latch."""
        row = self._row("A")
        if row is None:
            return
        if row.state == "off" or (row.via == "auto" and row.state != "latched"):
            self.refuse(f"{safe(row.name, 80)} is left to its triggers already")
        else:
            self.say("mode", "auto", row.name)

    def action_drill(self) -> None:
        """Preview a rehearsal on a small share of requests."""
        row = self._row("R")
        if row is None:
            return
        if row.is_on:
            self.refuse(
                f"{safe(row.name, 80)} is on: a drill is for a mode that is off"
            )
        else:
            self.say("mode", "drill", row.name)

    def action_until(self) -> None:
        """Preview another end."""
        row = self._row("T")
        if row is None:
            return
        if row.state == "off":
            self.refuse(f"{safe(row.name, 80)} is off: it has no end to move")
        else:
            self.command(Extend(target=f"mode:{row.name}", for_s=ENDS[2][1]))
