"""The form of a flag: change its lines, see what differs, then preview the write."""

from __future__ import annotations

from collections.abc import Callable
from typing import ClassVar

from textual import on
from textual.app import ComposeResult
from textual.containers import Vertical
from textual.screen import ModalScreen
from textual.widgets import Input

from failsoft.errors import FailsoftError
from failsoft.ops.flagforms import Form
from failsoft.ops.text import safe
from failsoft.ops.views import Applied, Preview
from failsoft_tui.actions import bindings
from failsoft_tui.desk import Desk
from failsoft_tui.dialogs.preview import PreviewDialog
from failsoft_tui.drafts import Draft
from failsoft_tui.dry_run import document_lines, fault_lines, wrapped
from failsoft_tui.paint import Line, justify, panel_width
from failsoft_tui.plans import Plan
from failsoft_tui.widgets.lines import Lines

__all__ = ["FormDialog"]

_AROUND = 13  # lines that are not the form's
_SPOILT = "not written yet: p previews it, esc again drops it"
_KEYS = (("ENTER", "change"), ("a", "add"), ("x", "remove"), ("[ ]", "move rule"),
         ("b", "rebucket"), ("p", "preview"), ("esc", "leave"))  # fmt: skip


class FormDialog(ModalScreen[Applied | None]):
    """Edits a form; it is checked while one types, and written by its preview only.

    plan: makes the write of a form, with leave to rebucket or without.
    """

    BINDINGS: ClassVar = bindings("form")
    AUTO_FOCUS = ""

    def __init__(
        self, desk: Desk, target: str, form: Form, plan: Callable[[Form, bool], Plan]
    ) -> None:
        super().__init__()
        self._desk = desk
        self._target = target
        self._plan = plan
        self._rebucket = False
        self._preview: Preview | None = None
        self._fault = ""
        self.draft = Draft(form)
        self.panel = Vertical(id="panel", classes=desk.border_class)
        self.text = Lines(id="text", panel=True, ascii_only=desk.ascii_only)
        self.entry = Input(
            id="input", compact=True, max_length=2_000, select_on_focus=False
        )
        self.entry.display = False
        self.below = Lines(id="below", panel=True, ascii_only=desk.ascii_only)

    def compose(self) -> ComposeResult:
        """Lay out the form, the one input, and what differs."""
        with self.panel:
            yield self.text
            yield self.entry
            yield self.below

    def on_mount(self) -> None:
        """Show the form."""
        self._check(self.draft.form)

    def on_resize(self) -> None:
        """Fit the lines."""
        self._paint()

    # -- checks ----------------------------------------------------------------

    def _check(self, form: Form) -> None:
        """Dry-run a form: nothing is asked of an operator that cannot be written."""
        self._preview, self._fault = None, ""
        try:
            if repr(form) != repr(self.draft.before):
                self._preview = self._plan(form, self._rebucket).preview()
        except FailsoftError as error:
            self._fault = safe(error, 400)
        self._paint()

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
            self._paint()
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
        self._close_input()

    # -- keys ------------------------------------------------------------------

    def check_action(self, action: str, parameters: tuple[object, ...]) -> bool | None:
        """Leave letters to the input."""
        return action == "cancel" or not self.entry.display

    def action_go(self, where: str) -> None:
        """Move the cursor."""
        self.draft.go(-1 if where == "up" else 1)
        self._paint()

    def action_change(self) -> None:
        """Turn a choice, or type the line."""
        if self.draft.is_choice():
            self.draft.turn()
            self._check(self.draft.form)
        else:
            self._open_input()

    def action_add(self) -> None:
        """Type a new rule."""
        self.draft.add()
        self._open_input()

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
            self._paint()
            return
        plan = self._plan(self.draft.form, self._rebucket)
        self.panel.display = False  # two frames, one over the other, are no picture
        self.app.push_screen(PreviewDialog(self._desk, plan), self._written)

    def _written(self, applied: Applied | None) -> None:
        self.panel.display = True
        if applied is not None:
            self.dismiss(applied)

    def action_cancel(self) -> None:
        """Close the input, else the form; what was changed is dropped at the second."""
        if self.entry.display:
            self.draft.leave()
            self._close_input()
        elif self.draft.is_changed() and self._fault != _SPOILT:
            self._fault = _SPOILT
            self._paint()
        else:
            self.dismiss(None)

    def _open_input(self) -> None:
        self.entry.value = self.draft.text()
        self.entry.display = True
        self.entry.focus()
        self._paint()

    def _close_input(self) -> None:
        self.entry.display = False
        self.set_focus(None)
        self._check(self.draft.form)

    # -- painting --------------------------------------------------------------

    def _paint(self) -> None:
        width = panel_width(self.size.width)
        lines = self._form_lines(width)
        room = max(3, self.size.height - _AROUND)
        self.text.styles.height = min(len(lines), room)
        self.text.top = min(max(0, self.draft.at + 2 - room), max(0, len(lines) - room))
        self.text.set_lines(lines)
        self.text.refresh()
        below = self._below_lines(width)
        self.below.styles.height = len(below)
        self.below.set_lines(below)

    def _form_lines(self, width: int) -> list[Line]:
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

    def _below_lines(self, width: int) -> list[Line]:
        lines: list[Line] = []
        preview = self._preview
        if preview is not None:
            lines += document_lines(preview, width)
            for note in preview.warnings[:2]:
                lines += wrapped("note", safe(note, 300), width, "bold")
        if self._fault:
            lines += fault_lines(self._fault, width)
        if self.entry.display:
            hint = " ENTER takes the line (esc: leave it as it was)"
            return [*lines, ((hint, "dim"),)]
        if self._rebucket:
            lines.append(((" users may change variant (b takes that back)", "warn"),))
        pieces: list[tuple[str, str]] = [(" ", "")]
        for key, what in _KEYS:
            pieces += [(key, "key"), (f" {what}  ", "")]
        return [*lines, tuple(pieces)]
