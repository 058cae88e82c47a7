"""How schemas become nodes."""

from __future__ import annotations

from typing import Any

import pytest

from failsoft.errors import DefinitionError
from failsoft.shapes.graph import Node, Schemas, over_budget, reached

PET = {"type": "object", "properties": {"age": {"type": "integer"}}}


def node(schema: Any, **components: Any) -> Node:
    return Schemas(components).node(schema)


def test_a_recursive_schema_is_a_cycle() -> None:
    tree = node(
        {"$ref": "#/components/schemas/Tree"},
        Tree={"properties": {"next": {"$ref": "#/components/schemas/Tree"}}},
    )

    assert tree.properties["next"].node is tree
    assert tree.name == "Tree"


@pytest.mark.parametrize(
    "schema",
    [
        {"anyOf": [{"$ref": "#/$defs/Pet"}, {"type": "null"}]},
        {"oneOf": [{"enum": [None]}, {"$ref": "#/$defs/Pet"}]},
        {"allOf": [{"$ref": "#/$defs/Pet"}], "nullable": True},
        {"$ref": "#/$defs/Pet", "nullable": True},
    ],
)
def test_null_is_folded_into_the_node_it_may_replace(schema: Any) -> None:
    found = node(schema, Pet=PET)

    assert found.types == {"object", "null"}
    assert (found.name, list(found.properties)) == ("Pet", ["age"])
    assert not found.branches


def test_all_of_is_one_object() -> None:
    dog = {
        "allOf": [
            {"$ref": "#/$defs/Pet"},
            {"properties": {"age": {"minimum": 1}, "bark": {}}, "required": ["bark"]},
        ]
    }

    found = node({"$ref": "#/$defs/Dog"}, Pet=PET, Dog=dog)

    assert found.name == "Dog"
    assert list(found.properties) == ["age", "bark"]
    assert found.properties["bark"].required
    assert found.properties["age"].node.types == {"integer"}


def test_what_stands_beside_a_union_is_in_each_branch() -> None:
    found = node(
        {**PET, "oneOf": [{"properties": {"a": {}}}, {"properties": {"b": {}}}]}
    )

    assert [list(each.properties) for each in found.branches] == [
        ["age", "a"],
        ["age", "b"],
    ]


def test_a_union_of_required_keys_is_left_to_the_application() -> None:
    found = node({**PET, "anyOf": [{"required": ["age"]}, {"required": ["x"]}]})

    assert list(found.properties) == ["age"]
    assert not found.branches


def test_a_declared_discriminator_names_branches() -> None:
    dog = {"properties": {"kind": {"type": "string"}}, "required": ["kind"]}
    union = {
        "oneOf": [{"$ref": "#/$defs/Pet"}, {"$ref": "#/$defs/Dog"}],
        "discriminator": {
            "propertyName": "kind",
            "mapping": {"d": "#/$defs/Dog", "p": "#/$defs/Pet"},
        },
    }

    found = node(union, Pet=PET, Dog=dog)

    assert found.tag == ("kind", {"d": found.branches[1], "p": found.branches[0]})


@pytest.mark.parametrize(
    ("schema", "extra"),
    [
        (PET, None),
        ({**PET, "additionalProperties": True}, True),
        ({**PET, "additionalProperties": False}, None),
        ({"type": "object"}, True),
        ({**PET, "discriminator": {"propertyName": "kind"}}, True),
    ],
)
def test_other_keys_are_drift_where_some_are_declared(schema: Any, extra: Any) -> None:
    assert node(schema).extra is extra


def test_marks_of_validators_count_for_what_comes_in_only() -> None:
    components = {
        "Pet": {
            **PET,
            "x-failsoft-opaque": True,
            "x-failsoft-aliases": {"age": ["years"]},
        }
    }

    taken = Schemas(components).named("Pet")
    given = Schemas(components, is_output=True).named("Pet")
    overruled = Schemas(components, transparent=["Pet"]).named("Pet")

    assert (taken.is_opaque, taken.properties["age"].aliases) == (True, ("years",))
    assert (given.is_opaque, given.properties["age"].aliases) == (False, ())
    assert not overruled.is_opaque


def test_a_marked_reference_keeps_its_name() -> None:
    found = node({"$ref": "#/$defs/Pet", "x-failsoft-opaque": True}, Pet=PET)

    assert (found.name, found.is_opaque, list(found.properties)) == (
        "Pet",
        True,
        ["age"],
    )


@pytest.mark.parametrize(
    ("schema", "said"),
    [
        ({"$ref": "https://example.org/pet.json"}, "only local references"),
        ({"$ref": "#/paths/nowhere"}, "leads nowhere"),
        ({"$ref": "#/$defs/Self"}, "only a $ref to itself"),
    ],
)
def test_a_reference_that_cannot_be_followed_is_an_error(
    schema: Any, said: str
) -> None:
    with pytest.raises(DefinitionError, match=said.replace("$", r"\$")):
        node(schema, Self={"$ref": "#/$defs/Self"})


def test_any_local_pointer_is_followed() -> None:
    document = {"paths": {"/a": [{"schema": PET}]}}

    found = Schemas({}, document=document).node({"$ref": "#/paths/~1a/0/schema"})

    assert list(found.properties) == ["age"]


def test_like_scalars_are_one_node() -> None:
    found = node(
        {"properties": {n: {"type": "string", "description": n} for n in "abc"}}
    )

    assert len(reached([found])) == 2


def test_the_largest_operations_go_first() -> None:
    small, large = node(PET), node({"properties": {str(n): {} for n in range(9)}})
    wide = node(
        {"properties": {str(n): {"properties": PET["properties"]} for n in "ab"}}
    )

    assert over_budget({"small": [small], "wide": [wide]}, 100) == ()
    assert over_budget({"small": [small], "wide": [wide]}, 3) == ("wide",)
    assert over_budget({"large": [large]}, 1) == ("large",)


def test_recursive_schemas_that_hold_at_once_end_somewhere() -> None:
    ref = {"$ref": "#/$defs/A"}
    one = {"properties": {n: {"allOf": [ref, {"type": "object"}]} for n in "abc"}}
    two = {"properties": {n: {"anyOf": [ref, {"type": "integer"}]} for n in "abc"}}

    found = node(ref, A={"allOf": [one, two], "oneOf": [one, two]})

    assert len(reached([found])) <= 20_000
