"""What a gate certifies; that it agrees with the walk is a law of its own."""

from __future__ import annotations

import json
import sys
from typing import Any

import pytest

from failsoft.shapes.gate import GateBook, compile_gate
from failsoft.shapes.graph import Schemas, loosened

TREE = {
    "type": "object",
    "properties": {
        "name": {"type": "string", "maxLength": 3},
        "kids": {"type": "array", "items": {"$ref": "#/$defs/Tree"}},
    },
    "required": ["name"],
}
CAT = {
    "type": "object",
    "properties": {"kind": {"const": "cat"}, "lives": {"type": "integer"}},
    "required": ["kind"],
}
DOG = {
    "type": "object",
    "properties": {"kind": {"enum": ["dog", "puppy"]}, "age": {"type": "integer"}},
    "required": ["kind"],
}


def passes(schema: Any, body: Any, **components: Any) -> bool:
    gate = compile_gate(Schemas(components).node(schema))
    return gate.passes(body if isinstance(body, bytes) else json.dumps(body).encode())


def test_a_gate_judges_names_and_types_and_leaves_lengths_to_the_application() -> None:
    tree = {"$ref": "#/$defs/Tree"}

    assert passes(tree, {"name": "longer than 3", "kids": [{"name": "a"}]}, Tree=TREE)
    assert not passes(tree, {"name": "a", "kids": [{"nam": "a"}]}, Tree=TREE)
    assert not passes(tree, {"name": "a", "colour": 1}, Tree=TREE)
    assert not passes(tree, {"name": 1}, Tree=TREE)


def test_recursion_leaves_nothing_behind_in_sys_modules() -> None:
    before = set(sys.modules)

    compile_gate(Schemas({"Tree": TREE}).named("Tree"))

    assert set(sys.modules) == before


def test_a_discriminated_union_is_judged_by_its_branch() -> None:
    pet = {"oneOf": [CAT, DOG]}

    assert passes(pet, {"kind": "puppy", "age": 1})
    assert not passes(pet, {"kind": "puppy", "lives": 1})
    assert not passes(pet, {"kind": "cow"})
    assert not compile_gate(Schemas({}).node(pet)).is_partial


@pytest.mark.parametrize(
    "schema",
    [
        {"anyOf": [TREE, CAT]},
        {"type": "string", "x-failsoft-opaque": True},
        {"const": True},
        {"type": "object", "properties": {'say "hi"': {"type": "string"}}},
        {**CAT, "additionalProperties": {"type": "integer"}},
        {**CAT, "x-failsoft-aliases": {"lives": ["Lives"]}},
    ],
)
def test_what_no_strict_type_says_makes_a_gate_partial(schema: Any) -> None:
    schemas = Schemas({"Tree": TREE})

    assert compile_gate(schemas.node({"type": "array", "items": schema})).is_partial


def test_an_object_of_several_kinds_is_still_an_object() -> None:
    assert passes({"anyOf": [CAT, TREE]}, {"whatever": 1}, Tree=TREE)
    assert not passes({"anyOf": [CAT, TREE]}, [], Tree=TREE)


def test_arrays_of_themselves_end() -> None:
    nest = {"type": "array", "items": {"$ref": "#/$defs/Nest"}}

    assert passes({"$ref": "#/$defs/Nest"}, [[], [[]]], Nest=nest)


def test_a_patch_leaves_out_and_nulls_what_it_likes() -> None:
    node = Schemas({"Tree": TREE}).named("Tree")
    gate = compile_gate(node, is_patch=True)

    assert gate.passes(b'{"kids": [{"name": null}]}')
    assert not gate.passes(b'{"kids": 1}')


def test_a_loosened_graph_requires_nothing() -> None:
    node = loosened(Schemas({"Tree": TREE}).named("Tree"))

    assert compile_gate(node).passes(b'{"kids": [{}]}')
    assert not compile_gate(node).passes(b'{"name": null}')


def test_no_body_counts_as_null() -> None:
    assert passes({"type": ["string", "null"]}, b"")
    assert not passes({"type": "string"}, b"")


@pytest.mark.parametrize(
    "body", [b"\xef\xbb\xbf1", b"NaN", b'"\\ud800"', b"[" * 10**6, b'"\xff"', b"1e400"]
)
def test_nothing_on_the_wire_makes_it_raise(body: bytes) -> None:
    assert not passes({"type": ["number", "array", "string"]}, body)
    assert passes({}, body) is (body == b"1e400")


def test_gates_of_a_book_share_what_they_have_in_common() -> None:
    schemas, book = Schemas({"Tree": TREE}), GateBook()
    tree = schemas.named("Tree")
    forest = schemas.node({"type": "array", "items": {"$ref": "#/$defs/Tree"}})

    compile_gate(tree, book=book)
    compile_gate(forest, book=book)

    assert book.struct(tree, False) is book.struct(forest.items or tree, False)
