"""`failsoft demo` as a person starts it: what it shows, and that nothing remains."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import httpx
import pytest

from load.servers import clean_environ, eventually, free_port, processes_with

STATUS = re.compile(
    r"^\d+\.\d requests/s  errors (\S+)  p95 (\S+)( ms)?"
    r"  nodes (\d)/(\d)  controls \d+(?:  drift (\d+))?(?:  .+)?$"
)
URL = re.compile(r"http://127\.0\.0\.1:\d+")


class Demo:
    """One demo without a terminal; its output goes to a file in `home`."""

    def __init__(self, home: Path, *options: str) -> None:
        self.home = home
        self.temporary = home / "tmp"
        self.temporary.mkdir()
        self._out = home / "out.txt"
        with self._out.open("wb") as out:
            self.process = subprocess.Popen(
                [sys.executable, "-m", "failsoft", "demo", *options],
                cwd=home,
                # The name of this directory marks every process of this demo.
                env=clean_environ() | {"TMPDIR": str(self.temporary)},
                stdin=subprocess.DEVNULL,
                stdout=out,
                stderr=subprocess.STDOUT,
            )

    def output(self) -> str:
        return self._out.read_text()

    def statuses(self) -> list[re.Match[str]]:
        matches = (STATUS.match(line) for line in self.output().splitlines())
        return [match for match in matches if match]

    def url(self, name: str) -> str:
        line = next(x for x in self.output().splitlines() if x.startswith(name))
        found = URL.search(line)
        assert found, self.output()
        return found[0]

    def operate(self, *words: str) -> subprocess.CompletedProcess[str]:
        """Run a verb of the command line on this demo's store."""
        line = next(x for x in self.output().splitlines() if x.startswith("redis"))
        store = {"FAILSOFT_REDIS_URL": line.split()[1], "FAILSOFT_ENV": "demo"}
        return subprocess.run(
            [sys.executable, "-m", "failsoft", *words],
            env=clean_environ() | store,
            capture_output=True,
            text=True,
            timeout=20,
        )

    def processes(self) -> list[str]:
        return processes_with(str(self.temporary))

    def has_traffic(self) -> bool:
        return any(match[1] != "-" for match in self.statuses())

    def wait_for_start(self) -> None:
        eventually(lambda: "ends after" in self.output() or self.has_ended(), 30)
        assert not self.has_ended(), self.output()

    def wait_for_traffic(self) -> None:
        eventually(lambda: self.has_traffic() or self.has_ended(), within_s=30)
        assert not self.has_ended(), self.output()

    def has_ended(self) -> bool:
        return self.process.poll() is not None


Start = Callable[..., Demo]


@pytest.fixture
def start(tmp_path: Path) -> Iterator[Start]:
    """Start a demo; whatever is left of it is ended after the test."""
    started: list[Demo] = []

    def starting(*options: str) -> Demo:
        started.append(Demo(tmp_path, *options))
        return started[-1]

    yield starting
    for demo in started:
        demo.process.kill()
        demo.process.wait()
        for line in demo.processes():
            os.kill(int(line.split()[0]), signal.SIGKILL)


def test_a_demo_without_a_terminal_shows_addresses_and_a_line_a_second(
    start: Start,
) -> None:
    demo = start("--seconds", "5", "--rate", "100", "--no-incident")
    began = time.monotonic()

    demo.wait_for_traffic()
    products = httpx.get(f"{demo.url('api-2')}/v1/products")
    status = demo.process.wait(15)

    assert products.status_code == 200
    assert status == 0
    assert time.monotonic() - began < 25
    assert demo.statuses()[-1].group(4, 5) == ("2", "2")
    assert 3 <= len(demo.statuses()) <= 6
    assert demo.processes() == []
    assert list(demo.temporary.iterdir()) == []


@pytest.mark.parametrize("name", ["SIGINT", "SIGTERM", "SIGHUP"])
def test_a_signal_ends_the_demo_and_all_its_processes(start: Start, name: str) -> None:
    demo = start()
    demo.wait_for_start()

    demo.process.send_signal(getattr(signal, name))

    assert demo.process.wait(10) == 0
    assert demo.processes() == []
    assert list(demo.temporary.iterdir()) == []


def test_a_demo_that_is_killed_outright_leaves_no_process(start: Start) -> None:
    demo = start()
    demo.wait_for_start()
    assert len(demo.processes()) >= 6

    demo.process.kill()
    demo.process.wait()

    eventually(lambda: not demo.processes(), within_s=5)


