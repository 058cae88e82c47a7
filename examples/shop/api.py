"""The shop: `uvicorn shop.api:app --app-dir examples`.

SHOP_DB: path of the SQLite file (shared by all nodes; default `shop.db`).
SHOP_PAYMENTS_URL: the payments provider, `uvicorn shop.payments:app --port 8900`.
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

from fastapi import APIRouter, Depends, FastAPI

from failsoft import Failsoft
from shop import cart, catalogue, checkout, orders, reviews
from shop.contract import contract
from shop.database import open_database
from shop.later import charge_late
from shop.pay import payments_client
from shop.wiring import know_shopper


@asynccontextmanager
async def lifespan(app: FastAPI) -> AsyncIterator[dict[str, Any]]:
    path = Path(os.environ.get("SHOP_DB", "shop.db"))
    url = os.environ.get("SHOP_PAYMENTS_URL", "http://127.0.0.1:8900")
    async with open_database(path) as database, payments_client(url) as payments:
        late = asyncio.create_task(charge_late(database, payments))
        yield {"database": database, "payments": payments}
        late.cancel()
        await asyncio.wait([late])


v1 = APIRouter(prefix="/v1", dependencies=[Depends(know_shopper)])
for part in (catalogue, cart, checkout, orders, reviews):
    v1.include_router(part.router)

app = FastAPI(title="shop", version="1.0", lifespan=lifespan)
app.include_router(v1)
app.add_middleware(Failsoft, contract=contract)


@app.get("/healthz", tags=["health"])
async def healthz() -> dict[str, bool]:
    return {"ok": True}
