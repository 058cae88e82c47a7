"""Random schemas, and bodies that fit them or nearly do: for laws of shapes."""

from __future__ import annotations

import datetime
import json
import uuid
from typing import Any

from hypothesis import strategies as st

from failsoft.shapes.graph import Node

Schema = dict[str, Any]

NAMES = ("id", "kind", "qty", "Name", "when", "kids", "next", "x_y")
_TEXTS = st.sampled_from(["", "a", "b", "x1", "12", "true", "2024-01-31", "ü", "a/b"])
_FORMATS = ("date-time", "date", "time", "uuid", "email")


def _scalars() -> st.SearchStrategy[Schema]:
    return st.one_of(
        st.sampled_from(["string", "integer", "number", "boolean", "null"]).map(
            lambda kind: {"type": kind}
        ),
        st.sampled_from(_FORMATS).map(lambda f: {"type": "string", "format": f}),
        st.sampled_from(
            [
                {"enum": ["a", "b"]},
                {"const": "x1"},
                {"enum": [1, 2, None]},
                {"enum": ["a", 3]},
                {"const": True},
                {"type": "number", "enum": [1, 2.5]},
                {"type": ["string", "null"]},
                {"type": "string", "nullable": True},
                {},
                {"type": "string", "x-failsoft-opaque": True},
            ]
        ),
    )


def _objects(inner: st.SearchStrategy[Schema]) -> st.SearchStrategy[Schema]:
    properties = st.dictionaries(st.sampled_from(NAMES), inner, max_size=4)

    def finish(parts: tuple[Schema, int, Any, bool]) -> Schema:
        found, seed, extra, is_aliased = parts
        out: Schema = {"type": "object", "properties": found}
        out["required"] = [n for at, n in enumerate(found) if seed >> at & 1]
        if extra is not None:
            out["additionalProperties"] = extra
        if is_aliased and found:
            out["x-failsoft-aliases"] = {next(iter(found)): ["other"]}
        return out

    extra = st.one_of(st.none(), st.booleans(), inner)
    rare = st.integers(0, 7).map(lambda n: n == 0)
    return st.tuples(properties, st.integers(0, 15), extra, rare).map(finish)


def _tagged(inner: st.SearchStrategy[Schema]) -> st.SearchStrategy[Schema]:
    def finish(both: tuple[Schema, Schema]) -> Schema:
        for tag, branch in zip(("a", "b"), both, strict=True):
            branch["properties"] = {**branch["properties"], "kind": {"const": tag}}
            branch["required"] = [*branch["required"], "kind"]
        return {"oneOf": list(both)}

    return st.tuples(_objects(inner), _objects(inner)).map(finish)


def _deeper(inner: st.SearchStrategy[Schema]) -> st.SearchStrategy[Schema]:
    return st.one_of(
        _objects(inner),
        inner.map(lambda items: {"type": "array", "items": items}),
        inner.map(lambda each: {"type": "object", "additionalProperties": each}),
        inner.map(lambda each: {"anyOf": [each, {"type": "null"}]}),
        st.lists(inner, min_size=2, max_size=3).map(lambda each: {"anyOf": each}),
        _tagged(inner),
        st.tuples(_objects(inner), _objects(inner)).map(lambda both: {"allOf": both}),
    )


def documents() -> st.SearchStrategy[dict[str, Schema]]:
    """Components A (the root) and B, which may refer to each other and themselves."""
    leaves = st.one_of(
        _scalars(), st.sampled_from("AB").map(lambda n: {"$ref": f"#/$defs/{n}"})
    )
    each = _objects(st.recursive(leaves, _deeper, max_leaves=6))
    return st.fixed_dictionaries({"A": each, "B": each})


@st.composite
def values(draw: st.DrawFn, node: Node, depth: int = 0) -> Any:
    """A value that mostly fits; now and then something else."""
    if draw(st.integers(0, 40)) == 0:
        return draw(_anything())
    if node.branches:
        return draw(values(draw(st.sampled_from(node.branches)), depth + 1))
    if node.members:
        return draw(st.sampled_from(node.members))
    kind = draw(st.sampled_from(sorted(node.types or {"string", "integer"})))
    if kind == "array":
        size = 0 if node.items is None or depth > 4 else draw(st.integers(0, 2))
        return [draw(values(node.items or Node(), depth + 1)) for _ in range(size)]
    return draw(_object(node, depth) if kind == "object" else _scalar(kind, node))


@st.composite
def _object(draw: st.DrawFn, node: Node, depth: int) -> Any:
    out = {}
    for name, prop in node.properties.items():
        wanted = draw(st.integers(0, 30)) > 0 if prop.required else draw(st.booleans())
        if wanted and (depth < 5 or prop.required) and depth < 8:
            out[name] = draw(values(prop.node, depth + 1))
    if draw(st.integers(0, 12)) == 0:
        key = draw(st.sampled_from([*NAMES, "other", "NAME", "x-y", "zz"]))
        out[key] = draw(_anything())
    if isinstance(node.extra, Node) and depth < 4:
        for key in draw(st.lists(st.sampled_from(["k", "1"]), max_size=2)):
            out[key] = draw(values(node.extra, depth + 1))
    return out


def _scalar(kind: str, node: Node) -> st.SearchStrategy[Any]:
    formats: dict[str, st.SearchStrategy[str]] = {
        "date-time": st.datetimes().map(datetime.datetime.isoformat),
        "date": st.dates().map(datetime.date.isoformat),
        "time": st.times().map(datetime.time.isoformat),
        "uuid": st.integers(0, 2**128 - 1).map(lambda n: str(uuid.UUID(int=n))),
    }
    by_kind: dict[str, st.SearchStrategy[Any]] = {
        "null": st.none(),
        "boolean": st.booleans(),
        "integer": st.integers(-(2**70), 2**70),
        "number": st.one_of(st.integers(), st.floats(allow_nan=False).map(_finite)),
        "string": formats.get(node.format, st.one_of(_TEXTS, st.text(max_size=5))),
    }
    return by_kind[kind]


def _finite(number: float) -> float:
    return number if abs(number) < 1e308 else 1.5


def _anything() -> st.SearchStrategy[Any]:
    scalars = st.one_of(
        st.none(), st.booleans(), st.integers(-9, 9), st.floats(), _TEXTS
    )
    return st.recursive(
        scalars,
        lambda inner: st.one_of(
            st.lists(inner, max_size=2),
            st.dictionaries(st.sampled_from(NAMES), inner, max_size=2),
        ),
        max_leaves=4,
    )


def body_of(value: Any) -> bytes:
    return json.dumps(value, ensure_ascii=False).encode("utf-8", "surrogatepass")
