"""Server processes of a test: started with a log, waited for, ended by their pid."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import TypeVar

ROOT = Path(__file__).parents[2]
EXAMPLES = ROOT / "examples"
T = TypeVar("T")


def free_port() -> int:
    """Return a loopback port that nobody uses now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def eventually(check: Callable[[], T], within_s: float = 5.0) -> T:
    """Return the first truthy answer of `check`; fail with its last one."""
    deadline = time.monotonic() + within_s
    while not (answer := check()):
        if time.monotonic() > deadline:
            raise AssertionError(f"not within {within_s} s: {answer!r}")
        time.sleep(0.05)
    return answer


@contextmanager
def running(
    *argv: str, home: Path, env: Mapping[str, str] | None = None
) -> Iterator[subprocess.Popen[bytes]]:
    """Run `python argv` in `home`; its output goes to a numbered log there."""
    with (home / f"{len(list(home.iterdir()))}.log").open("wb") as log:
        process = subprocess.Popen(
            [sys.executable, *argv],
            cwd=home,
            env=clean_environ()
            | {"XDG_STATE_HOME": str(home / "state")}
            | dict(env or {}),
            stdout=log,
            stderr=subprocess.STDOUT,
        )
        try:
            yield process
        finally:
            process.terminate()
            try:
                process.wait(5)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()


@contextmanager
def served(
    app: str,
    *,
    home: Path,
    env: Mapping[str, str] | None = None,
    folder: Path = EXAMPLES,
) -> Iterator[str]:
    """Serve `app` of a folder with uvicorn; yield its URL once it answers."""
    port = free_port()
    quiet = ["--log-level", "warning", "--timeout-graceful-shutdown", "1"]
    place = ["--app-dir", str(folder), "--port", str(port)]
    with running("-m", "uvicorn", app, *place, *quiet, home=home, env=env) as process:
        eventually(lambda: accepts(port) or process.poll() is not None, within_s=20)
        if process.poll() is not None:
            logs = [path.read_text() for path in sorted(home.glob("*.log"))]
            raise RuntimeError(f"{app} ended with {process.returncode}: {logs}")
        yield f"http://127.0.0.1:{port}"


def accepts(port: int) -> bool:
    """Whether something listens on a loopback port."""
    try:
        socket.create_connection(("127.0.0.1", port), timeout=0.5).close()
    except OSError:
        return False
    return True


def clean_environ() -> dict[str, str]:
    """Return this process's environment without settings of failsoft, or a size.

    A terminal has a size of its own; pytest-xdist says 80 columns.
    """
    sizes = ("COLUMNS", "LINES")
    return {
        name: value
        for name, value in os.environ.items()
        if not name.startswith("FAILSOFT_") and name not in sizes
    }


def processes_with(text: str) -> list[str]:
    """Return `pid command` of live processes whose environment contains `text`."""
    found = []
    for entry in Path("/proc").iterdir():
        try:
            if (
                entry.name.isdigit()
                and text.encode() in (entry / "environ").read_bytes()
            ):
                command = (entry / "cmdline").read_bytes().replace(b"\0", b" ")
                found.append(f"{entry.name} {command.decode(errors='replace')}")
        except OSError:
            continue  # ended while we looked
    return found
