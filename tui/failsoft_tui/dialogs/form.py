"""The form of a flag: change its lines, see what differs, then preview the write."""

from __future__ import annotations

from collections.abc import Callable
from typing import ClassVar

from textual import on
from textual.widgets import Input

from failsoft.errors import FailsoftError
from failsoft.ops.flagforms import Form
from failsoft.ops.text import safe
from failsoft_tui.actions import bindings
from failsoft_tui.desk import Desk
from failsoft_tui.dialogs.editing import EditingDialog
from failsoft_tui.drafts import Draft
from failsoft_tui.dry_run import document_lines, wrapped
from failsoft_tui.paint import Line, justify
from failsoft_tui.plans import Plan

__all__ = ["FormDialog"]


class FormDialog(EditingDialog):
    """Edits a form; it is checked while one types, and written by its preview only.

    plan: makes the write of a form, with leave to rebucket or without.
    """

    BINDINGS: ClassVar = bindings("form")
    around = 13
    keys = (("ENTER", "change"), ("a", "add"), ("x", "remove"), ("[ ]", "move rule"),
            ("b", "rebucket"), ("p", "preview"), ("esc", "leave"))  # fmt: skip

    def __init__(
        self, desk: Desk, target: str, form: Form, plan: Callable[[Form, bool], Plan]
    ) -> None:
        super().__init__(desk)
        self._target = target
        self._plan = plan
        self._rebucket = False
        self.draft = Draft(form)

    def recheck(self) -> None:
        """Dry-run the form as it stands."""
        self._check(self.draft.form)

    # -- checks ----------------------------------------------------------------

    def _check(self, form: Form) -> None:
        """Dry-run a form: nothing is asked of an operator that cannot be written."""
        self._preview, self._fault = None, ""
        try:
            if repr(form) != repr(self.draft.before):
                self._preview = self._plan(form, self._rebucket).preview()
        except FailsoftError as error:
            self._fault = safe(error, 400)
        self.paint()

    @on(Input.Changed)
    def check_typing(self, event: Input.Changed) -> None:
        """Check while one types."""
        event.stop()
        if not self.entry.display:
            return
        try:
            form = self.draft.typed(event.value)
        except FailsoftError as error:
            self._preview, self._fault = None, safe(error, 400)
            self.paint()
        else:
            self._check(form)

    @on(Input.Submitted)
    def take_typing(self, event: Input.Submitted) -> None:
        """Keep the line, unless nobody could read it."""
        event.stop()
        try:
            form = self.draft.typed(event.value)
        except FailsoftError:
            return  # the fault is on screen
        self.draft.take(form)
        self.close_input()

    # -- keys ------------------------------------------------------------------

    def action_go(self, where: str) -> None:
        """Move the cursor."""
        self.draft.go(-1 if where == "up" else 1)
        self.paint()

    def action_change(self) -> None:
        """Turn a choice, or type the line."""
        if self.draft.is_choice():
            self.draft.turn()
            self._check(self.draft.form)
        else:
            self.open_input(self.draft.text())

    def action_add(self) -> None:
        """Type a new rule."""
        self.draft.add()
        self.open_input(self.draft.text())

    def action_remove(self) -> None:
        """Drop the rule."""
        self.draft.remove()
        self._check(self.draft.form)

    def action_move(self, count: int) -> None:
        """Move the rule up or down."""
        self.draft.move(count)
        self._check(self.draft.form)

    def action_rebucket(self) -> None:
        """Allow that users change variant who should stay, or forbid it."""
        self._rebucket = not self._rebucket
        self._check(self.draft.form)

    def action_preview(self) -> None:
        """Preview the write; what it applied closes the form."""
        if self._preview is None:
            self._fault = self._fault or "nothing is changed yet"
            self.paint()
            return
        self.preview(self._plan(self.draft.form, self._rebucket))

    # -- lines -----------------------------------------------------------------

    def is_changed(self) -> bool:
        """Whether the form is another than at first."""
        return self.draft.is_changed()

    def leave_typing(self) -> None:
        """Leave the line as it was."""
        self.draft.leave()

    def cursor(self) -> int:
        """Return the index of the current line."""
        return self.draft.at

    def lines_edited(self, width: int) -> list[Line]:
        """Return the flag, its variants, and each line of the form."""
        names = " ".join(safe(name, 40) for name in self.draft.form.variants)
        title: Line = ((f" EDIT {safe(self._target)}", "bold"),)
        lines = [justify(title, ((f"variants {names} ", "dim"),), width)]
        for index, (name, text) in enumerate(self.draft.lines()):
            on = index == self.draft.at
            mark, style = (" > ", "key") if on else ("   ", "dim")
            lines.append(
                ((mark, "key"), (f"{name:<9}", style), (safe(text, 1_000), ""))
            )
        return lines

    def outcome(self, width: int) -> list[Line]:
        """Return what the write would change."""
        preview = self._preview
        if preview is None:
            return []
        lines = document_lines(preview, width)
        for note in preview.warnings[:2]:
            lines += wrapped("note", safe(note, 300), width, "bold")
        return lines

    def notes(self) -> list[Line]:
        """Say what was allowed."""
        if not self._rebucket:
            return []
        return [((" users may change variant (b takes that back)", "warn"),)]
