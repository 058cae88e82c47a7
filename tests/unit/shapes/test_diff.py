"""What differs between two documents, whom it breaks, and what would cover it."""

from __future__ import annotations

import tomllib
from typing import Any

import pytest

from failsoft.shapes.diff import (
    Difference,
    breaking,
    compare_nodes,
    drift_id,
    level_of,
    report_row,
)
from failsoft.shapes.documents import compare_documents
from failsoft.shapes.graph import Schemas
from failsoft.shapes.suggest import suggest, toml_lines


def _document(order: dict[str, Any], **operation: Any) -> dict[str, Any]:
    body = {"application/json": {"schema": {"$ref": "#/components/schemas/Order"}}}
    post = {
        "requestBody": {"content": body, "required": True},
        "responses": {"200": {"content": body}},
        **operation,
    }
    return {
        "paths": {"/orders": {"post": post}},
        "components": {"schemas": {"Order": {"type": "object", **order}}},
    }


def _ids(old: dict[str, Any], new: dict[str, Any]) -> set[tuple[str, str]]:
    found = compare_documents(_document(old), _document(new))
    return {(one.id, one.level) for one in found}


@pytest.mark.parametrize(
    ("old", "new", "expected"),
    [
        (
            {"properties": {"a": {"type": "string"}}},
            {"properties": {}},
            {
                ("request-property-removed", "warning"),
                ("response-optional-property-removed", "warning"),
            },
        ),
        (
            {"properties": {}},
            {"properties": {"a": {"type": "string"}}, "required": ["a"]},
            {
                ("new-required-request-property", "error"),
                ("response-required-property-added", "info"),
            },
        ),
        (
            {"properties": {"a": {"type": "integer"}}},
            {"properties": {"a": {"type": "string"}}},
            {
                ("request-property-type-changed", "error"),
                ("response-property-type-changed", "error"),
            },
        ),
        (
            {"properties": {"a": {"type": "integer"}}},
            {"properties": {"a": {"type": ["number", "null"]}}},
            {
                ("request-property-type-generalized", "info"),
                ("request-property-became-nullable", "info"),
                ("response-property-type-changed", "error"),
                ("response-property-became-nullable", "error"),
            },
        ),
        (
            {"properties": {"a": {"enum": ["x", "y"]}}},
            {"properties": {"a": {"enum": ["y", "z"]}}},
            {
                ("request-property-enum-value-removed", "error"),
                ("request-property-enum-value-added", "info"),
                ("response-property-enum-value-removed", "info"),
                ("response-property-enum-value-added", "warning"),
            },
        ),
        (
            {"properties": {"a": {"type": "string", "maxLength": 9}}},
            {"properties": {"a": {"type": "string", "maxLength": 5}}},
            {("request-property-max-length-decreased", "error")},
        ),
    ],
)
def test_a_change_bears_the_ids_and_levels_of_oasdiff(
    old: dict[str, Any], new: dict[str, Any], expected: set[tuple[str, str]]
) -> None:
    assert _ids(old, new) == expected


@pytest.mark.parametrize(
    ("old", "new", "expected"),
    [
        ({}, {"exclusiveMinimum": 0}, {"request-property-min-set"}),
        ({"minimum": 1}, {"exclusiveMinimum": 1}, {"request-property-min-increased"}),
        ({"minimum": 1}, {"exclusiveMinimum": 0}, set()),
        ({"minimum": 5, "exclusiveMinimum": False}, {"minimum": 5}, set()),
        (
            {"minimum": 5},
            {"minimum": 5, "exclusiveMinimum": True},
            {"request-property-min-increased"},
        ),
        ({"maximum": 5}, {"exclusiveMaximum": 4}, {"request-property-max-decreased"}),
        ({"exclusiveMaximum": 4}, {}, {"response-property-max-unset"}),
    ],
)
def test_exclusive_limits_are_compared_with_others(
    old: dict[str, Any], new: dict[str, Any], expected: set[str]
) -> None:
    """`gt=0` on a field of a request breaks clients as `ge=1` does."""
    before, after = (
        {"properties": {"a": {"type": "integer", **limit}}} for limit in (old, new)
    )

    assert {rule for rule, _ in _ids(before, after)} == expected


def test_equal_documents_differ_in_nothing() -> None:
    order = {"properties": {"self": {"$ref": "#/components/schemas/Order"}}}

    assert _ids(order, order) == set()


def test_operations_match_whatever_their_parameters_are_called() -> None:
    old = {"paths": {"/a/{id}": {"get": {"responses": {}}}, "/b": {"get": {}}}}
    new = {"paths": {"/a/{key}": {"get": {"responses": {}}}, "/c": {"get": {}}}}

    found = compare_documents(old, new)

    assert [(one.id, one.operation) for one in found] == [
        ("api-removed-without-deprecation", "GET /b"),
        ("endpoint-added", "GET /c"),
    ]


def test_parameters_statuses_and_headers_are_compared() -> None:
    required = {"name": "q", "in": "query", "required": True, "schema": {}}
    limit = {"name": "limit", "in": "query", "schema": {"type": "integer"}}
    old = _document({}, parameters=[limit])
    new = _document({}, parameters=[required], responses={"201": {}})
    old["paths"]["/orders"]["post"]["responses"]["200"]["headers"] = {"ETag": {}}
    same = _document({}, parameters=[limit])

    found = {one.id for one in compare_documents(old, new)}

    assert found >= {
        "request-parameter-removed",
        "new-required-request-parameter",
        "response-success-status-removed",
        "response-success-status-added",
    }
    assert {one.id for one in compare_documents(old, same)} == {
        "optional-response-header-removed"
    }


