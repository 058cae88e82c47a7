"""The application of the overload benchmark: routes that burn 5 ms of CPU.

BENCH_GUARD=1 puts failsoft around it; BENCH_WAIT_MS waits besides (default 0);
BENCH_SHED is the handling.  Serve with `uvicorn busy:app`.
"""

from __future__ import annotations

import asyncio
import os
from time import process_time, thread_time
from typing import Any

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, PlainTextResponse
from starlette.routing import Route

from failsoft import Failsoft

CPU_S = 0.005
WAIT_S = float(os.environ.get("BENCH_WAIT_MS", "0")) / 1000
CLASSES = {
    "/checkout": "critical_plus",
    "/product": "critical",
    "/search": "sheddable_plus",
    "/ads": "sheddable",
}


async def work(request: Request) -> PlainTextResponse:
    until = thread_time() + CPU_S
    while thread_time() < until:
        pass
    if WAIT_S:
        await asyncio.sleep(WAIT_S)
    return PlainTextResponse("done")


async def state(request: Request) -> JSONResponse:
    """Say what the node's shedder says, and what CPU it took."""
    inbound = guarded.runtime.inbound if guarded is not None else None
    said = inbound.state()._asdict() if inbound is not None else {}
    return JSONResponse(said | {"cpu_s": process_time()})


bare = Starlette(
    routes=[*(Route(path, work) for path in CLASSES), Route("/state", state)]
)
guarded: Any = None
app: Any = bare
if os.environ.get("BENCH_GUARD"):
    routes: dict[str, Any] = {
        f"GET {path}": {"criticality": name} for path, name in CLASSES.items()
    }
    routes["GET /state"] = {"bypass": True}
    shed = {"handling": os.environ.get("BENCH_SHED", "on")}
    app = guarded = Failsoft(bare, env="overload", routes=routes, shed=shed)
