"""A page of lines to read: help, or a record before and after."""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar

from textual.app import ComposeResult
from textual.containers import Vertical
from textual.screen import ModalScreen

from failsoft_tui.actions import bindings
from failsoft_tui.desk import Desk
from failsoft_tui.paint import Line
from failsoft_tui.widgets.lines import Lines

__all__ = ["PageDialog"]


class PageDialog(ModalScreen[None]):
    """Shows lines until it is closed; arrows scroll."""

    BINDINGS: ClassVar = bindings("page")

    def __init__(self, desk: Desk, lines: Sequence[Line]) -> None:
        super().__init__()
        self._desk = desk
        self._lines = lines
        self.text = Lines(id="text", panel=True, ascii_only=desk.ascii_only)

    def compose(self) -> ComposeResult:
        """Lay out the text."""
        with Vertical(id="panel", classes=self._desk.border_class):
            yield self.text

    def on_mount(self) -> None:
        """Show the lines."""
        self.text.set_lines(self._lines)

    def on_resize(self) -> None:
        """Fit the page."""
        text = self.text
        text.styles.height = min(len(self._lines), max(1, self.size.height - 4))

    def action_go(self, where: str) -> None:
        """Scroll a line up or down."""
        self.text.scroll_by(-1 if where == "up" else 1)

    def action_cancel(self) -> None:
        """Close."""
        self.dismiss(None)
