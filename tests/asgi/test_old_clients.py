"""Clients of an old version, whatever way FastAPI is told of a body."""

# No `from __future__ import annotations`: routes name models made below.
import json
from dataclasses import dataclass
from typing import Annotated, Any, Generic, Literal, TypeVar

import pytest
from fastapi import Body, FastAPI
from pydantic import BaseModel, ConfigDict, Field, RootModel, computed_field
from typing_extensions import TypedDict

from asgi.drive import Answer, drive, http_scope
from failsoft import Failsoft
from failsoft.versions import Contract, Version, add, rename, split

pytestmark = pytest.mark.anyio

OLD = "2025-01-01"
T = TypeVar("T")


class Customer(BaseModel):
    first: str
    last: str = ""


class Line(BaseModel):
    sku: str
    quantity: int


class Order(BaseModel):
    customer_email: str
    customer: Customer | None = None
    lines: list[Line] = []
    currency: str = "EUR"

    @computed_field  # type: ignore[prop-decorator]
    @property
    def count(self) -> int:
        return sum(line.quantity for line in self.lines)


class Page(BaseModel, Generic[T]):
    items: list[T]
    next: str | None = None


class Tree(BaseModel):
    title: str
    children: list["Tree"] = []


class Cat(BaseModel):
    kind: Literal["cat"]
    lives: int
    friend: "Pet | None" = None


class Dog(BaseModel):
    kind: Literal["dog"]
    bark: str


Pet = Annotated[Cat | Dog, Field(discriminator="kind")]
Cat.model_rebuild()


class Orders(RootModel[list[Order]]):
    pass


class Aliased(BaseModel):
    model_config = ConfigDict(populate_by_name=True)
    shop_name: str = Field(alias="shopName")


@dataclass
class Label:
    text: str
    n: int = 0


class Caption(TypedDict):
    words: str


class Round(BaseModel):
    colour: str
    radius: int


class Square(BaseModel):
    colour: str
    side: str


ECHOED: dict[str, Any] = {
    "/orders": Order,
    "/trees": Tree,
    "/pet": Pet,
    "/root": Orders,
    "/aliased": Aliased,
    "/labels": Label,
    "/captions": Caption,
    "/shapes": Round | Square,
    "/maps": dict[str, list[Line]],
}


def echo(kind: Any) -> Any:
    def answer(body: kind) -> Any:
        return body

    return answer


def shop() -> FastAPI:
    app = FastAPI()
    for path, kind in ECHOED.items():
        app.post(path, response_model=kind)(echo(kind))
    app.post("/named", response_model_by_alias=False)(named)
    ops = list[dict[str, Any]]
    app.patch("/patched", response_model=ops)(echo(ops))

    @app.patch("/orders")
    def amend(order: Order) -> dict[str, Any]:
        return order.model_dump(exclude_unset=True, exclude={"count"})

    @app.post("/pages")
    def page(order: Order) -> Page[Order]:
        return Page[Order](items=[order])

    @app.post("/pets")
    def pets(pets: list[Pet]) -> dict[str, Pet]:
        return {str(at): pet for at, pet in enumerate(pets)}

    @app.post("/embedded")
    def embedded(order: Annotated[Order, Body(embed=True)]) -> Order:
        return order

    @app.post("/several")
    def several(order: Order, customer: Customer, n: Annotated[int, Body()]) -> Any:
        return {"email": order.customer_email, "last": customer.last, "n": n}

    @app.post("/maybe")
    def maybe(order: Order | None = None) -> dict[str, Order | None]:
        return {"order": order}

    return app


def named(shop: Aliased) -> Aliased:
    return shop


CONTRACT = Contract(
    [
        Version(OLD),
        Version(
            "2025-02-01",
            rename("Order.email", to="customer_email"),
            rename("Line.qty", to="quantity"),
            split("Customer.name", into=["first", "last"]),
            rename("Tree.name", to="title"),
            rename("Cat.life", to="lives"),
            rename("Dog.woof", to="bark"),
            rename("Aliased.store", to="shopName"),
            rename("Aliased.shop", to="shop_name"),
            rename("Label.name", to="text"),
            rename("Caption.title", to="words"),
            rename("Round.color", to="colour"),
            rename("Square.tint", to="colour"),
        ),
        Version("2025-03-01", add("Order.currency", default="USD")),
    ]
)


async def answers(calls: dict[str, tuple[str, str, Any]]) -> dict[str, Answer]:
    """Send each (method, path, body) as an old client; None for no body."""
    guarded = Failsoft(shop(), contract=CONTRACT)
    found = {}
    for name, (method, path, body) in calls.items():
        kind = name.partition(":")[2] or "json"
        headers = [
            (b"x-api-version", OLD.encode()),
            (b"content-type", b"application/" + kind.encode()),
        ]
        sent = b"" if body is None else json.dumps(body).encode()
        scope = http_scope(method, path, headers=headers)
        message = {"type": "http.request", "body": sent}
        found[name] = await drive(guarded, scope, [message])
    await guarded.runtime.stop()
    return found


