"""Takes webhooks over real HTTP, and checks signatures as a receiver would."""

from __future__ import annotations

import hashlib
import hmac
import json
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any


@dataclass
class Received:
    """What came.  statuses: answers to give, the last one for good."""

    statuses: list[int] = field(default_factory=lambda: [204])
    url: str = ""
    bodies: list[bytes] = field(default_factory=list)
    headers: list[dict[str, str]] = field(default_factory=list)
    paths: list[str] = field(default_factory=list)
    came_at: list[float] = field(default_factory=list)

    def documents(self, state: str = "firing") -> list[dict[str, Any]]:
        """Return the alerts of a state, in the order in which they came."""
        found = [json.loads(body) for body in list(self.bodies)]
        return [one for one in found if one.get("state") == state]

    def is_signed(self, number: int, secret: str) -> bool:
        """Whether a body bears a fresh signature: over `t.body`, as documented."""
        said = dict(
            part.split("=", 1)
            for part in self.headers[number]["failsoft-signature"].split(",")
        )
        signed = said["t"].encode() + b"." + self.bodies[number]
        digest = hmac.new(secret.encode(), signed, hashlib.sha256).hexdigest()
        is_fresh = abs(self.came_at[number] - int(said["t"])) < 10
        return is_fresh and hmac.compare_digest(digest, said["v1"])


@contextmanager
def receiver(*statuses: int) -> Iterator[Received]:
    """Serve on a free port of the loopback until the end."""
    received = Received(list(statuses) or [204])

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["content-length"]))
            received.headers.append({k.lower(): v for k, v in self.headers.items()})
            received.paths.append(self.path)
            received.came_at.append(time.time())
            received.bodies.append(body)
            left = received.statuses
            status = left.pop(0) if len(left) > 1 else left[0]
            self.send_response(status)
            if 300 <= status < 400:
                self.send_header("location", f"{received.url}/elsewhere")
            self.send_header("content-length", "0")
            self.end_headers()

        do_GET = do_POST

        def log_message(self, format: str, *args: Any) -> None:
            """Say nothing."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    received.url = f"http://127.0.0.1:{server.server_port}"
    thread = threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True)
    thread.start()
    try:
        yield received
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
