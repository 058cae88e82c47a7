"""FastAPI with failsoft: policy in code, no change to the handlers.

What breaks: the recommendations peer is slow to fail; GET /recommendations raises.
What to watch: the page keeps working; the route's criticality says it goes first
when load is shed; a bad body is the client's fault, not an error of the API.

Start: python examples/fastapi_app.py   (--port 8000)
Try: GET /products/7 -> 200
Try: GET /products/seven -> 422
Try: POST /carts {"product": 7} -> 201
Try: POST /carts {"product": "x"} -> 422
Try: GET /recommendations -> 500
"""

from __future__ import annotations

import argparse

import uvicorn
from fastapi import APIRouter, FastAPI
from pydantic import BaseModel

from failsoft import Failsoft

shop = APIRouter(tags=["shop"])
extras = APIRouter(tags=["extras"])


class Cart(BaseModel):
    product: int


class PeerDown(Exception):
    """The recommendations peer cannot be reached."""


@shop.get("/products/{product}")
async def get_product(product: int) -> dict[str, int]:
    return {"product": product, "price_cents": 990}


@shop.post("/carts", status_code=201)
async def create_cart(cart: Cart) -> Cart:
    return cart


@extras.get("/recommendations")
async def recommend() -> list[int]:
    raise PeerDown("recommendations: connection refused")


app = FastAPI()
app.include_router(shop)
app.include_router(extras)
app.add_middleware(
    Failsoft,
    routes={
        "POST /carts": {"criticality": "critical"},
        "GET /recommendations": {"criticality": "sheddable"},
    },
)

if __name__ == "__main__":
    options = argparse.ArgumentParser()
    options.add_argument("--port", type=int, default=8000)
    uvicorn.run(app, port=options.parse_args().port)
