"""Payments changes a field's type: customers see nothing, the ledger sees it."""

from __future__ import annotations

import time
from pathlib import Path

import httpx
import pytest

from e2e.kept import everything_in
from failsoft.store.drift import DriftRow
from failsoft.store.redis.store import RedisStore
from load.servers import served

pytestmark = pytest.mark.anyio

CANARY = "tok_canary7731"


async def test_a_changed_type_is_on_record_within_two_seconds_and_breaks_nothing(
    redis_url: str, tmp_path: Path
) -> None:
    store = RedisStore(redis_url, "drift")
    with served("shop.payments:app", home=tmp_path) as payments:
        env = {
            "SHOP_DB": str(tmp_path / "shop.db"),
            "SHOP_PAYMENTS_URL": payments,
            "FAILSOFT_REDIS_URL": redis_url,
            "FAILSOFT_ENV": "drift",
        }
        with served("shop.api:app", home=tmp_path, env=env) as url:
            # Clients that ask for no version are read as those of the oldest.
            async with httpx.AsyncClient(base_url=url, timeout=10) as customer:

                async def check_out() -> int:
                    items = [{"sku": "mug-blue", "qty": 2}]
                    cart = await customer.post("/v1/cart", json={"items": items})
                    body = {"cart_id": cart.json()["cart_id"], "card": CANARY}
                    body |= {"recipient": {"name": CANARY}}
                    return (await customer.post("/v1/checkout", json=body)).status_code

                async def drift() -> tuple[DriftRow, ...]:
                    rows = (await store.drift()).rows
                    return tuple(row for row in rows if row.entry.dependency)

                assert await check_out() == 201
                assert await drift() == ()

                await customer.post(f"{payments}/admin", json={"shape": "v1-bad"})
                assert await check_out() == 201
                changed = time.monotonic()
                while not (rows := await drift()):
                    assert time.monotonic() - changed < 2

    (entry,) = (row.entry for row in rows)
    assert (entry.dependency, entry.route) == ("payments", "POST /charges")
    assert (entry.path, entry.kind) == ("/amount_cents", "type")
    assert (entry.expected, entry.got) == ("integer", "str:int")
    assert CANARY.encode() not in everything_in(redis_url)
    await store.aclose()
