"""Each repair does what its table says, and never what the column `never` says."""

from __future__ import annotations

import json
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from failsoft.shapes.graph import Node, Schemas
from failsoft.shapes.repair import Allowed, repair, unusable

ORDER = {
    "type": "object",
    "required": ["customer_email", "items"],
    "properties": {
        "customer_email": {"type": "string"},
        "note": {"anyOf": [{"type": "string"}, {"type": "null"}]},
        "amount": {"type": "number"},
        "zip": {"type": "string"},
        "channel": {"type": "string", "enum": ["web", "app"]},
        "tags": {"type": "array", "items": {"type": "string"}},
        "items": {
            "type": "array",
            "items": {
                "type": "object",
                "required": ["sku"],
                "properties": {"sku": {"type": "string"}, "qty": {"type": "integer"}},
            },
        },
        "prices": {"type": "object", "additionalProperties": {"type": "number"}},
    },
}


@pytest.fixture(scope="module")
def order() -> Node:
    return Schemas({}).node(ORDER)


def mend(order: Node, body: Any, *ones: tuple[Any, ...], **how: Any) -> Any:
    raw = body if isinstance(body, bytes) else json.dumps(body).encode()
    found = repair(order, raw, [Allowed("t", *one) for one in ones], **how)
    return None if found.body is None else json.loads(found.body)


@pytest.mark.parametrize(
    ("one", "body", "expected"),
    [
        (("/customer_email", "alias", "mail"), {"mail": "a"}, {"customer_email": "a"}),
        (
            ("/customer_email", "casefold"),
            {"Customer-Email": "a"},
            {"customer_email": "a"},
        ),
        (("/zip", "number_to_string"), {"zip": 10115}, {"zip": "10115"}),
        (("/amount", "string_to_number"), {"amount": "1.50"}, {"amount": 1.5}),
        (
            ("/items/*/qty", "string_to_number"),
            {"items": [{"qty": "2"}, {"qty": 3}, {"qty": "-4"}]},
            {"items": [{"qty": 2}, {"qty": 3}, {"qty": -4}]},
        ),
        (
            ("/prices/{*}", "string_to_number"),
            {"prices": {"a": "1", "b": 2}},
            {"prices": {"a": 1, "b": 2}},
        ),
        (("/amount", "null_as_missing"), {"amount": None}, {}),
        (("/items", "default", []), {}, {"items": []}),
        (("/channel", "enum_fallback", "web"), {"channel": "tv"}, {"channel": "web"}),
        (("/tags", "wrap_array"), {"tags": "x"}, {"tags": ["x"]}),
        (("", "drop_unknown"), {"zip": "1", "x": 1, "y": 2}, {"zip": "1"}),
        (("/x", "drop_unknown"), {"x": 1, "y": 2}, {"y": 2}),
        (
            ("/items/*/colour", "drop_unknown"),
            {"items": [{"colour": 1, "sku": "a"}]},
            {"items": [{"sku": "a"}]},
        ),
    ],
)
def test_a_repair_does_what_it_says(
    order: Node, one: tuple[Any, ...], body: Any, expected: Any
) -> None:
    assert mend(order, body, one) == expected
    assert unusable(order, Allowed("t", *one)) == ""


@pytest.mark.parametrize(
    ("one", "body"),
    [
        (("/customer_email", "alias", "mail"), {"mail": "a", "customer_email": "b"}),
        (("/customer_email", "casefold"), {"customerEmail": "a", "CUSTOMER_EMAIL": 1}),
        (("/zip", "number_to_string"), {"zip": True}),
        (("/zip", "number_to_string"), {"zip": None}),
        (("/amount", "string_to_number"), {"amount": "1_000"}),
        (("/amount", "string_to_number"), {"amount": " 1"}),
        (("/amount", "string_to_number"), {"amount": "0x1"}),
        (("/amount", "string_to_number"), {"amount": "01"}),
        (("/amount", "string_to_number"), {"amount": ""}),
        (("/amount", "string_to_number"), {"amount": "true"}),
        (("/amount", "string_to_number"), {"amount": "NaN"}),
        (("/amount", "string_to_number"), b'{"amount": "\\u0031"}'),
        (("/note", "null_as_missing"), {"note": None}),
        (("/amount", "default", 1), {}),
        (("/channel", "enum_fallback", "web"), {"channel": "app"}),
        (("/channel", "enum_fallback", "web"), {"channel": None}),
        (("/tags", "wrap_array"), {"tags": None}),
        (("/tags", "wrap_array"), {"tags": ["x"]}),
        (("/prices", "drop_unknown"), {"prices": {"x": 1}}),
        (("/items/*/qty", "string_to_number"), {"items": {"qty": "1"}}),
        (("/items/*/qty", "string_to_number"), b'\xef\xbb\xbf{"items": []}'),
        (("/items/*/qty", "string_to_number"), b"[" * 100_000),
        (("/items/*/qty", "string_to_number"), b'{"items": [NaN]}'),
        (("/items/*/qty", "string_to_number"), b'{"items": [{"qty": "1"}], "a": "\xff'),
    ],
)
def test_a_repair_leaves_the_rest_alone(
    order: Node, one: tuple[Any, ...], body: Any
) -> None:
    assert mend(order, body, one) is None


@pytest.mark.parametrize("kind", ["null_as_missing", "default"])
def test_what_a_patch_leaves_out_or_nulls_stays_so(order: Node, kind: str) -> None:
    body = {"items": None} if kind == "null_as_missing" else {}

    assert mend(order, body, ("/items", kind, [])) is not None
    assert mend(order, body, ("/items", kind, []), is_patch=True) is None


