"""What every screen has: header, tabs, notice, title, body, status, footer."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable
from typing import ClassVar

from textual.app import ComposeResult
from textual.message import Message
from textual.screen import Screen
from textual.widget import Widget

from failsoft.errors import FailsoftError
from failsoft.ops.command import Command, Kill
from failsoft.ops.text import safe
from failsoft.ops.views import Applied, FleetView
from failsoft_tui.actions import footer
from failsoft_tui.desk import Desk
from failsoft_tui.dialogs.page import PageDialog
from failsoft_tui.dialogs.pick import PickDialog
from failsoft_tui.dialogs.preview import PreviewDialog
from failsoft_tui.dry_run import fault_lines
from failsoft_tui.header import (
    footer_line,
    header_line,
    notice_line,
    tabs_line,
    title_line,
    too_small_line,
)
from failsoft_tui.paint import Line, line_width, panel_width
from failsoft_tui.plans import CommandPlan, Plan, UndoPlan, in_group
from failsoft_tui.rows import is_limited
from failsoft_tui.widgets.lines import Lines

__all__ = ["FleetScreen"]

LOW = 16
_ABOVE = ("header", "tabs", "notice", "title")
_BELOW = ("status", "footer", "small")


class FleetScreen(Screen[None]):
    """A screen over the newest view.  `places`: whose actions its footer lists."""

    name_shown: str = ""
    places: ClassVar[tuple[str, ...]] = ()

    class Wrote(Message):
        """A write of this operator was confirmed by the store."""

        def __init__(self, applied: Applied) -> None:
            super().__init__()
            self.applied = applied

    def __init__(self, desk: Desk) -> None:
        super().__init__()
        self.desk = desk
        # Held, not queried: ticks come before compose and after removal, too.
        self.around = {name: self.lines(name) for name in (*_ABOVE, *_BELOW)}

    def compose(self) -> ComposeResult:
        """Lay out the lines around the body."""
        yield from (self.around[name] for name in _ABOVE)
        yield from self.body()
        yield from (self.around[name] for name in _BELOW)

    def lines(self, name: str) -> Lines:
        """Return a widget of lines for this terminal."""
        return Lines(id=name, ascii_only=self.desk.ascii_only)

    def body(self) -> Iterable[Widget]:
        """Return what this screen shows."""
        raise NotImplementedError

    # -- painting --------------------------------------------------------------

    def on_mount(self) -> None:
        """Show what is known already."""
        self.show()

    def on_screen_resume(self) -> None:
        """Catch up after another screen."""
        self.show()

    def on_resize(self) -> None:
        """Fit the lines to the new width."""
        self.tick()

    def show(self) -> None:
        """Paint the desk's view."""
        self.take_view(self.desk.view)
        self.tick()

    def take_view(self, view: FleetView) -> None:
        """Hand a view to the body."""
        raise NotImplementedError

    def title_ends(self) -> tuple[str, str]:
        """Return both ends of the title line."""
        raise NotImplementedError

    def quiet_line(self) -> Line:
        """Return what stands in the status line when there is nothing to say."""
        return ()

    def tick(self) -> None:
        """Paint what changes with time alone; twice a second."""
        desk, view, width = self.desk, self.desk.view, self.size.width
        session = desk.session()
        armed = desk.armed_s() is not None and not desk.is_stale()
        faults = sum(map(is_limited, view.routes))
        left, right = self.title_ends()
        self._set("header", header_line(desk.newest, session, width))
        self._set("tabs", tabs_line(self.name_shown, view, faults, width))
        self._set("notice", notice_line(desk.notices(), desk.notice_index, width))
        self._set("title", title_line(left, right, desk.stale_of(), width))
        keys = footer_line(footer(*self.places), armed, width)
        # The lowest terminals have one line left: what just happened goes there.
        low = self.size.height < LOW and bool(desk.status())
        self._set("status", desk.status() or self.quiet_line())
        self._set("footer", desk.status() if low else keys)
        self._set("small", too_small_line(desk.newest, session))

    def _set(self, name: str, line: Line) -> None:
        self.around[name].set_lines([line])

    # -- writes ----------------------------------------------------------------

    def command(self, command: Command) -> None:
        """Preview a command."""
        operator = self.desk.operator
        if operator is None:
            self.refuse(self.desk.refusal())
        else:
            command = in_group(command, operator.armed_reason)
            self.plan(CommandPlan(operator, command))

    def plan(self, plan: Plan) -> None:
        """Open the preview of a plan, or say why not."""
        refusal = self.desk.refusal()
        if refusal:
            self.refuse(refusal)
            return
        try:
            plan.preview()
        except FailsoftError as error:
            self._refuse_whole(safe(error, 400))
            return
        self.app.push_screen(PreviewDialog(self.desk, plan), self.applied)

    def refuse(self, text: str) -> None:
        """Say why nothing happens."""
        self.desk.tell(text)
        self.tick()

    def _refuse_whole(self, text: str) -> None:
        """Say why a write cannot be previewed; over the screen if it is long."""
        if line_width(((text, ""),)) < self.size.width:
            self.refuse(text)
        else:
            lines = fault_lines(text, panel_width(self.size.width))
            self.app.push_screen(PageDialog(self.desk, lines))

    def applied(self, applied: Applied | None) -> None:
        """Follow a write that a dialog has made."""
        if applied is not None:
            self.post_message(self.Wrote(applied))

    def undo(self, op_id: str | None) -> None:
        """Preview the inverse of a write, None = the last of this session."""
        refusal = self.desk.refusal()
        if refusal:
            self.refuse(refusal)
        else:
            self._undoing = asyncio.create_task(self._undo(op_id))

    async def _undo(self, op_id: str | None) -> None:
        operator = self.desk.operator
        assert operator is not None
        try:
            found = await operator.find_write(op_id)
        except FailsoftError as error:
            self._refuse_whole(safe(error, 400))
        else:
            if self.is_current:
                self.plan(UndoPlan(operator, found))

    def kill_route(self, key: str) -> None:
        """Preview the kill of one route."""
        self.command(Kill(target=f"route:{key}"))

    def pick_mode(self, chosen: Callable[[str | None], None]) -> None:
        """Let the operator choose a mode; `chosen` gets its target."""
        modes = [row for row in self.desk.newest.controls if row.kind == "mode"]
        refusal = self.desk.refusal()
        if refusal or not modes:
            self.refuse(refusal or "no mode is known: no node has reported yet")
            return
        entries = [
            (
                row.target,
                (
                    (f"{safe(row.target, 60):<34} ", "bold"),
                    (safe(row.now, 20), "degraded" if row.active else "dim"),
                ),
            )
            for row in sorted(modes, key=lambda row: row.target)
        ]
        self.app.push_screen(PickDialog(self.desk, "Which mode?", entries), chosen)
