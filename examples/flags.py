"""Flags: new code is deployed dark, switched on by an operator, and fails on purpose.

What breaks: the new price list is wrong for product 13, and only there.
What to watch: with the flag off (its default) nobody meets the fault; with Redis
configured, `failsoft flags on pricing.new -m "first customers"` turns it on for
everybody, `failsoft kill flag:pricing.new -m "wrong price"` takes it back.
GET /refunds/7 asks a flag that nobody has defined yet and that must never be guessed
(`fail="refuse"`): the client gets 503 with Retry-After, not a refund.
GET /why says which layer gave the value.  Tests set flags by `override`; here the
option `--on pricing.new` does, and GET /prices/13 shows the fault.

Start: python examples/flags.py   (--port 8000, FAILSOFT_REDIS_URL for operators)
Try: GET /prices/7 -> 200
Try: GET /prices/13 -> 200
Try: GET /why -> 200
Try: GET /refunds/7 -> 503
"""

from __future__ import annotations

import argparse
from typing import Any

import uvicorn
from fastapi import FastAPI

import failsoft
from failsoft.testing import override

NEW_PRICES = failsoft.Flag(
    "pricing.new", default=False, fail="off", owner="pricing", expires="2027-06-30"
)
REFUNDS = failsoft.Flag("refunds.signed", default=False, fail="refuse", owner="pay")

app = FastAPI()
app.add_middleware(failsoft.Failsoft)


@app.get("/prices/{product}")
async def price(product: int) -> dict[str, float]:
    if NEW_PRICES():
        return {"price": 100 / (13 - product)}
    return {"price": 9.90}


@app.get("/refunds/{order}")
async def refund(order: int) -> dict[str, Any]:
    return {"order": order, "signed": REFUNDS()}


@app.get("/why")
async def why() -> dict[str, Any]:
    details = NEW_PRICES.details()
    return {
        "value": details.value,
        "variant": details.variant,
        "reason": details.reason,
        "revision": details.revision,
        "age_s": details.age,
    }


if __name__ == "__main__":
    options = argparse.ArgumentParser()
    options.add_argument("--port", type=int, default=8000)
    options.add_argument("--on", action="append", default=[], metavar="FLAG")
    given = options.parse_args()
    with override(dict.fromkeys(given.on, True)):
        uvicorn.run(app, port=given.port)
