"""The document of a version is the head's, with what changed since undone."""

from __future__ import annotations

from typing import Any

import pytest

from failsoft.versions import (
    Body,
    Contract,
    Version,
    add,
    change,
    deprecate,
    drop,
    endpoint_added,
    endpoint_moved,
    enum_map,
    envelope,
    gone,
    header,
    join,
    move,
    query,
    rename,
    retype,
    split,
    status,
    unwrap_list,
    wrap_list,
)
from failsoft.versions._model import Op
from failsoft.versions._openapi import document_at

TEXT = {"type": "string"}
COUNT = {"type": "integer"}


def _head(*, required: tuple[str, ...] = (), **properties: Any) -> dict[str, Any]:
    """A document with one route on one schema, Order."""
    order = {"type": "object", "properties": properties, "required": list(required)}
    ref = {"$ref": "#/components/schemas/Order"}
    body = {"content": {"application/json": {"schema": ref}}}
    parameters = [
        {"name": "sort", "in": "query", "schema": {"enum": ["new", "old"]}},
        {"name": "X-Tenant", "in": "header", "schema": TEXT},
    ]
    operation = {
        "parameters": parameters,
        "requestBody": body,
        "responses": {"201": body, "422": {"content": {}}},
    }
    paths = {"/orders": {"post": operation}, "/moved/{id}": {"get": {"responses": {}}}}
    return {
        "openapi": "3.1.0",
        "info": {"title": "shop", "version": "1"},
        "paths": paths,
        "components": {"schemas": {"Order": order, "Address": _address()}},
    }


def _address() -> dict[str, Any]:
    return {"type": "object", "properties": {"city": TEXT}, "required": ["city"]}


def _old(head: dict[str, Any], *ops: Op) -> dict[str, Any]:
    contract = Contract([Version("2025-01-01"), Version("2025-06-01", *ops)])
    return document_at(head, contract, "2025-01-01")


def _order(document: dict[str, Any]) -> dict[str, Any]:
    found: dict[str, Any] = document["components"]["schemas"]["Order"]
    return found


def test_the_newest_version_is_the_head_under_its_id() -> None:
    head = _head(email=TEXT)
    contract = Contract([Version("2025-01-01"), Version("2025-06-01")])

    document = document_at(head, contract, "2025-06-01")

    assert document["info"] == {"title": "shop", "version": "2025-06-01"}
    assert document["paths"] == head["paths"]
    assert head["info"]["version"] == "1"


def test_fields_go_back_to_what_they_were() -> None:
    head = _head(
        required=("customer_email", "first", "last", "zip", "tags"),
        customer_email=TEXT,
        first=TEXT,
        last=TEXT,
        street=TEXT,
        zip=TEXT,
        price={"anyOf": [{"type": "number"}, {"type": "null"}]},
        tags={"type": "array", "items": COUNT},
        owner={"$ref": "#/components/schemas/Address"},
        state={"enum": ["OPEN", "PAID", "HELD"]},
    )

    order = _order(
        _old(
            head,
            rename("Order.email", to="customer_email"),
            split("Order.name", into=["first", "last"]),
            join(["Order.line1", "Order.line2"], into="street"),
            add("Order.zip", default="-"),
            drop("Order.legacy", fill=0),
            retype("Order.price", was="str", now="number"),
            wrap_list("Order.tag", to="tags"),
            unwrap_list("Order.owners", to="owner"),
            enum_map("Order.state", {"open": "OPEN", "paid": "PAID"}, fallback="open"),
        )
    )

    nullable_text = {"anyOf": [TEXT, {"type": "null"}]}
    assert order["properties"] == {
        "price": nullable_text,
        "state": {"enum": ["open", "paid"]},
        "email": TEXT,
        "name": {**TEXT, "examples": ["first last"]},
        "line1": TEXT,
        "line2": TEXT,
        "legacy": {"x-failsoft-filled": True, **COUNT},
        "tag": COUNT,
        "owners": {"type": "array", "items": _address()},
    }
    assert sorted(order["required"]) == ["email", "legacy", "name", "tag"]


def test_two_fields_may_have_swapped_names() -> None:
    head = _head(a=TEXT, b=COUNT)

    order = _order(_old(head, rename("Order.a", to="b"), rename("Order.b", to="a")))

    assert order["properties"] == {"a": COUNT, "b": TEXT}


def test_a_moved_field_takes_its_empty_parent_away() -> None:
    contact = {
        "type": "object",
        "required": ["email"],
        "properties": {"email": TEXT, "phone": TEXT},
    }
    head = _head(required=("contact",), contact=contact)

    order = _order(
        _old(
            head,
            move("Order.email", to="contact.email"),
            move("Order.phone", to="contact.phone"),
        )
    )

    assert order["properties"] == {"email": TEXT, "phone": TEXT}
    assert order["required"] == ["email"]


def test_a_change_below_a_reference_leaves_other_uses_alone() -> None:
    address = {"$ref": "#/components/schemas/Address"}
    head = _head(to=address, others={"type": "array", "items": address})

    document = _old(head, rename("Order.others.town", to="city"))

    items = _order(document)["properties"]["others"]["items"]
    assert items["properties"] == {"town": TEXT}
    assert document["components"]["schemas"]["Address"] == _address()


def test_a_body_target_reaches_an_inline_shape() -> None:
    head = _head(lines={"type": "array", "items": _address()})
    target = Body("POST /orders", "response", "/lines/*/town")

    document = _old(head, rename(target, to="city"))

    answers = document["paths"]["/orders"]["post"]["responses"]["201"]["content"]
    lines = answers["application/json"]["schema"]["properties"]["lines"]
    assert lines["items"]["properties"] == {"town": TEXT}
    assert "city" in _order(document)["properties"]["lines"]["items"]["properties"]


