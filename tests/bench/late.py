"""An application that misses its deadlines, for `deadlines.py`.

BENCH_DEPENDENCY=http://127.0.0.1:...   uvicorn late:app
"""

from __future__ import annotations

import os
import threading
import time
from typing import Any

import httpx
from anyio.to_thread import current_default_thread_limiter
from fastapi import FastAPI

import failsoft

DEPENDENCY = os.environ["BENCH_DEPENDENCY"]
TIMEOUT = os.environ.get("BENCH_TIMEOUT", "300ms")
LIMITS = httpx.Limits(max_connections=5)

app = FastAPI()
# Nothing else may answer: no shedding, and a breaker that only counts.
app.add_middleware(
    failsoft.Failsoft,
    routes={"GET /late/*": {"timeout": TIMEOUT}},
    shed={"handling": "off"},
    dependency={"slow": {"timeout": "30s"}},
)
# An own timeout so long that the deadline always comes first.
CLIENTS = {
    "plain": httpx.AsyncClient(limits=LIMITS, timeout=30),
    "failsoft": httpx.AsyncClient(
        transport=failsoft.http_transport(
            "slow", transport=httpx.AsyncHTTPTransport(limits=LIMITS)
        ),
        timeout=30,
    ),
}
most = {"threads": 0, "borrowed": 0}


def watch() -> None:
    names = [thread.name for thread in threading.enumerate()]
    workers = sum("worker" in name.lower() for name in names)
    most["threads"] = max(most["threads"], workers)


@app.get("/late/blocks")
def blocks() -> dict[str, str]:
    watch()
    time.sleep(2)
    return {"too": "late"}


@app.get("/late/hangs/{client}")
async def hangs(client: str) -> Any:
    return (await CLIENTS[client].get(f"{DEPENDENCY}/hangs")).text


@app.get("/answers/{client}")
async def answers(client: str) -> Any:
    return (await CLIENTS[client].get(f"{DEPENDENCY}/answers")).text


@app.get("/threads")
async def threads() -> dict[str, Any]:
    limiter = current_default_thread_limiter()
    return {
        "most_threads": most["threads"],
        "borrowed": limiter.borrowed_tokens,
        "total": limiter.total_tokens,
    }
