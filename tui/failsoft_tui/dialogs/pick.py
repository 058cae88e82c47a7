"""One choice out of a list."""

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

__all__ = ["PickDialog"]


class PickDialog(ModalScreen[str | None]):
    """Offers entries (key, line); dismissed with a key, or None when cancelled."""

    BINDINGS: ClassVar = bindings("pick")

    def __init__(
        self, desk: Desk, title: str, entries: Sequence[tuple[str, Line]]
    ) -> None:
        super().__init__()
        self._desk = desk
        self._title = title
        self._entries = entries
        self._index = 0
        names = ("title", "text", "keys")
        self.parts = {
            name: Lines(id=name, panel=True, ascii_only=desk.ascii_only)
            for name in names
        }

    def compose(self) -> ComposeResult:
        """Lay out title and entries."""
        with Vertical(id="panel", classes=self._desk.border_class):
            yield from self.parts.values()

    def on_mount(self) -> None:
        """Show the entries."""
        self.parts["title"].set_lines([((f" {self._title}", "bold"),)])
        keys = ((" ENTER", "key"), (" take it   ", ""), ("esc", "key"), (" cancel", ""))
        self.parts["keys"].set_lines([keys])
        self._paint()

    def on_resize(self) -> None:
        """Fit the list."""
        self._paint()

    def _paint(self) -> None:
        text = self.parts["text"]
        height = max(1, min(len(self._entries), self.size.height - 6))
        text.styles.height = height
        text.top = min(max(0, self._index - height + 1), len(self._entries) - height)
        lines = []
        for index, (_, line) in enumerate(self._entries):
            on = index == self._index
            lines.append(((" > " if on else "   ", "key"), *line))
        text.set_lines(lines)
        text.refresh()

    def action_go(self, where: str) -> None:
        """Go to the entry before or after, round and round."""
        step = -1 if where == "up" else 1
        self._index = (self._index + step) % len(self._entries)
        self._paint()

    def action_take(self) -> None:
        """Choose the entry."""
        self.dismiss(self._entries[self._index][0])

    def action_cancel(self) -> None:
        """Close without a choice."""
        self.dismiss(None)
