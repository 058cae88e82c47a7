"""What is read from an application's own records of its routes."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import AsyncIterator
from decimal import Decimal
from types import ModuleType
from typing import Annotated, Any, Literal

import pytest
from fastapi import APIRouter, Body, FastAPI
from pydantic import (
    AliasChoices,
    AliasPath,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    PlainValidator,
    create_model,
    field_validator,
    model_validator,
)
from pydantic.dataclasses import dataclass
from pydantic_core import core_schema
from starlette.applications import Starlette
from starlette.routing import Host, Route, Router

from failsoft.errors import DefinitionError
from failsoft.routes.discover import find_routes, walk
from failsoft.routes.models import Models, models_from_document, models_of
from failsoft.routes.table import build_table
from failsoft.shapes.gate import compile_gate
from failsoft.shapes.graph import Node


class Customer(BaseModel):
    name: str


class Order(BaseModel):
    qty: int = 1
    price: Decimal = Decimal(0)
    customer: Customer | None = None


class Tree(BaseModel):
    kids: list[Tree] = []


def place(order: Order) -> Order:
    raise AssertionError("never run")


def taken_by(kind: Any) -> Node:
    """Return the request node of a route that takes one value of a type."""

    def take(value: Any) -> None: ...

    take.__annotations__["value"] = Annotated[kind, Body()]
    app = FastAPI()
    app.post("/x")(take)

    node = models_of(app).routes["POST /x"].request
    assert node is not None
    return node


def test_keys_are_those_of_the_route_table() -> None:
    app, sub, router = FastAPI(), FastAPI(), APIRouter(prefix="/v1")
    router.post("/orders/{id:int}")(place)
    sub.put("/orders", include_in_schema=False)(place)
    app.include_router(router, prefix="/api")
    app.mount("/sub", sub)

    models = models_of(app)

    assert list(models.routes) == ["POST /api/v1/orders/{id}", "PUT /sub/orders"]
    table = build_table(walk(find_routes(app) or ()), {})
    assert set(models.routes) <= {each.key for each in table.routes}


def test_requests_and_answers_have_their_own_schema() -> None:
    app = FastAPI()
    app.post(
        "/orders",
        status_code=201,
        responses={404: {"model": Customer}, "5XX": {"model": Tree}},
    )(place)

    shapes = models_of(app).routes["POST /orders"]

    price = [
        sorted(node.properties["price"].node.types)
        for node in (shapes.request, shapes.response(201))
        if node is not None
    ]
    assert price == [["number", "string"], ["string"]]
    names = {s: (n.name if (n := shapes.response(s)) else "") for s in (202, 404, 503)}
    assert names == {202: "Order-Output", 404: "Customer", 503: "Tree"}
    assert shapes.response(400) is None


def test_names_cover_input_output_and_where_null_is_fine() -> None:
    app = FastAPI()
    app.post("/orders")(place)

    names = models_of(app).names

    assert sorted({node.name for node in names["Order"]}) == [
        "Order-Input",
        "Order-Output",
    ]
    assert {node.name for node in names["Customer"]} == {"Customer"}
    assert all("null" in node.types for node in names["Customer"])


def test_two_models_of_one_name_are_told_apart() -> None:
    app = FastAPI()
    kinds = [
        create_model("Order", __module__=f"shop.{name}", **{name: (int, ...)})  # type: ignore[call-overload]
        for name in "ab"
    ]
    for at, kind in enumerate(kinds):
        app.get(f"/{at}", response_model=kind)(lambda: None)

    models = models_of(app)

    assert models.ambiguous == {"Order": ("shop__a__Order", "shop__b__Order")}
    assert set(models.names) == {"shop__a__Order", "shop__b__Order"}


@pytest.mark.parametrize(
    "option",
    [
        {"response_model_exclude_unset": True},
        {"response_model_exclude": {"qty"}},
        {"response_model_include": {"qty"}},
    ],
)
def test_an_answer_that_leaves_fields_out_requires_none(option: Any) -> None:
    app = FastAPI()
    app.post("/orders", **option)(place)

    node = models_of(app).routes["POST /orders"].response(200)

    assert node is not None
    assert compile_gate(node).passes(b"{}")


def test_a_body_with_a_default_may_be_absent() -> None:
    app = FastAPI()

    @app.post("/x")
    def take(order: Order = Order()) -> None: ...  # noqa: B008 - read by FastAPI

    node = models_of(app).routes["POST /x"].request

    assert node is not None
    assert compile_gate(node).passes(b"")


def test_several_bodies_are_one_object() -> None:
    app = FastAPI()

    @app.post("/x")
    def take(order: Order, customer: Customer) -> None: ...

    node = models_of(app).routes["POST /x"].request

    assert node is not None
    assert set(node.properties) == {"order", "customer"}


def test_a_stream_has_the_shape_of_one_item() -> None:
    app = FastAPI()

    @app.get("/x")
    async def items() -> AsyncIterator[Order]:
        yield Order()

    shapes = models_of(app).routes["GET /x"]

    assert shapes.is_stream
    node = shapes.response(200)
    assert node is not None
    assert node.name == "Order"


class Before(BaseModel):
    a: int
    b: Annotated[int, BeforeValidator(lambda value: value)]
    c: Annotated[int, PlainValidator(int)]
    d: list[int]

    @field_validator("d", mode="before")
    @classmethod
    def split(cls, value: Any) -> Any:
        return value


class Whole(BaseModel):
    a: int

    @model_validator(mode="before")
    @classmethod
    def any_shape(cls, value: Any) -> Any:
        return value


def test_what_a_validator_sees_first_is_opaque() -> None:
    properties = taken_by(Before).properties

    opaque = [name for name, prop in properties.items() if prop.node.is_opaque]

    assert opaque == ["b", "c", "d"]


def test_a_validator_on_the_parameter_itself_counts() -> None:
    assert taken_by(Annotated[Customer, BeforeValidator(lambda v: v)]).is_opaque


def test_a_validator_of_a_model_may_be_declared_transparent() -> None:
    app = FastAPI()

    @app.post("/x")
    def take(value: Whole) -> Whole:
        return value

    plain, overruled = models_of(app), models_of(app, transparent=["Whole"])

    opaque = [m.routes["POST /x"].request for m in (plain, overruled)]
    assert [node is not None and node.is_opaque for node in opaque] == [True, False]
    answer = plain.routes["POST /x"].response(200)
    assert answer is not None
    assert not answer.is_opaque


class Aliased(BaseModel):
    model_config = ConfigDict(populate_by_name=True)
    full: str = Field(alias="fullName")
    mail: str = Field(validation_alias=AliasChoices("email", "e_mail"))
    plain: str = ""


@dataclass(config=ConfigDict(populate_by_name=True))
class Point:
    latitude: float = Field(alias="lat")


class Pathed(BaseModel):
    first: str = Field(validation_alias=AliasPath("names", 0))


def test_other_names_that_a_model_takes_are_known() -> None:
    properties = taken_by(Aliased).properties

    assert {name: prop.aliases for name, prop in properties.items()} == {
        "fullName": ("full",),
        "email": ("e_mail", "mail"),
        "plain": (),
    }


def test_a_path_into_the_value_makes_its_model_opaque() -> None:
    assert taken_by(Pathed).is_opaque


def test_a_type_without_json_schema_is_open_and_harms_no_other() -> None:
    class Odd:
        pass

    class Holder(BaseModel):
        model_config = ConfigDict(arbitrary_types_allowed=True)
        odd: Odd
        qty: int

    node = taken_by(Holder)

    assert node.properties["odd"].node.is_opaque
    assert node.properties["qty"].node.types == {"integer"}


class Stubborn:
    """A type of somebody's, whose own hook fails."""

    @classmethod
    def __get_pydantic_core_schema__(cls, source: Any, handler: Any) -> Any:
        return core_schema.any_schema()

    @classmethod
    def __get_pydantic_json_schema__(cls, schema: Any, handler: Any) -> Any:
        raise LookupError("no schema today")


