"""A form of named lines: change them, see what they would do, then preview it."""

from __future__ import annotations

from collections.abc import Iterable
from typing import ClassVar

from textual import on
from textual.widgets import Input

from failsoft.errors import FailsoftError
from failsoft.ops.operator import Operator
from failsoft.ops.text import safe
from failsoft_tui.actions import bindings
from failsoft_tui.desk import Desk
from failsoft_tui.dialogs.editing import EditingDialog
from failsoft_tui.dry_run import outcome_lines
from failsoft_tui.fields import Field, Fields
from failsoft_tui.paint import Line
from failsoft_tui.plans import CommandPlan, in_group

__all__ = ["FieldsDialog"]


class FieldsDialog(EditingDialog):
    """Edits the lines of one verb; they are written by the preview only."""

    BINDINGS: ClassVar = bindings("fields")
    keys = (("ENTER", "change"), ("p", "preview"), ("esc", "leave"))

    def __init__(self, desk: Desk, operator: Operator, fields: Fields) -> None:
        super().__init__(desk)
        self._operator = operator
        self.fields = fields

    def recheck(self) -> None:
        """Dry-run the lines as they stand."""
        self._check(self.fields.fields)

    def _check(self, fields: Iterable[Field]) -> None:
        self._preview, self._fault = None, ""
        try:
            self._preview = self._operator.preview(self.fields.command(fields))
        except FailsoftError as error:
            self._fault = self.fields.in_words(safe(error, 400))
        self.paint()

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
        self.close_input()

    # -- keys ------------------------------------------------------------------

    def action_go(self, where: str) -> None:
        """Move the cursor."""
        self.fields.go(-1 if where == "up" else 1)
        self.paint()

    def action_change(self) -> None:
        """Turn a choice, or type the line."""
        if self.fields.current.choices:
            self.fields.turn()
            self.recheck()
        else:
            self.open_input(self.fields.current.text)

    def action_preview(self) -> None:
        """Preview the write; what it applied closes the form."""
        self.recheck()
        if self._preview is None:
            return
        command = self.fields.command(self.fields.fields)
        command = in_group(command, self._operator.armed_reason)
        self.preview(CommandPlan(self._operator, command), self.fields.reason)

    # -- lines -----------------------------------------------------------------

    def is_changed(self) -> bool:
        """Whether a line is another than at first."""
        return self.fields.is_changed()

    def cursor(self) -> int:
        """Return the index of the current line."""
        return self.fields.at

    def lines_edited(self, width: int) -> list[Line]:
        """Return the title, and each line with its name and hint."""
        lines: list[Line] = [((f" {safe(self.fields.title)}", "bold"),)]
        for index, one in enumerate(self.fields.fields):
            on = index == self.fields.at
            mark, style = (" > ", "key") if on else ("   ", "dim")
            text = safe(one.text, 1_000) or "-"
            name = (f"{safe(one.name, 20):<9} ", style)
            lines.append(
                ((mark, "key"), name, (f"{text:<20}  ", ""), (safe(one.hint), "dim"))
            )
        return lines

    def outcome(self, width: int) -> list[Line]:
        """Return what the verb would do."""
        return outcome_lines(self._preview, width) if self._preview else []
