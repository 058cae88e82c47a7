"""The one table of all screens: thousands of rows, only the visible ones are drawn.

Cursor and scroll position are row keys, never indexes: when the order changes the
cursor goes with its row.  A new view repaints the cells that changed, not the table
(measured on Textual's DataTable: one changed cell at 2,000 rows costs 55 ms).
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import Any, ClassVar

from rich.cells import cell_len
from textual import events
from textual.geometry import Region
from textual.message import Message
from textual.reactive import reactive
from textual.strip import Strip
from textual.widget import Widget

from failsoft_tui.actions import bindings
from failsoft_tui.paint import Line, Piece, fit, strip
from failsoft_tui.widgets.order import Column, RowOrder
from failsoft_tui.widgets.viewport import Viewport

__all__ = ["LiveTable"]

_MARK = 2  # cells of the cursor mark
_GAP = 8  # unchanged cells worth repainting to join two changes
_FULL = 0.6  # share of changed cells from which one whole repaint is cheaper
_WHEEL = 3


class LiveTable(Widget, can_focus=True):
    """A virtual table over rows of one kind.

    rank: default order, smallest first.  fault: rows that `f` keeps.
    clock: seconds, for holding the order.  `empty`: lines shown without rows.
    """

    DEFAULT_CSS = "LiveTable { height: 1fr; width: 1fr; }"
    BINDINGS: ClassVar = bindings("table")
    cursor_key: reactive[str | None] = reactive(None)

    class Opened(Message):
        """A row was opened by enter or double click."""

        def __init__(self, key: str) -> None:
            super().__init__()
            self.key = key

    class Moved(Message):
        """The cursor is on another row."""

        def __init__(self, key: str | None) -> None:
            super().__init__()
            self.key = key

    class Listed(Message):
        """Order, filter or window changed: titles are out of date."""

    def __init__(
        self,
        order: RowOrder[Any],
        *,
        clock: Callable[[], float],
        ascii_only: bool = False,
        id: str = "table",
    ) -> None:
        super().__init__(id=id)
        self.order = order
        self.window = Viewport(order)
        self.empty: Sequence[Line] = ()
        self.stale = False
        self.seq = -1
        self._clock = clock
        self._ascii_only = ascii_only
        self._columns: tuple[tuple[Column, int], ...] = ()
        self._painted: list[tuple[bool, Line]] = []

    # -- what others call ------------------------------------------------------

    def set_rows(self, rows: Iterable[Any], seq: int) -> None:
        """Show the rows of view `seq`."""
        self.seq = seq
        line = self.window.line()
        self.order.take(rows, self._clock())
        self._settle(line)

    def set_stale(self, stale: bool) -> None:
        """Dim all values, or light them again."""
        if stale != self.stale:
            self.stale = stale
            self._repaint()

    def rearrange(self) -> None:
        """Apply a changed filter or sort at once; the cursor goes to the first row."""
        self.order.touch(float("-inf"))
        self.order.arrange(self._clock())
        self.window.release()
        self._settle(0)

    def cursor_row(self) -> Any | None:
        """Return the row under the cursor, None when there is none or it is gone."""
        key = self.cursor_key
        if key is None or key in self.order.gone:
            return None
        return self.order.rows.get(key)

    def is_held(self) -> bool:
        """Whether the order is held because of a key."""
        return self.order.is_held(self._clock())

    # -- cursor and window -----------------------------------------------------

    def _settle(self, line: int) -> None:
        self.window.settle(line)
        self._moved()

    def move(self, count: int) -> None:
        """Move the cursor by rows; holds the order."""
        self.order.touch(self._clock())
        self.window.move(count)
        self._moved()

    def _moved(self) -> None:
        self.cursor_key = self.window.cursor_key
        self._repaint()
        self.post_message(self.Listed())

    def watch_cursor_key(self, key: str | None) -> None:
        """Tell the screen where the cursor is."""
        self.post_message(self.Moved(key))

    def action_go(self, where: str) -> None:
        """Move the cursor: up, down, page_up, page_down, home, end."""
        page, every = self.window.height, len(self.order.listed)
        steps = {"up": -1, "down": 1, "page_up": -page, "page_down": page}
        self.move(steps.get(where, -every if where == "home" else every))
        if where == "home":
            self.window.release()

    def action_open(self) -> None:
        """Open the row under the cursor."""
        self.order.touch(self._clock())
        if self.cursor_key is not None and self.cursor_row() is not None:
            self.post_message(self.Opened(self.cursor_key))

    def on_key(self) -> None:
        """Hold the order: what is under the cursor may be what the key is for."""
        self.order.touch(self._clock())

    # -- mouse -----------------------------------------------------------------

    def on_click(self, event: events.Click) -> None:
        """Move to the row, open it on a double click, sort by a header."""
        self.order.touch(self._clock())
        if event.y == 0:
            self._sort_at(event.x)
            return
        place = self.window.top + event.y - 1
        if place < len(self.order.listed):
            self.move(place - self.window.place())
            if event.chain == 2:
                self.action_open()

    def on_mouse_scroll_down(self) -> None:
        """Move down."""
        self.move(_WHEEL)

    def on_mouse_scroll_up(self) -> None:
        """Move up."""
        self.move(-_WHEEL)

    def _sort_at(self, x: int) -> None:
        edge = _MARK
        for column, width in self._columns:
            edge += width + 1
            if x < edge:
                if column.sort is not None:
                    self.order.sort_by(column.key)
                    self.rearrange()
                return

    # -- painting --------------------------------------------------------------

    def on_resize(self) -> None:
        """Choose the columns that fit and paint everything."""
        self._columns = _choose(tuple(self.order.columns.values()), self.size.width)
        self.window.resize(self.size.height - 1)
        self._painted = self._paint()
        self.refresh()
        self.post_message(self.Listed())

    def _repaint(self) -> None:
        old, new = self._painted, self._paint()
        self._painted = new
        if len(old) != len(new):
            self.refresh()
            return
        regions: list[Region] = []
        changed = 0
        for y, (was, now) in enumerate(zip(old, new, strict=True)):
            for start, stop in _changes(was, now):
                regions.append(Region(start, y, stop - start, 1))
                changed += stop - start
        if changed > _FULL * self.size.width * max(1, len(new)):
            self.refresh()
        elif regions:
            self.refresh(*regions)

    def _paint(self) -> list[tuple[bool, Line]]:
        lines = [(False, self._header())]
        shown = self.window.shown()
        lines += [(key == self.cursor_key, self._cells(key)) for key in shown]
        if not self.order.listed:
            lines += [(False, line) for line in self.empty]
        blank = (False, ((" " * self.size.width, ""),))
        missing = self.size.height - len(lines)
        return lines[: self.size.height] + [blank] * missing

    def _header(self) -> Line:
        pieces: list[Piece] = [(" " * _MARK, "head")]
        for column, width in self._columns:
            mark = ""
            if column.key == self.order.sort_key:
                down = self.order.reverse
                mark = (
                    ("▼" if down else "▲") if not self._ascii_only else "v^"[not down]
                )
            title = fit(column.title + mark, width, column.align)
            pieces.append((title + " ", "head"))
        return tuple(pieces)

    def _cells(self, key: str) -> Line:
        row, gone = self.order.rows[key], key in self.order.gone
        mark = "> " if key == self.cursor_key else "  "
        pieces: list[Piece] = [(mark, "key")]
        for column, width in self._columns:
            if gone and not column.names:
                text, style = ("GONE" if column.marks else "", "dim")
            else:
                text, style = column.cell(row)
            if self.stale:
                text, style = (f"~{text}" if column.marks else text, "dim")
            pieces.append((fit(text, width, column.align) + " ", style))
        return tuple(pieces)

    def render_line(self, y: int) -> Strip:
        """Return screen line `y`, the header first."""
        cursor, line = self._painted[y] if y < len(self._painted) else (False, ())
        return strip(line, self.size.width, cursor=cursor, ascii_only=self._ascii_only)


def _choose(columns: tuple[Column, ...], width: int) -> tuple[tuple[Column, int], ...]:
    """Drop columns until the rest fits, then give what is left to the growing one."""
    kept = list(columns)

    def used() -> int:
        return _MARK + sum(column.width + 1 for column in kept)

    while used() > width and any(column.drop for column in kept):
        kept.remove(max(kept, key=lambda column: column.drop))
    spare = max(0, width - used())
    return tuple((c, c.width + (spare if c.grow else 0)) for c in kept)


def _changes(was: tuple[bool, Line], now: tuple[bool, Line]) -> list[tuple[int, int]]:
    """Return the changed spans of a line; near ones are joined."""
    if was == now:
        return []
    if was[0] != now[0] or len(was[1]) != len(now[1]):
        return [(0, sum(cell_len(text) for text, _ in (*was[1], *now[1])))]
    spans: list[tuple[int, int]] = []
    at = 0
    for old, new in zip(was[1], now[1], strict=True):
        size = cell_len(new[0])
        if old != new:
            if spans and at - spans[-1][1] <= _GAP:
                spans[-1] = (spans[-1][0], at + size)
            else:
                spans.append((at, at + size))
        at += size
    return spans
