"""One question with one line to type."""

from __future__ import annotations

from typing import ClassVar

from textual import on
from textual.app import ComposeResult
from textual.containers import Vertical
from textual.screen import ModalScreen
from textual.widgets import Input

from failsoft_tui.actions import bindings
from failsoft_tui.desk import Desk
from failsoft_tui.paint import Line
from failsoft_tui.widgets.lines import Lines

__all__ = ["AskDialog"]


class AskDialog(ModalScreen[str | None]):
    """Asks; dismissed with the text, or None when cancelled.  Blank is refused."""

    BINDINGS: ClassVar = bindings("ask")

    def __init__(self, desk: Desk, lines: tuple[Line, ...]) -> None:
        super().__init__()
        self._desk = desk
        self._lines = lines
        self.text = Lines(id="text", panel=True, ascii_only=desk.ascii_only)

    def compose(self) -> ComposeResult:
        """Lay out question and input."""
        with Vertical(id="panel", classes=self._desk.border_class):
            yield self.text
            yield Input(id="input", compact=True, max_length=500)

    def on_mount(self) -> None:
        """Show the question."""
        text = self.text
        text.styles.height = len(self._lines)
        text.set_lines(self._lines)

    @on(Input.Submitted)
    def take(self, event: Input.Submitted) -> None:
        """Answer, unless nothing was typed."""
        event.stop()
        if event.value.strip():
            self.dismiss(event.value.strip())

    def action_cancel(self) -> None:
        """Close without an answer."""
        self.dismiss(None)
