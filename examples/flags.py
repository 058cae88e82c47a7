"""A boolean flag: new code is deployed dark, and switched on by an operator.

What breaks: the new price list is wrong for product 13, and only there.
What to watch: with the flag off (its default) nobody meets the fault; with Redis
configured, `failsoft flags on pricing.new -m "first customers"` turns it on for
everybody, `failsoft kill flag:pricing.new -m "wrong price"` takes it back.

Start: python examples/flags.py   (--port 8000, FAILSOFT_REDIS_URL for operators)
Try: GET /prices/7 -> 200
Try: GET /prices/13 -> 200
"""

from __future__ import annotations

import argparse

import uvicorn
from fastapi import FastAPI

import failsoft

app = FastAPI()
app.add_middleware(
    failsoft.Failsoft, flags={"declare": {"pricing.new": {"default": False}}}
)


@app.get("/prices/{product}")
async def price(product: int) -> dict[str, float]:
    if failsoft.flag("pricing.new", default=False):
        return {"price": 100 / (13 - product)}
    return {"price": 9.90}


if __name__ == "__main__":
    options = argparse.ArgumentParser()
    options.add_argument("--port", type=int, default=8000)
    uvicorn.run(app, port=options.parse_args().port)
