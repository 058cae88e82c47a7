"""Deps: breakers on each node and of the fleet, quotas, and what overrides them."""

from __future__ import annotations

from typing import Any, ClassVar

from failsoft.ops.fleetrows import DependencyRow, DependencyView
from failsoft.ops.text import safe
from failsoft.ops.views import FleetView
from failsoft_tui.actions import bindings
from failsoft_tui.deprows import dep_order
from failsoft_tui.depsheet import dep_lines, dep_pane
from failsoft_tui.desk import Desk
from failsoft_tui.dialogs.pick import PickDialog
from failsoft_tui.paint import Line
from failsoft_tui.screens.pane import PaneScreen
from failsoft_tui.screens.sheet import SheetScreen
from failsoft_tui.widgets.live_table import LiveTable

__all__ = ["DepsScreen"]

_FORCES: tuple[tuple[str, str, str], ...] = (
    ("open", "open", "no call is sent, fallbacks answer"),
    ("close", "closed", "every call is sent, whatever fails"),
    ("metrics-only", "metrics only", "it counts and refuses nothing"),
)


class DepsScreen(PaneScreen):
    """Open ones first, above what each node sees of the one under the cursor."""

    BINDINGS: ClassVar = bindings("list", "deps")
    name_shown = "deps"
    rank_name = "open, then errors"
    places = ("table", "list", "deps")

    def __init__(self, desk: Desk) -> None:
        super().__init__(desk, dep_order(desk.now_ms))

    @property
    def _seen(self) -> DependencyView:
        return self.desk.view.dependencies or DependencyView(0)

    def rows(self, view: FleetView) -> tuple[Any, ...]:
        """Return the dependencies."""
        return view.dependencies.rows if view.dependencies else ()

    def empty_text(self) -> str:
        """Say what makes a dependency known."""
        if self.desk.view.dependencies is None:
            return (
                "reading what nodes tell of their calls; it is read while this is open"
            )
        return (
            "no node has called one in the last minute: failsoft.dependency(NAME), "
            "or httpx with transport=failsoft.http_transport()"
        )

    def title_right(self) -> str:
        """Say who decides for the fleet."""
        leader = self._seen.leader
        nodes = self.desk.view.nodes
        short = next((one.short for one in nodes if one.node == leader), leader)
        return f"leader {safe(short, 20)}" if leader else "NO LEADER"

    def pane_lines(self, height: int) -> list[Line]:
        """Return the dependency under the cursor."""
        row: DependencyRow | None = self.table.cursor_row()
        return dep_pane(row, height, self.desk.now_ms())

    def on_live_table_opened(self, event: LiveTable.Opened) -> None:
        """Open the dependency in full."""
        name = event.key

        def lines(view: FleetView) -> list[Line]:
            row = next((one for one in self.rows(view) if one.name == name), None)
            return dep_lines(row, name, self.desk.now_ms())

        about = f"dependency:{safe(name, 64)}"
        self.app.push_screen(SheetScreen(self.desk, "deps", about, lines))

    # -- writes ----------------------------------------------------------------

    def _row(self, what: str) -> DependencyRow | None:
        row: DependencyRow | None = self.table.cursor_row()
        if row is None:
            self.refuse(f"{what} is for a dependency: none is under the cursor")
        return row

    def action_force(self) -> None:
        """Choose what every node does with calls to it."""
        row = self._row("B")
        refusal = self.desk.refusal()
        if row is None or refusal:
            self.refuse(refusal or "B is for a dependency: none is under the cursor")
            return
        entries = [
            (verb, ((f"{word:<14}", "bold"), (text, "dim")))
            for verb, word, text in _FORCES
        ]
        if row.override:
            text = "drop the override: nodes and quorum decide"
            entries.append(("auto", ((f"{'auto':<14}", "bold"), (text, "dim"))))

        def chosen(verb: str | None) -> None:
            if verb is not None:
                self.say("breaker", verb, row.name)

        title = f"Breaker of {safe(row.name, 64)}, on every node"
        self.app.push_screen(PickDialog(self.desk, title, entries), chosen)

    def action_auto(self) -> None:
        """Preview that nodes and quorum decide again."""
        row = self._row("A")
        if row is None:
            return
        if row.override:
            self.say("breaker", "auto", row.name)
        else:
            self.refuse(f"{safe(row.name, 64)} has no override: nodes decide already")

    def action_probe(self) -> None:
        """Preview a probe now."""
        row = self._row("P")
        if row is not None:
            self.say("breaker", "probe", row.name)
