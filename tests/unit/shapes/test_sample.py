"""Samples fit their schema, take each choice once, and are the same every time."""

from __future__ import annotations

import json
from contextlib import suppress
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from jsonschema import Draft202012Validator

from failsoft.shapes.graph import Schemas
from failsoft.shapes.pattern import matching_text
from failsoft.shapes.sample import MOST, Samples, samples
from failsoft.testing.strategies import fitting

ORDER: dict[str, Any] = {
    "type": "object",
    "required": ["id", "state"],
    "properties": {
        "id": {"type": "integer", "minimum": 1, "maximum": 9},
        "state": {"enum": ["open", "paid"]},
        "note": {"anyOf": [{"type": "string", "minLength": 2}, {"type": "null"}]},
        "lines": {"type": "array", "items": {"$ref": "#/components/schemas/Line"}},
        "parent": {"$ref": "#/components/schemas/Order"},
        "labels": {"type": "object", "additionalProperties": {"type": "boolean"}},
    },
}
LINE = {"type": "object", "properties": {"at": {"type": "string", "format": "date"}}}
COMPONENTS: dict[str, Any] = {"Order": ORDER, "Line": LINE}


def _of(schema: Any, **options: int) -> Samples:
    components = {**COMPONENTS, "Root": schema}
    return samples(Schemas(components).named("Root"), **options)


def _validator(schema: Any) -> Draft202012Validator:
    whole = {**schema, "components": {"schemas": COMPONENTS}}
    return Draft202012Validator(whole)


def test_every_choice_of_an_order_is_taken_once() -> None:
    made = _of(ORDER).values

    assert made[0]["lines"]
    assert made[1] == {"id": 1, "state": "open"}
    assert {one["state"] for one in made} == {"open", "paid"}
    assert {one["id"] for one in made} == {1, 9}
    assert {len(one["lines"]) for one in made if "lines" in one} >= {0, 2}
    assert any(one.get("note", "") is None for one in made)
    assert made[0]["labels"] == {"key_1": True, "key_2": False}


def test_samples_of_a_recursive_schema_end_and_are_valid() -> None:
    made = _of(ORDER)

    assert 4 < len(made.values) <= MOST
    validator = _validator(ORDER)
    assert [e.message for v in made.values for e in validator.iter_errors(v)] == []


def test_one_seed_gives_one_list_and_another_another() -> None:
    one, same, other = _of(ORDER), _of(ORDER, seed=0), _of(ORDER, seed=5)

    assert json.dumps(one.values) == json.dumps(same.values)
    assert {json.dumps(v) for v in one.values} != {json.dumps(v) for v in other.values}


def test_a_schema_without_end_is_named_instead_of_followed() -> None:
    endless = {
        "type": "object",
        "required": ["next"],
        "properties": {"next": {"$ref": "#/components/schemas/Root"}},
    }

    made = _of(endless)

    assert made.values == ()
    assert "the schema has no end" in made.skipped[0]


def test_a_pattern_that_cannot_be_met_leaves_its_field_out_and_is_named() -> None:
    made = _of(
        {
            "type": "object",
            "required": ["a"],
            "properties": {
                "a": {"type": "string", "pattern": "^[A-Z]{3}-[0-9]{4}$"},
                "b": {"type": "string", "pattern": "(?=never)a"},
            },
        }
    )

    assert made.values == ({"a": "AAA-1111"},)
    assert "/b" in made.skipped[0]
    assert "(?=never)a" in made.skipped[0]


def test_branches_come_one_of_each_with_their_tag() -> None:
    cat = {
        "type": "object",
        "required": ["kind"],
        "properties": {"kind": {"const": "cat"}, "lives": {"type": "integer"}},
    }
    dog = {
        "type": "object",
        "required": ["kind"],
        "properties": {"kind": {"const": "dog"}},
    }

    made = _of({"oneOf": [cat, dog]}).values

    assert [one["kind"] for one in made[:2]] == ["cat", "dog"]


def test_examples_come_first() -> None:
    assert _of({"type": "integer", "examples": [42]}).values[0] == 42


def test_examples_of_fields_are_taken_where_they_fit() -> None:
    code = {"type": "string", "pattern": "(?=x)y", "examples": [7, "A-1"]}

    made = _of({"type": "object", "properties": {"code": code}, "required": ["code"]})

    assert made.values == ({"code": "A-1"},)
    assert made.skipped == ()


@pytest.mark.parametrize(
    "pattern",
    [
        r"^\d{4}-\d{2}$",
        "^(a|b)+c?$",
        "^[^a-z]{2,}$",
        r"^\+?[1-9]\d{1,14}$",
        r"^(?!^[-+.]*$)[+-]?0*\d*\.?\d*$",
        "^[a-f0-9]{40}$",
    ],
)
def test_usual_patterns_are_met(pattern: str) -> None:
    assert matching_text(pattern) is not None


