"""The UI in a real terminal: tmux types, `capture-pane` reads."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

PRETEND = Path(__file__).parent / "pretend.py"


class Terminal:
    """A tmux server of its own with one window."""

    def __init__(
        self, socket: Path, size: tuple[int, int], *, command: str = "", **environ: str
    ) -> None:
        self.tmux = ["tmux", "-S", str(socket), "-f", "/dev/null"]
        width, height = map(str, size)
        command = command or f"{sys.executable} {PRETEND}"
        command = f"{command}; echo status=$?; sleep 60"
        env = {**os.environ, "LANG": "C.UTF-8", "TEXTUAL_ANIMATIONS": "none", **environ}
        self._run("new-session", "-d", "-x", width, "-y", height, command, env=env)

    def _run(self, *words: str, env: dict[str, str] | None = None) -> str:
        done = subprocess.run(
            [*self.tmux, *words], capture_output=True, text=True, env=env, check=True
        )
        return done.stdout

    def keys(self, *keys: str) -> None:
        self._run("send-keys", *keys)

    def text(self) -> str:
        return self._run("capture-pane", "-p")

    def eventually(self, text: str, within_s: float = 30) -> str:
        until = time.monotonic() + within_s
        while time.monotonic() < until:
            seen = self.text()
            if text in seen:
                return seen
            time.sleep(0.1)
        raise AssertionError(f"no {text!r} on screen:\n{self.text()}")

    def close(self) -> None:
        self._run("kill-server")


@pytest.fixture
def terminal(tmp_path: Path) -> Iterator[Terminal]:
    if shutil.which("tmux") is None:
        pytest.skip("needs tmux: apt install tmux")
    state = str(tmp_path / "state")
    opened = Terminal(tmp_path / "tmux", (80, 24), NO_COLOR="1", XDG_STATE_HOME=state)
    yield opened
    opened.close()


def test_a_kill_in_a_real_terminal_without_colours(terminal: Terminal) -> None:
    terminal.eventually("nodes 4/4")
    terminal.keys("-H", "ff", "fe", "c3", "28")  # no UTF-8: a line or a paste may be
    time.sleep(0.3)  # what comes in the same read is lost with it
    terminal.keys("W")
    terminal.eventually("Reason or ticket")
    terminal.keys("INC-311", "Enter")
    terminal.eventually("ARMED 30m")
    terminal.keys("/")
    time.sleep(0.3)  # keys in one burst are the table's
    terminal.keys("reviews", "Enter")
    terminal.eventually("rows 1-1 of 1")

    terminal.keys("K")
    dialog = terminal.eventually("dry run on data")
    time.sleep(0.2)  # deaf at first
    terminal.keys("Enter")
    terminal.eventually("4 of 4 nodes enforce it")
    killed = terminal.eventually("KILLED")
    terminal.keys("q")
    terminal.eventually("Still armed")
    terminal.keys("q", "Enter")
    terminal.eventually("status=0")

    assert "tier 1" in dialog
    assert "shop-prod" in killed
