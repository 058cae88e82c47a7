"""`failsoft top` in a real terminal, over a real node and redis-server."""

from __future__ import annotations

import shutil
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple

import pytest
import uvicorn

from failsoft.testing import redis_server
from load.servers import accepts, eventually, free_port
from tui.test_terminal import Terminal

__all__ = ["Watched", "watched"]


class Watched(NamedTuple):
    """A served node, its Redis, and the terminal that looks at it."""

    url: str
    port: int
    terminal: Terminal


@contextmanager
def watched(
    guarded: Callable[[str], Any], env: str, home: Path, size: tuple[int, int]
) -> Iterator[Watched]:
    """Serve an application and open the terminal; guarded: makes it of a Redis URL."""
    if shutil.which("tmux") is None:
        pytest.skip("needs tmux: apt install tmux")
    with redis_server(own=True) as server:
        port = free_port()
        config = uvicorn.Config(guarded(server.url), port=port, log_level="warning")
        served = uvicorn.Server(config)
        thread = threading.Thread(target=served.run)
        thread.start()
        top = f"{sys.executable} -m failsoft top --redis {server.url} --env {env}"
        state = str(home / "state")
        terminal = Terminal(home / "tmux", size, command=top, XDG_STATE_HOME=state)
        try:
            eventually(lambda: accepts(port), within_s=30)
            yield Watched(server.url, port, terminal)
        finally:
            terminal.close()
            served.should_exit = True
            thread.join(timeout=10)
