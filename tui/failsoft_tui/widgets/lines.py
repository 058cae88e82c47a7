"""A widget of finished lines: repaints only the lines that changed."""

from __future__ import annotations

from collections.abc import Sequence

from textual.geometry import Region
from textual.strip import Strip
from textual.widget import Widget

from failsoft_tui.paint import Line, strip

__all__ = ["Lines"]


class Lines(Widget):
    """Shows lines as they are: no markup is ever parsed.

    panel: painted on the panel colour of dialogs.  `top` is the first line shown.
    """

    DEFAULT_CSS = "Lines { height: 1; width: 1fr; }"

    def __init__(
        self, *, id: str, panel: bool = False, ascii_only: bool = False
    ) -> None:
        super().__init__(id=id)
        self._panel = panel
        self._ascii_only = ascii_only
        self._lines: tuple[Line, ...] = ()
        self.top = 0

    def set_lines(self, lines: Sequence[Line]) -> None:
        """Show these lines from now on."""
        before, self._lines = self._lines, tuple(lines)
        if len(before) != len(self._lines):
            self.scroll_by(0)
            self.refresh()
            return
        changed = [
            Region(0, y - self.top, self.size.width, 1)
            for y, (old, new) in enumerate(zip(before, self._lines, strict=True))
            if old != new and 0 <= y - self.top < self.size.height
        ]
        if changed:
            self.refresh(*changed)

    def scroll_by(self, count: int) -> None:
        """Move the window over the lines, within bounds."""
        last = max(0, len(self._lines) - self.size.height)
        top = min(max(0, self.top + count), last)
        if top != self.top:
            self.top = top
            self.refresh()

    def render_line(self, y: int) -> Strip:
        """Return line `y` of the window."""
        index = y + self.top
        line = self._lines[index] if index < len(self._lines) else ()
        return strip(
            line, self.size.width, panel=self._panel, ascii_only=self._ascii_only
        )
