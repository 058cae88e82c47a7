"""Starts the app on this process's terminal and sees that it ends with it."""

from __future__ import annotations

import asyncio
import os
import signal
import sys
from collections.abc import Awaitable, Callable

from failsoft.ops.operator import Operator
from failsoft_tui.app import FailsoftApp
from failsoft_tui.process import LOST_TERMINAL, log_file, watch_terminal
from failsoft_tui.terminal import TerminalDriver

__all__ = ["is_ascii_locale", "start"]

_ENDINGS = (signal.SIGTERM, signal.SIGHUP)


def is_ascii_locale(environ: dict[str, str]) -> bool:
    """Whether the locale names an encoding that is not UTF-8.

    No locale at all is taken for UTF-8: containers have none, their terminals do.
    """
    for name in ("LC_ALL", "LC_CTYPE", "LANG"):
        value = environ.get(name, "")
        if value:
            lowered = value.lower().replace("-", "")
            return "utf8" not in lowered
    return False


def start(
    operator_factory: Callable[[], Awaitable[Operator]],
    *,
    ascii_only: bool | None,
    mouse: bool,
) -> int:
    """Run the app; return its exit status."""
    if not (sys.stdin.isatty() and sys.stderr.isatty()):
        sys.stderr.write("failsoft top needs a terminal; use failsoft status\n")
        return 2
    if ascii_only is None:
        ascii_only = is_ascii_locale(dict(os.environ))
    before = {number: signal.getsignal(number) for number in _ENDINGS}
    try:
        with log_file():
            return asyncio.run(_run(operator_factory, ascii_only, mouse))
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


async def _run(
    factory: Callable[[], Awaitable[Operator]], ascii_only: bool, mouse: bool
) -> int:
    app = FailsoftApp(factory, ascii_only=ascii_only)
    app.driver_class = TerminalDriver
    loop = asyncio.get_running_loop()

    def leave(status: int) -> None:
        app.exit(return_code=status)

    def lost() -> None:
        loop.call_soon_threadsafe(leave, LOST_TERMINAL)

    # Not the loop's own handlers: between its end and the caller's handlers there
    # would be none, and a second signal would end the process half restored.
    def heard(number: int, frame: object) -> None:
        if not loop.is_closed():
            loop.call_soon_threadsafe(leave, 128 + number)

    for number in _ENDINGS:
        if signal.getsignal(number) is not signal.SIG_IGN:  # nohup means it
            signal.signal(number, heard)
    stop = watch_terminal(sys.stdin.fileno(), lost)
    try:
        await app.run_async(mouse=mouse)
    finally:
        stop()
    return app.return_code or 0
