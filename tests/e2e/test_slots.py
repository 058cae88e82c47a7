"""Slots of requests on a real server, whose clients leave as they please."""

from __future__ import annotations

import json
import socket
import struct
import urllib.request
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from load.servers import ROOT, eventually, served

BENCH = ROOT / "tests" / "bench"


def state(url: str) -> dict[str, Any]:
    with urllib.request.urlopen(f"{url}/state", timeout=10) as answer:
        said: dict[str, Any] = json.load(answer)
    return said


def asking(url: str, *, resets: bool) -> socket.socket:
    """Return a connection that has sent a request and reads no answer."""
    place = urlsplit(url)
    asked = socket.create_connection((place.hostname or "", place.port or 0))
    if resets:
        gone_at_once = struct.pack("ii", 1, 0)
        asked.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, gone_at_once)
    asked.sendall(b"GET /product HTTP/1.1\r\nhost: test\r\n\r\n")
    return asked


def test_clients_that_leave_give_their_slots_back(tmp_path: Path) -> None:
    environ = {"BENCH_GUARD": "1", "BENCH_WAIT_MS": "400"}
    with served("busy:app", home=tmp_path, env=environ, folder=BENCH) as url:
        asked = [asking(url, resets=bool(n % 2)) for n in range(20)]
        eventually(lambda: state(url)["inflight"] > 0)

        for connection in asked:
            connection.close()

        assert eventually(lambda: state(url)["inflight"] == 0)
