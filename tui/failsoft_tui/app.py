"""The application: wires desk, link and screens; decides nothing itself."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Callable, Coroutine
from typing import Any, ClassVar

from rich.segment import Segment, Segments
from textual.app import App
from textual.binding import BindingType
from textual.screen import Screen

from failsoft.clock import elapsed
from failsoft.errors import FailsoftError
from failsoft.ops.operator import Operator
from failsoft.ops.text import safe
from failsoft.ops.views import AckState, Applied
from failsoft_tui.acks import ack_line
from failsoft_tui.actions import ACTIONS, bindings
from failsoft_tui.desk import Desk
from failsoft_tui.dialogs.ask import AskDialog
from failsoft_tui.dialogs.page import PageDialog
from failsoft_tui.link import LiveLink, OperatorFactory
from failsoft_tui.paint import Line
from failsoft_tui.palette import BACKGROUND, PANEL
from failsoft_tui.process import write_crash
from failsoft_tui.screens.audit import AuditScreen
from failsoft_tui.screens.controls import ControlsScreen
from failsoft_tui.screens.deps import DepsScreen
from failsoft_tui.screens.drift import DriftScreen
from failsoft_tui.screens.fleet import FleetScreen
from failsoft_tui.screens.modes import ModesScreen
from failsoft_tui.screens.nodes import NodesScreen
from failsoft_tui.screens.overview import OverviewScreen
from failsoft_tui.screens.versions import VersionsScreen
from failsoft_tui.search import ActionProvider
from failsoft_tui.wants import Wants

__all__ = ["FailsoftApp"]

TICK_S = 0.5
ACK_SHOWN_S = 60.0


class FailsoftApp(App[int]):
    """The terminal UI over one operator.

    operator: one that is connected, or what connects one; it is called after the
    first frame.  clock: seconds, `clock.elapsed` unless a test passes its own.
    """

    CSS = f"""
    Screen {{ background: {BACKGROUND}; color: #d3dae3; overflow: hidden; }}
    #title {{ height: 1; }}
    #pane {{ height: 10; }}
    #page {{ height: 1fr; }}
    #small {{ display: none; }}
    #filter {{ height: 1; background: {PANEL}; border: none; }}
    ModalScreen {{ background: {BACKGROUND} 0%; align: center bottom; }}
    #panel {{
        height: auto; width: 100%; max-width: 120; background: {PANEL};
        border: round #7cc4ff; margin: 0 0 1 0;
    }}
    #panel.-ascii {{ border: ascii #7cc4ff; }}
    #panel Lines {{ height: auto; }}
    #panel #title, #panel #keys {{ height: 1; }}
    #panel Input {{ height: 1; background: #0b1016; border: none; margin: 0 1; }}
    .-v-middle #pane, .-v-short #pane, .-v-low #pane, .-v-nano #pane {{
        display: none;
    }}
    .-v-low #tabs, .-v-low #notice, .-v-low #title, .-v-low #status {{
        display: none;
    }}
    .-nano #small, .-v-nano #small {{ display: block; }}
    .-nano #header, .-nano #tabs, .-nano #notice, .-nano #title, .-nano #table,
    .-nano #pane, .-nano #page, .-nano #status, .-nano #footer {{ display: none; }}
    .-v-nano #header, .-v-nano #tabs, .-v-nano #notice, .-v-nano #title,
    .-v-nano #table, .-v-nano #page, .-v-nano #status, .-v-nano #footer {{
        display: none;
    }}
    """
    HORIZONTAL_BREAKPOINTS: ClassVar = [(0, "-nano"), (40, "-sized")]  # type: ignore[misc]
    VERTICAL_BREAKPOINTS: ClassVar = [  # type: ignore[misc]
        (0, "-v-nano"),
        (10, "-v-low"),
        (16, "-v-middle"),
        (30, "-v-tall"),
    ]
    BINDINGS: ClassVar[list[BindingType]] = [*bindings("app")]
    COMMANDS: ClassVar = {ActionProvider}
    TITLE = "failsoft"

    def __init__(
        self,
        operator: Operator | OperatorFactory,
        *,
        clock: Callable[[], float] = elapsed,
        ascii_only: bool = False,
    ) -> None:
        super().__init__()
        self.desk = Desk(clock=clock, ascii_only=ascii_only)
        factory = operator if callable(operator) else _ready(operator)
        self._link = LiveLink(self.desk, factory, self.show)
        self._tasks: set[asyncio.Task[None]] = set()
        self._before = "overview"
        self._wants = Wants()
        self.add_mode("overview", lambda: OverviewScreen(self.desk))
        self.add_mode("controls", lambda: ControlsScreen(self.desk))
        self.add_mode("modes", lambda: ModesScreen(self.desk))
        self.add_mode("deps", lambda: DepsScreen(self.desk))
        self.add_mode("versions", lambda: VersionsScreen(self.desk))
        self.add_mode("drift", lambda: DriftScreen(self.desk))
        self.add_mode("nodes", lambda: NodesScreen(self.desk))
        self.add_mode("audit", lambda: AuditScreen(self.desk))

    # -- life ------------------------------------------------------------------

    def on_mount(self) -> None:
        """Paint CONNECTING first, then touch the network."""
        self.switch_mode("overview")
        self.set_interval(TICK_S, self.tick)
        self.call_after_refresh(self._start)
        self.app_suspend_signal.subscribe(self, lambda _: self._disarm())

    def _start(self) -> None:
        self.spawn(self._link.run())

    async def on_unmount(self) -> None:
        """Stop the tasks and close the operator."""
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        await self._link.aclose()

    def spawn(self, work: Coroutine[Any, Any, None]) -> None:
        """Run a coroutine as a task that ends with the app."""
        task = asyncio.get_running_loop().create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._ended)

    def _ended(self, task: asyncio.Task[None]) -> None:
        self._tasks.discard(task)
        error = None if task.cancelled() else task.exception()
        if error is not None:
            self.desk.tell(write_crash(error))

    def _fatal_error(self) -> None:
        """Leave with one line; Textual's own prints every local of every frame."""
        note = write_crash(sys.exception() or RuntimeError("unknown"))
        self._exit_renderables.append(Segments([Segment(f"{note}\n")]))
        self._close_messages_no_wait()

    # -- painting --------------------------------------------------------------

    def _fleet_screens(self) -> list[FleetScreen]:
        stack: list[Screen[Any]] = list(self.screen_stack)
        return [s for s in stack if isinstance(s, FleetScreen) and s.is_mounted]

    def show(self) -> None:
        """Show the desk's view on the screens one can see."""
        if self.is_running and self._screen_stacks.get(self.current_mode):
            for screen in self._fleet_screens()[-1:]:
                screen.show()

    def tick(self) -> None:
        """Paint what time alone changes."""
        for screen in self._fleet_screens()[-1:]:
            screen.tick()
        self._wants.tell(self.desk, self.current_mode)
        if self.desk.rings():
            self.bell()

    # -- writes ----------------------------------------------------------------

    def on_fleet_screen_wrote(self, event: FleetScreen.Wrote) -> None:
        """Follow the nodes' answers to a write."""
        self.spawn(self._follow(event.applied))

    async def _follow(self, applied: Applied) -> None:
        operator = self.desk.operator
        acks = applied.acks
        self._say_acks(applied, acks, over=False)
        if operator is None:
            return
        try:
            async for acks in operator.acks(applied):
                self._say_acks(applied, acks, over=False)
        except FailsoftError as error:
            self.desk.tell(safe(error, 300))
            self.tick()
        else:
            self._say_acks(applied, acks, over=True)

    def _say_acks(
        self, applied: Applied, acks: tuple[AckState, ...], *, over: bool
    ) -> None:
        line = ack_line(applied, acks, self.size.width, over=over)
        self.desk.say(line, for_s=ACK_SHOWN_S)
        self.tick()

    # -- actions ---------------------------------------------------------------

    def action_go(self, mode: str) -> None:
        """Show another screen."""
        if mode != self.current_mode:
            self._before = self.current_mode
            self.switch_mode(mode)
            self._wants.tell(self.desk, self.current_mode)

    def action_previous(self) -> None:
        """Show the screen before."""
        self.action_go(self._before)

    def action_hold(self) -> None:
        """Freeze the display, or let it go on."""
        self.desk.hold()
        self.show()

    def action_next_notice(self) -> None:
        """Show the next notice."""
        self.desk.notice_index += 1
        self.tick()

    def action_reconnect(self) -> None:
        """Connect again."""
        self._link.reconnect()

    def action_help(self) -> None:
        """List the live keys of this screen."""
        live = {b.binding.id for b in self.screen.active_bindings.values()}
        lines: list[Line] = [
            ((" Keys of this screen; capitals write; up and down scroll", "bold"),)
        ]
        for action in sorted(ACTIONS, key=lambda action: action.where == "app"):
            if action.id in live:
                style = "kill" if action.write else "key"
                lines.append(((f" {action.shown:<8}", style), (action.help, "")))
        self.push_screen(PageDialog(self.desk, lines))

    def action_arm(self) -> None:
        """Ask for a reason and arm; disarm when armed."""
        operator = self.desk.operator
        if operator is None or operator.role != "operator":
            self.desk.tell(self.desk.refusal())
            self.tick()
        elif self.desk.armed_s() is not None:
            self._disarm()
        else:
            text = " Arm writes for 30 minutes. Reason or ticket, then ENTER:"
            dialog = AskDialog(self.desk, (((text, "bold"),),))
            self.push_screen(dialog, self._armed)

    def _armed(self, reason: str | None) -> None:
        if reason is not None and self.desk.operator is not None:
            self.spawn(self._try(self.desk.operator.arm(reason), "armed"))

    def _disarm(self) -> None:
        if self.desk.operator is not None and self.desk.armed_s() is not None:
            self.spawn(self._try(self.desk.operator.disarm(), "disarmed"))

    async def _try(self, work: Coroutine[Any, Any, None], done: str) -> None:
        try:
            await work
        except FailsoftError as error:
            self.desk.tell(safe(error, 300))
        else:
            self.desk.tell(done, "warn")
        self.tick()

    def action_quit_asking(self) -> None:
        """Quit; asks first while armed."""
        if self.desk.armed_s() is None:
            self.exit(0)
            return
        text = " Still armed: type q and ENTER to disarm and quit (esc: stay)"
        dialog = AskDialog(self.desk, (((text, "bold"),),))
        self.push_screen(dialog, self._quit_if)

    def _quit_if(self, answer: str | None) -> None:
        if answer is not None and answer.lower() in ("q", "quit", "y", "yes"):
            self.exit(0)


def _ready(operator: Operator) -> OperatorFactory:
    async def connected() -> Operator:
        return operator

    return connected
