"""A third party dies, hangs, slows to 2 s, fails in part, throttles: with and without.

`PYTHONPATH=tests python tests/bench/third_party.py [--only dies,slow] [--rate 60]`

Two applications run side by side, each on a third party of its own, under the same
open-loop load; prints latency and errors of their routes, what reached the third
party, breaker and throttle over time, and how long it took to be well again.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import shutil
import signal
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from contextlib import ExitStack, suppress
from pathlib import Path
from typing import Any
from urllib.request import urlopen

from load.openloop import Load, Report, Request
from load.servers import accepts, clean_environ, eventually, free_port

HERE = Path(__file__).parent
ROUTES = ("GET /pay", "GET /order", "GET /plain")
CALM_S, FAULT_S, AFTER_S = 4.0, 15.0, 26.0
SCENES = ("dies", "hangs", "slow", "errors", "limits")


class Server:
    """One uvicorn process; may be killed, stopped and started again on its port."""

    def __init__(self, app: str, home: Path, **env: str) -> None:
        self.port = free_port()
        self.url = f"http://127.0.0.1:{self.port}"
        self._argv = [sys.executable, "-m", "uvicorn", "--factory", app]
        self._argv += ["--app-dir", str(HERE), "--port", str(self.port)]
        self._argv += ["--log-level", "critical", "--no-access-log"]
        self._home, self._env = home, clean_environ() | env
        self.start()

    def start(self) -> None:
        self.process = subprocess.Popen(
            self._argv, cwd=self._home, env=self._env, stderr=subprocess.DEVNULL
        )
        eventually(lambda: accepts(self.port), within_s=20)

    def end(self) -> None:
        self.process.send_signal(signal.SIGCONT)
        self.process.kill()
        self.process.wait()

    def ask(self, path: str) -> bytes:
        with urlopen(f"{self.url}{path}", timeout=5) as answer:
            body: bytes = answer.read()
            return body


def begin_fault(peer: Server, scene: str) -> None:
    if scene == "dies":
        peer.end()
    elif scene == "hangs":
        peer.process.send_signal(signal.SIGSTOP)
    else:
        peer.ask(f"/mode/{scene}")


def end_fault(peer: Server, scene: str) -> None:
    if scene == "dies":
        peer.start()
    elif scene == "hangs":
        peer.process.send_signal(signal.SIGCONT)
    else:
        peer.ask("/mode/fine")


class Run:
    """One application with its third party through one scene."""

    def __init__(self, guarded: bool, home: Path, rate: float) -> None:
        self.name = "with failsoft" if guarded else "without"
        self.peer = Server("third_party_apps:make_peer", home)
        try:
            self.app = Server(
                "third_party_apps:make_app",
                home,
                GUARDED="01"[guarded],
                PEER=self.peer.url,
            )
        except BaseException:
            self.peer.end()
            raise
        self.load = Load(
            [self.app.url],
            rate,
            CALM_S + FAULT_S + AFTER_S,
            [Request(route) for route in ROUTES],
        )
        self.states: list[dict[str, Any]] = []

    def end(self) -> None:
        self.app.end()
        self.peer.end()

    async def watch(self) -> None:
        while True:
            with suppress(OSError):  # it may be too busy to say
                said = json.loads(await asyncio.to_thread(self.app.ask, "/state"))
                self.states.append(said)
            await asyncio.sleep(1.0)


async def play(runs: Sequence[Run], scene: str) -> list[Report]:
    """Run a scene on all of them at once."""
    loads = [asyncio.create_task(run.load.run()) for run in runs]
    watching = [asyncio.create_task(run.watch()) for run in runs]
    await asyncio.sleep(CALM_S)
    for run in runs:
        await asyncio.to_thread(begin_fault, run.peer, scene)
    await asyncio.sleep(FAULT_S)
    for run in runs:
        await asyncio.to_thread(end_fault, run.peer, scene)
    reports = await asyncio.gather(*loads)
    for task in watching:
        task.cancel()
    return list(reports)


def tell(run: Run, report: Report, wrk: str) -> None:
    """Print the figures of one application."""
    fault_at = report.started_at + CALM_S
    over_at = fault_at + FAULT_S
    sent = [state["sent"] for state in run.states]
    first, last = (min(int(s), len(sent) - 1) for s in (CALM_S, CALM_S + FAULT_S))
    reached = sent[last] - sent[first]
    print(f"  {run.name}: {reached} calls sent to it in {FAULT_S:.0f} s of fault{wrk}")
    for route in ROUTES:
        cells = []
        spans = (("fault", fault_at, over_at), ("after", over_at, over_at + AFTER_S))
        for word, since, until in spans:
            part = report.of(route).between(since, until)
            p50, p99 = part.percentile_ms(0.5) or 0, part.percentile_ms(0.99) or 0
            cells.append(
                f"{word}: p50 {p50:7.1f} p99 {p99:7.1f} ms, "
                f"errors {part.error_ratio():6.1%}"
            )
        well = recovered_s(report.of(route), over_at)
        print(f"    {route:11} {'; '.join(cells)}; well after {well}")
        for second, counts in late_errors(report.of(route), over_at):
            print(f"      {second} s after: {counts}")
    if "state" in run.states[-1]:
        line = " ".join(
            f"{at}s:{state['in_force']}"
            + (f"/{state['throttle']:.0%}" if state["throttle"] else "")
            for at, state in enumerate(run.states)
            if at == 0 or _looks(run.states[at - 1]) != _looks(state)
        )
        print(f"    breaker/throttle: {line}")


def _looks(state: dict[str, Any]) -> tuple[str, int]:
    return state["in_force"], round(state["throttle"] * 10)


def recovered_s(report: Report, over_at: float) -> str:
    """Return how long after the fault the last bad second of a route ended."""
    bad = [
        at + 1
        for at in range(int(AFTER_S))
        if report.between(over_at + at, over_at + at + 1).error_ratio() > 0.01
    ]
    return f"{max(bad, default=0)} s"


def late_errors(report: Report, over_at: float) -> list[tuple[int, dict[str, int]]]:
    """Return what each second from the second one on answered, if not all was well."""
    seconds = [
        (at, report.between(over_at + at, over_at + at + 1))
        for at in range(2, int(AFTER_S))
    ]
    return [(at, part.by_status()) for at, part in seconds if part.error_ratio() > 0.01]


async def hammered(run: Run) -> str:
    """Return what wrk says of the route that falls back, amid the fault."""
    command = ["wrk", "-t1", "-c8", "-d4s", "--latency", f"{run.app.url}/order"]
    done = await asyncio.create_subprocess_exec(
        *command, stdout=asyncio.subprocess.PIPE
    )
    said = (await done.communicate())[0].decode().split("\n")
    wanted = ("99%", "Requests/sec", "Non-2xx")
    found = [" ".join(s.split()) for s in said if any(w in s for w in wanted)]
    return f"; wrk, 8 clients on /order: {', '.join(found)}"


async def one(scene: str, rate: float, is_hammered: bool) -> None:
    with ExitStack() as stack:
        home = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        runs: list[Run] = []
        for guarded in (False, True):
            run = Run(guarded, home, rate)
            stack.callback(run.end)
            runs.append(run)
        playing = asyncio.create_task(play(runs, scene))
        wrk = ["", ""]
        if is_hammered:
            await asyncio.sleep(CALM_S + 5)
            wrk = [await hammered(run) for run in runs]
        reports = await playing
        print(f"\n{scene}:", flush=True)
        for run, report, hit in zip(runs, reports, wrk, strict=True):
            tell(run, report, hit)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--only", default=",".join(SCENES))
    parser.add_argument("--rate", type=float, default=60.0)
    given = parser.parse_args()
    for scene in given.only.split(","):
        asyncio.run(one(scene, given.rate, shutil.which("wrk") is not None))


if __name__ == "__main__":
    main()