def test_a_model_whose_schema_fails_is_told_and_harms_no_other() -> None:
    app = FastAPI()

    def take(value: Any) -> None: ...

    take.__annotations__["value"] = Annotated[Stubborn, Body()]
    app.post("/odd")(take)
    app.post("/orders")(place)

    models = models_of(app)

    assert list(models.routes) == ["POST /orders"]
    assert models.faults == ("1 models: LookupError: no schema today",)


def test_a_dataclass_takes_other_names_as_a_model_does() -> None:
    properties = taken_by(Point).properties

    assert properties["lat"].aliases == ("latitude",)


def test_a_discriminated_union_is_gated_by_its_tag() -> None:
    class Cat(BaseModel):
        kind: Literal["cat"]
        lives: int

    class Dog(BaseModel):
        kind: Literal["dog", "puppy"]

    node = taken_by(Annotated[Cat | Dog, Field(discriminator="kind")])

    gate = compile_gate(node)
    assert not gate.is_partial
    assert gate.passes(b'{"kind": "puppy"}')
    assert not gate.passes(b'{"kind": "cat"}')


def test_routes_that_differ_by_host_only_are_not_judged() -> None:
    inner = [FastAPI(), FastAPI()]
    for app in inner:
        app.post("/x")(place)
    outer = Starlette(
        routes=[
            Host(f"h{at}.org", app=Router(app.routes)) for at, app in enumerate(inner)
        ]
    )

    assert models_of(outer).routes == {}


