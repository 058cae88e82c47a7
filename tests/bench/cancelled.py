"""Whether a client outlives callers that leave: bare, and through our transport.

`PYTHONPATH=tests python tests/bench/cancelled.py [--cancels 1000]`

Callers of an https server are cancelled at random moments, with 5 connections in the
client's pool; then one call is made that nobody cancels.
"""

from __future__ import annotations

import argparse
import asyncio
import random
import ssl
import subprocess
import tempfile
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import httpx
import httpx2
import uvicorn

import failsoft
from load.servers import accepts, eventually, free_port

ROUND = 25


async def app(scope: Any, receive: Any, send: Any) -> None:
    await asyncio.sleep(random.random() * 0.01)
    await send({"type": "http.response.start", "status": 200, "headers": []})
    await send({"type": "http.response.body", "body": b"fine"})


@contextmanager
def serving(home: Path) -> Iterator[str]:
    key, cert = str(home / "key.pem"), str(home / "cert.pem")
    made = ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "1"]
    made += ["-subj", "/CN=localhost", "-keyout", key, "-out", cert]
    subprocess.run(made, check=True, capture_output=True)
    port = free_port()
    config = uvicorn.Config(
        app, port=port, log_level="critical", ssl_keyfile=key, ssl_certfile=cert
    )
    server = uvicorn.Server(config)
    thread = threading.Thread(target=server.run)
    thread.start()
    try:
        eventually(lambda: accepts(port))
        yield f"https://127.0.0.1:{port}"
    finally:
        server.should_exit = server.force_exit = True
        thread.join(timeout=10)


async def outlives(module: Any, wrap: Callable[[Any], Any], url: str, most: int) -> int:
    """Return after how many cancelled calls a client was dead; 0 for never."""
    trusting = ssl.create_default_context()
    trusting.check_hostname, trusting.verify_mode = False, ssl.CERT_NONE
    limits = module.Limits(max_connections=5)
    inner = module.AsyncHTTPTransport(verify=trusting, limits=limits)
    async with module.AsyncClient(transport=wrap(inner), timeout=2.0) as client:

        async def left() -> None:
            with suppress(TimeoutError, module.HTTPError):
                async with asyncio.timeout(random.random() * 0.015):
                    await client.get(url)

        for cancels in range(ROUND, most + 1, ROUND):
            await asyncio.gather(*(left() for _ in range(ROUND)))
            await asyncio.sleep(0.05)
            if not await is_alive(client, url):
                return cancels
    return 0


async def is_alive(client: Any, url: str) -> bool:
    """Whether one of three calls that nobody cancels is answered."""
    for _ in range(3):
        with suppress(httpx.HTTPError, httpx2.HTTPError):
            await client.get(url)
            return True
    return False


async def main(most: int) -> None:
    with tempfile.TemporaryDirectory() as home, serving(Path(home)) as url:
        for module in (httpx, httpx2):
            for name, wrap in (
                ("bare", lambda inner: inner),
                ("ours", lambda inner: failsoft.http_transport("x", transport=inner)),
            ):
                dead = await outlives(module, wrap, url, most)
                word = f"dead after {dead}" if dead else f"alive after {most}"
                what = f"{module.__name__} {module.__version__} {name}"
                print(f"{what}: {word} cancelled calls", flush=True)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--cancels", type=int, default=1000)
    asyncio.run(main(parser.parse_args().cancels))
