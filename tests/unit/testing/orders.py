"""A small shop with three versions: what contract tests are tried on."""

from __future__ import annotations

from typing import Any

from fastapi import FastAPI
from pydantic import BaseModel, Field, create_model

from failsoft import Failsoft
from failsoft.versions import (
    Contract,
    Version,
    add,
    change,
    drop,
    endpoint_moved,
    gone,
    rename,
    split,
    status,
)
from failsoft.versions._model import Op


class Customer(BaseModel):
    first: str
    last: str


class Line(BaseModel):
    qty: int = Field(ge=1, le=5)
    tag: str | None = None


class Order(BaseModel):
    id: int
    customer_email: str
    customer: Customer
    lines: list[Line] = []
    currency: str


NAMES = (
    rename("Order.email", to="customer_email"),
    split("Customer.name", into=["first", "last"]),
)
TERMS = (
    add("Order.currency", default="EUR"),
    drop("Line.sku", fill="-"),
    status("POST /orders", was=200, now=201),
    gone("GET /legacy/{id}"),
    endpoint_moved(was="GET /order/{id}", now="GET /orders/{id}"),
)


def contract(*newest: Op) -> Contract:
    """The shop's versions; newest: what a version after them changes, if any."""
    versions = [Version("2025-01-15"), Version("2025-06-01", *NAMES)]
    versions.append(Version("2026-01-01", *TERMS))
    return Contract([*versions, Version("2026-05-01", *newest)] if newest else versions)


def shop(
    declared: Contract | None = None, model: type[BaseModel] = Order, **options: Any
) -> FastAPI:
    """Build the shop on a model of its orders."""
    app = FastAPI(**options)

    def place(order: Any) -> Any:
        return order

    def one(id: int) -> Any:
        raise KeyError(id)

    place.__annotations__ = {"order": model, "return": model}
    one.__annotations__ = {"id": int, "return": model}
    app.add_api_route("/orders", place, methods=["POST"], status_code=201)
    app.add_api_route("/orders/{id}", one)
    app.add_api_route("/legacy/{id}", one, include_in_schema=True)
    if declared is not None:
        app.add_middleware(Failsoft, contract=declared)
    return app


def renamed_order() -> type[BaseModel]:
    """The model after somebody renamed a field and added a required one."""
    fields = {n: (f.annotation, f) for n, f in Order.model_fields.items()}
    del fields["customer_email"]
    added: Any = {"contact_email": (str, ...), "zip": (str, ...)}
    return create_model("Order", **{**fields, **added})


class _Loses:
    """A migration that does not come back."""

    def up(order: Any) -> None:
        order["currency"] = "EUR"

    def down(order: Any) -> None:
        order["currency"] = "USD"


LOSES_THE_CURRENCY = change(on="Order")(_Loses)
