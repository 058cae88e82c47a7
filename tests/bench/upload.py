"""Memory of a real server while a body of any length is uploaded in chunks.

    python tests/bench/upload.py [--mib 1024]

Serves with uvicorn in a process of its own, sends a chunked JSON body, and prints
the growth of the server's resident memory at its peak: bare, observed (a client at
the head), and of an old version, which would have to be migrated and is refused.
"""

from __future__ import annotations

import argparse
import contextlib
import http.client
import json
import os
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

HERE = Path(__file__)
MIB = 1024 * 1024
CHUNK = b" " * 65_536
MODES = ("bare", "observed", "old")
SCHEMA = {"type": "object", "properties": {"qty": {"type": "integer"}}}


def application(mode: str) -> Any:
    """Return an application that reads a body as it comes."""
    from starlette.applications import Starlette
    from starlette.requests import Request
    from starlette.responses import JSONResponse
    from starlette.routing import Route

    from failsoft import Failsoft
    from failsoft.versions import Contract, Version, rename

    async def upload(request: Request) -> JSONResponse:
        size = 0
        async for chunk in request.stream():
            size += len(chunk)
        return JSONResponse({"size": size})

    app = Starlette(routes=[Route("/items", upload, methods=["POST"])])
    if mode == "bare":
        return app
    versions = Version("2025-01-01"), Version("2026-01-01", rename("Item.n", to="qty"))
    contract = Contract(versions, schemas=os.environ["UPLOAD_SCHEMAS"])
    return Failsoft(app, contract=contract)


if "UPLOAD_MODE" in os.environ:  # in the server's process
    app = application(os.environ["UPLOAD_MODE"])


def write_schemas(folder: Path) -> Path:
    """Write the OpenAPI file by which failsoft knows the body of the route."""
    item = {"schema": {"$ref": "#/components/schemas/Item"}}
    operation = {"requestBody": {"content": {"application/json": item}}}
    document = {
        "openapi": "3.1.0",
        "info": {"title": "upload", "version": "1"},
        "paths": {"/items": {"post": {**operation, "responses": {}}}},
        "components": {"schemas": {"Item": SCHEMA}},
    }
    path = folder / "openapi.json"
    path.write_text(json.dumps(document))
    return path


@contextlib.contextmanager
def serving(mode: str, folder: Path) -> Iterator[tuple[int, int]]:
    """Serve in another process; yield its port and pid."""
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
    command = [sys.executable, "-m", "uvicorn", "upload:app", "--port", str(port)]
    command += ["--app-dir", str(HERE.parent), "--log-level", "warning"]
    told = {"UPLOAD_MODE": mode, "UPLOAD_SCHEMAS": str(write_schemas(folder))}
    server = subprocess.Popen(command, env={**os.environ, **told}, cwd=folder)
    try:
        _wait_for(port)
        yield port, server.pid
    finally:
        server.terminate()
        server.wait(10)


def _wait_for(port: int) -> None:
    for _ in range(200):
        try:
            socket.create_connection(("127.0.0.1", port), 1).close()
        except OSError:
            time.sleep(0.05)
        else:
            return
    raise TimeoutError("the server does not answer")


def upload_to(port: int, size_bytes: int, version: str) -> tuple[int, dict[str, Any]]:
    """Send so many bytes of JSON in chunks; return status and answer."""
    link = http.client.HTTPConnection("127.0.0.1", port, timeout=600)
    headers = {"Content-Type": "application/json", "X-API-Version": version}
    headers["Transfer-Encoding"] = "chunked"
    # Refused, a server may hang up while the body is still being sent.
    with contextlib.suppress(ConnectionError):
        link.request("POST", "/items", _body(size_bytes), headers, encode_chunked=True)
    answer = link.getresponse()
    found = answer.status, json.loads(answer.read())
    link.close()
    return found


def _body(size_bytes: int) -> Iterator[bytes]:
    yield b"{"
    left = size_bytes - 2
    while left > 0:
        yield CHUNK[:left]
        left -= len(CHUNK)
    yield b"}"


def memory_mib(pid: int, key: str) -> float:
    """Return VmRSS (now) or VmHWM (at most so far) of a process."""
    for line in Path(f"/proc/{pid}/status").read_text().splitlines():
        if line.startswith(key):
            return int(line.split()[1]) / 1024
    raise KeyError(key)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--mib", type=int, default=1024)
    size_bytes = parser.parse_args().mib * MIB
    for mode in MODES:
        version = "2025-01-01" if mode == "old" else "2026-01-01"
        with tempfile.TemporaryDirectory() as folder, serving(mode, Path(folder)) as at:
            port, pid = at
            upload_to(port, 1000, version)
            before = memory_mib(pid, "VmRSS")
            began = time.perf_counter()
            status, answer = upload_to(port, size_bytes, version)
            took_s = time.perf_counter() - began
            grown = memory_mib(pid, "VmHWM") - before
            said = answer.get("size", answer.get("type"))
            peak = f"+{grown:.1f} MiB at its peak"
            print(f"{mode:9} {status} {said}  {peak}  {took_s:.1f} s")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
