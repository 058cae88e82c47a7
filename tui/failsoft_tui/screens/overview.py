"""Overview: routes, worst first, and the newest stack of the one under the cursor."""

from __future__ import annotations

from typing import Any, ClassVar

from failsoft.ops.command import ModeEnter
from failsoft.ops.text import safe
from failsoft.ops.views import FleetView
from failsoft_tui.actions import bindings
from failsoft_tui.desk import Desk
from failsoft_tui.figures import clock_text
from failsoft_tui.flights import detail_lines
from failsoft_tui.paint import Line
from failsoft_tui.rows import route_order
from failsoft_tui.screens.detail import DetailScreen
from failsoft_tui.screens.pane import PaneScreen
from failsoft_tui.widgets.live_table import LiveTable

__all__ = ["OverviewScreen"]


class OverviewScreen(PaneScreen):
    """The first screen."""

    BINDINGS: ClassVar = bindings("list", "overview")
    name_shown = "overview"
    rank_name = "impact"
    places = ("table", "list", "overview")

    def __init__(self, desk: Desk) -> None:
        super().__init__(desk, route_order())

    def rows(self, view: FleetView) -> tuple[Any, ...]:
        """Return the routes."""
        return view.routes

    def empty_text(self) -> str:
        """Say why no route is listed."""
        if not self.desk.view.nodes:
            return "no node reports to this environment yet"
        return "no request since this view began; the nodes report only what is called"

    def title_right(self) -> str:
        """Say over which spans values are taken."""
        return f"window {self.desk.view.window_s:.0f}s   spark 60s"

    def quiet_line(self) -> Line:
        """Return the last line of the audit."""
        if not self.desk.view.log:
            return ()
        row = self.desk.view.log[0]
        return (
            (f" {clock_text(row.at_ms)} ", "dim"),
            (f"{safe(row.who, 30)} {safe(row.action, 20)} {safe(row.target)} ", ""),
            (safe(row.why), "dim"),
        )

    def pane_lines(self, height: int) -> list[Line]:
        """Return what is known of the route under the cursor."""
        key = self.table.cursor_key
        if key is None:
            return []
        return detail_lines(self.desk.view, key, height, self.desk.now_ms())

    def on_live_table_opened(self, event: LiveTable.Opened) -> None:
        """Open the route's detail."""
        self.app.push_screen(DetailScreen(self.desk, event.key))

    def _key(self) -> str | None:
        row = self.table.cursor_row()
        if row is None:
            self.refuse("no route under the cursor")
            return None
        return str(row.key)

    def action_incident(self) -> None:
        """Open the newest stack of the route."""
        key = self._key()
        if key is not None:
            self.app.push_screen(DetailScreen(self.desk, key, at_stack=True))

    def action_kill(self) -> None:
        """Preview the kill of the route."""
        key = self._key()
        if key is not None:
            self.kill_route(key)

    def action_mode(self) -> None:
        """Choose a mode and preview entering it."""
        self.pick_mode(self._enter)

    def _enter(self, target: str | None) -> None:
        if target is not None:
            self.command(ModeEnter(target=target))
