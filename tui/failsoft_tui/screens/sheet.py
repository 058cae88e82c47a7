"""A page about one row, painted anew with each view, over the table until esc."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import ClassVar

from textual.widget import Widget

from failsoft.ops.views import FleetView
from failsoft_tui.actions import bindings
from failsoft_tui.desk import Desk
from failsoft_tui.paint import Line
from failsoft_tui.screens.fleet import FleetScreen

__all__ = ["SheetScreen"]


class SheetScreen(FleetScreen):
    """Shows lines made of the newest view.

    name_shown: the tab it stands under.  title: already safe.
    """

    BINDINGS: ClassVar = bindings("sheet")
    AUTO_FOCUS = ""
    places = ("sheet",)

    def __init__(
        self,
        desk: Desk,
        name_shown: str,
        title: str,
        lines: Callable[[FleetView], Sequence[Line]],
    ) -> None:
        super().__init__(desk)
        self.name_shown = name_shown
        self._about = title
        self._made = lines
        self.page = self.lines("page")

    def body(self) -> Iterable[Widget]:
        """Return the page."""
        yield self.page

    def title_ends(self) -> tuple[str, str]:
        """Return what it is about, and the revision."""
        return self._about, f"rev {self.desk.view.revision:,}"

    def take_view(self, view: FleetView) -> None:
        """Paint the page anew."""
        self.page.set_lines(self._made(view))

    def action_go(self, where: str) -> None:
        """Scroll: up, down, page_up, page_down."""
        count = self.page.size.height if where.startswith("page") else 1
        self.page.scroll_by(-count if where.endswith("up") else count)

    def action_undo(self) -> None:
        """Undo the last write of this session."""
        self.undo(None)

    def action_back(self) -> None:
        """Return to the table."""
        self.app.pop_screen()
