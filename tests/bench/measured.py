"""An application with known latencies and errors, to compare figures with."""

from __future__ import annotations

import asyncio
import itertools

from fastapi import FastAPI

from failsoft import Failsoft

app = FastAPI()
app.add_middleware(Failsoft)
_turns = itertools.count()


@app.get("/quick/{n}")
async def quick(n: int) -> dict[str, int]:
    return {"n": n}


@app.get("/slow/{n}")
async def slow(n: int) -> dict[str, int]:
    """Take 20 to 200 ms, evenly spread."""
    await asyncio.sleep(0.02 + 0.18 * (next(_turns) * 7 % 100) / 100)
    return {"n": n}


@app.get("/flaky")
async def flaky() -> dict[str, bool]:
    """Fail one time in four."""
    if next(_turns) % 4 == 0:
        raise RuntimeError("one in four")
    return {"ok": True}
