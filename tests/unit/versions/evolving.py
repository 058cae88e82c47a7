"""Random APIs that change: schemas, the ops that changed them, bodies of the oldest.

A schema is kept as field -> type, a type as a tuple: ("str",), ("int",), ("number",),
("bool",), ("any",), ("enum", *members), ("box", fields), ("list", type), ("map", type)
or ("ref", name).  Bodies are made as JSON text, so that numbers keep their spelling.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any

from hypothesis import strategies as st

from failsoft.routes.models import Models, RouteShapes
from failsoft.shapes.graph import Schemas
from failsoft.versions import Contract, Version, _words
from failsoft.versions._chain import Chains, compile_contract

Fields = dict[str, Any]

ROUTE = "POST /things"
_START: dict[str, Fields] = {
    "Thing": {
        "name": ("str",),
        "title": ("str",),
        "count": ("int",),
        "weight": ("number",),
        "state": ("enum", "on", "off"),
        "loose": ("any",),
        "part": ("ref", "Part"),
        "parts": ("list", ("ref", "Part")),
        "by_key": ("map", ("ref", "Part")),
        "next": ("ref", "Thing"),
    },
    "Part": {
        "name": ("str",),
        "size": ("int",),
        "flag": ("bool",),
        "owner": ("ref", "Thing"),
    },
}
_NUMBERS = ("1e400", "-0", "1.50", str(2**70), "0.1234567890123456789012345", "7")
_WORDS = ("", "a", "Ann Lee", "Prince ", " x", "Ü\\u0041", "a  b", "12")
_MEMBERS = ("on", "off", "far", "near")


@dataclass
class Api:
    """What was drawn.  old: the fields at first."""

    chains: Chains
    old: dict[str, Fields]
    version: str


@st.composite
def apis(draw: st.DrawFn) -> Api:
    """Draw an API of one to four versions after the first."""
    state: dict[str, Fields] = {n: dict(fields) for n, fields in _START.items()}
    fresh = iter(f"f{i}" for i in range(1000))
    versions = [Version("2025-01-01")]
    for month in range(2, 2 + draw(st.integers(1, 4))):
        ops: list[Any] = []
        for name, fields in state.items():
            free = [f for f in fields if fields[f][0] != "box"]
            some = st.lists(st.sampled_from(free), unique=True, max_size=3)
            chosen = draw(some) if free else []
            ops += _change_some(draw, name, fields, chosen, fresh)
        versions.append(Version(f"2025-{month:02d}-01", *ops))
    old = {name: dict(fields) for name, fields in _START.items()}
    return Api(_compiled(state, versions), old, "2025-01-01")


def _change_some(
    draw: st.DrawFn, schema: str, fields: Fields, chosen: list[str], fresh: Any
) -> list[Any]:
    if len(chosen) >= 2 and draw(st.booleans()):
        one, other, *chosen = chosen
        fields[one], fields[other] = fields[other], fields[one]
        swap = [
            _words.rename(f"{schema}.{one}", to=other),
            _words.rename(f"{schema}.{other}", to=one),
        ]
    else:
        swap = []
    made = [_change(draw, schema, fields, name, fresh) for name in chosen]
    if draw(st.booleans()):
        name = next(fresh)
        fields[name] = ("str",)
        made.append(_words.add(f"{schema}.{name}", default="new"))
    return [*swap, *made]


def _change(draw: st.DrawFn, schema: str, fields: Fields, name: str, fresh: Any) -> Any:
    kind, target = fields[name], f"{schema}.{name}"
    fitting = {
        "str": ["split"],
        "int": ["retype", "wrap"],
        "number": ["as_text"],
        "bool": ["as_word"],
        "enum": ["members"],
    }.get(kind[0], [])
    choice = draw(st.sampled_from(["rename", "move", *fitting]))
    to, second = next(fresh), next(fresh)
    del fields[name]
    match choice:
        case "rename":
            fields[to] = kind
            return _words.rename(target, to=to)
        case "move":
            fields[to] = ("box", {second: kind})
            return _words.move(target, to=f"{to}.{second}")
        case "split":
            fields[to] = fields[second] = ("str",)
            return _words.split(target, into=[to, second])
        case "wrap":
            fields[to] = ("list", kind)
            return _words.wrap_list(target, to=to)
        case "members":
            members = [f"{member}_" for member in kind[1:]]
            fields[name] = ("enum", *members)
            return _words.enum_map(target, dict(zip(kind[1:], members, strict=True)))
    fields[name] = ("str",)
    was = {"retype": "int", "as_text": "number", "as_word": "bool"}[choice]
    return _words.retype(target, was=was, now="str")


def _compiled(state: dict[str, Fields], versions: list[Version]) -> Chains:
    components = {name: _object(fields) for name, fields in state.items()}
    schemas = Schemas(components)
    node = schemas.named("Thing")
    shapes = RouteShapes(node, {200: node})
    names = {name: (schemas.named(name),) for name in components}
    return compile_contract(Contract(versions), Models({ROUTE: shapes}, names))


def _object(fields: Fields) -> dict[str, Any]:
    properties = {name: _schema(kind) for name, kind in fields.items()}
    return {"type": "object", "properties": properties}


def _schema(kind: Any) -> dict[str, Any]:
    words = {"str": "string", "int": "integer", "number": "number", "bool": "boolean"}
    match kind[0]:
        case "enum":
            return {"enum": list(kind[1:])}
        case "box":
            return _object(kind[1])
        case "list":
            return {"type": "array", "items": _schema(kind[1])}
        case "map":
            return {"type": "object", "additionalProperties": _schema(kind[1])}
        case "ref":
            return {"$ref": f"#/$defs/{kind[1]}"}
    return {"type": words[kind[0]]} if kind[0] in words else {}


# --- bodies ---------------------------------------------------------------------


def bodies(api: Api) -> st.SearchStrategy[str]:
    """Bodies of the oldest version, as JSON text; nested three deep at most."""
    return _texts(("ref", "Thing"), api.old, 3)


def _texts(kind: Any, state: dict[str, Fields], depth: int) -> st.SearchStrategy[str]:
    match kind[0]:
        case "str":
            return st.sampled_from([f'"{word}"' for word in _WORDS])
        case "int":
            return st.sampled_from(["0", "-7", str(2**70)])
        case "number":
            return st.sampled_from(_NUMBERS)
        case "bool":
            return st.sampled_from(["true", "false", "null"])
        case "enum":
            return st.sampled_from([json.dumps(member) for member in kind[1:]])
        case "any":
            return st.sampled_from([*_NUMBERS, "[1,  2]", '{"a" : 1e400}', "null"])
        case "list":
            return st.lists(_texts(kind[1], state, depth), max_size=2).map(_array)
        case "map":
            inner = _texts(kind[1], state, depth)
            keys = st.sampled_from(["k", "name", "f1"])
            return st.dictionaries(keys, inner, max_size=2).map(_members)
    if depth == 0:
        return st.just("null")
    fields = {
        name: st.deferred(lambda k=inner: _texts(k, state, depth - 1))  # type: ignore[misc]
        for name, inner in state[kind[1]].items()
    }
    return st.fixed_dictionaries({}, optional=fields).map(_members)


def _array(items: list[str]) -> str:
    return f"[{', '.join(items)}]"


def _members(members: dict[str, str]) -> str:
    return "{" + ", ".join(f'"{key}": {text}' for key, text in members.items()) + "}"
