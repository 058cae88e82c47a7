"""What each op does to bodies, up and down."""

from __future__ import annotations

import json
from typing import Any, ClassVar

import pytest

from failsoft.routes.models import Models, RouteShapes
from failsoft.shapes.findings import Finding
from failsoft.versions import (
    Body,
    add,
    change,
    drop,
    enum_map,
    envelope,
    join,
    move,
    rename,
    retype,
    split,
    union,
    unwrap_list,
    wrap_list,
)
from unit.versions.api import GET, OLD, POST, api, compiled, down, ref, up

_STR: dict[str, Any] = {"type": "string"}
_INT: dict[str, Any] = {"type": "integer"}


@pytest.mark.parametrize(
    ("head", "op", "old", "new"),
    [
        (
            {"mail": _STR},
            rename("Order.email", to="mail"),
            {"email": "x"},
            {"mail": "x"},
        ),
        (
            {"contact": {"properties": {"mail": _STR}}},
            move("Order.email", to="contact.mail"),
            {"email": "x"},
            {"contact": {"mail": "x"}},
        ),
        (
            {"mail": _STR},
            move("Order.contact.mail", to="mail"),
            {"contact": {"mail": "x"}},
            {"mail": "x"},
        ),
        (
            {"first": _STR, "last": _STR},
            split("Order.name", into=["first", "last"]),
            {"name": "Ann Lee Roe"},
            {"first": "Ann", "last": "Lee Roe"},
        ),
        (
            {"first": _STR, "last": _STR},
            split("Order.name", into=["first", "last"]),
            {"name": None},
            {"first": None, "last": None},
        ),
        (
            {"name": _STR},
            join(["Order.first", "Order.last"], into="name"),
            {"first": "Ann", "last": "Lee"},
            {"name": "Ann Lee"},
        ),
        (
            {"id": _STR},
            retype("Order.id", was="int", now="str"),
            {"id": 7},
            {"id": "7"},
        ),
        (
            {"paid": {"type": "boolean"}},
            retype("Order.paid", was="str", now="bool"),
            {"paid": "true"},
            {"paid": True},
        ),
        (
            {"at": {"type": "string", "format": "date-time"}},
            retype("Order.at", was="epoch", now="date-time"),
            {"at": 951_782_400.25},
            {"at": "2000-02-29T00:00:00.25Z"},
        ),
        (
            {"state": {"enum": ["open", "cancelled"]}},
            enum_map("Order.state", {"open": "open", "canceled": "cancelled"}),
            {"state": "canceled"},
            {"state": "cancelled"},
        ),
        (
            {"tags": {"type": "array", "items": _STR}},
            wrap_list("Order.tag", to="tags"),
            {"tag": "x"},
            {"tags": ["x"]},
        ),
        (
            {"tag": _STR},
            unwrap_list("Order.tags", to="tag"),
            {"tags": ["x"]},
            {"tag": "x"},
        ),
    ],
)
def test_an_op_goes_up_and_comes_back(head: Any, op: Any, old: Any, new: Any) -> None:
    chains = compiled(api(Order=head), [op])

    assert up(chains, old) == new
    assert down(chains, new) == old


def test_names_can_be_swapped_in_one_version() -> None:
    chains = compiled(
        api(Order={"a": _STR, "b": _INT}),
        [rename("Order.a", to="b"), rename("Order.b", to="a")],
    )

    assert up(chains, {"a": 1, "b": "x"}) == {"a": "x", "b": 1}


def test_versions_add_up_in_their_order() -> None:
    chains = compiled(
        api(Order={"mail": _STR}),
        [rename("Order.a", to="b")],
        [rename("Order.b", to="c")],
        [rename("Order.c", to="mail")],
    )

    assert up(chains, {"a": "x"}) == {"mail": "x"}
    assert chains.up(POST, "2025-04-01") is None
    assert down(chains, {"mail": "x"}, version="2025-02-01") == {"b": "x"}


def test_an_added_field_is_filled_except_on_a_patch() -> None:
    chains = compiled(
        api(Order={"currency": _STR}), [add("Order.currency", default="EUR")]
    )

    assert up(chains, {}) == {"currency": "EUR"}
    assert up(chains, {}, "merge") == {}
    assert down(chains, {"currency": "USD"}) == {}


def test_a_default_may_be_worked_out_of_the_node() -> None:
    chains = compiled(
        api(Order={"size": _INT, "items": {"type": "array"}}),
        [add("Order.size", default=lambda node: len(node["items"]))],
    )

    assert up(chains, {"items": [1, 2]}) == {"items": [1, 2], "size": 2}