def test_a_demo_that_is_killed_while_it_starts_leaves_no_process(start: Start) -> None:
    demo = start()
    eventually(lambda: len(demo.processes()) >= 3, within_s=20)

    demo.process.kill()
    demo.process.wait()

    eventually(lambda: not demo.processes(), within_s=5)


def test_a_dead_node_ends_the_demo_and_is_named_with_its_log(start: Start) -> None:
    demo = start()
    demo.wait_for_start()
    port = demo.url("api-2").rpartition(":")[2]
    node = next(line for line in demo.processes() if f"--port {port}" in line)

    os.kill(int(node.split()[0]), signal.SIGKILL)

    assert demo.process.wait(10) == 1
    assert "failsoft demo: api-2 ended with SIGKILL; its log ends:" in demo.output()
    assert demo.processes() == []


@pytest.mark.timeout(60)
def test_the_incident_of_payments_reaches_the_error_ratio_and_the_ledger(
    start: Start,
) -> None:
    demo = start("--rate", "100", "--no-incident")
    demo.wait_for_start()
    failing = {"fail_ratio": 0.6, "shape": "v1-bad"}

    httpx.post(f"{demo.url('payments')}/admin", json=failing).raise_for_status()

    def shows_errors() -> bool:
        return any(status[1] not in ("-", "0.0%") for status in demo.statuses())

    def shows_drift() -> bool:
        """Two habits of the old mobile client, and the amount of payments."""
        return demo.statuses()[-1][6] == "3"

    eventually(shows_errors, within_s=15)
    eventually(shows_drift, within_s=15)
    drift = json.loads(demo.operate("drift", "list", "--json").stdout)["drift"]
    kinds = {(row["dependency"], row["path"], row["kind"]) for row in drift}
    assert kinds == {
        ("payments", "/amount_cents", "type"),
        ("", "/items/*/qty", "coerced"),
        ("", "/app_build", "unknown"),
    }

    def speak() -> set[tuple[str, str]]:
        told = json.loads(demo.operate("versions", "list", "--json").stdout)
        return {(use["consumer"], use["version"]) for use in told["uses"]}

    wanted = {
        ("web", "2026-09-01"),
        ("acme-sync", "2025-11-15"),
        ("ios-5.2", "2025-03-01"),
    }
    eventually(lambda: speak() >= wanted, within_s=20)  # counted each 10 s


def test_a_kill_from_the_command_line_is_enforced_by_both_nodes(start: Start) -> None:
    demo = start("--rate", "100", "--no-incident")
    demo.wait_for_traffic()
    reviews = "/v1/products/mug-blue/reviews"
    urls = [f"{demo.url(node)}{reviews}" for node in ("api-1", "api-2")]

    killed = demo.operate("kill", "tag:reviews", "--for", "1m", "-m", "test", "--json")

    assert killed.returncode == 0, killed.stdout + killed.stderr
    assert [httpx.get(url).status_code for url in urls] == [503, 503]
    lifted = demo.operate("unkill", "tag:reviews", "-m", "over", "--json")
    assert lifted.returncode == 0, lifted.stdout + lifted.stderr
    assert [httpx.get(url).status_code for url in urls] == [200, 200]


@pytest.mark.parametrize(
    ("options", "status", "told"),
    [
        (["--rate", "0"], 2, "--rate: 0.0 must be above 0"),
        (["--seconds", "7200"], 2, "--seconds: 7200.0 must be above 0, 3600 at most"),
        (["--redis", "http://x"], 2, "is not a Redis URL"),
    ],
)
def test_bad_options_are_refused_before_anything_starts(
    start: Start, options: list[str], status: int, told: str
) -> None:
    demo = start(*options)

    assert demo.process.wait(15) == status
    assert told in demo.output()
    assert list(demo.temporary.iterdir()) == []


def test_a_redis_that_does_not_answer_is_named_without_its_password(
    start: Start,
) -> None:
    port = free_port()

    demo = start("--redis", f"redis://:s3cret@127.0.0.1:{port}/0")

    assert demo.process.wait(15) == 6
    assert f"redis://:***@127.0.0.1:{port}/0: no answer" in demo.output()
    assert "s3cret" not in demo.output()


def test_a_demo_on_a_given_redis_starts_none_of_its_own(
    start: Start, redis_url: str
) -> None:
    demo = start("--redis", redis_url, "--seconds", "2")
    demo.wait_for_start()

    assert not [line for line in demo.processes() if "_demo_redis" in line]
    assert demo.process.wait(15) == 0
