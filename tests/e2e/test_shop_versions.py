"""Clients of three versions at one shop, each in the words it was written with."""

from __future__ import annotations

import time
from collections.abc import Iterator
from typing import Any

import httpx
import pytest

from load.servers import EXAMPLES, served

FIRST, SECOND, NEWEST = "2025-03-01", "2025-11-15", "2026-09-01"
DOCS = "https://docs.shop.example/versions"
ADA = {"first_name": "Ada", "last_name": "Lovelace"}
# How each says its version, the key of a quantity, and to whom an order goes.  The
# second is newer than its version's date: the nearest one before it holds.
CLIENTS: dict[str, tuple[dict[str, dict[str, str]], str, dict[str, str]]] = {
    FIRST: ({"headers": {"x-api-version": FIRST}}, "qty", {"name": "Ada Lovelace"}),
    SECOND: ({"headers": {"x-api-version": "2025-12-24"}}, "quantity", ADA),
    NEWEST: ({"params": {"api-version": NEWEST}}, "quantity", ADA | {"country": "AT"}),
}


@pytest.fixture(scope="module")
def shop(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    home = tmp_path_factory.mktemp("shop")
    with served("shop.payments:app", home=home) as payments:
        env = {
            "SHOP_DB": str(home / "shop.db"),
            "SHOP_PAYMENTS_URL": payments,
            "FAILSOFT_CONFIG": str(EXAMPLES / "shop" / "failsoft.toml"),
        }
        with served("shop.api:app", home=home, env=env) as url:
            yield url


@pytest.fixture(params=CLIENTS)
def version(request: pytest.FixtureRequest) -> str:
    return str(request.param)


def client_of(version: str, shop: str) -> httpx.Client:
    says: Any = CLIENTS[version][0]
    return httpx.Client(base_url=shop, timeout=10, trust_env=False, **says)


def ordered(client: httpx.Client, version: str) -> dict[str, Any]:
    """Fill a cart and check it out, as a client of a version does."""
    _, quantity, recipient = CLIENTS[version]
    items = [{"sku": "mug-blue", quantity: 2}, {"sku": "lamp-grey", quantity: 1}]
    cart = client.post("/v1/cart", json={"items": items}).json()
    assert sorted(cart["items"], key=lambda item: item[quantity]) == items[::-1]
    assert client.get(f"/v1/cart/{cart['cart_id']}").json() == cart
    body = {"cart_id": cart["cart_id"], "card": "tok_visa", "recipient": recipient}
    order = client.post("/v1/checkout", json=body)
    assert order.status_code == 201, order.text
    return dict(order.json())


def test_every_client_sends_and_gets_its_own_words(shop: str, version: str) -> None:
    recipient = CLIENTS[version][2]

    with client_of(version, shop) as client:
        order = ordered(client, version)
        read = client.get(f"/v1/orders/{order['order_id']}").json()
        listed = client.get("/v1/orders").json()

    keys = {"order_id", "total_cents", "charge_id", "status", "recipient"}
    assert order.keys() == keys
    assert order["recipient"] == read["recipient"] == recipient
    assert {tuple(one["recipient"]) for one in listed} == {tuple(recipient)}


def test_an_order_of_one_client_is_read_by_all_others(shop: str) -> None:
    with client_of(FIRST, shop) as client:
        order_id = ordered(client, FIRST)["order_id"]

    recipients = {}
    for version in CLIENTS:
        with client_of(version, shop) as client:
            order = client.get(f"/v1/orders/{order_id}").json()
            recipients[version] = order["recipient"]

    assert recipients == {
        FIRST: {"name": "Ada Lovelace"},
        SECOND: ADA,
        NEWEST: ADA | {"country": "DE"},
    }


def test_faults_are_told_in_the_words_of_the_client(shop: str, version: str) -> None:
    _, quantity, recipient = CLIENTS[version]
    order = {"cart_id": "c", "card": "t", "recipient": {}}

    with client_of(version, shop) as client:
        cart = client.post("/v1/cart", json={"items": [{"sku": "a", quantity: 0}]})
        bad = client.post("/v1/checkout", json=order)

    assert (cart.status_code, bad.status_code) == (422, 422)
    (fault,) = cart.json()["detail"]
    assert fault["loc"] == ["body", "items", 0, quantity]
    places = [fault["loc"] for fault in bad.json()["detail"]]
    assert places == [["body", "recipient", key] for key in recipient], bad.text


def test_an_endpoint_that_ended_serves_those_who_know_it(shop: str) -> None:
    with client_of(FIRST, shop) as client:
        order_id = ordered(client, FIRST)["order_id"]
    path = f"/v1/orders/{order_id}/status"
    answers = {}
    for version in CLIENTS:
        with client_of(version, shop) as client:
            answers[version] = client.get(path)

    gone = answers.pop(NEWEST)
    assert {answer.status_code for answer in answers.values()} == {200}
    assert answers[FIRST].json().keys() == {"order_id", "status"}
    assert gone.status_code == 410
    assert gone.headers["content-type"] == "application/problem+json"
    told = gone.json()
    assert told["type"] == "urn:failsoft:problem:endpoint-gone"
    assert (told["requested"], told["link"]) == (NEWEST, f"{DOCS}/order-events")


@pytest.mark.parametrize(
    ("said", "headers", "links"),
    [
        (
            {"x-api-version": FIRST},
            {
                "x-api-version": FIRST,
                "deprecation": "@1772323200",
                "sunset": "Thu, 31 Dec 2026 00:00:00 GMT",
                "vary": "X-API-Version",
            },
            [f'<{DOCS}/{FIRST}>; rel="{rel}"' for rel in ("deprecation", "sunset")],
        ),
        (
            {"x-api-version": SECOND},
            {
                "x-api-version": SECOND,
                "deprecation": "@1793491200",
                "sunset": "Wed, 30 Jun 2027 00:00:00 GMT",
                "vary": "X-API-Version",
            },
            [f'<{DOCS}/{SECOND}>; rel="{rel}"' for rel in ("deprecation", "sunset")],
        ),
        (
            {"x-api-version": NEWEST},
            {"x-api-version": NEWEST, "vary": "X-API-Version"},
            [],
        ),
    ],
    ids=[FIRST, SECOND, NEWEST],
)
@pytest.mark.parametrize("path", ["/v1/products/mug-blue", "/v1/products/none"])
def test_every_answer_says_how_long_its_version_lives(
    shop: str,
    path: str,
    said: dict[str, str],
    headers: dict[str, str],
    links: list[str],
) -> None:
    names = ("x-api-version", "deprecation", "sunset", "vary")

    answer = httpx.get(shop + path, headers=said)

    found = answer.headers
    assert {name: found[name] for name in names if name in found} == headers
    assert found.get_list("link") == links


def test_who_asks_for_no_version_is_served_the_first_one(shop: str) -> None:
    asked = httpx.get(f"{shop}/v1/products/mug-blue")
    health = httpx.get(f"{shop}/healthz")
    odd = httpx.get(f"{shop}/v1/products?api-version=2024-01-01")

    assert asked.headers["x-api-version"] == FIRST
    assert "x-api-version" not in health.headers
    assert odd.status_code in (400, 410)


def test_events_of_an_order_pass_as_they_are(shop: str, version: str) -> None:
    with client_of(version, shop) as client:
        order_id = ordered(client, version)["order_id"]
        came: list[tuple[float, str]] = []
        with client.stream("GET", f"/v1/orders/{order_id}/events") as stream:
            came += [(time.monotonic(), text) for text in stream.iter_text()]

    events = ["event: status\ndata: paid\n\n", "event: status\ndata: confirmed\n\n"]
    assert [text for _, text in came] == events
    # Packing takes 0.3 s: the first came as soon as it was sent.
    assert came[1][0] - came[0][0] > 0.15
    assert "content-length" not in stream.headers