def test_a_change_in_a_list_names_its_place_and_its_schema() -> None:
    line = {"type": "object", "properties": {"qty": {"type": "integer"}}}
    components: dict[str, Any] = {"Line": line, "New": {**line, "required": ["qty"]}}
    schemas = Schemas(components)
    listed = {"type": "array", "items": {"$ref": "#/components/schemas/Line"}}
    other = {"type": "array", "items": {"$ref": "#/components/schemas/New"}}

    (one,) = compare_nodes(schemas.node(listed), schemas.node(other), "request", "X")

    assert (one.path, one.target) == ("/*/qty", "New.qty")
    assert report_row(one)["id"] == "request-property-became-required"


def test_what_went_and_came_with_one_type_is_suggested_as_a_rename() -> None:
    text = {"type": "string"}
    old = _document({"properties": {"email": text}, "required": ["email"]})
    new = _document({"properties": {"customer_email": text, "zip": text}})
    new["components"]["schemas"]["Order"]["required"] = ["customer_email", "zip"]

    found = suggest(compare_documents(old, new))

    lines = toml_lines(found)
    assert 'rename = { "Order.email" = "customer_email" }' in lines
    assert 'add = { "Order.zip" = { default = "" } }' in lines
    assert any("guess: email went and customer_email came" in line for line in lines)


@pytest.mark.parametrize("name", ['a"b', "a\\b", "ünï", "a\nb", "a\x7f"])
def test_suggestions_are_toml_whatever_fields_are_called(name: str) -> None:
    old = _document({"properties": {name: {"type": "string"}}})
    new = _document({"properties": {f"{name}2": {"type": "string"}}})

    lines = toml_lines(suggest(compare_documents(old, new)))

    (line,) = [one for one in lines if one.startswith("rename")]
    assert tomllib.loads(line) == {"rename": {f"Order.{name}": f"{name}2"}}


def test_what_no_op_expresses_is_left_to_a_person() -> None:
    old = _document({"properties": {"a": {"type": "object"}}})
    new = _document({"properties": {"a": {"type": "string"}}})

    (line,) = toml_lines(suggest(breaking(compare_documents(old, new))))

    assert line.startswith("# in Python: change of Order.a")


@pytest.mark.parametrize(
    ("kind", "section", "path", "expected"),
    [
        ("unknown", "response", "/a", "response-optional-property-added"),
        ("missing", "request", "/a", "request-property-became-optional"),
        ("coerced", "request", "/a", "request-property-type-changed"),
        ("type", "response", "", "response-body-type-changed"),
        ("status", "response", "", "response-non-success-status-added"),
        ("lifecycle", "response", "", "api-removed-before-sunset"),
        ("duplicate", "request", "/a", "duplicate"),
    ],
)
def test_drift_bears_ids_of_oasdiff_where_it_has_one(
    kind: str, section: str, path: str, expected: str
) -> None:
    assert drift_id(kind, section, path) == expected


def test_an_id_of_nobody_counts_as_an_error() -> None:
    assert level_of("request-property-unknown-properties-refused") == "error"


@pytest.mark.parametrize(
    ("rule", "sides", "line"),
    [
        ("new-required-request-property", ("", "integer"), "add"),
        ("response-required-property-removed", ("string", ""), "drop"),
        ("response-property-became-optional", ("", ""), "drop"),
        ("request-property-type-changed", ("integer", "string"), "retype"),
        ("request-property-type-changed", ("string", "array"), "wrap_list"),
        ("request-property-type-changed", ("array", "string"), "unwrap_list"),
        ("request-property-type-changed", ("object", "string"), "# in Python: change"),
        ("request-property-enum-value-removed", ("open", ""), "enum_map"),
        ("response-property-enum-value-added", ("", "held"), "enum_map"),
        ("request-parameter-removed", ("", ""), "query"),
        ("api-removed-without-deprecation", ("", ""), "gone"),
        ("request-body-became-required", ("", ""), "# in Python: change"),
        ("endpoint-added", ("", ""), ""),
    ],
)
def test_each_kind_of_difference_has_its_op(
    rule: str, sides: tuple[str, str], line: str
) -> None:
    path = "query/q" if "parameter" in rule else "/a"
    one = Difference(rule, "GET /x", "request", path, "Order.a", *sides)

    lines = toml_lines(suggest([one]))

    assert any(text.startswith(line) for text in lines) if line else lines == []


def test_bodies_media_types_and_unions_are_compared() -> None:
    cat = {"type": "object", "properties": {"a": {}}}
    old = _document({"properties": {"pet": {"oneOf": [cat, {"type": "string"}]}}})
    new = _document({"properties": {"pet": {"oneOf": [cat, {"type": "integer"}]}}})
    post = new["paths"]["/orders"]["post"]
    post["requestBody"] = {
        "content": {"text/plain": {}, **post["requestBody"]["content"]}
    }
    post["deprecated"] = True

    found = {one.id for one in compare_documents(old, new)}

    assert found >= {
        "endpoint-deprecated",
        "request-body-became-optional",
        "request-body-media-type-added",
        "request-property-type-changed",
    }
    del post["requestBody"]
    assert "request-body-removed" in {o.id for o in compare_documents(old, new)}
    assert "request-body-added-required" in {o.id for o in compare_documents(new, old)}


def test_parameters_change_like_fields() -> None:
    def listed(**schema: Any) -> dict[str, Any]:
        return {"name": "n", "in": "query", "schema": schema}

    old = _document({}, parameters=[listed(type="integer")])
    new = _document({}, parameters=[{**listed(type="boolean"), "required": True}])

    assert {one.id for one in compare_documents(old, new)} == {
        "request-parameter-became-required",
        "request-parameter-type-changed",
    }


def test_a_difference_reads_as_one_line() -> None:
    one = Difference("endpoint-added", "GET /x", "operation")

    assert str(one) == "info: GET /x  endpoint-added"
