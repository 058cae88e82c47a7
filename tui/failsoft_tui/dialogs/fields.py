"""A form of named lines: change them, see what they would do, then preview it."""

from __future__ import annotations

from collections.abc import Iterable
from typing import ClassVar

from textual import on
from textual.app import ComposeResult
from textual.containers import Vertical
from textual.screen import ModalScreen
from textual.widgets import Input

from failsoft.errors import FailsoftError
from failsoft.ops.operator import Operator
from failsoft.ops.text import safe
from failsoft.ops.views import Applied, Preview
from failsoft_tui.actions import bindings
from failsoft_tui.desk import Desk
from failsoft_tui.dialogs.preview import PreviewDialog
from failsoft_tui.dry_run import fault_lines, outcome_lines
from failsoft_tui.fields import Field, Fields
from failsoft_tui.paint import Line, panel_width
from failsoft_tui.plans import CommandPlan
from failsoft_tui.widgets.lines import Lines

__all__ = ["FieldsDialog"]

_AROUND = 12  # lines that are not the form's
_SPOILT = "not written yet: p previews it, esc again drops it"
_KEYS = (("ENTER", "change"), ("p", "preview"), ("esc", "leave"))


class FieldsDialog(ModalScreen[Applied | None]):
    """Edits the lines of one verb; they are written by the preview only."""

    BINDINGS: ClassVar = bindings("fields")
    AUTO_FOCUS = ""

    def __init__(self, desk: Desk, operator: Operator, fields: Fields) -> None:
        super().__init__()
        self._desk = desk
        self._operator = operator
        self._preview: Preview | None = None
        self._fault = ""
        self.fields = fields
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
        self._check(self.fields.fields)

    def on_resize(self) -> None:
        """Fit the lines."""
        self._paint()

    def _check(self, fields: Iterable[Field]) -> None:
        """Dry-run the lines as they stand."""
        self._preview, self._fault = None, ""
        try:
            self._preview = self._operator.preview(self.fields.command(fields))
        except FailsoftError as error:
            self._fault = self.fields.in_words(safe(error, 400))
        self._paint()

    @on(Input.Changed)
    def check_typing(self, event: Input.Changed) -> None:
        """Check while one types."""
        event.stop()
        if self.entry.display:
            self._check(self.fields.typed(event.value))

    @on(Input.Submitted)
    def take_typing(self, event: Input.Submitted) -> None:
        """Keep the line; what is wrong with it stays on screen."""
        event.stop()
        self.fields.take(event.value)
        self._close_input()

    # -- keys ------------------------------------------------------------------

    def check_action(self, action: str, parameters: tuple[object, ...]) -> bool | None:
        """Leave letters to the input."""
        return action == "cancel" or not self.entry.display

    def action_go(self, where: str) -> None:
        """Move the cursor."""
        self.fields.go(-1 if where == "up" else 1)
        self._paint()

    def action_change(self) -> None:
        """Turn a choice, or type the line."""
        if self.fields.current.choices:
            self.fields.turn()
            self._check(self.fields.fields)
            return
        self.entry.value = self.fields.current.text
        self.entry.display = True
        self.entry.focus()
        self._paint()

    def action_preview(self) -> None:
        """Preview the write; what it applied closes the form."""
        self._check(self.fields.fields)
        if self._preview is None:
            return
        command = self.fields.command(self.fields.fields)
        plan = CommandPlan(self._operator, command)
        dialog = PreviewDialog(self._desk, plan, reason=self.fields.reason)
        self.panel.display = False  # two frames, one over the other, are no picture
        self.app.push_screen(dialog, self._written)

    def _written(self, applied: Applied | None) -> None:
        self.panel.display = True
        if applied is not None:
            self.dismiss(applied)

    def action_cancel(self) -> None:
        """Close the input, else the form; what was changed is dropped at the second."""
        if self.entry.display:
            self._close_input()
        elif self.fields.is_changed() and self._fault != _SPOILT:
            self._fault = _SPOILT
            self._paint()
        else:
            self.dismiss(None)

    def _close_input(self) -> None:
        self.entry.display = False
        self.set_focus(None)
        self._check(self.fields.fields)

    # -- painting --------------------------------------------------------------

    def _paint(self) -> None:
        lines = self._field_lines()
        room = max(3, self.size.height - _AROUND)
        self.text.styles.height = min(len(lines), room)
        below_cursor = self.fields.at + 2 - room
        self.text.top = min(max(0, below_cursor), max(0, len(lines) - room))
        self.text.set_lines(lines)
        self.text.refresh()
        below = self._below_lines(panel_width(self.size.width))
        self.below.styles.height = len(below)
        self.below.set_lines(below)

    def _field_lines(self) -> list[Line]:
        lines: list[Line] = [((f" {safe(self.fields.title)}", "bold"),)]
        for index, one in enumerate(self.fields.fields):
            on = index == self.fields.at
            mark, style = (" > ", "key") if on else ("   ", "dim")
            text = safe(one.text, 1_000) or "-"
            name = (f"{one.name:<9} ", style)
            lines.append(
                ((mark, "key"), name, (f"{text:<20}  ", ""), (one.hint, "dim"))
            )
        return lines

    def _below_lines(self, width: int) -> list[Line]:
        lines = outcome_lines(self._preview, width) if self._preview else []
        if self._fault:
            lines += fault_lines(self._fault, width)
        if self.entry.display:
            hint = " ENTER takes the line (esc: leave it as it was)"
            return [*lines, ((hint, "dim"),)]
        pieces: list[tuple[str, str]] = [(" ", "")]
        for key, what in _KEYS:
            pieces += [(key, "key"), (f" {what}  ", "")]
        return [*lines, tuple(pieces)]
