"""A process that calls two dependencies: `calling.py URL ENV PORT FOLDER RATE TOML`.

PORT: where `pay` and `mail` answer.  RATE: calls a second to each.  TOML: settings of
dependencies.  A line on stdin: `lost NAME` calls a closed port instead, `back NAME` the
right one, `poll` reads both states 10,000 times.  Each change of a state is a JSON
line on stdout.
"""

from __future__ import annotations

import asyncio
import json
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import failsoft
from failsoft.errors import CallError

NAMES = ("pay", "mail")
CLOSED_PORT = 1


# --- the process that calls ------------------------------------------------------


def say(**fact: Any) -> None:
    print(json.dumps({"at": time.time(), **fact}), flush=True)


async def ask(port: int) -> bytes:
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    try:
        writer.write(b"?")
        return await reader.readexactly(1)
    finally:
        writer.close()


async def call_on(name: str, ports: dict[str, int], rate: float) -> None:
    dependency = failsoft.dependency(name)
    said: tuple[str, str] | None = None
    while True:
        with suppress(CallError, OSError):  # the states tell
            await dependency.call(ask, ports[name], timeout=0.3)
        state = dependency.state()
        if said != (state.state, state.in_force):
            said = (state.state, state.in_force)
            say(name=name, state=state.state, in_force=state.in_force)
        await asyncio.sleep(1 / rate)


def listen(ports: dict[str, int], port: int) -> None:
    for line in sys.stdin:
        word, _, name = line.strip().partition(" ")
        if word == "poll":
            states = [failsoft.dependency(n).state() for n in NAMES * 5_000]
            say(name="poll", state=str(len(states)), in_force="")
        else:
            ports[name] = CLOSED_PORT if word == "lost" else port


async def main(port: int, rate: float) -> None:
    ports = dict.fromkeys(NAMES, port)
    threading.Thread(target=listen, args=(ports, port), daemon=True).start()
    await asyncio.gather(*(call_on(name, ports, rate) for name in NAMES))


# --- who watches it --------------------------------------------------------------


@dataclass
class Caller:
    """One such process.  seen: its lines so far."""

    command: list[str]
    seen: list[dict[str, Any]] = field(default_factory=list)

    def start(self) -> None:
        """Start it (again)."""
        self.process = subprocess.Popen(
            self.command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )
        reader = threading.Thread(target=self._read, args=(self.process,), daemon=True)
        reader.start()

    def _read(self, process: subprocess.Popen[str]) -> None:
        assert process.stdout is not None
        with process.stdout:
            for line in process.stdout:
                self.seen.append(json.loads(line))

    def tell(self, line: str) -> None:
        """Write it a line."""
        assert self.process.stdin is not None
        self.process.stdin.write(f"{line}\n")
        self.process.stdin.flush()

    def last(self, name: str) -> dict[str, Any]:
        """Return what it said last of a dependency; nothing yet: empty words."""
        said = [one for one in self.seen if one["name"] == name]
        return said[-1] if said else {"at": 0.0, "state": "", "in_force": ""}

    def kill(self) -> None:
        """End it as the kernel would, and forget what it said."""
        self.process.kill()
        self.process.wait()
        if self.process.stdin is not None:
            self.process.stdin.close()
        self.seen = []


async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    await reader.read(1)
    writer.write(b"!")
    writer.close()


@contextmanager
def peer() -> Iterator[int]:
    """Answer calls on a port of its own, in a thread."""
    loop = asyncio.new_event_loop()
    starting = asyncio.start_server(answer, "127.0.0.1", 0)
    server = loop.run_until_complete(starting)
    thread = threading.Thread(target=loop.run_forever, daemon=True)
    thread.start()
    try:
        yield server.sockets[0].getsockname()[1]
    finally:
        loop.call_soon_threadsafe(server.close)
        loop.call_soon_threadsafe(loop.stop)
        thread.join()
        loop.run_until_complete(asyncio.sleep(0.01))
        loop.close()


@contextmanager
def callers(
    url: str, count: int, folder: Path, *, rate: float = 20.0, toml: str = ""
) -> Iterator[list[Caller]]:
    """Start so many of them, each with a folder for its last good set."""
    with peer() as port:
        start = (sys.executable, str(Path(__file__)))
        said = (str(rate), toml)
        found = [
            Caller([*start, url, "shop", str(port), str(folder / str(n)), *said])
            for n in range(count)
        ]
        for one in found:
            one.start()
        try:
            yield found
        finally:
            for one in found:
                one.kill()


def until(check: Callable[[], bool], within_s: float = 20.0) -> float:
    """Wait until `check` holds; return when it did, as `time.time()`."""
    end = time.monotonic() + within_s
    while not check():
        assert time.monotonic() < end, f"not within {within_s} s"
        time.sleep(0.01)
    return time.time()


if __name__ == "__main__":
    url_, env_, port_, folder_, rate_, toml_ = sys.argv[1:]
    config = Path(folder_) / "failsoft.toml"
    config.parent.mkdir(parents=True, exist_ok=True)
    config.write_text(toml_)
    failsoft.start(url=url_, env=env_, config=str(config), store={"state_dir": folder_})
    asyncio.run(main(int(port_), float(rate_)))
