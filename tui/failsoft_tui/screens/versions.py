"""Versions: who uses which, who would break; brownouts, pins and sunsets."""

from __future__ import annotations

from functools import partial
from typing import Any, ClassVar

from failsoft.ops.command import (
    BrownoutStop,
    Command,
    PinClear,
    PinSet,
    SunsetExtend,
)
from failsoft.ops.contractrows import BrownoutRow, VersionsView
from failsoft.ops.text import safe
from failsoft.ops.views import FleetView
from failsoft_tui.actions import bindings
from failsoft_tui.desk import Desk
from failsoft_tui.dialogs.ask import AskDialog
from failsoft_tui.dialogs.fields import FieldsDialog
from failsoft_tui.dialogs.pick import PickDialog
from failsoft_tui.fields import brownout_fields
from failsoft_tui.paint import Line
from failsoft_tui.screens.pane import PaneScreen
from failsoft_tui.screens.sheet import SheetScreen
from failsoft_tui.versionrows import USES_SHOWN, UsedRow, used_rows, version_order
from failsoft_tui.versionsheet import consumer_lines, pane_lines, version_lines
from failsoft_tui.widgets.live_table import LiveTable

__all__ = ["VersionsScreen"]

_START = ""  # the entry that opens the form


class VersionsScreen(PaneScreen):
    """Each version, newest first, above those who use it."""

    BINDINGS: ClassVar = bindings("list", "versions")
    name_shown = "versions"
    rank_name = "newest version"
    places = ("table", "list", "versions")

    def __init__(self, desk: Desk) -> None:
        super().__init__(desk, version_order(desk.now_ms))
        self._made: tuple[VersionsView | None, tuple[UsedRow, ...]] = (None, ())

    @property
    def _seen(self) -> VersionsView:
        return self.desk.view.versions or VersionsView(0)

    def rows(self, view: FleetView) -> tuple[Any, ...]:
        """Return versions and their consumers; made anew when they were read."""
        if view.versions is not self._made[0]:
            rows = used_rows(view.versions) if view.versions else ()
            self._made = (view.versions, rows)
        return self._made[1]

    def empty_text(self) -> str:
        """Say what declares versions."""
        if self.desk.view.versions is None:
            return "reading who uses which version; it is read while this is open"
        return (
            "no live release declares versions, and none was asked for in 30 days: "
            "add a [versions] table to failsoft.toml, or Failsoft(app, contract=...)"
        )

    def title_right(self) -> str:
        """Say what is counted, and what is left out."""
        more = len(self._seen.uses) - USES_SHOWN
        left_out = f"{more:,} uses left out   " if more > 0 else ""
        return f"{left_out}default {safe(self._seen.default, 20) or '-'}   30 days"

    def pane_lines(self, height: int) -> list[Line]:
        """Return who would break, brownouts and pins."""
        row: UsedRow | None = self.table.cursor_row()
        if row is None:
            return []
        now_ms = self.desk.now_ms()
        return pane_lines(self._seen, row.use, row.version, height, now_ms)

    def on_live_table_opened(self, event: LiveTable.Opened) -> None:
        """Open the version or the consumer in full."""
        row: UsedRow | None = self.table.cursor_row()
        if row is None:
            return
        about = f"version {safe(row.version.id, 64)}"
        if row.use is not None:
            about = f"consumer {safe(row.use.consumer, 64)}"

        def lines(view: FleetView) -> list[Line]:
            seen, now_ms = view.versions or VersionsView(0), self.desk.now_ms()
            if row.use is not None:
                return consumer_lines(seen, row.use.consumer, now_ms)
            return version_lines(seen, row.version.id, now_ms)

        self.app.push_screen(SheetScreen(self.desk, "versions", about, lines))

    def _row(self, what: str) -> UsedRow | None:
        """Return the row under the cursor if something can be written now."""
        row: UsedRow | None = self.table.cursor_row()
        refusal = self.desk.refusal()
        if row is None or refusal:
            self.refuse(refusal or f"{what} is for a version: none is under the cursor")
            return None
        return row

    # -- brownouts -------------------------------------------------------------

    def action_brownout(self) -> None:
        """Stop a brownout that reaches the version, or open the form of another."""
        row = self._row("B")
        if row is None:
            return
        reaching = [
            one
            for one in self._seen.brownouts
            if one.state in ("open", "next")
            and (not one.versions or row.version.id in one.versions)
        ]
        if not reaching:
            self._brownout(row, _START)
            return
        text = f"start another of version {safe(row.version.id, 64)}"
        entries = [(one.name, _stop_line(one)) for one in reaching]
        entries.append((_START, ((text, "bold"),)))
        dialog = PickDialog(self.desk, "Brownouts of it: stop which?", entries)
        self.app.push_screen(dialog, partial(self._brownout, row))

    def _brownout(self, row: UsedRow, name: str | None) -> None:
        operator = self.desk.operator
        if name is None or operator is None:
            return
        if name != _START:
            self.command(BrownoutStop(f"brownout:{name}"))
            return
        only = row.use.consumer if row.use is not None else ""
        fields = brownout_fields(f"version:{row.version.id}", only=only)
        self.app.push_screen(FieldsDialog(self.desk, operator, fields), self.applied)

    # -- pins ------------------------------------------------------------------

    def action_pin(self) -> None:
        """Pin the row's consumer to a version, or free it; on a version ask whom."""
        row = self._row("P")
        if row is None:
            return
        if row.use is not None:
            self._pick_version(row.use.consumer)
            return
        version = row.version.id
        text = f" Pin whom to {safe(version, 64)}? A consumer's name, then ENTER:"

        def answered(who: str | None) -> None:
            if who is not None:
                self.command(PinSet(f"consumer:{who}", version))

        self.app.push_screen(AskDialog(self.desk, (((text, "bold"),),)), answered)

    def _pick_version(self, who: str) -> None:
        entries: list[tuple[str, Line]] = [
            (one.id, ((f"{safe(one.id, 64):<24} ", "bold"), (one.state, "dim")))
            for one in self._seen.versions
            if one.state != "unknown"
        ]
        if any(p.consumer == who and p.source == "control" for p in self._seen.pins):
            text = "clear: the declared pin, else the default"
            entries.append(("", ((text, "bold"),)))
        if not entries:
            self.refuse("no live release declares a version to pin to")
            return

        def chosen(version: str | None) -> None:
            if version is not None:
                target = f"consumer:{who}"
                made: Command = PinSet(target, version) if version else PinClear(target)
                self.command(made)

        title = f"{safe(who, 64)}, where it asks for none, gets"
        self.app.push_screen(PickDialog(self.desk, title, entries), chosen)

    # -- sunsets ---------------------------------------------------------------

    def action_sunset(self) -> None:
        """Ask for a later date."""
        row = self._row("S")
        if row is None:
            return
        version = row.version
        now = safe(version.sunset, 10) or "not declared"
        text = f" {safe(version.id, 64)}: sunset is {now}; a later date, as 2026-12-31:"

        def answered(date: str | None) -> None:
            if date is not None:
                self.command(SunsetExtend(f"version:{version.id}", date))

        self.app.push_screen(AskDialog(self.desk, (((text, "bold"),),)), answered)


def _stop_line(row: BrownoutRow) -> Line:
    text = f" {row.percent:g}% of {safe(row.by, 20)}s, {safe(row.state, 10)}"
    return ((f"stop {safe(row.name, 64)}", "bold"), (text, "dim"))
