"""What the slow path says of bodies, and what it never says."""

from __future__ import annotations

import datetime
import json
import uuid
from typing import Any

import pytest
from pydantic import TypeAdapter, ValidationError

from failsoft.shapes.findings import KINDS, Finding
from failsoft.shapes.graph import Node, Schemas
from failsoft.shapes.walk import repeats, walk

ORDER = {
    "type": "object",
    "properties": {
        "qty": {"type": "integer"},
        "email": {"type": "string"},
        "colour": {"enum": ["red", "blue"]},
        "when": {"type": "string", "format": "date-time"},
        "tags": {"type": "array", "items": {"type": "string"}},
        "labels": {"type": "object", "additionalProperties": {"type": "integer"}},
        "parent": {"anyOf": [{"$ref": "#/$defs/Order"}, {"type": "null"}]},
        "notes": {},
    },
    "required": ["qty"],
}


def order() -> Node:
    return Schemas({"Order": ORDER}).named("Order")


def found(body: bytes | str | Any, **options: Any) -> list[tuple[str, str]]:
    if not isinstance(body, bytes):
        body = json.dumps(body).encode()
    return [(each.kind, each.path) for each in walk(order(), body, **options).findings]


def test_all_differences_are_listed_once_each() -> None:
    body = {"email": 5, "tags": [1, "a", 2], "parent": {"qty": None, "nope": True}}

    findings = walk(order(), json.dumps(body).encode()).findings

    assert findings == (
        Finding("/qty", "missing", "integer", "absent"),
        Finding("/email", "type", "string", "int"),
        Finding("/parent/nope", "unknown", "", "bool"),
        Finding("/tags/*", "type", "string", "int"),
        Finding("/parent/qty", "null", "integer", "null"),
    )
    assert all(each.kind in KINDS for each in findings)


@pytest.mark.parametrize(
    ("body", "said"),
    [
        (b"", [("missing", "")]),
        (b"{", [("not_json", "")]),
        (b'\xef\xbb\xbf{"qty": 1}', [("encoding", "")]),
        ('{"qty": 1}'.encode("utf-16"), [("encoding", "")]),
        (b'{"qty": 1, "email": "\xff"}', [("encoding", "")]),
        (b'{"qty": 1, "email": "\\ud800"}', [("encoding", "")]),
        (b'{"qty": 1, "qty": 2}', [("duplicate", "/qty")]),
        (b'{"qty": 1e400}', [("number", "/qty")]),
        (b'{"qty": NaN}', [("number", "/qty")]),
        (b'{"qty": 1, "notes": NaN}', [("number", "")]),
        (b'{"qty": %s}' % (b"9" * 5000), [("number", "")]),
        (b'{"qty": %d}' % 2**70, []),
        (b"[" * 100_000, [("too_deep", "")]),
        (b'{"qty": 1, "__proto__": 1}', [("unknown", "/__proto__")]),
        (b'{"qty": "7"}', [("coerced", "/qty")]),
        (b'{"qty": 1, "colour": "green"}', [("enum", "/colour")]),
        (b'{"qty": 1, "when": "soon"}', [("format", "/when")]),
        (b'{"qty": 1, "tags": "a"}', [("array_scalar", "/tags")]),
        (b'{"qty": [1]}', [("array_scalar", "/qty")]),
        (b'{"QTY": 1}', [("case", "/QTY")]),
        (b'{"qty": 1, "QTY": 2}', [("ambiguous", "/QTY")]),
        (b'{"Qty": 1, "QTY": 2}', [("ambiguous", "/Qty"), ("ambiguous", "/QTY")]),
    ],
)
def test_each_kind_has_its_cause(body: bytes, said: list[tuple[str, str]]) -> None:
    kinds = found(body)

    assert [each for each in kinds if each != ("missing", "/qty")] == said


def test_a_patch_may_leave_out_and_null_everything() -> None:
    body = {"email": None, "parent": {"tags": None}}

    assert found(body, is_patch=True) == []
    assert found({"email": 1}, is_patch=True) == [("type", "/email")]


