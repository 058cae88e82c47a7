"""Controls: kills, modes and flags in one table, and every change of them."""

from __future__ import annotations

from typing import Any, ClassVar

from failsoft.ops.command import (
    Extend,
    FlagEdit,
    FlagRevert,
    Kill,
    ModeEnter,
    ModeLeave,
    Unkill,
)
from failsoft.ops.text import safe
from failsoft.ops.views import ControlRow, FleetView
from failsoft_tui.actions import bindings
from failsoft_tui.desk import Desk
from failsoft_tui.dialogs.ask import AskDialog
from failsoft_tui.plans import ENDS
from failsoft_tui.rows import control_order
from failsoft_tui.screens.listing import ListScreen

__all__ = ["ControlsScreen"]


class ControlsScreen(ListScreen):
    """Active controls first, then what ended in the last day, then what is defined."""

    BINDINGS: ClassVar = bindings("list", "controls")
    name_shown = "controls"
    rank_name = "active, then last changed"
    places = ("list", "controls")

    def __init__(self, desk: Desk) -> None:
        super().__init__(desk, control_order(desk.now_ms))

    def rows(self, view: FleetView) -> tuple[Any, ...]:
        """Return the controls."""
        return view.controls

    def empty_text(self) -> str:
        """Say that nothing is set or defined."""
        return "no kill, mode or flag is set, and no node has declared one"

    def title_right(self) -> str:
        """Return the revision."""
        return f"rev {self.desk.view.revision:,}"

    def _row(self, what: str, *kinds: str) -> ControlRow | None:
        row: ControlRow | None = self.table.cursor_row()
        if row is None:
            self.refuse("no control under the cursor")
        elif row.kind not in kinds:
            names = " and ".join(f"{kind}s" for kind in kinds)
            self.refuse(f"{what} is for {names}, this is a {row.kind}")
        else:
            return row
        return None

    def action_kill(self) -> None:
        """Preview a kill of the row's target."""
        row = self._row("K", "kill", "flag")
        if row is not None:
            self.command(Kill(target=row.target))

    def action_lift(self) -> None:
        """Preview the end of what the row says."""
        row = self._row("L", "kill", "mode", "flag")
        if row is None:
            return
        if not row.active:
            self.refuse(f"{safe(row.target)} is not active: nothing to lift")
        elif row.kind == "kill":
            self.command(Unkill(row.target))
        elif row.kind == "mode":
            self.command(ModeLeave(row.target))
        else:
            self.command(FlagRevert(row.target))

    def action_mode(self) -> None:
        """Enter or leave the row's mode; elsewhere choose one."""
        row = self.table.cursor_row()
        if row is not None and row.kind == "mode":
            self._turn_mode(row.target)
        else:
            self.pick_mode(self._turn_mode)

    def _turn_mode(self, target: str | None) -> None:
        if target is None:
            return
        active = any(
            row.target == target and row.kind == "mode" and row.active
            for row in self.desk.newest.controls
        )
        self.command(ModeLeave(target) if active else ModeEnter(target))

    def action_step(self, points: int) -> None:
        """Preview a rollout moved by points of percent."""
        row = self._row("rollout", "flag")
        if row is not None and row.rollout is None:
            self.refuse(f"{safe(row.target)} has rules: = sets a plain percentage")
        elif row is not None:
            assert row.rollout is not None
            rollout = min(100.0, max(0.0, row.rollout + points))
            self.command(FlagEdit(target=row.target, rollout=rollout))

    def action_percent(self) -> None:
        """Ask for the percentage."""
        row = self._row("=", "flag")
        refusal = self.desk.refusal()
        if row is None or refusal:
            self.refuse(refusal or "= sets the percentage of a flag")
            return
        text = f" {safe(row.target, 80)} is {safe(row.now, 40)}; percent (0 to 100):"

        def answered(answer: str | None) -> None:
            self._percent(row.target, answer)

        self.app.push_screen(AskDialog(self.desk, (((text, "bold"),),)), answered)

    def _percent(self, target: str, answer: str | None) -> None:
        if answer is None:
            return
        try:
            rollout = float(answer.removesuffix("%"))
        except ValueError:
            rollout = -1.0
        if 0 <= rollout <= 100:
            self.command(FlagEdit(target=target, rollout=rollout))
        else:
            self.refuse(f"percent = {safe(answer, 20)} must be 0 to 100")

    def action_until(self) -> None:
        """Preview another end."""
        row = self._row("T", "kill", "mode")
        if row is None:
            return
        if row.active:
            self.command(Extend(target=row.target, for_s=ENDS[2][1]))
        else:
            self.refuse(f"{safe(row.target)} is not active: it has no end to move")