ORDER = {
    "email": "e",
    "customer": {"name": "Ann Lee"},
    "lines": [{"sku": "s", "qty": 2}],
}
GIVEN = {**ORDER, "count": 2}
TREE = {"name": "a", "children": [{"name": "b", "children": []}]}
CAT = {"kind": "cat", "life": 9, "friend": {"kind": "dog", "woof": "w"}}
DOG = {"kind": "dog", "woof": "w"}
POINTER = [{"op": "test", "path": "/email", "value": "x"}]


async def test_old_clients_send_and_get_their_names_everywhere() -> None:
    several = {"order": ORDER, "customer": {"name": "P Q"}, "n": 3}
    wanted: dict[str, tuple[tuple[str, str, Any], Any]] = {
        "model": (("POST", "/orders", ORDER), GIVEN),
        "patch": (("PATCH", "/orders", {"email": "q"}), {"customer_email": "q"}),
        "merge:merge-patch+json": (
            ("PATCH", "/orders", {"email": "q", "customer": None}),
            {"customer_email": "q", "customer": None},
        ),
        "pointers:json-patch+json": (("PATCH", "/patched", POINTER), POINTER),
        "generic": (("POST", "/pages", ORDER), {"items": [GIVEN], "next": None}),
        "recursive": (("POST", "/trees", TREE), TREE),
        "told apart": (("POST", "/pets", [CAT, DOG]), {"0": CAT, "1": DOG}),
        "root": (("POST", "/root", [ORDER]), [GIVEN]),
        "aliases": (("POST", "/aliased", {"store": "x"}), {"store": "x"}),
        "by name": (("POST", "/named", {"store": "x"}), {"shop": "x"}),
        "dataclass": (("POST", "/labels", {"name": "x"}), {"name": "x", "n": 0}),
        "typed dict": (("POST", "/captions", {"title": "x"}), {"title": "x"}),
        "embedded": (("POST", "/embedded", {"order": ORDER}), GIVEN),
        "several": (("POST", "/several", several), {"email": "e", "last": "Q", "n": 3}),
        "guessed": (
            ("POST", "/shapes", {"tint": "r", "side": "1"}),
            {"tint": "r", "side": "1"},
        ),
        "none": (("POST", "/maybe", None), {"order": None}),
        "some": (("POST", "/maybe", ORDER), {"order": GIVEN}),
        "map": (("POST", "/maps", {"k": ORDER["lines"]}), {"k": ORDER["lines"]}),
    }

    found = await answers({name: call for name, (call, _) in wanted.items()})

    told = {name: answer.json for name, answer in found.items()}
    assert told == {name: want for name, (_, want) in wanted.items()}


async def test_faults_are_told_at_the_places_that_old_clients_know() -> None:
    dog = {"kind": "dog", "woof": 1}
    wanted: dict[str, tuple[tuple[str, str, Any], list[list[str | int]]]] = {
        "model": (
            ("POST", "/orders", {"email": 1, "lines": [{"sku": "s", "qty": "x"}]}),
            [["email"], ["lines", 0, "qty"]],
        ),
        "missing": (("POST", "/orders", {}), [["email"]]),
        "recursive": (
            ("POST", "/trees", {"name": "a", "children": [{"name": 1}]}),
            [["children", 0, "name"]],
        ),
        "in a union": (("POST", "/pet", {**CAT, "life": "x"}), [["cat", "life"]]),
        "in a union in a union": (
            ("POST", "/pet", {**CAT, "friend": dog}),
            [["cat", "friend", "dog", "woof"]],
        ),
        "in a list of unions": (("POST", "/pets", [dog]), [[0, "dog", "woof"]]),
        "in each branch": (
            ("POST", "/shapes", {"color": 1, "radius": 1}),
            [["Round", "color"], ["Square", "tint"], ["Square", "side"]],
        ),
        "root": (("POST", "/root", [{"email": 1}]), [[0, "email"]]),
        "embedded": (
            ("POST", "/embedded", {"order": {"email": 1}}),
            [["order", "email"]],
        ),
        "map": (
            ("POST", "/maps", {"k": [{"sku": "a", "qty": "z"}]}),
            [["k", 0, "qty"]],
        ),
    }

    found = await answers({name: call for name, (call, _) in wanted.items()})

    told = {
        name: [error["loc"] for error in answer.json["detail"]]
        for name, answer in found.items()
    }
    assert told == {
        name: [["body", *loc] for loc in locs] for name, (_, locs) in wanted.items()
    }
