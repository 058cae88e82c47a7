"""422 bodies in the terms of the client."""

from __future__ import annotations

import json
from typing import Any

from failsoft.versions import add, header, move, query, rename, split, wrap_list
from unit.versions.api import OLD, POST, api, compiled, ref

_STR = {"type": "string"}
_MODELS = api(
    Order={
        "contact": {"properties": {"mail": _STR}},
        "who": ref("Who"),
        "lines": {"type": "array", "items": ref("Line")},
        "currency": _STR,
    },
    Who={"first": _STR, "last": _STR},
    Line={"qty": _STR, "tags": {"type": "array", "items": _STR}},
)
_CHAINS = compiled(
    _MODELS,
    [rename("Order.mail", to="email"), split("Who.name", into=["first", "last"])],
    [
        move("Order.email", to="contact.mail"),
        wrap_list("Line.tag", to="tags"),
        rename("Line.n", to="qty"),
        add("Order.currency", default="EUR"),
        query(POST, was="page", now="offset"),
        header(POST, was="X-Old", now="X-New"),
    ],
)


def _mapped(loc: list[Any]) -> Any:
    locmap = _CHAINS.locmap(POST, OLD)
    assert locmap is not None
    body = json.dumps({"detail": [{"type": "missing", "loc": loc, "msg": "m"}]})
    return json.loads(locmap(body.encode()).body)["detail"][0]["loc"]


def test_places_are_named_as_the_client_named_them() -> None:
    assert _mapped(["body", "contact", "mail"]) == ["body", "mail"]
    assert _mapped(["body", "contact"]) == ["body", "mail"]
    assert _mapped(["body", "lines", 1, "qty"]) == ["body", "lines", 1, "n"]
    assert _mapped(["body", "who", "last"]) == ["body", "who", "name"]
    assert _mapped(["body", "lines", 0, "tags", 0]) == ["body", "lines", 0, "tag"]
    assert _mapped(["query", "offset"]) == ["query", "page"]
    assert _mapped(["header", "x-new"]) == ["header", "x-old"]


def test_a_fault_of_both_parts_of_a_field_is_told_once() -> None:
    locmap = _CHAINS.locmap(POST, OLD)
    assert locmap is not None
    errors = [
        {"type": "missing", "loc": ["body", "who", part]} for part in ("first", "last")
    ]

    told = json.loads(locmap(json.dumps({"detail": errors}).encode()).body)

    assert told == {"detail": [{"type": "missing", "loc": ["body", "who", "name"]}]}


def test_what_failsoft_filled_is_the_whole_body() -> None:
    assert _mapped(["body", "currency"]) == ["body"]


def test_unknown_places_stay() -> None:
    assert _mapped(["body", "zz", 3]) == ["body", "zz", 3]
    assert _mapped(["path", "id"]) == ["path", "id"]
    assert _mapped(["body", 12]) == ["body", 12]


def test_a_transformed_object_is_not_shown() -> None:
    locmap = _CHAINS.locmap(POST, OLD)
    assert locmap is not None
    errors = [
        {"loc": ["body", "who", "last"], "input": {"first": "x"}},
        {"loc": ["body", "lines", 0, "qty"], "input": "x"},
    ]

    done = json.loads(locmap(json.dumps({"detail": errors}).encode()).body)["detail"]

    assert done[0] == {"loc": ["body", "who", "name"]}
    assert done[1] == {"loc": ["body", "lines", 0, "n"], "input": "x"}


def test_problems_are_read_too() -> None:
    locmap = _CHAINS.locmap(POST, OLD)
    assert locmap is not None
    body = {"type": "x", "errors": [{"pointer": "#/lines/0/qty"}, {"pointer": "/zz"}]}

    done = json.loads(locmap(json.dumps(body).encode()).body)

    assert [e["pointer"] for e in done["errors"]] == ["#/lines/0/n", "/zz"]


def test_any_other_body_stays_as_it_is() -> None:
    locmap = _CHAINS.locmap(POST, OLD)
    assert locmap is not None

    for body in (
        b"",
        b"[]",
        b'{"detail": "no"}',
        b'{"detail": [3, {"loc": 1}]}',
        b"\xff",
    ):
        assert locmap(body).body is body