def test_a_key_only_a_later_version_knows_is_dropped_and_counted() -> None:
    models = api(
        Order={"mail": _STR, "lines": {"type": "array", "items": ref("Line")}},
        Line={"qty": _INT},
    )
    chains = compiled(
        models, [rename("Order.email", to="mail"), rename("Line.n", to="qty")]
    )
    program = chains.up(POST, OLD)
    assert program is not None

    done = program(b'{"email":"a","mail":"b","lines":[{"n":1},{"qty":2}]}')

    assert json.loads(done.body) == {"mail": "a", "lines": [{"qty": 1}, {}]}
    assert done.findings == (
        Finding("/mail", "unknown"),
        Finding("/lines/*/qty", "unknown"),
    )


def test_a_dropped_field_is_filled_for_old_clients() -> None:
    chains = compiled(
        api(Order={"id": _INT}),
        [
            drop("Order.fax", fill="none"),
            drop("Order.code", fill=lambda o: o["id"] + 1),
        ],
    )

    assert up(chains, {"id": 1, "fax": "7", "code": 3}) == {"id": 1}
    assert down(chains, {"id": 1}) == {"id": 1, "fax": "none", "code": 2}


def test_a_hidden_field_is_kept_from_newer_versions_only() -> None:
    chains = compiled(
        api(Order={"id": _INT, "fax": _STR}), [drop("Order.fax", hidden=True)]
    )
    body = {"id": 1, "fax": "7"}

    assert down(chains, body) == body
    assert down(chains, body, version="2025-02-01") == {"id": 1}
    shapes = chains.old_nodes(POST, "2025-02-01")
    assert shapes is not None
    assert set(shapes.responses[200].properties) == {"id"}


def test_ops_reach_lists_maps_unions_recursion_and_pages() -> None:
    part = ref("Part")
    models = api(
        Order={
            "parts": {"type": "array", "items": {"type": "array", "items": part}},
            "by_key": {"type": "object", "additionalProperties": part},
            "maybe": {"anyOf": [part, {"type": "null"}]},
            "page": {"properties": {"items": {"type": "array", "items": part}}},
            "parent": ref("Order"),
        },
        Part={"sku": _STR},
    )
    chains = compiled(models, [rename("Part.code", to="sku")])
    body = {
        "parts": [[{"code": 1}], []],
        "by_key": {"k": {"code": 2}},
        "maybe": None,
        "page": {"items": [{"code": 3}]},
        "parent": {"maybe": {"code": 4}},
    }

    newer = up(chains, body)

    assert json.dumps(newer) == json.dumps(body).replace('"code"', '"sku"')
    assert down(chains, newer) == body


def test_a_branch_is_told_by_its_tag_or_else_by_its_keys() -> None:
    cat = {"kind": {"const": "cat"}, "lives": _INT}
    dog = {"kind": {"const": "dog"}, "tricks": _INT}
    bird, fish = {"wings": _INT}, {"fins": _INT}
    models = api(
        Order={
            "pet": {"anyOf": [ref("Cat"), ref("Dog")]},
            "other": {"anyOf": [ref("Bird"), ref("Fish")]},
        },
        Cat=cat,
        Dog=dog,
        Bird=bird,
        Fish=fish,
    )
    chains = compiled(
        models,
        [rename("Cat.n", to="lives"), rename("Dog.n", to="tricks")],
        [rename("Bird.w", to="wings"), rename("Fish.f", to="fins")],
        [rename("Cat.type", to="kind"), rename("Dog.type", to="kind")],
        [union("Order.pet", by="type")],
    )
    body = {"pet": {"type": "dog", "n": 3}, "other": {"f": 2}}

    newer = up(chains, body)

    assert newer == {"pet": {"kind": "dog", "tricks": 3}, "other": {"fins": 2}}
    assert down(chains, newer) == body


def test_inline_places_are_named_by_route_and_pointer() -> None:
    item = {"type": "object", "properties": {"colour": _STR}}
    models = api(Order={"items": {"type": "array", "items": item}})
    target = Body(POST, "response", "/items/*/color")
    chains = compiled(models, [rename(target, to="colour")])

    assert down(chains, {"items": [{"colour": 1}]}) == {"items": [{"color": 1}]}
    assert chains.down(GET, OLD, 200) is None
    assert chains.up(POST, OLD) is None


def test_without_schemas_places_are_named_by_pointer() -> None:
    target = Body(POST, "request", "/a/b")
    chains = compiled(Models({POST: RouteShapes()}, {}), [rename(target, to="c")])

    assert up(chains, {"a": [{"b": 1}]}) == {"a": [{"c": 1}]}


def test_error_bodies_are_a_target_of_their_own() -> None:
    chains = compiled(api(Order={"id": _INT}), [rename("@error.message", to="detail")])

    assert down(chains, {"detail": "x"}, 404) == {"message": "x"}
    assert down(chains, {"detail": "x"}, 200) == {"detail": "x"}