_SCALARS = st.sampled_from(
    [
        {"type": "string"},
        {"type": "string", "maxLength": 3},
        {"type": "integer", "minimum": -3},
        {"type": "number", "exclusiveMaximum": 2},
        {"type": "boolean"},
        {"enum": ["x", 1, None]},
        {"type": ["string", "null"]},
        {"type": "string", "minLength": 6, "maxLength": 8},
        {"type": "string", "format": "date-time"},
        {"type": "string", "pattern": "^[a-c]{2,3}$"},
        {"type": "integer", "multipleOf": 5, "maximum": 30},
        {"type": "number", "minimum": 0.5, "maximum": 0.75},
        {"type": "array", "items": {"type": "integer"}, "uniqueItems": True},
        {"type": "array", "maxItems": 1},
        {"type": "object", "additionalProperties": {"type": "integer"}},
        {"type": "object", "minProperties": 3},
        {
            "type": "object",
            "additionalProperties": {"type": "integer"},
            "propertyNames": {"enum": ["x", "y", "z"]},
        },
        {
            "type": "object",
            "patternProperties": {"^[a-z]{3}$": {"type": "boolean"}},
            "additionalProperties": False,
        },
        {
            "type": "object",
            "additionalProperties": {"type": "integer"},
            "propertyNames": {"$ref": "#/components/schemas/Order"},
        },
        {"type": "integer", "exclusiveMinimum": 0},
        {"type": "integer", "exclusiveMinimum": 1, "exclusiveMaximum": 3},
        {"type": "number", "exclusiveMinimum": 0, "exclusiveMaximum": 1},
        {"type": "integer", "minimum": 1, "multipleOf": 5},
        {"type": "number", "exclusiveMinimum": 0.1, "multipleOf": 0.25},
        {
            "type": "array",
            "items": {"type": "integer", "minimum": 1},
            "minItems": 3,
            "uniqueItems": True,
        },
    ]
)


def _deeper(inner: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    return st.one_of(
        st.builds(lambda i: {"type": "array", "items": i, "minItems": 1}, inner),
        st.builds(lambda i, j: {"anyOf": [i, j]}, inner, inner),
        st.builds(
            lambda i, j: {
                "type": "object",
                "properties": {"a": i, "b": j},
                "required": ["a"],
            },
            inner,
            inner,
        ),
    )


@given(st.recursive(_SCALARS, _deeper, max_leaves=8))
def test_samples_of_any_schema_are_valid(schema: Any) -> None:
    made = _of(schema)

    assert made.values
    validator = _validator(schema)
    assert all(validator.is_valid(value) for value in made.values)


@settings(max_examples=60, suppress_health_check=list(HealthCheck), deadline=None)
@given(st.recursive(_SCALARS, _deeper, max_leaves=5), st.data())
def test_what_strategies_draw_is_valid_as_well(
    schema: Any, data: st.DataObject
) -> None:
    node = Schemas({**COMPONENTS, "Root": schema}).named("Root")

    assert _validator(schema).is_valid(data.draw(fitting(node)))


@pytest.mark.parametrize(
    ("schema", "first"),
    [
        ({"type": "integer", "minimum": 1, "exclusiveMinimum": True}, 2),
        ({"type": "integer", "minimum": 1.0, "maximum": 3.0}, 1),
        ({"type": "string", "format": "isbn", "example": "mine"}, "mine"),
        ({"type": "array", "minItems": 3, "items": {"type": "boolean"}}, None),
        ({}, "text"),
    ],
)
def test_bounds_and_examples_of_older_documents_are_read(
    schema: Any, first: Any
) -> None:
    made = _of(schema).values

    assert made[0] == (first if first is not None else [True, False, True])


@pytest.mark.parametrize(
    "schema",
    [
        {"type": "array", "minItems": 10**9},
        {"type": "string", "minLength": 10**9},
        {"type": "string", "pattern": "^((a{999}){999}){999}$"},
        {"type": "integer", "minimum": 2, "maximum": 1},
        {
            "type": "array",
            "items": {"type": "string", "format": "date"},
            "minItems": 2,
            "uniqueItems": True,
        },
    ],
)
def test_what_no_sample_can_be_made_of_is_named(schema: Any) -> None:
    made = _of(schema)

    assert (made.values, len(made.skipped)) == ((), 1)


@pytest.mark.parametrize("pattern", ["^(a+)+b$", "(x+x+)+y", "^(?:a|a)*$"])
def test_a_pattern_that_backtracks_ends(pattern: str) -> None:
    """`re` would go on for years, and hold the whole process."""
    with suppress(ValueError):
        matching_text(pattern, 60)


def test_a_tuple_that_must_have_items_is_named() -> None:
    made = _of({"type": "array", "prefixItems": [{}], "minItems": 1})

    assert made.values == ()
    assert "items by position" in made.skipped[0]


@pytest.mark.parametrize("pattern", ["(", "(?=x)y{3}z", "[^\\s\\S]"])
def test_a_pattern_nobody_meets_says_so(pattern: str) -> None:
    with pytest.raises(ValueError, match="pattern"):
        matching_text(pattern)
