"""One route in full: nodes, error groups, flights with their stacks."""

from __future__ import annotations

from collections.abc import Iterable
from typing import ClassVar

from textual.widget import Widget

from failsoft.ops.command import ModeEnter
from failsoft.ops.text import safe
from failsoft.ops.views import FleetView
from failsoft_tui.actions import bindings
from failsoft_tui.desk import Desk
from failsoft_tui.flights import (
    control_lines,
    flights_of,
    group_lines,
    route_line,
    stack_lines,
)
from failsoft_tui.paint import Line
from failsoft_tui.screens.fleet import FleetScreen

__all__ = ["DetailScreen"]


class DetailScreen(FleetScreen):
    """Over Overview until esc.  at_stack: starts at the newest stack.

    The flight on screen stays while newer ones come; `[` goes to newer ones.
    """

    BINDINGS: ClassVar = bindings("detail")
    AUTO_FOCUS = ""
    name_shown = "overview"
    places = ("detail",)

    def __init__(self, desk: Desk, key: str, *, at_stack: bool = False) -> None:
        super().__init__(desk)
        self.key = key
        self._jump = at_stack
        self._stack_at = 0
        self._flight = ""  # id on screen
        self._all_frames = False
        self.page = self.lines("page")

    def body(self) -> Iterable[Widget]:
        """Return the page."""
        yield self.page

    def title_ends(self) -> tuple[str, str]:
        """Return the route and how much of it is kept."""
        count = len(flights_of(self.desk.view, self.key))
        return safe(self.key), f"{count} flights kept"

    def take_view(self, view: FleetView) -> None:
        """Paint the route anew."""
        page = self.page
        lines = self._lines(view)
        page.set_lines(lines)
        if self._jump:
            self._jump = False
            page.top = self._stack_at
            page.refresh()

    def _lines(self, view: FleetView) -> list[Line]:
        now_ms = self.desk.now_ms()
        lines = [route_line(view, self.key)]
        lines += group_lines(view, self.key, 8, now_ms)
        lines += control_lines(view, self.key)
        lines.append(())
        self._stack_at = len(lines)
        flights = flights_of(view, self.key)
        if not flights:
            return [*lines, (("   no failed request of this route is kept", "dim"),)]
        index = self._index(view)
        self._flight = flights[index].id
        place = f"{index + 1} of {len(flights)}"
        frames = self._all_frames
        return lines + stack_lines(view, flights[index], place=place, all_frames=frames)

    def _index(self, view: FleetView) -> int:
        ids = [flight.id for flight in flights_of(view, self.key)]
        return ids.index(self._flight) if self._flight in ids else 0

    def _turn(self, count: int) -> None:
        flights = flights_of(self.desk.view, self.key)
        if flights:
            index = self._index(self.desk.view) + count
            self._flight = flights[min(max(0, index), len(flights) - 1)].id
            self.show()

    def action_newer(self) -> None:
        """Show the flight after this one."""
        self._turn(-1)

    def action_older(self) -> None:
        """Show the flight before this one."""
        self._turn(1)

    def action_frames(self) -> None:
        """Show frames of libraries, or hide them."""
        self._all_frames = not self._all_frames
        self.show()

    def action_incident(self) -> None:
        """Put the stack on top."""
        self._jump = True
        self.show()

    def action_kill(self) -> None:
        """Preview the kill of this route."""
        self.kill_route(self.key)

    def action_mode(self) -> None:
        """Choose a mode and preview entering it."""
        self.pick_mode(self._enter)

    def _enter(self, target: str | None) -> None:
        if target is not None:
            self.command(ModeEnter(target=target))

    def action_undo(self) -> None:
        """Undo the last write of this session."""
        self.undo(None)

    def action_go(self, where: str) -> None:
        """Scroll: up, down, page_up, page_down."""
        page = self.page
        count = page.size.height if where.startswith("page") else 1
        page.scroll_by(-count if where.endswith("up") else count)

    def action_back(self) -> None:
        """Return to the table."""
        self.app.pop_screen()
