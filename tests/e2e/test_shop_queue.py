"""Payments is away: orders are taken, and charged once it is back."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from load.servers import EXAMPLES, eventually, served
from shop.dialects import FIRST, NEWEST, Dialect

DECLARED = "breaker = { slow = 0.5 }"
TOUCHY = 'breaker = { calls = 4, open = "300ms", permits = [1] }'


class Customer:
    """A client of the served shop, and what may be done to its payments."""

    def __init__(self, shop: str, payments: str) -> None:
        self.shop = shop
        self.payments = payments

    def behave(self, **behaviour: Any) -> None:
        httpx.post(f"{self.payments}/admin", json=behaviour).raise_for_status()

    def asked(self) -> int:
        """Return how often payments was called."""
        return int(httpx.get(f"{self.payments}/admin").json()["counts"]["asked"])

    def check_out(self, speaks: Dialect = NEWEST) -> httpx.Response:
        headers = {"x-api-version": speaks.version}
        with httpx.Client(base_url=self.shop, headers=headers, timeout=10) as link:
            items = [speaks.item("mug-blue", 1)]
            cart = link.post("/v1/cart", json={"items": items}).json()["cart_id"]
            to = speaks.to("Ada", "Lovelace")
            body = {"cart_id": cart, "card": "tok_visa", "recipient": to}
            return link.post("/v1/checkout", json=body)

    def order(self, order_id: str) -> dict[str, Any]:
        headers = {"x-api-version": NEWEST.version}
        answer = httpx.get(f"{self.shop}/v1/orders/{order_id}", headers=headers)
        return dict(answer.json())


@pytest.fixture
def customer(tmp_path: Path) -> Iterator[Customer]:
    """A shop whose breaker of payments opens early and probes soon."""
    written = (EXAMPLES / "shop" / "failsoft.toml").read_text()
    assert DECLARED in written
    (tmp_path / "failsoft.toml").write_text(written.replace(DECLARED, TOUCHY))
    shutil.copy(EXAMPLES / "shop" / "flags.json", tmp_path)
    with served("shop.payments:app", home=tmp_path) as payments:
        env = {
            "SHOP_DB": str(tmp_path / "shop.db"),
            "SHOP_PAYMENTS_URL": payments,
            "FAILSOFT_CONFIG": str(tmp_path / "failsoft.toml"),
        }
        with served("shop.api:app", home=tmp_path, env=env) as shop:
            yield Customer(shop, payments)


def test_orders_taken_while_payments_is_away_are_charged_when_it_is_back(
    customer: Customer,
) -> None:
    customer.behave(fail_ratio=1.0)
    statuses = [customer.check_out().status_code for _ in range(4)]
    before = customer.asked()
    queued = customer.check_out()
    of_old = customer.check_out(FIRST).json()
    calls = customer.asked() - before
    customer.behave()

    def charged() -> dict[str, Any] | None:
        order = customer.order(queued.json()["order_id"])
        return order if order["status"] == "confirmed" else None

    order = eventually(charged, within_s=10)

    assert statuses == [500] * 4
    assert (queued.status_code, queued.json()["status"]) == (202, "queued")
    assert of_old["status"] == "paid"
    assert calls <= 2  # probes of the open breaker, if any
    assert order is not None
    assert order["charge_id"].startswith("ch_")
