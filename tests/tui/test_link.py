"""Connecting, losing and getting back the operator; how the process ends."""

from __future__ import annotations

import logging
import os
import pty
import stat
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from failsoft.errors import DefinitionError, StoreUnavailable
from failsoft.ops.operator import Operator
from failsoft_tui import process
from failsoft_tui.app import FailsoftApp
from failsoft_tui.start import is_ascii_locale
from tui.fleet import ManualClock, PaperOperator
from tui.paper import Desk, open_app

pytestmark = pytest.mark.anyio


class Gate:
    """A factory that fails as often as told, then connects."""

    def __init__(self, clock: ManualClock, *errors: Exception) -> None:
        self.errors = list(errors)
        self.calls = 0
        self.operator = PaperOperator(clock)

    async def __call__(self) -> Operator:
        self.calls += 1
        if self.errors:
            raise self.errors.pop(0)
        return self.operator


def app_over(gate: Gate, clock: ManualClock) -> FailsoftApp:
    return FailsoftApp(gate, clock=clock)


async def test_the_first_frame_does_not_wait_for_the_network() -> None:
    clock = ManualClock()
    gate = Gate(
        clock, *[StoreUnavailable("connection refused", where="redis:6379")] * 9
    )
    app = app_over(gate, clock)
    async with app.run_test(size=(120, 40)) as pilot:
        desk = Desk(app, pilot, gate.operator, clock)
        await desk.until(lambda: "CONNECTING" in desk.text())
        await desk.until(lambda: "connection refused" in desk.text())
        clock.advance(4)
        text = desk.text()

    assert "CONNECTING 4" in text
    assert "try " in text
    assert "(environment not known yet)" in text


async def test_a_refusal_that_time_cannot_heal_is_not_repeated() -> None:
    clock = ManualClock()
    gate = Gate(clock, DefinitionError(["FAILSOFT_REDIS_URL = 'nope' is no URL"]))
    app = app_over(gate, clock)
    async with app.run_test(size=(120, 40)) as pilot:
        desk = Desk(app, pilot, gate.operator, clock)
        await desk.until(lambda: "is no URL" in desk.text())
        await desk.settle()
        calls = gate.calls
        await desk.press("ctrl+r")
        await desk.until(lambda: "shop-prod" in desk.text())

    assert calls == 1


async def test_a_fault_of_ours_does_not_end_the_ui(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path))
    clock = ManualClock()
    gate = Gate(clock, KeyError("surprise"))
    app = app_over(gate, clock)
    async with app.run_test(size=(120, 40)) as pilot:
        desk = Desk(app, pilot, gate.operator, clock)
        await desk.until(lambda: "KeyError" in desk.text())

    assert os.listdir(tmp_path / "failsoft")


async def test_leaving_closes_the_operator() -> None:
    async with open_app(armed=False) as desk:
        await desk.press("q")

    assert desk.operator.closed
    assert desk.app.return_code == 0


def test_a_crash_note_has_no_locals_and_is_private(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path))

    def fail() -> None:
        password = "hunter2"
        raise ValueError(f"bad \x1b[31m of {len(password)}")

    with pytest.raises(ValueError, match="bad") as caught:
        fail()
    said = process.write_crash(caught.value)

    (note,) = tmp_path.rglob("top-crash-*.txt")
    assert "hunter2" not in note.read_text().replace('password = "hunter2"', "")
    assert "\x1b" not in note.read_text() + said
    assert stat.S_IMODE(note.stat().st_mode) == 0o600
    assert str(note) in said


async def test_a_crash_prints_one_line_without_locals(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Pins the private name `_fatal_error` that the app overrides."""
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path))

    def crash() -> None:
        secret = "hunter2"
        raise RuntimeError(f"crash of {len(secret)}")

    async def crash_the_app() -> None:
        async with open_app() as desk:
            desk.app.call_later(crash)
            await desk.settle()

    with pytest.raises(RuntimeError):
        await crash_the_app()

    printed = capsys.readouterr().err
    assert "failsoft top stopped: RuntimeError: crash of 7" in " ".join(printed.split())
    assert "hunter2" not in printed


def test_a_terminal_that_hangs_up_ends_the_app() -> None:
    left = threading.Event()
    outer, inner = pty.openpty()

    stop = process.watch_terminal(inner, left.set)
    os.close(outer)
    noticed = left.wait(10)
    stop()
    os.close(inner)

    assert noticed


def test_without_a_terminal_it_says_what_to_use_and_ends_with_2() -> None:
    code = "import failsoft_tui, sys; sys.exit(failsoft_tui.run(None))"

    done = subprocess.run(
        [sys.executable, "-c", code],
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=30,
        check=False,
    )

    assert done.returncode == 2
    assert done.stderr == "failsoft top needs a terminal; use failsoft status\n"


@pytest.mark.parametrize(
    ("environ", "is_ascii"),
    [
        ({}, False),
        ({"LANG": "C"}, True),
        ({"LANG": "en_US.UTF-8"}, False),
        ({"LANG": "en_US.UTF-8", "LC_ALL": "POSIX"}, True),
        ({"LANG": "C.utf8"}, False),
    ],
)
def test_the_locale_decides_about_ascii(
    environ: dict[str, str], is_ascii: bool
) -> None:
    assert is_ascii_locale(environ) is is_ascii


def test_log_records_go_to_a_private_file_not_to_the_screen(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path))

    with process.log_file():
        logging.getLogger("failsoft.ops").warning("reader starts again")

    log = tmp_path / "failsoft" / "top.log"
    assert "failsoft.ops reader starts again" in log.read_text()
    assert stat.S_IMODE(log.stat().st_mode) == 0o600
    assert capsys.readouterr().err == ""
