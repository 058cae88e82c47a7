"""What shoppers ask for: pure, every choice from one seeded generator of dice.

Each kind of caller speaks the version of the API that it was written for.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass
from random import Random
from typing import Any

from shop.database import CATALOGUE, COLOURS, THINGS
from shop.dialects import FIRST, NEWEST, SECOND, Dialect

SKUS = tuple(sku for sku, _, _ in CATALOGUE)
NAMES = (("Ada", "Lovelace"), ("Johann", "Meier Huber"), ("Zoë", "Øster"))


@dataclass(frozen=True)
class Consumer:
    """One kind of caller: its share of requests and what it is after (weights).

    app: the id it gives itself.  speaks: the version it was written for.
    """

    name: str
    app: str
    speaks: Dialect
    user_agent: str
    api_key: str
    share: float
    wants: Mapping[str, float]

    def headers(self) -> dict[str, str]:
        key = {"x-api-key": self.api_key} if self.api_key else {}
        says = {"x-app-id": self.app, "x-api-version": self.speaks.version}
        return {"user-agent": self.user_agent, **says, **key}

    def reads(self, route: str, headers: Mapping[str, str], body: Any) -> bool:
        """Whether an answer says this caller's version, and has its shape."""
        version = headers.get("x-api-version")
        return version == self.speaks.version and self.speaks.reads(route, body)


@dataclass(frozen=True)
class Wish:
    """One request to send.  route: the template it should hit."""

    route: str
    path: str
    body: dict[str, Any] | None = None

    @property
    def method(self) -> str:
        return self.route.partition(" ")[0]


CONSUMERS = (
    Consumer(
        name="web",
        app="web",
        speaks=NEWEST,
        user_agent="Mozilla/5.0 (X11; Linux x86_64) Firefox/145.0",
        api_key="",
        share=0.6,
        wants={
            "browse": 18,
            "product": 32,
            "search": 16,
            "cart": 13,
            "look": 5,
            "buy": 9,
            "order": 3,
        }
        | {"follow": 0.5, "review": 2, "reviews": 3},
    ),
    Consumer(
        # Two releases behind, and on many phones that nobody will update.
        name="ios/5.2",
        app="ios-5.2",
        speaks=FIRST,
        user_agent="shop-ios/5.2 (iPhone; iOS 19.1)",
        api_key="key-ios",
        share=0.3,
        wants={
            "browse": 14,
            "product": 30,
            "search": 22,
            "cart": 14,
            "look": 6,
            "buy": 9,
            "order": 4,
        }
        | {"poll": 3, "review": 3, "reviews": 2},
    ),
    Consumer(
        name="partner",
        app="acme-sync",
        speaks=SECOND,
        user_agent="acme-sync/1.4",
        api_key="key-partner",
        share=0.1,
        wants={"browse": 36, "product": 36, "orders_list": 18, "cart": 6, "buy": 4},
    ),
)


class Shoppers:
    """Chooses the next request; remembers the newest carts and orders."""

    def __init__(self, dice: Random) -> None:
        self._dice = dice
        self._carts: deque[str] = deque(maxlen=200)
        self._orders: deque[str] = deque(maxlen=200)

    def consumer(self) -> Consumer:
        return self._dice.choices(CONSUMERS, [c.share for c in CONSUMERS])[0]

    def next_wish(self, consumer: Consumer) -> Wish:
        """Return one request; what needs a cart or an order waits until one exists."""
        wants = consumer.wants
        name = self._dice.choices(list(wants), list(wants.values()))[0]
        wish: Wish | None = getattr(self, f"_{name}")(consumer.speaks)
        return wish or self._cart(consumer.speaks)

    def learn(self, wish: Wish, status: int, body: dict[str, Any]) -> None:
        """Take ids from an answer; a checkout that failed gives its cart back."""
        if wish.route == "POST /v1/cart" and status == 201:
            self._carts.append(body["cart_id"])
        elif wish.route == "POST /v1/checkout" and status in (201, 202):
            self._orders.append(body["order_id"])
        elif wish.route == "POST /v1/checkout" and status >= 500 and wish.body:
            self._carts.append(wish.body["cart_id"])

    def _browse(self, speaks: Dialect) -> Wish:
        page = self._dice.randrange(4)
        return Wish("GET /v1/products", f"/v1/products?page={page}")

    def _product(self, speaks: Dialect) -> Wish:
        # One in fifty follows a dead link.
        sku = "gone" if self._dice.random() < 0.02 else self._sku()
        return Wish("GET /v1/products/{sku}", f"/v1/products/{sku}")

    def _search(self, speaks: Dialect) -> Wish:
        word = self._dice.choice(THINGS + COLOURS)
        return Wish("GET /v1/search", f"/v1/search?q={word}")

    def _cart(self, speaks: Dialect) -> Wish:
        picked = self._dice.sample(SKUS, self._dice.randint(1, 3))
        items = [speaks.item(sku, self._dice.randint(1, 3)) for sku in picked]
        return Wish("POST /v1/cart", "/v1/cart", {"items": items})

    def _look(self, speaks: Dialect) -> Wish | None:
        if not self._carts:
            return None
        return Wish("GET /v1/cart/{cart_id}", f"/v1/cart/{self._carts[-1]}")

    def _buy(self, speaks: Dialect) -> Wish | None:
        if not self._carts:
            return None
        card = "tok_declined" if self._dice.random() < 0.01 else "tok_visa"
        body = {
            "cart_id": self._carts.popleft(),
            "card": card,
            "recipient": speaks.to(*self._dice.choice(NAMES)),
        }
        return Wish("POST /v1/checkout", "/v1/checkout", body)

    def _order(self, speaks: Dialect) -> Wish | None:
        if not self._orders:
            return None
        order_id = self._dice.choice(self._orders)
        return Wish("GET /v1/orders/{order_id}", f"/v1/orders/{order_id}")

    def _follow(self, speaks: Dialect) -> Wish | None:
        if not self._orders:
            return None
        path = f"/v1/orders/{self._orders[-1]}/events"
        return Wish("GET /v1/orders/{order_id}/events", path)

    def _poll(self, speaks: Dialect) -> Wish | None:
        if not self._orders:
            return None
        path = f"/v1/orders/{self._orders[-1]}/status"
        return Wish("GET /v1/orders/{order_id}/status", path)

    def _orders_list(self, speaks: Dialect) -> Wish:
        return Wish("GET /v1/orders", "/v1/orders")

    def _review(self, speaks: Dialect) -> Wish:
        # One in a hundred sends a review the API refuses.
        stars = 9 if self._dice.random() < 0.01 else self._dice.randint(1, 5)
        body = speaks.review(self._sku(), stars)
        return Wish("POST /v1/reviews", "/v1/reviews", body)

    def _reviews(self, speaks: Dialect) -> Wish:
        sku = self._sku()
        return Wish("GET /v1/products/{sku}/reviews", f"/v1/products/{sku}/reviews")

    def _sku(self) -> str:
        return self._dice.choice(SKUS)
