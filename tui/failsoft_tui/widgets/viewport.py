"""Which rows are on screen and where the cursor is, by row key (pure).

When the order changes the cursor goes with its row and keeps its screen line where
that is possible.  Until somebody moves it, it stays on the first row: the worst.
"""

from __future__ import annotations

from typing import Any

from failsoft_tui.widgets.order import RowOrder

__all__ = ["Viewport"]


class Viewport:
    """A window of `height` rows over an order; `top` is the first listed row shown."""

    def __init__(self, order: RowOrder[Any]) -> None:
        self.order = order
        self.height = 0
        self.top = 0
        self.cursor_key: str | None = None
        self._follows = False

    def place(self) -> int:
        """Return where the cursor's row is listed, 0 when it is not."""
        return self.order.place(self.cursor_key) or 0

    def line(self) -> int:
        """Return the cursor's line in the window."""
        return self.place() - self.top

    def shown(self) -> list[str]:
        """Return the keys in the window."""
        return self.order.listed[self.top : self.top + self.height]

    def bounds(self) -> tuple[int, int, int]:
        """Return (first, last, count) of the listed rows, counted from 1."""
        count = len(self.order.listed)
        return min(self.top + 1, count), min(count, self.top + self.height), count

    def resize(self, height: int) -> None:
        """Show `height` rows."""
        self.height = max(0, height)
        self._clamp()

    def settle(self, line: int) -> None:
        """Put the cursor back on its row, at window line `line` if possible.

        A row that is no longer listed leaves the cursor to the row in its place.
        """
        listed = self.order.listed
        place = self.order.place(self.cursor_key)
        if place is None or not self._follows:
            wanted = self.top + line if self._follows else 0
            at = min(max(0, wanted), len(listed) - 1)
            self.cursor_key = listed[at] if listed else None
        else:
            self.top = place - line
        self._clamp()

    def move(self, count: int) -> None:
        """Move the cursor by rows, within bounds; from now on it has its row."""
        listed = self.order.listed
        if listed:
            place = min(max(0, self.place() + count), len(listed) - 1)
            self._follows = True
            self.cursor_key = listed[place]
            self._clamp()

    def release(self) -> None:
        """Let the cursor stay on the first row again."""
        self._follows = False

    def _clamp(self) -> None:
        height = max(1, self.height)
        place = self.place()
        self.top = min(max(self.top, place - height + 1), place)
        self.top = max(0, min(self.top, len(self.order.listed) - height))
