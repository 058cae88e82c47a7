"""Lines of styled text, measured in terminal cells; no widget, no markup.

A `Piece` is (text, style name), a `Line` a tuple of pieces.  Texts of strangers have
passed `ops.text.safe` before they become a piece.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from rich.cells import cell_len, set_cell_size
from rich.segment import Segment
from textual.strip import Strip

from failsoft.ops.text import safe
from failsoft_tui.palette import style_of

__all__ = [
    "FILL",
    "Line",
    "Piece",
    "fit",
    "join",
    "justify",
    "line_width",
    "panel_width",
    "plain",
    "strip",
]

FILL = "fill"  # style of a piece that is repeated to the end of the line

Piece = tuple[str, str]
Line = tuple[Piece, ...]


def panel_width(screen_width: int) -> int:
    """Return the cells within a dialog's frame."""
    return max(30, min(screen_width, 120) - 2)


def line_width(line: Line) -> int:
    """Return the width of a line in cells."""
    return sum(cell_len(text) for text, _ in line)


def plain(line: Line) -> str:
    """Return the text of a line."""
    return "".join(text for text, _ in line)


def cut(text: str, width: int, mark: str = "…") -> str:
    """Return the first `width` cells of a longer text, the last of them `mark`.

    A wide character that does not fit becomes a space.
    """
    return set_cell_size(text, max(0, width - len(mark))) + mark[:width]


def fit(text: str, width: int, align: str = "<") -> str:
    """Return `text` in exactly `width` cells; align: `<` or `>`."""
    size = cell_len(text)
    if size > width:
        return cut(text, width)
    pad = " " * (width - size)
    return pad + text if align == ">" else text + pad


def join(parts: Iterable[Line], between: Piece) -> Line:
    """Return the parts as one line with a piece between them."""
    joined: list[Piece] = []
    for part in parts:
        if joined:
            joined.append(between)
        joined.extend(part)
    return tuple(joined)


def justify(left: Line, right: Line, width: int) -> Line:
    """Return both ends on one line; the right one gives way when there is no room."""
    room = width - line_width(left) - line_width(right)
    return (*left, (" " * room, ""), *right) if room > 0 else left


def strip(
    line: Sequence[Piece],
    width: int,
    *,
    cursor: bool = False,
    panel: bool = False,
    ascii_only: bool = False,
) -> Strip:
    """Return a strip of exactly `width` cells, one segment a piece."""
    segments: list[Segment] = []
    room = width
    for text, name in line:
        if not room:
            break
        shown = safe(text, 1_000, ascii_only=True) if ascii_only else text
        if name == FILL:
            shown = shown * room
        size = cell_len(shown)
        if size > room:
            mark = "" if name == FILL else "…"
            shown, size = cut(shown, room, mark), room
            shown = shown.replace("…", "~") if ascii_only else shown
        segments.append(Segment(shown, style_of(name, cursor=cursor, panel=panel)))
        room -= size
    if room:
        segments.append(Segment(" " * room, style_of("", cursor=cursor, panel=panel)))
    return Strip(segments, width)