def test_both_spellings_of_a_model_change() -> None:
    head = _head()
    schemas = head["components"]["schemas"]
    schemas["Order-Input"] = {"type": "object", "properties": {"new": TEXT}}
    schemas["Order-Output"] = {"type": "object", "properties": {"new": TEXT}}

    old = _old(head, rename("Order.old", to="new"))["components"]["schemas"]

    assert old["Order-Input"]["properties"] == {"old": TEXT}
    assert old["Order-Output"]["properties"] == {"old": TEXT}


def test_routes_go_back_to_what_they_were() -> None:
    head = _head(data=_address())
    ops = (
        status("POST /orders", was=200, now=201),
        query("POST /orders", was="order", now="sort", map={"recent": "new"}),
        header("POST /orders", was="X-Account", now="X-Tenant"),
        envelope("POST /orders", at="data", direction="request"),
        endpoint_moved(was="GET /was/{id}", now="GET /moved/{id}"),
    )

    paths = _old(head, *ops)["paths"]

    post = paths["/orders"]["post"]
    assert set(post["responses"]) == {"200", "422"}
    assert post["parameters"][0]["name"] == "order"
    assert post["parameters"][0]["schema"] == {"enum": ["recent", "old"]}
    assert post["parameters"][1]["name"] == "X-Account"
    body = post["requestBody"]["content"]["application/json"]["schema"]
    assert body == _address()
    assert set(paths) == {"/orders", "/was/{id}"}


def test_each_version_shows_the_operations_it_has() -> None:
    contract = Contract(
        [
            Version("1", deprecated="2026-01-01", sunset="2026-06-01"),
            Version("2", endpoint_added("GET /moved/{id}")),
            Version("3", gone("GET /moved/{id}"), deprecate("POST /orders")),
        ],
        scheme="number",
    )

    first, second, third = (document_at(_head(), contract, v) for v in "123")

    assert [set(one["paths"]) for one in (first, second, third)] == [
        {"/orders"},
        {"/orders", "/moved/{id}"},
        {"/orders"},
    ]
    assert first["paths"]["/orders"]["post"]["deprecated"] is True
    assert first["info"]["x-sunset"] == "2026-06-01"


def test_a_hidden_field_is_in_the_documents_of_older_versions_only() -> None:
    contract = Contract(
        [
            Version("2025-01-01"),
            Version("2025-06-01", drop("Order.old", hidden=True)),
            Version("2026-01-01"),
        ]
    )
    head = _head(old=TEXT, kept=TEXT)

    names = [
        set(_order(document_at(head, contract, v.id))["properties"])
        for v in contract.versions
    ]

    assert names == [{"old", "kept"}, {"kept"}, {"kept"}]


def test_code_says_what_the_old_schema_was() -> None:
    class MoneyObject:
        old = {  # noqa: RUF012 - read once
            "properties": {"cents": COUNT},
            "remove": ["amount"],
            "required": ["cents"],
        }

    op = change(on="Order")(MoneyObject)
    order = _order(_old(_head(amount=TEXT, required=("amount",)), op))

    assert order == {
        "type": "object",
        "properties": {"cents": COUNT},
        "required": ["cents"],
    }


def test_an_unknown_version_is_no_document() -> None:
    with pytest.raises(KeyError):
        document_at(_head(), Contract([Version("2025-01-01")]), "2024-01-01")


def test_targets_reach_into_unions_lists_and_maps() -> None:
    pet = {"anyOf": [_address(), {"type": "null"}]}
    head = _head(
        pets={"type": "array", "items": {"type": "array", "items": pet}},
        homes={"type": "object", "additionalProperties": _address()},
    )

    order = _order(
        _old(
            head,
            rename("Order.pets.town", to="city"),
            rename("Order.homes.town", to="city"),
        )
    )["properties"]

    inner = order["pets"]["items"]["items"]["anyOf"][0]
    assert inner["properties"] == {"town": TEXT}
    assert order["homes"]["additionalProperties"]["properties"] == {"town": TEXT}


def test_a_recursive_alias_has_an_end() -> None:
    head = _head(data={"$ref": "#/components/schemas/Json"})
    json_ = {"$ref": "#/components/schemas/Json"}
    head["components"]["schemas"]["Json"] = {
        "anyOf": [TEXT, {"type": "array", "items": json_}]
    }

    document = _old(head, rename("Order.data.was", to="now"))

    assert "Order" in document["components"]["schemas"]


def test_errors_change_under_their_own_target() -> None:
    head = _head()
    responses = head["paths"]["/orders"]["post"]["responses"]
    schema = {"type": "object", "properties": {"reason": TEXT}}
    responses["422"] = {"content": {"application/problem+json": {"schema": schema}}}

    document = _old(head, rename("@error.detail", to="reason"))

    content = document["paths"]["/orders"]["post"]["responses"]["422"]["content"]
    changed = content["application/problem+json"]["schema"]
    assert changed["properties"] == {"detail": TEXT}


def test_a_qualified_name_finds_what_pydantic_qualified() -> None:
    head = _head()
    head["components"]["schemas"]["shop__models__Order"] = {
        "type": "object",
        "properties": {"b": TEXT},
    }

    document = _old(head, rename("shop__models__Order.a", to="b"))

    schemas = document["components"]["schemas"]
    assert schemas["shop__models__Order"]["properties"] == {"a": TEXT}
