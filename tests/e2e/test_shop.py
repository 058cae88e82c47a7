"""The shop as a customer meets it: real nodes, a real file, a real third party."""

from __future__ import annotations

import json
import sqlite3
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import pytest

from load.servers import EXAMPLES, clean_environ, eventually, running, served
from shop.dialects import FIRST
from shop.shoppers import CONSUMERS

HEALTHY: dict[str, Any] = {}
NEWEST = {"x-api-version": "2026-09-01"}
ADA = {"first_name": "Ada", "last_name": "Lovelace", "country": "AT"}


@dataclass(frozen=True)
class Shop:
    """Two nodes on one database, and the payments provider."""

    nodes: tuple[str, str]
    payments: str
    database: Path

    def get(self, path: str, node: int = 0) -> httpx.Response:
        return httpx.get(self.nodes[node] + path, headers=NEWEST, timeout=10)

    def post(self, path: str, body: dict[str, Any], node: int = 0) -> httpx.Response:
        url = self.nodes[node] + path
        return httpx.post(url, json=body, headers=NEWEST, timeout=10)

    def filled_cart(self) -> str:
        items = [{"sku": "mug-blue", "quantity": 2}]
        cart_id: str = self.post("/v1/cart", {"items": items}).json()["cart_id"]
        return cart_id

    def check_out(self, card: str = "tok_visa") -> httpx.Response:
        return self.post("/v1/checkout", self.order(card))

    def order(self, card: str = "tok_visa") -> dict[str, Any]:
        return {"cart_id": self.filled_cart(), "card": card, "recipient": ADA}

    def behave(self, behaviour: dict[str, Any]) -> httpx.Response:
        return httpx.post(f"{self.payments}/admin", json=behaviour)

    def charges(self) -> dict[str, int]:
        """Return the provider's counts once it has nothing under way."""

        def settled() -> dict[str, int] | None:
            counts = dict(httpx.get(f"{self.payments}/admin").json()["counts"])
            return counts if counts.pop("asked") == sum(counts.values()) else None

        return eventually(settled) or {}


@pytest.fixture(scope="module")
def shop(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Shop]:
    home = tmp_path_factory.mktemp("shop")
    database = home / "shop.db"
    with served("shop.payments:app", home=home) as payments:
        env = {"SHOP_DB": str(database), "SHOP_PAYMENTS_URL": payments} | {
            "FAILSOFT_CONFIG": str(EXAMPLES / "shop" / "failsoft.toml")
        }
        with (
            served("shop.api:app", home=home, env=env) as first,
            served("shop.api:app", home=home, env=env) as second,
        ):
            yield Shop((first, second), payments, database)


@pytest.fixture(autouse=True)
def healthy_payments(shop: Shop) -> None:
    shop.behave(HEALTHY)


def script(module: str, *arguments: str) -> subprocess.CompletedProcess[str]:
    """Run `python -m module` of examples/ to its end."""
    return subprocess.run(
        [sys.executable, "-m", module, *arguments],
        env=clean_environ() | {"PYTHONPATH": str(EXAMPLES)},
        capture_output=True,
        text=True,
        timeout=50,
    )


def test_the_catalogue_lists_shows_and_finds_products(shop: Shop) -> None:
    page = shop.get("/v1/products?page=1").json()
    product = shop.get(f"/v1/products/{page[0]['sku']}")
    found = shop.get("/v1/search?q=mug").json()

    assert len(page) == 20
    assert product.json() == page[0]
    assert {"mug-blue", "mug-white"} <= {one["sku"] for one in found}
    assert shop.get("/v1/products/gone").status_code == 404


def test_a_cart_written_on_one_node_is_read_on_the_other(shop: Shop) -> None:
    cart_id = shop.filled_cart()

    cart = shop.get(f"/v1/cart/{cart_id}", node=1)

    assert cart.status_code == 200
    assert cart.json()["total_cents"] == 2 * 637