def test_a_body_can_be_put_below_a_key() -> None:
    models = api(Order={"id": _INT, "n": _INT}, Page={"data": ref("Order")})
    page = models.names["Page"][0]
    routes = {POST: RouteShapes(None, {200: page})}
    chains = compiled(
        Models(routes, models.names),
        [rename("Order.number", to="id")],
        [envelope(POST, at="data")],
        [add("Order.n", default=1)],
    )

    body = {"data": {"id": 7, "n": 1}}
    assert down(chains, body) == {"number": 7}
    assert down(chains, body, version="2025-02-01") == {"id": 7}
    assert down(chains, body, version="2025-03-01") == {"data": {"id": 7}}
    assert down(chains, {"id": 7}).slug == "migration-failed"


@change(on="Order", lossy="down")
class MoneyObject:
    def up(o: Any) -> None:
        o["amount"] = {"minor": o.pop("cents"), "unit": "EUR"}

    def down(o: Any) -> None:
        o["cents"] = o.pop("amount")["minor"]

    old: ClassVar[dict[str, Any]] = {
        "properties": {"cents": {"type": "integer"}},
        "remove": ["amount"],
        "required": ["cents"],
    }


def test_code_sees_its_own_version_and_keeps_large_numbers() -> None:
    amount = {"properties": {"minor": _INT, "unit": _STR}}
    models = api(Order={"amount": amount, "big": {"type": "number"}, "n": _INT})
    chains = compiled(
        models,
        [rename("Order.price", to="cents")],
        [MoneyObject],
        [add("Order.n", default=0)],
    )
    program = chains.up(POST, OLD)
    assert program is not None

    newer = program(b'{"price":118059162071741130342400,"big":1e400}').body

    assert b'"minor":118059162071741130342400' in newer
    assert b"1E+400" in newer
    body = {"amount": {"minor": 5, "unit": "EUR"}, "n": 1}
    assert down(chains, body) == {"price": 5}
    old = chains.old_schema("Order", "2025-02-01")[0]
    assert set(old.properties) == {"cents", "big"}
    assert old.properties["cents"].required


def test_code_that_raises_names_itself_and_no_value() -> None:
    chains = compiled(api(Order={"amount": {}}), [MoneyObject])

    refused, failed = up(chains, {"secret": "s3cr3t"}), down(chains, {"amount": 1})

    assert (refused.slug, failed.slug) == ("request-not-migratable", "migration-failed")
    assert "MoneyObject.up raised KeyError" in refused.detail
    assert "s3cr3t" not in str(refused)


def test_a_failure_is_told_in_the_clients_names() -> None:
    chains = compiled(
        api(
            Order={"lines": {"type": "array", "items": ref("Line")}}, Line={"id": _STR}
        ),
        [rename("Order.rows", to="lines")],
        [retype("Line.id", was="int", now="str")],
    )

    failure = up(chains, {"rows": [{"id": 1}, {"id": "x"}]})

    assert (failure.slug, failure.pointer) == ("request-not-migratable", "/rows/1/id")


@pytest.mark.parametrize(
    ("body", "kind"),
    [
        (b'\xef\xbb\xbf{"a":1}', "not_json"),
        ('{"a":1}'.encode("utf-16"), "not_json"),
        (b'{"a":NaN}', "not_json"),
        (b'{"\xff":1}', "encoding"),
        (b'{"a":' * 100_000, "too_deep"),
    ],
)
def test_bytes_that_cannot_be_read_fail_and_stay(body: bytes, kind: str) -> None:
    program = compiled(api(Order={"b": _INT}), [rename("Order.a", to="b")]).up(
        POST, OLD
    )
    assert program is not None

    done = program(body)

    assert done.body == body
    assert done.failure is not None
    assert done.failure.kind == kind


def test_a_part_of_a_joined_field_cannot_be_patched() -> None:
    models = api(Order={"name": _STR})
    chains = compiled(models, [join(["Order.first", "Order.last"], into="name")])

    failure = up(chains, {"last": "Lee"}, "merge")

    assert failure.slug == "patch-not-translatable"
    assert up(chains, {"first": "Ann", "last": "Lee"}, "merge") == {"name": "Ann Lee"}


def test_json_patch_follows_names_and_refuses_all_else() -> None:
    models = api(
        Order={"lines": {"type": "array", "items": ref("Line")}, "n": _STR},
        Line={"qty": _INT, "tag": _STR},
    )
    ops = [rename("Line.count", to="qty"), retype("Order.n", was="int", now="str")]
    chains = compiled(models, ops)
    patch = [
        {"op": "move", "path": "/lines/0/count", "from": "/lines/-/count"},
        {"op": "replace", "path": "/lines/1/tag", "value": "x"},
    ]

    moved = up(chains, patch, "patch")
    refused = [
        up(chains, [{"op": "replace", "path": path, "value": 1}], "patch")
        for path in ("/n", "/lines/0", "/lines/0/qty", "")
    ]

    assert [item["path"] for item in moved] == ["/lines/0/qty", "/lines/1/tag"]
    assert moved[0]["from"] == "/lines/-/qty"
    assert {failure.slug for failure in refused} == {"patch-not-translatable"}


