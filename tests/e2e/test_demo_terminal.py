"""`failsoft demo` in a terminal: the Overview comes up, and leaving leaves nothing."""

from __future__ import annotations

import fcntl
import os
import pty
import select
import signal
import struct
import subprocess
import sys
import termios
from collections.abc import Iterator
from pathlib import Path

import pytest

from load.servers import clean_environ, eventually, processes_with


class TerminalDemo:
    """One demo on a pseudo terminal of 120x40; `seen` is all it has drawn."""

    def __init__(self, home: Path) -> None:
        self.temporary = home
        self.seen = b""
        self.master, slave = pty.openpty()
        size = struct.pack("HHHH", 40, 120, 0, 0)
        fcntl.ioctl(slave, termios.TIOCSWINSZ, size)
        self.settings_before = termios.tcgetattr(slave)
        self.process = subprocess.Popen(
            [sys.executable, "-m", "failsoft", "demo", "--no-incident"],
            env=clean_environ() | {"TMPDIR": str(home), "TERM": "xterm-256color"},
            stdin=slave,
            stdout=slave,
            stderr=slave,
            start_new_session=True,
            # The terminal must be its own, so that closing it hangs up.
            preexec_fn=lambda: fcntl.ioctl(0, termios.TIOCSCTTY, 0),
        )
        self._slave = slave

    def shows(self, *texts: bytes) -> bool:
        """Read what has been drawn since; whether all texts were ever drawn."""
        while select.select([self.master], [], [], 0)[0]:
            self.seen += os.read(self.master, 65536)
        return all(text in self.seen for text in texts)

    def wait_for_overview(self) -> None:
        eventually(lambda: self.shows(b"Overview", b"/v1/products/{sku}"), 30)

    def press(self, keys: bytes) -> None:
        os.write(self.master, keys)

    def ends(self, within_s: float = 12.0) -> int:
        def ended() -> bool:
            self.shows()  # or the terminal fills up and the demo cannot write
            return self.process.poll() is not None

        eventually(ended, within_s)
        return int(self.process.returncode)

    def is_restored(self) -> bool:
        return bool(termios.tcgetattr(self._slave)[3] == self.settings_before[3])

    def close(self) -> None:
        for descriptor in (self.master, self._slave):
            if descriptor >= 0:
                os.close(descriptor)
        self.master = self._slave = -1

    def processes(self) -> list[str]:
        return processes_with(str(self.temporary))


@pytest.fixture
def demo(tmp_path: Path) -> Iterator[TerminalDemo]:
    started = TerminalDemo(tmp_path)
    yield started
    started.process.kill()
    started.process.wait()
    started.close()
    for line in started.processes():
        os.kill(int(line.split()[0]), signal.SIGKILL)


def test_q_leaves_the_overview_and_nothing_behind(demo: TerminalDemo) -> None:
    demo.wait_for_overview()

    demo.press(b"q")

    assert demo.ends() == 0
    assert demo.is_restored()
    assert demo.processes() == []
    assert list(demo.temporary.iterdir()) == []


def test_a_signal_gives_the_terminal_back(demo: TerminalDemo) -> None:
    demo.wait_for_overview()

    demo.process.terminate()

    assert demo.ends() == 0
    assert demo.is_restored()
    assert demo.processes() == []


def test_a_closed_terminal_ends_everything(demo: TerminalDemo) -> None:
    demo.wait_for_overview()

    demo.close()

    eventually(lambda: not demo.processes(), 12)


def test_a_dead_node_is_named_once_the_terminal_is_back(demo: TerminalDemo) -> None:
    demo.wait_for_overview()
    node = next(line for line in demo.processes() if "shop.api:app" in line)

    os.kill(int(node.split()[0]), signal.SIGKILL)

    assert demo.ends() == 1
    assert demo.shows(b"ended with SIGKILL; its log ends:")
    assert demo.is_restored()
    assert demo.processes() == []