@pytest.mark.parametrize(
    "key",
    [
        "7b1cf3a0-50a1-4ea7-8a0e-2f6a5b1f8f10",
        "someone@example.org",
        "20250131",
        "deadbeefdeadbeef",
    ],
)
def test_a_key_that_is_data_is_never_named(key: str) -> None:
    assert found({"qty": 1, key: 1}) == [("unknown", "/{*}")]


def test_a_key_is_cut_cleaned_and_escaped() -> None:
    kinds = found({"qty": 1, "a/b~\n\ud800": 1, "k" * 999: 1})

    assert kinds == [("unknown", "/a~1b~0??"), ("unknown", "/" + "k" * 64)]


def test_keys_of_a_map_are_one_place() -> None:
    labels = {f"someone-{n}": "x" for n in range(500)}

    assert found({"qty": 1, "labels": labels}) == [("type", "/labels/{*}")]


def test_many_unknown_keys_are_one_place() -> None:
    body = {"qty": 1} | {f"key {n}": n for n in range(50_000)}

    assert found(body) == [("unknown", "/{*}")]


def test_what_lies_deeper_than_64_levels_is_not_looked_at() -> None:
    body: Any = {"qty": 1}
    for _ in range(70):
        body = {"qty": 1, "parent": body}

    assert found(body) == [("too_deep", "/parent" * 65)]


def test_a_walk_ends_after_20_000_values() -> None:
    body = {"qty": 1, "tags": [{}] * 30_000}

    walked = walk(order(), json.dumps(body).encode())

    assert walked.truncated
    assert [each.path for each in walked.findings] == ["/tags/*"]


@pytest.mark.parametrize("each", [{}, {"x": 1}])
def test_a_walk_of_small_items_ends_before_it_looks_through_a_large_model(
    each: dict[str, int],
) -> None:
    names = [f"p{n}" for n in range(200)]
    item = {"properties": {name: {"type": "string"} for name in names}}
    node = Schemas({}).node({"type": "array", "items": {**item, "required": names}})
    looked_at = 0

    class Counting(dict[str, Any]):
        def items(self) -> Any:
            nonlocal looked_at
            looked_at += len(self)
            return super().items()

    assert node.items is not None
    node.items.properties = Counting(node.items.properties)
    walked = walk(node, json.dumps([each] * 5_000).encode())

    assert walked.truncated
    assert looked_at < 200_000


def test_findings_end_at_100() -> None:
    properties = {f"p{n}": {"type": "integer"} for n in range(200)}
    node = Schemas({}).node({"type": "object", "properties": properties})

    walked = walk(node, json.dumps(dict.fromkeys(properties, "x")).encode())

    assert (len(walked.findings), walked.truncated) == (100, True)


def test_a_union_reports_the_branch_that_differs_least() -> None:
    cat = {"properties": {"meow": {"type": "integer"}}, "required": ["meow"]}
    dog = {
        "properties": {"bark": {"type": "integer"}, "age": {"type": "integer"}},
        "required": ["bark", "age"],
    }
    node = Schemas({}).node({"anyOf": [cat, dog]})

    walked = walk(node, b'{"bark": 1, "age": "old"}')

    assert walked.findings == (Finding("/age", "type", "integer", "str"),)


def test_a_union_may_hold_itself() -> None:
    schemas = Schemas(
        {
            "A": {"anyOf": [{"$ref": "#/$defs/B"}, {"const": "a"}]},
            "B": {"anyOf": [{"$ref": "#/$defs/A"}, {"const": "b"}]},
        }
    )

    assert walk(schemas.named("A"), b'"b"').findings == ()
    assert [f.kind for f in walk(schemas.named("A"), b'"c"').findings] == ["enum"]
    assert [f.kind for f in walk(schemas.named("A"), b"1").findings] == ["type"]


