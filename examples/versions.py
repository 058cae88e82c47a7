"""API versions: the code moves on, and each client keeps the shape it knows.

What breaks without: `name` became two fields, `email` is `contact.email`, `currency` is
required: each client of 2025 would fail.  What to watch: `python examples/versions.py`
prints what clients of three versions get from the same handlers.  Faults are told in
the client's words; /_failsoft/openapi.json?version=2025-01-15 documents a version.

Start: python examples/versions.py --port 8000
Try: GET /orders/7?v=2025-01-15 -> 200
Try: POST /orders?v=2025-01-15 {"name": "Ada Byron", "email": "ada@a.org"} -> 200
Try: POST /orders?v=2025-01-15 {"name": "Ada Byron"} -> 422
Try: GET /orders/7/total?v=2025-06-01 -> 200
Try: GET /orders/7/total?v=2026-02-01 -> 410
"""

from __future__ import annotations

import argparse
import asyncio

import httpx
import uvicorn
from fastapi import FastAPI
from pydantic import BaseModel

from failsoft import Failsoft
from failsoft.versions import Contract, Query, Version, add, gone, move, split

FIRST = Version("2025-01-15", deprecated="2025-06-01", sunset="2099-01-31")
NAMES = (
    split("Order.name", into=["first", "last"]),
    move("Order.email", to="contact.email"),
)
MONEY = (add("Order.currency", default="EUR"), gone("GET /orders/{number}/total"))
VERSIONS = [FIRST, Version("2025-06-01", *NAMES), Version("2026-02-01", *MONEY)]

app = FastAPI()
app.add_middleware(Failsoft, contract=Contract(VERSIONS, read=[Query("v")]))


class Contact(BaseModel):
    email: str


class Order(BaseModel):
    first: str
    last: str
    contact: Contact
    currency: str


@app.post("/orders")
async def place(order: Order) -> Order:
    return order


@app.get("/orders/{number}")
async def read(number: int) -> Order:
    contact = Contact(email="ada@a.org")
    return Order(first="Ada", last="Byron", contact=contact, currency="EUR")


@app.get("/orders/{number}/total")
async def total(number: int) -> int:
    return 990


async def show() -> None:
    client = httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://x")
    for version in VERSIONS:
        for path in ("/orders/7", "/orders/7/total"):
            got = await client.get(path, params={"v": version.id})
            print(f"{version.id} {got.status_code} {path:<15} {got.text:.88}")


if __name__ == "__main__":
    options = argparse.ArgumentParser()
    options.add_argument("--port", type=int)
    port = options.parse_args().port
    uvicorn.run(app, port=port) if port else asyncio.run(show())
