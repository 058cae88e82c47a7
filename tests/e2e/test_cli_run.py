"""`failsoft run` puts failsoft around an app that knows nothing of it."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from failsoft.testing import RedisServer

APP = """
async def app(scope, receive, send):
    if scope["type"] == "lifespan":
        await receive()
        await send({"type": "lifespan.startup.complete"})
        await receive()
        await send({"type": "lifespan.shutdown.complete"})
        return
    await send({"type": "http.response.start", "status": 200, "headers": []})
    await send({"type": "http.response.body", "body": b"ok"})

def make():
    return app
"""


def eventually(check: Callable[[], bool], within_s: float = 15.0) -> None:
    until = time.monotonic() + within_s
    while not check():
        assert time.monotonic() < until
        time.sleep(0.05)


def status_of(url: str) -> int:
    try:
        with urllib.request.urlopen(url, timeout=2) as reply:
            return int(reply.status)
    except urllib.error.HTTPError as error:
        with error:
            return error.code
    except OSError:
        return 0


@pytest.fixture
def environ(redis_server: RedisServer) -> dict[str, str]:
    redis_server.ask("FLUSHALL")
    return os.environ | {"FAILSOFT_REDIS_URL": redis_server.url, "FAILSOFT_ENV": "run"}


@pytest.fixture(params=[("plain:app",), ("plain:make", "--factory")])
def served(
    request: pytest.FixtureRequest, environ: dict[str, str], tmp_path: Path
) -> Iterator[str]:
    (tmp_path / "plain.py").write_text(APP)
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    words = [sys.executable, "-m", "failsoft", "run", *request.param]
    words += ["--app-dir", str(tmp_path), "--port", str(port), "--workers", "2"]
    log = (tmp_path / "log").open("w")
    with log, subprocess.Popen(words, env=environ, stdout=log, stderr=log) as process:
        yield f"http://127.0.0.1:{port}/"
        process.send_signal(signal.SIGINT)
        process.wait(15)


def test_an_untouched_app_on_two_workers_can_be_killed(
    served: str, environ: dict[str, str]
) -> None:
    def failsoft(*words: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [sys.executable, "-m", "failsoft", *words],
            env=environ,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=30,
            check=False,
        )

    eventually(lambda: status_of(served) == 200)
    eventually(lambda: "nodes 2/2" in failsoft("status").stdout)

    done = failsoft(
        *("kill", "route:* *", "--force", "--for", "1m", "-m", "test"),
        *("--confirm", "run"),
    )

    assert (done.returncode, done.stderr) == (0, "")
    assert {status_of(served) for _ in range(10)} == {503}
