"""The demo's processes: started with a log each, watched, and all ended."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import time
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

__all__ = ["Child", "ChildEnded", "Fleet", "free_ports"]

LOG_LIMIT_BYTES = 1_000_000
STOP_S = 3.0


@dataclass(frozen=True)
class Child:
    """One process of the demo."""

    name: str
    process: subprocess.Popen[bytes]
    log: Path

    def has_failed(self) -> bool:
        """Whether it ended by itself with an error (traffic may run out: 0)."""
        return self.process.poll() not in (None, 0)

    def obituary(self, lines: int = 15) -> str:
        """Say how it ended, with the last lines of its log."""
        tail = self.log.read_text(errors="replace").splitlines()[-lines:]
        code = self.process.returncode
        how = signal.Signals(-code).name if code < 0 else f"status {code}"
        return "\n".join([f"{self.name} ended with {how}; its log ends:", *tail])


class ChildEnded(Exception):
    """A process that the demo needs is gone."""

    def __init__(self, child: Child) -> None:
        self.child = child
        super().__init__(child.obituary())


class Fleet:
    """All child processes; `home` takes their logs."""

    def __init__(self, home: Path, environ: dict[str, str]) -> None:
        self._home = home
        self._environ = environ
        self._children: list[Child] = []

    def start(self, name: str, *argv: str) -> None:
        """Start `python -m argv` in a session of its own, so Ctrl-C is ours alone."""
        log = self._home / f"{name}.log"
        with log.open("ab") as out:
            process = subprocess.Popen(
                [sys.executable, "-m", "failsoft.cli._demo_child", *argv],
                stdin=subprocess.PIPE,
                stdout=out,
                stderr=subprocess.STDOUT,
                cwd=self._home,
                env=self._environ,
                start_new_session=True,
            )
        self._children.append(Child(name, process, log))

    def wait_for(self, *ports: int, within_s: float = 20.0) -> None:
        """Return once every port accepts; raise `ChildEnded` or TimeoutError."""
        deadline = time.monotonic() + within_s
        for port in ports:
            while not _accepts(port):
                self.check()
                if time.monotonic() > deadline:
                    raise TimeoutError(
                        f"nothing answers on port {port} after {within_s} s"
                    )
                time.sleep(0.05)

    def check(self) -> None:
        """Raise `ChildEnded` for a dead child; keep logs small."""
        for child in self._children:
            if child.has_failed():
                raise ChildEnded(child)
            # Opened for appending, so writing goes on at the new end.
            if child.log.stat().st_size > LOG_LIMIT_BYTES:
                os.truncate(child.log, 0)

    def pids(self) -> dict[str, int]:
        """Return the process id of each child."""
        return {child.name: child.process.pid for child in self._children}

    def stop(self) -> None:
        """End all children, those started last first; idempotent."""
        for child in reversed(self._children):
            child.process.terminate()
        deadline = time.monotonic() + STOP_S
        for child in reversed(self._children):
            try:
                child.process.wait(max(0.0, deadline - time.monotonic()))
            except subprocess.TimeoutExpired:
                child.process.kill()
                child.process.wait()
            if child.process.stdin:
                child.process.stdin.close()
        self._children.clear()


def free_ports(count: int) -> list[int]:
    """Return ports of the loopback interface that nobody uses now."""
    with ExitStack() as held:
        sockets = [held.enter_context(socket.socket()) for _ in range(count)]
        for one in sockets:
            one.bind(("127.0.0.1", 0))
        return [one.getsockname()[1] for one in sockets]


def _accepts(port: int) -> bool:
    try:
        socket.create_connection(("127.0.0.1", port), timeout=0.5).close()
    except OSError:
        return False
    return True
