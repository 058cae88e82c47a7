"""A dialog that edits lines: the lines, one input, and what would come of them."""

from __future__ import annotations

from typing import ClassVar

from textual.app import ComposeResult
from textual.containers import Vertical
from textual.screen import ModalScreen
from textual.widgets import Input

from failsoft.ops.views import Applied, Preview
from failsoft_tui.desk import Desk
from failsoft_tui.dialogs.preview import PreviewDialog
from failsoft_tui.dry_run import fault_lines
from failsoft_tui.paint import Line, panel_width
from failsoft_tui.plans import Plan
from failsoft_tui.widgets.lines import Lines

__all__ = ["EditingDialog"]

_SPOILT = "not written yet: p previews it, esc again drops it"


class EditingDialog(ModalScreen[Applied | None]):
    """Edits lines that are checked while one types, and written by a preview only.

    keys: (key, what it does) of the last line.  around: screen lines that are not
    those edited.
    """

    AUTO_FOCUS = ""
    keys: ClassVar[tuple[tuple[str, str], ...]] = ()
    around = 12

    def __init__(self, desk: Desk) -> None:
        super().__init__()
        self._desk = desk
        self._preview: Preview | None = None
        self._fault = ""
        self.panel = Vertical(id="panel", classes=desk.border_class)
        self.text = Lines(id="text", panel=True, ascii_only=desk.ascii_only)
        self.entry = Input(
            id="input", compact=True, max_length=2_000, select_on_focus=False
        )
        self.entry.display = False
        self.below = Lines(id="below", panel=True, ascii_only=desk.ascii_only)

    def compose(self) -> ComposeResult:
        """Lay out the lines, the one input, and what they would do."""
        with self.panel:
            yield self.text
            yield self.entry
            yield self.below

    def on_mount(self) -> None:
        """Show the lines."""
        self.recheck()

    def on_resize(self) -> None:
        """Fit the lines."""
        self.paint()

    # -- what a form says of itself ---------------------------------------------

    def recheck(self) -> None:
        """Dry-run the lines as they stand, and paint."""
        raise NotImplementedError

    def is_changed(self) -> bool:
        """Whether something would be lost."""
        raise NotImplementedError

    def cursor(self) -> int:
        """Return the index of the current line."""
        raise NotImplementedError

    def lines_edited(self, width: int) -> list[Line]:
        """Return the title and the lines."""
        raise NotImplementedError

    def outcome(self, width: int) -> list[Line]:
        """Return what the dry run says."""
        raise NotImplementedError

    def leave_typing(self) -> None:
        """Forget what was typed but not taken."""

    def notes(self) -> list[Line]:
        """Return what stands above the keys."""
        return []

    # -- keys ------------------------------------------------------------------

    def check_action(self, action: str, parameters: tuple[object, ...]) -> bool | None:
        """Leave letters to the input."""
        return action == "cancel" or not self.entry.display

    def action_cancel(self) -> None:
        """Close the input, else the form; what was changed is dropped at the second."""
        if self.entry.display:
            self.leave_typing()
            self.close_input()
        elif self.is_changed() and self._fault != _SPOILT:
            self._fault = _SPOILT
            self.paint()
        else:
            self.dismiss(None)

    def open_input(self, text: str) -> None:
        """Type a line, beginning with this text."""
        self.entry.value = text
        self.entry.display = True
        self.entry.focus()
        self.paint()

    def close_input(self) -> None:
        """Go back to the lines."""
        self.entry.display = False
        self.set_focus(None)
        self.recheck()

    def preview(self, plan: Plan, reason: str = "") -> None:
        """Preview the write; what it applied closes the form."""
        self.panel.display = False  # two frames, one over the other, are no picture
        dialog = PreviewDialog(self._desk, plan, reason=reason)
        self.app.push_screen(dialog, self._written)

    def _written(self, applied: Applied | None) -> None:
        self.panel.display = True
        if applied is not None:
            self.dismiss(applied)

    # -- painting --------------------------------------------------------------

    def paint(self) -> None:
        """Show the lines around the cursor, and what comes of them."""
        width = panel_width(self.size.width)
        lines = self.lines_edited(width)
        room = max(3, self.size.height - self.around)
        self.text.styles.height = min(len(lines), room)
        below_cursor = self.cursor() + 2 - room
        self.text.top = min(max(0, below_cursor), max(0, len(lines) - room))
        self.text.set_lines(lines)
        self.text.refresh()
        below = self._below_lines(width)
        self.below.styles.height = len(below)
        self.below.set_lines(below)

    def _below_lines(self, width: int) -> list[Line]:
        lines = self.outcome(width) if self._preview is not None else []
        if self._fault:
            lines += fault_lines(self._fault, width)
        if self.entry.display:
            hint = " ENTER takes the line (esc: leave it as it was)"
            return [*lines, ((hint, "dim"),)]
        pieces: list[tuple[str, str]] = [(" ", "")]
        for key, what in self.keys:
            pieces += [(key, "key"), (f" {what}  ", "")]
        return [*lines, *self.notes(), tuple(pieces)]