def test_what_nothing_touches_has_no_plan() -> None:
    models = api(Order={"id": _INT}, Other={"b": _INT})
    chains = compiled(models, [rename("Other.a", to="b")])

    assert chains.up(POST, OLD) is None
    assert chains.down(POST, OLD, 200) is None
    assert chains.old_nodes(POST, OLD) is None
    assert chains.locmap(POST, OLD) is None


def test_an_unchanged_body_is_given_back_as_the_same_bytes() -> None:
    program = compiled(api(Order={"b": _INT}), [rename("Order.a", to="b")]).up(
        POST, OLD
    )
    assert program is not None

    for body in (b' { "z" : 1 } ', b"[]", b'"x"', b"  ", b"null"):
        assert program(body).body is body


def test_ops_reach_a_schema_wherever_it_is_extended() -> None:
    extended = {"allOf": [ref("Issue"), {"properties": {"pages": _INT}}]}
    models = api(Issue={"title": _STR}, Order={"type": "object", **extended})
    chains = compiled(
        models, [rename("Issue.name", to="title")], [rename("Order.size", to="pages")]
    )

    old = {"name": "x", "size": 1}

    assert up(chains, old) == {"title": "x", "pages": 1}
    assert down(chains, {"title": "x", "pages": 1}) == old


def test_a_chain_in_use_moves_fields_as_at_first() -> None:
    order = {
        "sum": _INT,
        "currency": _STR,
        "note": _STR,
        "part": {"anyOf": [ref("Part"), {"type": "null"}]},
        "parts": {"type": "array", "items": ref("Part")},
        "next": {"anyOf": [ref("Order"), {"type": "null"}]},
    }
    chains = compiled(
        api(Order=order, Part={"size": _INT}),
        [rename("Order.total", to="sum"), add("Order.currency", default="EUR")],
        [rename("Part.width", to="size"), drop("Order.fax", fill="-")],
        [add("Order.note", default="", required=False)],
    )
    inner = {"total": 2, "parts": [], "part": {"width": 3}, "next": None}
    whole = {"total": 1, "parts": [{"width": 1}, {}], "part": None, "next": inner}
    old = [
        {**whole, "fax": "1"},
        whole,
        {**whole, "note": "unknown then", "currency": "USD"},
        {**whole, "zz": 1},
        {"parts": None},
        {"total": 1},
    ]
    new = [up(chains, body) for body in old]
    back = [down(chains, body) for body in new]

    for _ in range(100):
        up(chains, whole)
        down(chains, new[0])

    assert [up(chains, body) for body in old] == new
    assert [down(chains, body) for body in new] == back
    assert new[0]["next"] == {
        "sum": 2,
        "parts": [],
        "part": {"size": 3},
        "next": None,
        "currency": "EUR",
    }
    assert "note" not in new[2]
    assert new[2]["currency"] == "EUR"


def test_ops_reach_tuples_and_lists_that_one_value_may_stand_for() -> None:
    pair = {"type": "array", "prefixItems": [ref("Cash"), ref("Cash")], "maxItems": 2}
    both = {**pair, "prefixItems": [ref("Cash"), _STR]}
    some = {"anyOf": [ref("Cash"), {"type": "array", "items": ref("Cash")}]}
    order = {"pair?": pair, "both?": both, "some?": some}
    chains = compiled(
        api(Order=order, Cash={"amount": _INT}), [rename("Cash.cents", to="amount")]
    )
    cents, amount = {"cents": 1}, {"amount": 1}
    old = {"pair": [cents, cents], "both": [cents, "x"], "some": [cents]}
    new = {"pair": [amount, amount], "both": [amount, "x"], "some": [amount]}

    assert up(chains, old) == new
    assert down(chains, new) == old
    assert up(chains, {"some": cents}) == {"some": amount}


@pytest.mark.parametrize(
    "other",
    [
        {'say "x"': _STR},
        {"by_key": {"type": "object", "additionalProperties": ref("Part")}},
    ],
)
def test_a_chain_in_use_that_no_type_can_say_goes_on_as_at_first(other: Any) -> None:
    models = api(Order={"sum": _INT, **other}, Part={"size": _INT})
    chains = compiled(
        models, [rename("Order.total", to="sum"), rename("Part.width", to="size")]
    )
    old = {"total": 1, **{key: {"k": {"width": 1}} for key in other}}

    found = [up(chains, old) for _ in range(100)]

    assert found[0]["sum"] == 1
    assert found[-1] == found[0]
