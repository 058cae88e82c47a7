"""A real Redis for tests: own directory, own port, ended by its own process id."""

from __future__ import annotations

import os
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import urlsplit

__all__ = ["RedisServer", "RedisServerMissing", "redis_server"]

_START_S = 10.0


class RedisServerMissing(RuntimeError):
    """No server to test with: neither a binary on PATH nor a URL was found."""


class RedisServer:
    """One server process on 127.0.0.1; `config`: lines as `("save", "")`.

    kill: as by the kernel.  stop/cont: frozen, sockets stay open.  start: again on
    the same port and directory, so `persist=True` brings its data back.
    """

    def __init__(
        self, binary: str, folder: Path, config: Sequence[tuple[str, str]] = ()
    ) -> None:
        self.folder = folder
        self.host = "127.0.0.1"
        self.port = _free_port()
        self.socket_path = folder / "redis.sock"
        self._command = [binary, "--bind", "127.0.0.1", "--port", str(self.port)]
        self._command += ["--unixsocket", str(self.socket_path), "--dir", str(folder)]
        self._command += ["--save", "", "--logfile", str(folder / "redis.log")]
        for name, value in config:
            self._command += [f"--{name}", value]
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def url(self) -> str:
        """TCP address of database 0."""
        return f"redis://127.0.0.1:{self.port}/0"

    @property
    def unix_url(self) -> str:
        """Address of the same server over its Unix socket."""
        return f"unix://{self.socket_path}"

    @property
    def pid(self) -> int | None:
        """Process id, None while it is not running."""
        return self._process.pid if self._process else None

    def start(self) -> None:
        """Start and wait until it answers; RuntimeError with its log otherwise."""
        self._process = subprocess.Popen(
            self._command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
        )
        deadline = time.monotonic() + _START_S
        while not self._is_ready():
            if time.monotonic() > deadline or self._process.poll() is not None:
                self.kill()
                log = self.folder / "redis.log"
                text = log.read_text() if log.exists() else "no log"
                raise RuntimeError(f"redis-server did not start: {text[-2000:]}")
            time.sleep(0.01)

    def _is_ready(self) -> bool:
        reply = self.ask("PING")  # NOAUTH is an answer as well
        return reply != "" and not reply.startswith("-LOADING")

    def ask(self, *words: str) -> str:
        """Send one command on a connection of its own; return a one-line reply.

        "" when there is no answer.  Enough to configure a server, no client library.
        """
        parts = [f"${len(word.encode())}\r\n{word}\r\n" for word in words]
        request = f"*{len(words)}\r\n{''.join(parts)}".encode()
        try:
            with socket.create_connection((self.host, self.port), timeout=1) as link:
                link.sendall(request)
                return link.recv(4096).decode().strip().lstrip("+:")
        except OSError:
            return ""

    def stop(self) -> None:
        """Freeze the process: it accepts connections and never answers."""
        self._signal(signal.SIGSTOP)

    def cont(self) -> None:
        """Let a frozen process go on."""
        self._signal(signal.SIGCONT)

    def kill(self) -> None:
        """End it at once, without saving; no error when it is not running."""
        process, self._process = self._process, None
        if process is not None:
            process.kill()
            process.wait()

    def _signal(self, number: int) -> None:
        if self._process is not None:
            self._process.send_signal(number)


class _OtherServer(RedisServer):
    """A server somebody else runs for tests: emptied by them, never ended."""

    def __init__(self, url: str) -> None:
        parts = urlsplit(url)
        self._url = url
        self._process = None
        self.host, self.port = parts.hostname or "127.0.0.1", parts.port or 6379

    @property
    def url(self) -> str:
        return self._url

    def _signal(self, number: int) -> None:
        raise RedisServerMissing(
            "this test must stop the server; it needs redis-server"
        )

    def kill(self) -> None:
        self._signal(signal.SIGKILL)

    def start(self) -> None:
        self._signal(0)


@contextmanager
def redis_server(
    *config: tuple[str, str], persist: bool = False, own: bool = False
) -> Iterator[RedisServer]:
    """Run a server for the block: `redis-server` or `valkey-server` on PATH.

    FAILSOFT_TEST_REDIS_URL names a running one instead (without password; tests
    empty it), unless `own`, `persist` or `config` asks for a process of its own.
    persist: every write survives `kill`.
    Raises RedisServerMissing when there is none.
    """
    url = os.environ.get("FAILSOFT_TEST_REDIS_URL")
    if url and not (own or config or persist):
        yield _OtherServer(url)
        return
    binary = shutil.which("redis-server") or shutil.which("valkey-server")
    if binary is None:
        raise RedisServerMissing(
            "redis-server is not on PATH; apt install redis-server, or set "
            "FAILSOFT_TEST_REDIS_URL"
        )
    lines = [*config]
    if persist:
        lines += [("appendonly", "yes"), ("appendfsync", "always")]
    # A short path: Unix socket names end at about 100 characters.
    with tempfile.TemporaryDirectory(prefix="failsoft-redis-") as folder:
        server = RedisServer(binary, Path(folder), lines)
        server.start()
        try:
            yield server
        finally:
            server.kill()


def _free_port() -> int:
    while True:
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            port = int(probe.getsockname()[1])
        # A cluster node also listens 10,000 ports higher.
        if port <= 55_535:
            return port
