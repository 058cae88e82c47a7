"""What a terminal program owes its host: crash notes, and an end when nobody looks.

A crash note holds frames without locals (locals hold secrets) and goes to a file that
only its owner can read.  A lost terminal or parent ends the process: measured, an
orphaned terminal program can burn a core and ignore SIGTERM.
"""

from __future__ import annotations

import logging
import os
import select
import threading
import time
import traceback
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from io import TextIOWrapper
from logging.handlers import RotatingFileHandler
from pathlib import Path

from failsoft.clock import monotonic
from failsoft.ops.text import safe

__all__ = ["LOST_TERMINAL", "log_file", "state_dir", "watch_terminal", "write_crash"]

LOST_TERMINAL = 129  # what a shell reports for SIGHUP
_LOOK_S = 1.0
_GRACE_S = 3.0
_LOG_BYTES = 1 << 20


def state_dir() -> Path:
    """Return where notes of this user go: `$XDG_STATE_HOME/failsoft`."""
    root = os.environ.get("XDG_STATE_HOME") or Path.home() / ".local" / "state"
    return Path(root) / "failsoft"


def write_crash(error: BaseException) -> str:
    """Write frames without locals, mode 0600; return one line that says where."""
    lines = traceback.format_exception(error)
    text = "\n".join(
        safe(line, 500) for part in lines for line in part.rstrip("\n").split("\n")
    )
    what = safe(f"{type(error).__name__}: {error}", 300)
    stamp = time.strftime("%Y%m%dT%H%M%SZ", time.gmtime())
    path = state_dir() / f"top-crash-{stamp}-{os.getpid()}.txt"
    try:
        path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        file = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
        with os.fdopen(file, "w", encoding="utf-8") as note:
            note.write(f"{text}\n")
    except OSError as fault:
        return f"failsoft top stopped: {what} (no note written: {fault.strerror})"
    return f"failsoft top stopped: {what}; frames in {path}"


class _PrivateFile(RotatingFileHandler):
    """A log file that only its owner can read."""

    def _open(self) -> TextIOWrapper:
        file = os.open(self.baseFilename, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
        return os.fdopen(file, "a", encoding="utf-8")


@contextmanager
def log_file() -> Iterator[None]:
    """Send log records to `top.log` in `state_dir`: the screen is not theirs."""
    handler: logging.Handler
    try:
        state_dir().mkdir(parents=True, exist_ok=True, mode=0o700)
        path = state_dir() / "top.log"
        handler = _PrivateFile(path, maxBytes=_LOG_BYTES, backupCount=1)
    except OSError:
        handler = logging.NullHandler()  # a full or read-only disk is no reason to stop
    form = "%(asctime)s %(levelname)s %(name)s %(message)s"
    handler.setFormatter(logging.Formatter(form))
    logging.getLogger().addHandler(handler)
    try:
        yield
    finally:
        logging.getLogger().removeHandler(handler)
        handler.close()


def _is_lost(parent: int, poll: select.poll) -> bool:
    if os.getppid() != parent:
        return True
    bad = select.POLLHUP | select.POLLERR | select.POLLNVAL
    return any(event & bad for _, event in poll.poll(0))


def watch_terminal(fd: int, leave: Callable[[], None]) -> Callable[[], None]:
    """Watch the terminal on `fd` and the parent from a thread; return its stop.

    leave: asks the app to end; it has 3 s, then the process ends by itself.
    """
    stopped = threading.Event()
    parent = os.getppid()
    poll = select.poll()
    poll.register(fd, 0)  # no POLLIN: only hang-ups are reported, no input is taken

    def watch() -> None:
        while not stopped.wait(_LOOK_S):
            if _is_lost(parent, poll):
                leave()
                until = monotonic() + _GRACE_S
                while monotonic() < until and not stopped.wait(0.1):
                    pass
                if not stopped.is_set():
                    os._exit(LOST_TERMINAL)
                return

    threading.Thread(target=watch, name="failsoft-terminal", daemon=True).start()
    return stopped.set