def test_a_cart_with_an_unknown_product_leaves_nothing_behind(shop: Shop) -> None:
    items = [{"sku": sku, "quantity": 1} for sku in ("mug-blue", "gone")]
    count = "SELECT count(*) FROM cart_items"
    with sqlite3.connect(shop.database) as reader:
        before = reader.execute(count).fetchone()

        refused = shop.post("/v1/cart", {"items": items})

        assert refused.status_code == 422
        assert reader.execute(count).fetchone() == before
    reader.close()


def test_a_checkout_becomes_an_order_that_is_confirmed_in_the_background(
    shop: Shop,
) -> None:
    order = shop.check_out().json()

    with httpx.stream(
        "GET", f"{shop.nodes[1]}/v1/orders/{order['order_id']}/events"
    ) as stream:
        events = stream.read().decode()

    assert order["status"] == "paid"
    assert order["total_cents"] == 2 * 637 + 490
    assert stream.headers["content-type"].startswith("text/event-stream")
    assert [line for line in events.splitlines() if line.startswith("data")] == [
        "data: paid",
        "data: confirmed",
    ]
    stored = shop.get(f"/v1/orders/{order['order_id']}").json()
    assert stored == order | {"status": "confirmed"}


def test_orders_are_listed_for_their_consumer_only(shop: Shop) -> None:
    key = {"x-api-key": "key-of-this-test"} | NEWEST
    url = f"{shop.nodes[0]}/v1/checkout"
    order = httpx.post(url, json=shop.order(), headers=key).json()

    mine = httpx.get(f"{shop.nodes[0]}/v1/orders", headers=key).json()

    assert [one["order_id"] for one in mine] == [order["order_id"]]


def test_a_checked_out_cart_is_gone(shop: Shop) -> None:
    body = shop.order()
    shop.post("/v1/checkout", body)

    assert shop.post("/v1/checkout", body).status_code == 404


def test_a_declined_card_is_no_failure_of_the_shop(shop: Shop) -> None:
    assert shop.check_out("tok_declined").status_code == 402


def test_a_review_is_kept_and_a_bad_one_refused(shop: Shop) -> None:
    review = {"sku": "lamp-grey", "stars": 4, "text": "bright"}

    assert shop.post("/v1/reviews", review).status_code == 201
    assert shop.get("/v1/products/lamp-grey/reviews").json() == [review]
    assert shop.post("/v1/reviews", review | {"stars": 9}).status_code == 422


@pytest.mark.parametrize(
    "behaviour",
    [{"fail_ratio": 1.0}, {"delay_ms": 3000}, {"shape": "v2"}],
    ids=["failing", "slow", "changed"],
)
def test_a_payments_provider_in_trouble_fails_the_checkout_and_keeps_the_cart(
    shop: Shop, behaviour: dict[str, Any]
) -> None:
    order = shop.order()
    shop.behave(behaviour)

    answer = shop.post("/v1/checkout", order)

    assert answer.status_code == 500
    assert shop.get(f"/v1/cart/{order['cart_id']}").status_code == 200
    shop.behave(HEALTHY)
    assert shop.check_out().status_code == 201


def test_a_share_of_charges_fails_exactly(shop: Shop) -> None:
    shop.behave({"fail_ratio": 0.25})

    statuses = [shop.check_out().status_code for _ in range(8)]

    assert statuses.count(500) == 2


@pytest.mark.parametrize(
    "behaviour", [{"delay_ms": 60_000}, {"fail_ratio": 1.5}, {"shape": "v3"}]
)
def test_payments_cannot_be_made_worse_than_its_bounds(
    shop: Shop, behaviour: dict[str, Any]
) -> None:
    assert shop.behave(behaviour).status_code == 422


