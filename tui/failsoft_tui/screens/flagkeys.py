"""What keys do to the flag under the cursor: form, on and off, default, rollout."""

from __future__ import annotations

from collections.abc import Callable

from failsoft.errors import FailsoftError
from failsoft.ops.command import FlagEdit, GuardApply
from failsoft.ops.flagexplain import context_of, explain
from failsoft.ops.flagforms import Form, diff_words, put_form
from failsoft.ops.flagsheet import FlagSheet, pretty
from failsoft.ops.text import safe
from failsoft.ops.views import ControlRow
from failsoft_tui.dialogs.ask import AskDialog
from failsoft_tui.dialogs.form import FormDialog
from failsoft_tui.dialogs.page import PageDialog
from failsoft_tui.dialogs.pick import PickDialog
from failsoft_tui.paint import Line
from failsoft_tui.plans import CommandPlan, Plan, mover
from failsoft_tui.screens.listing import ListScreen
from failsoft_tui.sheet import document_lines, explained_lines, who_of

__all__ = ["FlagKeys"]


class FlagKeys(ListScreen):
    """The part of Controls that is about flags."""

    def row_of(self, what: str, *kinds: str) -> ControlRow | None:
        """Return the row under the cursor if the key is for it, else say why not."""
        row: ControlRow | None = self.table.cursor_row()
        if row is None:
            self.refuse("no control under the cursor")
        elif row.kind not in kinds:
            names = " and ".join(f"{kind}s" for kind in kinds)
            self.refuse(f"{what} is for {names}, this is a {row.kind}")
        else:
            return row
        return None

    def _flag(self, what: str) -> FlagSheet | None:
        """Return the flag under the cursor if it can be written now."""
        row = self.row_of(what, "flag")
        refusal = self.desk.refusal()
        if row is not None and refusal:
            self.refuse(refusal)
        elif row is not None:
            return self.desk.sheet(row.target.partition(":")[2])
        return None

    # -- rollout ---------------------------------------------------------------

    def action_roll(self, by: str) -> None:
        """Preview a rollout moved by points or to the next step, see `mover`."""
        row = self.row_of("rollout", "flag")
        if row is not None and row.rollout is None:
            self.refuse(f"{safe(row.target)} has no percentage; E edits its rules")
        elif row is not None:
            assert row.rollout is not None
            rollout = min(100.0, max(0.0, mover(by)(row.rollout)))
            self.command(FlagEdit(target=row.target, rollout=rollout))

    def action_percent(self) -> None:
        """Ask for the percentage."""
        sheet = self._flag("=")
        if sheet is None or sheet.row is None:
            return
        target = sheet.row.target
        now = safe(sheet.row.now, 40)
        text = f" {safe(target, 80)} is {now}; percent (0 to 100):"

        def answered(answer: str | None) -> None:
            self._percent(target, answer)

        self.app.push_screen(AskDialog(self.desk, (((text, "bold"),),)), answered)

    def _percent(self, target: str, answer: str | None) -> None:
        if answer is None:
            return
        try:
            rollout = float(answer.removesuffix("%"))
        except ValueError:
            rollout = -1.0
        if 0 <= rollout <= 100:
            self.command(FlagEdit(target=target, rollout=rollout))
        else:
            self.refuse(f"percent = {safe(answer, 20)} must be 0 to 100")

    # -- on, off, default ------------------------------------------------------

    def action_switch(self) -> None:
        """Choose on or off for everybody."""
        sheet = self._flag("O")
        if sheet is None:
            return
        entries: list[tuple[str, Line]] = [
            ("on", (("on ", "bold"), ("for everybody, rules are dropped", "dim"))),
            ("off", (("off ", "bold"), ("for everybody, rules are dropped", "dim"))),
        ]

        def chosen(name: str | None) -> None:
            if name is not None:
                target = f"flag:{sheet.key}"
                self.command(FlagEdit(target, enabled=name == "on"))

        title = f"{safe(sheet.key, 80)}: on or off?"
        self.app.push_screen(PickDialog(self.desk, title, entries), chosen)

    def action_default(self) -> None:
        """Choose the variant served where nothing else is said."""
        sheet = self._flag("V")
        if sheet is None:
            return
        if sheet.form is None:
            self.refuse(_as_text(sheet))
            return
        form = sheet.form
        entries: list[tuple[str, Line]] = [
            (name, ((safe(name, 60), "bold"), (_mark(name, form), "dim")))
            for name in form.variants
        ]

        def chosen(name: str | None) -> None:
            if name is not None:
                self.command(FlagEdit(f"flag:{sheet.key}", default=name))

        title = f"{safe(sheet.key, 80)}: which default variant?"
        self.app.push_screen(PickDialog(self.desk, title, entries), chosen)

    # -- form ------------------------------------------------------------------

    def action_edit(self) -> None:
        """Open the form; what fits none is shown, with how to edit it."""
        sheet = self._flag("E")
        if sheet is None:
            return
        base, form = sheet.doc or sheet.start, sheet.form or sheet.start_form
        if form is None:
            lines: list[Line] = [((f" {_as_text(sheet)}", "warn"),)]
            lines += document_lines(sheet.doc, pretty(sheet.doc))
            self.app.push_screen(PageDialog(self.desk, lines))
            return
        dialog = FormDialog(
            self.desk, f"flag:{sheet.key}", form, self._writer(sheet, base)
        )
        self.app.push_screen(dialog, self.applied)

    def _writer(self, sheet: FlagSheet, base: bytes) -> Callable[[Form, bool], Plan]:
        operator = self.desk.operator
        assert operator is not None
        rev = sheet.row.rev if sheet.row is not None else 0

        def plan(form: Form, rebucket: bool) -> Plan:
            target = f"flag:{sheet.key}"
            command = put_form(target, base, form, if_rev=rev, rebucket=rebucket)
            return CommandPlan(operator, command)

        return plan

    # -- guard -----------------------------------------------------------------

    def action_guard(self) -> None:
        """Preview the kill that the flag's guard proposes; elsewhere choose one."""
        proposals = self.desk.newest.proposals
        if not proposals:
            self.refuse("no guard proposes anything: those that may write do it")
            return
        row: ControlRow | None = self.table.cursor_row()
        target = row.target if row is not None else ""
        if any(one.target == target for one in proposals):
            self._apply_guard(target)
            return
        entries: list[tuple[str, Line]] = [
            (one.target, ((f"{safe(one.target, 60)}  ", "bold"), (safe(one.why), "")))
            for one in proposals
        ]
        dialog = PickDialog(self.desk, "Which guard's proposal?", entries)
        self.app.push_screen(dialog, self._apply_guard)

    def _apply_guard(self, target: str | None) -> None:
        if target is not None:
            self.command(GuardApply(target))

    # -- who gets what ---------------------------------------------------------

    def action_who(self) -> None:
        """Ask for a user, and say what the flag gives and why."""
        row = self.row_of("w", "flag")
        operator = self.desk.operator
        if row is None or operator is None:
            return
        key = row.target[5:]
        text = f" {safe(key, 60)} for whom? USER [country=DE user.tier=gold ...]:"

        def answered(answer: str | None) -> None:
            if answer is not None:
                self._explain(key, answer)

        self.app.push_screen(AskDialog(self.desk, (((text, "bold"),),)), answered)

    def _explain(self, key: str, answer: str) -> None:
        operator = self.desk.operator
        assert operator is not None
        try:
            user, values = who_of(answer)
            context = context_of(values, user)
            told = explain(key, context, self.desk.newest, operator.definitions)
        except FailsoftError as error:
            self.refuse(safe(error, 300))
        else:
            self.app.push_screen(PageDialog(self.desk, explained_lines(told, answer)))

    def action_diff(self) -> None:
        """Show what the edit changes in what releases declare."""
        row = self.row_of("d", "flag")
        sheet = self.desk.sheet(row.target[5:]) if row is not None else None
        if sheet is None:
            return
        if sheet.row is None or not sheet.row.rev:
            self.refuse(f"{safe(sheet.key)} has no edit: nothing differs")
            return
        below = sheet.below.doc.encode() if sheet.below else b""
        what = "the flags file" if below else "no document: only the code's default"
        head = f" {safe(sheet.key)}: the edit in the store, over {what}"
        lines: list[Line] = [((head, "bold"),)]
        differs = diff_words(below, sheet.doc) if below else ()
        lines += [((f"   {safe(line, 300)}", "warn"),) for line in differs]
        lines += document_lines(sheet.doc, pretty(sheet.doc))
        self.app.push_screen(PageDialog(self.desk, lines))

    # -- reads -----------------------------------------------------------------

    async def read_lives(self) -> None:
        """Read how flags are used, now and then: it tells the stale ones."""
        operator = self.desk.operator
        if operator is None or self.desk.is_stale() or not self.is_current:
            return
        try:
            self.desk.lives = await operator.flag_lives()
        except FailsoftError as error:
            self.refuse(safe(error, 300))
        else:
            self.show()


def _mark(name: str, form: Form) -> str:
    return "   now" if name == form.default else ""


def _as_text(sheet: FlagSheet) -> str:
    why = "is unreadable" if sheet.fault else "fits no form"
    if not sheet.doc:
        why = "has no document yet, and is no boolean"
    return f"{safe(sheet.key)} {why}: failsoft flags edit {safe(sheet.key)}"
