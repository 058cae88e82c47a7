"""Drives the app in a pilot and reads its screen as text."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any

from textual._context import visible_screen_stack
from textual.pilot import Pilot
from textual.widgets import Input

from failsoft.ops.operator import Operator
from failsoft_tui.app import FailsoftApp
from failsoft_tui.dialogs.preview import PreviewDialog
from tui.fleet import ManualClock, PaperOperator

__all__ = ["Desk", "open_app", "screen_text"]


def screen_text(app: FailsoftApp) -> list[str]:
    """Return the painted screen line by line: the one use of private names."""
    visible_screen_stack.set(app._background_screens)
    strips = app.screen._compositor.render_strips()
    return [strip.text.rstrip() for strip in strips]


class Desk:
    """An open app with its pilot, its operator and its clock."""

    def __init__(
        self, app: FailsoftApp, pilot: Pilot[Any], operator: Any, clock: ManualClock
    ) -> None:
        self.app = app
        self.pilot = pilot
        self.operator = operator
        self.clock = clock

    async def press(self, *keys: str) -> None:
        """Press keys; a dialog that just opened is past its deaf moment."""
        for key in keys:
            typing = isinstance(self.app.focused, Input) and len(key) == 1
            await self.pilot.press(key)
            if not typing:
                self.clock.advance(0.2)
        await self.settle()

    async def until(self, check: Callable[[], bool]) -> None:
        """Let the app run until a condition holds."""
        for _ in range(200):
            if check():
                return
            await self.pilot.pause()
            await asyncio.sleep(0)
        raise AssertionError("\n".join(self.lines()))

    def recompute(self) -> None:
        """Let the open preview make its next dry run now."""
        dialog = self.app.screen
        assert isinstance(dialog, PreviewDialog)
        dialog.recompute()

    def lines(self) -> list[str]:
        self.app.tick()
        self.app.screen.refresh()  # else a dialog keeps what it painted behind it
        return screen_text(self.app)

    async def settle(self) -> None:
        """Let layout and painting come to rest."""
        before: list[str] = []
        for _ in range(50):
            await self.pilot.pause()
            lines = self.lines()
            if lines == before:
                return
            before = lines

    def text(self) -> str:
        return "\n".join(self.lines())


@asynccontextmanager
async def open_app(
    size: tuple[int, int] = (120, 40),
    *,
    operator: Operator | None = None,
    armed: bool = True,
    **options: Any,
) -> AsyncIterator[Desk]:
    """Open the app on a paper operator; the first view is on screen."""
    clock = ManualClock()
    paper = PaperOperator(clock)
    if armed:
        paper.arm_now()
    app = FailsoftApp(operator or paper, clock=clock, **options)
    async with app.run_test(size=size) as pilot:
        desk = Desk(app, pilot, operator or paper, clock)
        await desk.until(lambda: app.desk.has_data())
        await desk.settle()
        yield desk