def test_the_summary_of_the_traffic_agrees_with_what_the_servers_counted(
    shop: Shop,
) -> None:
    shop.behave({"fail_ratio": 0.3})
    before, orders_before = shop.charges(), count_orders(shop)
    urls = [word for node in shop.nodes for word in ("--url", node)]

    done = script("shop.traffic", *urls, "--rate", "60", "--seconds", "4")

    summary = json.loads(done.stdout)
    routes = summary["routes"]
    checkouts = routes["POST /v1/checkout"]["by_status"]
    charges = {name: n - before[name] for name, n in shop.charges().items()}
    # What the throttle held back is an order all the same, and charged sooner or later.
    paid, queued = checkouts["201"], checkouts.get("202", 0)
    assert paid <= count_orders(shop) - orders_before <= paid + queued
    assert paid <= charges["charged"]
    assert charges["failed"] >= checkouts["500"] > 0
    assert summary["sent"] == summary["n"] == sum(summary["by_status"].values())
    assert summary["rate_per_s"] == pytest.approx(60, rel=0.2)
    assert set(summary["consumers"]) == {"web", "ios/5.2", "partner"}
    # Each client got the shape of its own version, or this would say "unreadable";
    # each was understood, or more than the one bad review in a hundred were refused.
    refused = {name for name, one in routes.items() if "422" in one["by_status"]}
    assert refused <= {"POST /v1/reviews"}
    # uvicorn closes a connection after an unhandled error; one that is taken again
    # at that moment breaks, without having been served.
    assert summary["by_status"].pop("broken", 0) <= 3
    known = {"200", "201", "202", "402", "404", "422", "500"}
    assert set(summary["by_status"]) <= known


def test_a_client_takes_no_other_shape_than_that_of_its_version() -> None:
    item = {"sku": "mug-blue", "qty": 2}
    cart = {"cart_id": "c", "items": [item], "total_cents": 1}
    newer = cart | {"items": [{"sku": "mug-blue", "quantity": 2}]}
    said = {"x-api-version": FIRST.version}
    mobile = next(one for one in CONSUMERS if one.speaks is FIRST)

    assert mobile.reads("POST /v1/cart", said, cart)
    assert not mobile.reads("POST /v1/cart", NEWEST, cart)
    assert not mobile.reads("POST /v1/cart", said, newer)
    assert not mobile.reads("POST /v1/cart", said, cart | {"total_cents": "1"})
    assert not mobile.reads("GET /v1/orders", said, [cart])


def count_orders(shop: Shop) -> int:
    reader = sqlite3.connect(shop.database)
    try:
        return int(reader.execute("SELECT count(*) FROM orders").fetchone()[0])
    finally:
        reader.close()


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (["--url", "http://example.com"], "this machine only"),
        (["--url", "http://localhost:1", "--rate", "5000"], "500 at most"),
        (["--url", "http://localhost:1", "--seconds", "7200"], "3600 at most"),
    ],
)
def test_the_traffic_refuses_what_is_out_of_bounds(
    arguments: list[str], told: str
) -> None:
    done = script("shop.traffic", *arguments)

    assert done.returncode == 2
    assert told in done.stderr


def test_the_incident_slows_fails_and_recovers(shop: Shop, tmp_path: Path) -> None:
    seen: list[dict[str, Any]] = []
    pace = ["--after", "0", "--every", "3", "--pace", "0.02"]
    arguments = ["-m", "shop.incident", "--payments", shop.payments, *pace]

    def is_back_to_normal() -> bool:
        now = httpx.get(f"{shop.payments}/admin").json()["behaviour"]
        if not seen or seen[-1] != now:
            seen.append(now)
        return len(seen) > 2 and now == {
            "delay_ms": 20,
            "fail_ratio": 0.0,
            "shape": "v1",
        }

    with running(*arguments, home=tmp_path, env={"PYTHONPATH": str(EXAMPLES)}):
        eventually(is_back_to_normal, within_s=10)

    assert [now["delay_ms"] for now in seen if now["delay_ms"] > 20] == [900, 400, 4000]
    assert max(now["fail_ratio"] for now in seen) == 0.6


def test_an_incident_that_is_interrupted_leaves_payments_healthy(
    shop: Shop, tmp_path: Path
) -> None:
    arguments = ["-m", "shop.incident", "--payments", shop.payments, "--after", "0"]
    with running(*arguments, home=tmp_path, env={"PYTHONPATH": str(EXAMPLES)}):
        eventually(lambda: "900" in httpx.get(f"{shop.payments}/admin").text)

    behaviour = httpx.get(f"{shop.payments}/admin").json()["behaviour"]
    assert behaviour["delay_ms"] == 20