def test_two_candidates_are_told_and_not_guessed(order: Node) -> None:
    body = b'{"customerEmail": "a", "CUSTOMER_EMAIL": "b"}'

    found = repair(order, body, [Allowed("t", "/customer_email", "casefold")])

    assert (found.body, found.ambiguous) == (None, {"/customer_email"})


def test_repairs_of_one_body_act_together_and_are_counted(order: Node) -> None:
    body = {"mail": "a", "items": [{"sku": 7, "qty": "1"}, {"sku": "b", "qty": "2"}]}
    ones = [
        Allowed("qty", "/items/*/qty", "string_to_number"),
        Allowed("sku", "/items/*/sku", "number_to_string"),
        Allowed("mail", "/customer_email", "alias", "mail"),
    ]

    found = repair(order, json.dumps(body).encode(), ones)

    assert found.counts == {"qty": 2, "sku": 1, "mail": 1}
    assert json.loads(found.body or b"") == {
        "customer_email": "a",
        "items": [{"sku": "7", "qty": 1}, {"sku": "b", "qty": 2}],
    }


def test_a_body_with_too_many_places_is_left_alone(order: Node) -> None:
    body = {"items": [{"qty": "1"}] * 20_001}

    assert mend(order, body, ("/items/*/qty", "string_to_number")) is None


@pytest.mark.parametrize(
    ("one", "why"),
    [
        (("/itmes/*/qty", "string_to_number"), "is not in the schema"),
        (("/channel", "enum_fallback", "tv"), "'tv' is not a member"),
        (("/zip", "wrap_array"), "is no list"),
        (("/items/*", "alias", "x"), "needs the path of a key"),
    ],
)
def test_what_can_never_work_says_why(
    order: Node, one: tuple[Any, ...], why: str
) -> None:
    assert why in unusable(order, Allowed("t", *one))


NUMBERS = (
    "1e400",
    "1180591620717411303424",
    "0.1000000000000000055511151",
    "-0",
    "1E5",
)
STRINGS = ('"\\u00e9"', '"é"', '"\\/"', '"a\\u0000b"', '"__proto__"', '"\U0001f600"')
scalars = st.sampled_from((*NUMBERS, *STRINGS, "true", "null"))


@given(st.lists(scalars, max_size=6), st.sampled_from(["7", "-0.50", "1e5"]))
def test_what_no_repair_names_keeps_its_bytes(kept: list[str], number: str) -> None:
    """The law: numbers and strings that are not touched are the same, byte for byte."""
    node = Schemas({}).node(ORDER)
    rest = ", ".join(kept)
    body = f'{{"x": [{rest}], "items": [{{"qty": "{number}", "sku": {rest or 1}}}]}}'
    body = (
        body if len(kept) < 2 else body.replace(f'"sku": {rest}', f'"sku": {kept[0]}')
    )

    found = repair(
        node, body.encode(), [Allowed("t", "/items/*/qty", "string_to_number")]
    )

    assert found.body is not None
    raws = msgspec.json.decode(found.body, type=dict[str, msgspec.Raw])
    assert bytes(raws["x"]).decode() == f"[{rest}]"
    item = msgspec.json.decode(raws["items"], type=list[dict[str, msgspec.Raw]])[0]
    assert bytes(item["qty"]).decode() == number
    assert bytes(item["sku"]).decode() == (kept[0] if kept else "1")


@given(st.binary(max_size=200))
def test_no_bytes_make_a_repair_raise(body: bytes) -> None:
    node = Schemas({}).node(ORDER)
    ones = [Allowed("a", "", "drop_unknown"), Allowed("b", "/items", "wrap_array")]

    repair(node, body, ones)
    repair(node, b'{"items": ' + body + b"}", ones)


def test_the_body_itself_and_its_items_may_be_repaired() -> None:
    numbers = Schemas({}).node({"type": "array", "items": {"type": "integer"}})
    number = Schemas({}).node({"type": "integer"})

    assert mend(numbers, 7, ("", "wrap_array")) == [7]
    assert mend(numbers, ["1", 2], ("/*", "string_to_number")) == [1, 2]
    assert mend(number, "7", ("", "string_to_number")) == 7
    assert unusable(number, Allowed("t", "", "string_to_number")) == ""


def test_branches_of_a_union_are_each_tried() -> None:
    pay = {
        "anyOf": [
            {"type": "object", "properties": {"amount": {"type": "integer"}}},
            {"type": "object", "properties": {"amount": {"type": "number"}}},
        ]
    }
    node = Schemas({}).node({"type": "object", "properties": {"pay": pay}})

    fixed = mend(node, {"pay": {"amount": "3"}}, ("/pay/amount", "string_to_number"))

    assert fixed == {"pay": {"amount": 3}}


@pytest.mark.parametrize(
    ("one", "body"),
    [
        (("/a/" + "/".join("b" * 70), "wrap_array"), {"a": 1}),
        (("/nope/x", "wrap_array"), {"nope": {"x": 1}}),
        (("/items/*/nope", "wrap_array"), {"items": [{"nope": 1}]}),
        (("/items/*/qty", "string_to_number"), {"items": ["3"]}),
        (("/prices", "casefold"), {"zip": "1"}),
        (("/amount", "number_to_string"), {"amount": 1}),
        (("/zip", "string_to_number"), {"zip": "1"}),
        (("", "drop_unknown"), ["x"]),
        (("/tags", "enum_fallback", "x"), {"tags": "y"}),
    ],
)
def test_what_does_not_fit_the_schema_is_left_alone(
    order: Node, one: tuple[Any, ...], body: Any
) -> None:
    assert mend(order, body, one) is None
