"""How clients of each version speak: what they send, and what they can read."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Any

# A shape: a type, a list of one shape, or the shapes of exactly these keys.
PRODUCT = {"sku": str, "title": str, "price_cents": int}
REVIEW = {"sku": str, "stars": int, "text": str}


@dataclass(frozen=True)
class Dialect:
    """The words of one version, as its clients were written.

    quantity: key of a cart item.  recipient: keys of an order's recipient.
    is_sloppy: sends numbers as text, and a key that nobody asked for.
    """

    version: str
    quantity: str
    recipient: tuple[str, ...]
    is_sloppy: bool = False

    @cached_property
    def shapes(self) -> dict[str, Any]:
        """Return the answers it can read, by route."""
        item = {"sku": str, self.quantity: int}
        cart = {"cart_id": str, "items": [item], "total_cents": int}
        status = {"order_id": str, "status": str}
        paid = {"total_cents": int, "charge_id": str}
        order = status | paid | {"recipient": dict.fromkeys(self.recipient, str)}
        return {
            "GET /v1/products": [PRODUCT],
            "GET /v1/products/{sku}": PRODUCT,
            "GET /v1/search": [PRODUCT],
            "POST /v1/cart": cart,
            "GET /v1/cart/{cart_id}": cart,
            "POST /v1/checkout": order,
            "GET /v1/orders/{order_id}": order,
            "GET /v1/orders": [order],
            "GET /v1/orders/{order_id}/status": status,
            "POST /v1/reviews": REVIEW,
            "GET /v1/products/{sku}/reviews": [REVIEW],
        }

    def item(self, sku: str, quantity: int) -> dict[str, Any]:
        return {
            "sku": sku,
            self.quantity: str(quantity) if self.is_sloppy else quantity,
        }

    def to(self, first: str, last: str) -> dict[str, str]:
        words = {"name": f"{first} {last}", "first_name": first, "last_name": last}
        words["country"] = "AT"
        return {key: words[key] for key in self.recipient}

    def review(self, sku: str, stars: int) -> dict[str, Any]:
        body = {"sku": sku, "stars": stars, "text": "as described"}
        return body | ({"app_build": 5217} if self.is_sloppy else {})

    def reads(self, route: str, body: Any) -> bool:
        """Whether an answer has exactly the shape this client was written for."""
        return route not in self.shapes or fits(self.shapes[route], body)


def fits(shape: Any, value: Any) -> bool:
    if isinstance(shape, list):
        return isinstance(value, list) and all(fits(shape[0], one) for one in value)
    if isinstance(shape, dict):
        return (
            isinstance(value, dict)
            and value.keys() == shape.keys()
            and all(fits(inner, value[key]) for key, inner in shape.items())
        )
    return type(value) is shape


FIRST = Dialect("2025-03-01", "qty", ("name",), is_sloppy=True)
SECOND = Dialect("2025-11-15", "quantity", ("first_name", "last_name"))
NEWEST = Dialect("2026-09-01", "quantity", ("first_name", "last_name", "country"))