def test_a_branch_with_many_differences_does_not_hide_the_one_that_fits() -> None:
    names = [f"p{n}" for n in range(200)]
    many = {"properties": {name: {"type": "integer"} for name in names}}
    fits = {"properties": {name: {"type": "string"} for name in names}}
    node = Schemas({}).node({"anyOf": [many, fits]})

    walked = walk(node, json.dumps(dict.fromkeys(names, "x")).encode())

    assert (walked.findings, walked.truncated) == ((), False)


def test_a_tag_names_the_branch() -> None:
    cat = {
        "properties": {"kind": {"const": "cat"}, "lives": {"type": "integer"}},
        "required": ["kind", "lives"],
    }
    dog = {"properties": {"kind": {"const": "dog"}}, "required": ["kind"]}
    node = Schemas({}).node({"oneOf": [cat, dog]})

    assert [f.path for f in walk(node, b'{"kind": "cat"}').findings] == ["/lives"]
    assert [f.kind for f in walk(node, b'{"kind": "cow"}').findings] == ["enum"]
    assert [f.kind for f in walk(node, b"{}").findings] == ["missing"]


def test_an_alternative_name_is_told_and_its_value_judged() -> None:
    schema = {
        "type": "object",
        "properties": {"email": {"type": "string"}},
        "required": ["email"],
        "x-failsoft-aliases": {"email": ["mail"]},
    }
    node = Schemas({}).node(schema)

    assert [f.kind for f in walk(node, b'{"mail": "a"}').findings] == ["alias"]
    assert [f.kind for f in walk(node, b'{"mail": 1}').findings] == ["alias", "type"]
    both = walk(node, b'{"mail": "a", "email": "b"}')
    assert [f.kind for f in both.findings] == ["ambiguous"]


def test_repeats_sees_a_key_that_stands_twice_anywhere() -> None:
    assert repeats(b'[{"a": {"b": 1, "b": 1}}]')
    assert not repeats(b'[{"a": 1}, {"a": 1}]')
    assert not repeats(b"{")


SCALARS: list[Any] = [
    *(None, True, False, 0, 1, 2, -7, 1.0, 1.5, 1700000000, 0.0, 2**70, 10**4000),
    *("", "0", "1", "+7", "-7", " 7 ", "1_000", "1.0", "1.5", "1e3", ".5", "x", "nan"),
    *("yes", "No", "ON", "true", "T", "2024-01-31", "2024-01-31T10:00:00Z"),
    *("2024-01-31 10:00", "2024-01-31T10:00", "2024-01-31T00:00:00", "1700000000"),
    *("2024-13-31", "10:00", "10:00:00", "10:00:00.5", "10:00Z", "25:00"),
    *("7b1cf3a0-50a1-4ea7-8a0e-2f6a5b1f8f10", "7b1cf3a050a14ea78a0e2f6a5b1f8f10"),
    *("{7b1cf3a0-50a1-4ea7-8a0e-2f6a5b1f8f10}", "7b1cf3a0"),
    "urn:uuid:7b1cf3a0-50a1-4ea7-8a0e-2f6a5b1f8f10",
]


@pytest.mark.parametrize(
    "kind",
    [int, float, bool, str, datetime.datetime, datetime.date, datetime.time, uuid.UUID],
)
def test_coerced_is_what_pydantic_accepts_all_the_same(kind: type) -> None:
    adapter: TypeAdapter[Any] = TypeAdapter(kind)
    node = Schemas({}).node(adapter.json_schema())

    for value in SCALARS:
        findings = walk(node, json.dumps(value).encode()).findings
        try:
            adapter.validate_python(value)
        except ValidationError:
            assert findings, value
            assert findings[0].kind != "coerced", value
        else:
            assert not findings or findings[0].kind == "coerced", (value, findings)


def test_no_value_is_in_a_finding() -> None:
    canary = "canary-5f1c"
    body = {"qty": canary, "colour": canary, "labels": {canary: canary}, "tags": canary}

    findings = walk(order(), json.dumps(body).encode()).findings

    assert len(findings) == 4
    assert canary not in repr(findings)