def test_a_plain_starlette_application_has_no_models() -> None:
    assert models_of(Starlette(routes=[Route("/", lambda request: None)])) == Models()


def test_middleware_around_the_application_is_looked_through() -> None:
    app, wrapper = FastAPI(), ModuleType("wrapper")
    app.post("/orders")(place)
    wrapper.app = app  # type: ignore[attr-defined]

    assert "POST /orders" in models_of(wrapper).routes


def test_without_the_framework_it_is_not_loaded() -> None:
    code = (
        "import sys; from failsoft.routes.models import models_of;"
        "models_of(object()); print({'fastapi', 'pydantic'} & set(sys.modules))"
    )

    said = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)

    assert said.stdout.strip() == "set()"


DOCUMENT = {
    "openapi": "3.1.0",
    "paths": {
        "/orders/{id}": {
            "put": {
                "requestBody": {"$ref": "#/components/requestBodies/Order"},
                "responses": {
                    "200": {
                        "content": {
                            "application/vnd.shop+json; v=1": {
                                "schema": {"$ref": "#/components/schemas/Order"}
                            }
                        }
                    },
                    "default": {"content": {"application/json": {"schema": {}}}},
                },
            },
            "get": {"responses": {"200": {"content": {"text/event-stream": {}}}}},
        }
    },
    "components": {
        "schemas": {"Order": {"properties": {"qty": {"type": "integer"}}}},
        "requestBodies": {
            "Order": {
                "content": {
                    "application/json": {
                        "schema": {"$ref": "#/components/schemas/Order"}
                    }
                }
            }
        },
    },
}


def test_a_document_says_the_same_as_an_application() -> None:
    models = models_from_document(DOCUMENT)

    shapes = models.routes["PUT /orders/{id}"]
    assert shapes.request is shapes.response(200)
    assert shapes.response(500) is not None
    assert models.routes["GET /orders/{id}"].is_stream
    assert [node.name for node in models.names["Order"]] == ["Order"]


def test_another_kind_of_document_is_an_error() -> None:
    with pytest.raises(DefinitionError, match="convert it first"):
        models_from_document({"swagger": "2.0"})


class Shop(BaseModel):
    shop_name: str = Field(alias="shopName")


def open_shop(shop: Shop) -> Shop:
    return shop


def test_an_answer_by_names_of_fields_has_these() -> None:
    app = FastAPI()
    app.post("/shops", response_model_by_alias=False)(open_shop)

    found = models_of(app)
    shapes = found.routes["POST /shops"]

    assert shapes.request is not None
    assert list(shapes.request.properties) == ["shopName"]
    assert list(shapes.responses[200].properties) == ["shop_name"]
    assert len(found.names["Shop"]) == 2
