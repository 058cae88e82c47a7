"""The preview: a dry run recomputed each second, and the only place that applies."""

from __future__ import annotations

import asyncio
from typing import ClassVar

from textual import events, on
from textual.app import ComposeResult
from textual.containers import Vertical
from textual.screen import ModalScreen
from textual.widgets import Input

from failsoft.errors import FailsoftError
from failsoft.ops.text import safe
from failsoft.ops.views import Applied
from failsoft_tui.actions import bindings
from failsoft_tui.confirmation import Confirmation
from failsoft_tui.desk import Desk
from failsoft_tui.dry_run import dry_run_lines, fault_lines
from failsoft_tui.paint import Line, panel_width
from failsoft_tui.plans import Plan, mover
from failsoft_tui.widgets.lines import Lines

__all__ = ["PreviewDialog"]

DEAF_S = 0.15  # a key meant for the screen below must not confirm


class PreviewDialog(ModalScreen[Applied | None]):
    """Shows what a write would do; ENTER applies once its tier is satisfied.

    Its tier may rise while it is open, then what was typed is dropped; it never
    falls.  Dismissed with `Applied`, or None when cancelled.
    """

    BINDINGS: ClassVar = bindings("preview")
    AUTO_FOCUS = ""

    def __init__(self, desk: Desk, plan: Plan, *, reason: str = "") -> None:
        super().__init__()
        self._desk = desk
        self._plan = plan
        self.text = Lines(id="text", panel=True, ascii_only=desk.ascii_only)
        self.entry = Input(id="input", compact=True)
        self.entry.display = False
        self._opened = desk.clock()
        self._asks = Confirmation()
        self._reason = reason  # of its own
        self._asked = ""  # what the input is for: "", reason, confirm
        self._end = ""
        self._error = ""  # of applying
        self._fault = ""  # of the dry run
        self._writing: asyncio.Task[None] | None = None

    def compose(self) -> ComposeResult:
        """Lay out text and the one input."""
        with Vertical(id="panel", classes=self._desk.border_class):
            yield self.text
            yield self.entry

    def on_mount(self) -> None:
        """Start the dry run."""
        self.recompute()
        self.set_interval(1.0, self.recompute)

    def on_resize(self) -> None:
        """Wrap the text anew."""
        self._paint()

    # -- the dry run -----------------------------------------------------------

    def recompute(self) -> None:
        """Preview again on the newest view."""
        if self._writing is not None and not self._writing.done():
            return
        try:
            fresh = self._plan.preview()
        except FailsoftError as error:
            self._asks.drop()
            self._fault = safe(error, 400)
        else:
            self._asks.take(fresh)
            self._fault = ""
        self._paint()

    # -- keys ------------------------------------------------------------------

    def check_action(self, action: str, parameters: tuple[object, ...]) -> bool | None:
        """Be deaf for a moment after opening; leave letters to the input."""
        if action == "cancel":
            return True
        if self._desk.clock() - self._opened < DEAF_S:
            return False
        return not self._asked

    def on_key(self, event: events.Key) -> None:
        """Collect the digits of tier 2."""
        if self._asked or self._desk.clock() - self._opened < DEAF_S:
            return
        if self._asks.type_key(event.key, event.character):
            event.stop()
            self._paint()

    def on_paste(self, event: events.Paste) -> None:
        """Ignore it: paste never confirms."""
        event.stop()

    def action_cancel(self) -> None:
        """Close the input, else the dialog."""
        if self._asked:
            self._close_input()
        elif self._writing is None or self._writing.done():
            self.dismiss(None)

    def action_ends(self) -> None:
        """Take the next preset of the end."""
        ends = self._plan.ends
        if not ends:
            return
        names = [name for name, _ in ends]
        index = names.index(self._end) + 1 if self._end in names else 0
        name, for_s = ends[index % len(ends)]
        changed = self._plan.with_end(for_s)
        if changed is not None:
            self._end = name
            self._replace(changed)

    def action_roll(self, by: str) -> None:
        """Move the rollout, see `mover`."""
        changed = self._plan.rolled(mover(by))
        if changed is not None:
            self._replace(changed)

    def _replace(self, plan: Plan) -> None:
        self._plan = plan
        self._asks.typed = ""
        self._error = ""
        self.recompute()

    # -- the input -------------------------------------------------------------

    def action_reason(self) -> None:
        """Ask for a reason of its own."""
        self._ask("reason", self._reason)

    def action_group(self) -> None:
        """Ask for the group."""
        if self._plan.grouped("") is not None:
            preview = self._asks.preview
            self._ask("group", preview.group if preview else "")

    def _ask(self, what: str, value: str = "") -> None:
        self._asked = what
        self.entry.value = value
        self.entry.display = True
        self.entry.focus()
        self._paint()

    def _close_input(self) -> None:
        self._asked = ""
        self.entry.display = False
        self.set_focus(None)
        self._paint()

    @on(Input.Submitted)
    def take_input(self, event: Input.Submitted) -> None:
        """Take what was typed; a confirmed environment name applies."""
        event.stop()
        asked, value = self._asked, event.value.strip()
        self._close_input()
        if asked == "reason":
            self._reason = value
            self._paint()
        elif asked == "group":
            changed = self._plan.grouped(value)
            if changed is not None:
                self._replace(changed)
        elif asked == "confirm":
            self._asks.typed = value
            self._apply_if_confirmed()

    # -- applying --------------------------------------------------------------

    def action_apply(self) -> None:
        """Apply, or ask for what the tier still needs; never in vain."""
        self._error = self._desk.refusal()
        if self._error:
            self._paint()
        elif self._asks.tier >= 3 and not self._reason:
            self._error = "tier 3 needs a reason of its own"
            self._ask("reason")
        elif self._asks.tier >= 3:
            self._ask("confirm")
        else:
            self._apply_if_confirmed()

    def _apply_if_confirmed(self) -> None:
        self._error = self._desk.refusal() or self._asks.missing(self._desk.newest.env)
        if not self._error and (self._writing is None or self._writing.done()):
            self._writing = asyncio.create_task(self._apply())
        self._paint()

    async def _apply(self) -> None:
        asks = self._asks
        try:
            applied = await self._plan.apply(self._reason, asks.shown(), asks.typed)
        except FailsoftError as error:
            self._error = safe(error, 400)
            asks.drop()
            self._writing = None
            self.recompute()
        else:
            self.dismiss(applied)

    # -- painting --------------------------------------------------------------

    def _paint(self) -> None:
        width = panel_width(self.size.width)
        lines = self._lines(width)
        self.text.styles.height = min(len(lines), max(3, self.size.height - 4))
        self.text.set_lines(lines)

    def _lines(self, width: int) -> list[Line]:
        lines: list[Line] = []
        preview = self._asks.preview
        if preview is not None:
            reason = self._reason or self._armed_reason()
            ends = self._ends_text()
            lines = dry_run_lines(preview, width, reason=reason, ends=ends)
            lines.append(self._asks.line(self._desk.newest.env))
        for error in dict.fromkeys(filter(None, (self._fault, self._error))):
            lines += fault_lines(error, width)
        lines.append(self._key_line())
        return lines

    def _armed_reason(self) -> str:
        operator = self._desk.operator
        return f"{safe(operator.armed_reason)} (from arming)" if operator else "-"

    def _ends_text(self) -> str:
        if not self._plan.ends:
            return ""
        names = " ".join(f"<{n}>" if n == self._end else n for n, _ in self._plan.ends)
        return f"   [t {names}]"

    def _key_line(self) -> Line:
        if self._writing is not None and not self._writing.done():
            return ((" applying ...", "warn"),)
        if self._asked == "reason":
            return ((" reason, then ENTER (esc: leave it):", "warn"),)
        if self._asked == "group":
            text = (
                " group, such as INC-311; empty for none, then ENTER (esc: leave it):"
            )
            return ((text, "warn"),)
        if self._asked == "confirm":
            env = safe(self._desk.newest.env, 60)
            return ((f" type {env} and ENTER to apply (esc: back):", "warn"),)
        keys = [("ENTER", "apply"), ("r", "reason")]
        if self._plan.ends:
            keys.append(("t", "end"))
        if self._plan.rolled(lambda rollout: rollout) is not None:
            keys.append(("[ ] { }", "rollout"))
        if self._plan.grouped("") is not None:
            keys.append(("g", "group"))
        keys.append(("esc", "cancel"))
        pieces: list[tuple[str, str]] = [(" ", "")]
        for key, what in keys:
            pieces += [(key, "key"), (f" {what}   ", "")]
        return tuple(pieces)
