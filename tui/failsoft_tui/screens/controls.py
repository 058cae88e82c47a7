"""Controls: kills, modes and flags in one table, and every change of them."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, ClassVar

from failsoft.ops.command import (
    BreakerAuto,
    BrownoutStop,
    Command,
    Extend,
    FlagRevert,
    GroupLift,
    Kill,
    ModeEnter,
    ModeLeave,
    PinClear,
    ToleranceEnd,
    Unkill,
)
from failsoft.ops.text import safe
from failsoft.ops.views import ControlRow, FleetView
from failsoft_tui.actions import bindings
from failsoft_tui.desk import Desk
from failsoft_tui.groups import group_of, with_heads
from failsoft_tui.plans import DAYS, ENDS
from failsoft_tui.rows import control_order
from failsoft_tui.screens.control import ControlScreen
from failsoft_tui.screens.flagkeys import FlagKeys
from failsoft_tui.widgets.live_table import LiveTable

__all__ = ["ControlsScreen"]

LIVES_S = 10.0
_ENDING = ("kill", "mode", "breaker", "brownout", "tolerance", "pin", "drift")
_LIFTED = (*_ENDING, "version")
_LIFTS: dict[str, Callable[[str], Command]] = {
    "kill": Unkill,
    "mode": ModeLeave,
    "breaker": BreakerAuto,
    "flag": FlagRevert,
    "brownout": BrownoutStop,
    "tolerance": ToleranceEnd,
    "pin": PinClear,
}


class ControlsScreen(FlagKeys):
    """Active controls first, then what ended in the last day, then what is defined."""

    BINDINGS: ClassVar = bindings("list", "controls")
    name_shown = "controls"
    rank_name = "active, by group, newest"
    places = ("table", "list", "controls")

    def __init__(self, desk: Desk) -> None:
        super().__init__(desk, control_order(desk.now_ms, desk.notes))

    def on_mount(self) -> None:
        """Read how flags are used, now and then."""
        super().on_mount()
        self.set_interval(LIVES_S, self.read_lives)
        self.call_after_refresh(self.read_lives)

    def rows(self, view: FleetView) -> tuple[Any, ...]:
        """Return the controls, those of a group under their head."""
        return with_heads(view.controls)

    def empty_text(self) -> str:
        """Say that nothing is set or defined."""
        return "no kill, mode or flag is set, and no node has declared one"

    def title_right(self) -> str:
        """Return the revision."""
        return f"rev {self.desk.view.revision:,}"

    def on_live_table_opened(self, event: LiveTable.Opened) -> None:
        """Open the control."""
        self._open("")

    def action_history(self) -> None:
        """Open the control at its history."""
        self._open("history")

    def _open(self, at: str) -> None:
        row = self.row_of("detail", *_LIFTED, "flag")
        if row is not None:
            self.app.push_screen(ControlScreen(self.desk, row, at=at))

    def action_kill(self) -> None:
        """Preview a kill of the row's target."""
        row = self.row_of("K", "kill", "flag")
        if row is not None:
            self.command(Kill(target=row.target))

    def action_lift(self) -> None:
        """Preview the end of what the row says."""
        row = self.row_of("L", *_LIFTED, "flag", "group")
        if row is None:
            return
        if row.kind == "group":
            self.command(GroupLift(row.target))
        elif not row.active:
            self.refuse(f"{safe(row.target)} is not active: nothing to lift")
        elif row.kind in ("version", "drift"):
            self.refuse(f"a {row.kind} has no inverse: u on Audit takes the write back")
        else:
            self.command(_LIFTS[row.kind](row.target))

    def action_group(self) -> None:
        """Preview the end of all that belongs to the row's group."""
        row: ControlRow | None = self.table.cursor_row()
        if row is None or not group_of(row):
            self.refuse("the row belongs to no group: g in a kill's preview sets one")
        else:
            self.command(GroupLift(f"group:{row.group}"))

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

    def action_until(self) -> None:
        """Preview another end."""
        row = self.row_of("T", *_ENDING)
        if row is None:
            return
        if row.active:
            lasts = row.kind in ("tolerance", "pin", "drift")
            for_s = DAYS[1][1] if lasts else ENDS[2][1]
            self.command(Extend(target=row.target, for_s=for_s))
        else:
            self.refuse(f"{safe(row.target)} is not active: it has no end to move")
