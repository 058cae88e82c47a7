"""An application under a shared limit that notes when it was reached.

LIMITED_SKEW shifts the wall clock of the process, LIMITED_OUT is where it writes
what it saw when it ends.
"""

from __future__ import annotations

import json
import os
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

_SKEW_S = float(os.environ.get("LIMITED_SKEW", "0"))
if _SKEW_S:
    _unix = time.time
    time.time = lambda: _unix() + _SKEW_S  # before anything takes it

from starlette.applications import Starlette  # noqa: E402 - the clock comes first
from starlette.requests import Request  # noqa: E402
from starlette.responses import PlainTextResponse  # noqa: E402
from starlette.routing import Route  # noqa: E402

from failsoft import Failsoft  # noqa: E402

RATE, BURST = 1000, 1000
SHARED = {"rate": f"{RATE}/second", "key": "header:x-key"}
reached: list[tuple[float, str]] = []


async def hot(request: Request) -> PlainTextResponse:
    reached.append((time.monotonic(), request.headers.get("x-key", "")))
    return PlainTextResponse("ok")


def make(**limit: Any) -> Failsoft:
    """Return the application; its store is that of the environment."""
    said: Mapping[str, Any] = {"rate_limit": "hot"}
    routes = {"GET /hot": said, "GET /exact": {"rate_limit": "20000/hour"}}
    mode = {"title": "Busy", "actions": [{"banner": "We are busy"}]}
    inner = Starlette(routes=[Route("/hot", hot), Route("/free", hot)])
    inner.router.routes.append(Route("/exact", hot))
    limits = {"hot": SHARED | limit}
    return Failsoft(inner, rate_limit=limits, routes=routes, mode={"busy": mode})


def report(app: Failsoft) -> dict[str, Any]:
    """Return what the node saw, for whoever adds up the nodes."""
    limits: Any = app.runtime.inbound.limits
    rows = {one.name: one for one in limits._limiters.values()}
    hot_one = rows["hot"]
    return {
        "reached": reached,
        "allowed": hot_one.allowed,
        "refused": hot_one.refused,
        "trips": hot_one.trips,
        "errors": app.runtime.own_errors,
        "error": app.runtime.own_error,
    }


class Noting:
    """The application for uvicorn: it writes its report at the end."""

    def __init__(self) -> None:
        self._app = make()

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        await self._app(scope, receive, send)
        if scope["type"] == "lifespan":
            _write(json.dumps(report(self._app)))


def _write(text: str) -> None:
    Path(os.environ["LIMITED_OUT"]).write_text(text)


app = Noting() if os.environ.get("LIMITED_OUT") else None
