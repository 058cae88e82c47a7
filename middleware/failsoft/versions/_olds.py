"""What stood where an op put something else: nodes of fields, taken back."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any

from failsoft.shapes.graph import Node, Prop, Schemas
from failsoft.versions._edits import Edit
from failsoft.versions._model import (
    ABSENT,
    Add,
    Drop,
    EnumMap,
    Join,
    Retype,
    Split,
    UnwrapList,
    WrapList,
)
from failsoft.versions._targets import Path

__all__ = ["Copy", "old_of_code", "olds_of", "unmapped"]

# Makes a node of a node.
Copy = Callable[[Node], Node]

_TYPES = {
    "str": {"type": "string"},
    "int": {"type": "integer"},
    "number": {"type": "number"},
    "bool": {"type": "boolean"},
    "epoch": {"type": "number"},
    "date-time": {"type": "string", "format": "date-time"},
}


def unmapped(op: Any, found: Sequence[Prop]) -> str:
    """Say which member of the head an enum_map leaves without an old one."""
    if not isinstance(op, EnumMap) or op.fallback is not ABSENT or op.lossy:
        return ""
    known = [new for _, new in op.values]
    members = (found[0].node.members or ()) if found else ()
    left = [member for member in members if member not in known]
    if not left:
        return ""
    names = ", ".join(repr(member) for member in left)
    return (
        f"the schema has {names}, which no old one stands for; map it or give fallback="
    )


def _node(schema: Mapping[str, Any], like: Node | None = None) -> Node:
    node = Schemas({}).node(dict(schema))
    if like is not None and "null" in like.types:
        node = replace(node, types=node.types | {"null"})
    return node


def olds_of(
    edit: Edit, found: Sequence[Prop], listed: Copy
) -> Iterator[tuple[Path, Prop]]:
    """Yield the old paths and what stood there, given what stands there now."""
    op = edit.op
    if isinstance(op, Add):
        return
    if isinstance(op, Drop):
        yield edit.old[0], Prop(_node(op.schema or _like(op.fill)), True)
        return
    first = found[0] if found else Prop(Node())
    required = first.required
    for path in edit.old:
        yield path, Prop(_old_node(op, first.node, listed), required, first.aliases)


def _old_node(op: Any, now: Node, listed: Copy) -> Node:
    if isinstance(op, Split):
        examples = [op.sep.join(op.into)]
        return _node({"type": "string", "examples": examples}, now)
    if isinstance(op, Join):
        return _node({"type": "string"}, now)
    if isinstance(op, Retype):
        return _node(_TYPES.get(op.was, {}), now)
    if isinstance(op, EnumMap) and now.members is not None:
        members = [old for old, _ in op.values]
        return _node({"enum": members}, now)
    if isinstance(op, WrapList):
        return now.items or Node()
    if isinstance(op, UnwrapList):
        return listed(now)
    return now


def _like(value: Any) -> Mapping[str, Any]:
    """Return a schema that a value fits."""
    kinds = {str: "string", bool: "boolean", int: "integer", float: "number"}
    kind = kinds.get(type(value))
    return {"type": kind} if kind and value is not ABSENT else {}


def old_of_code(place: Node, old: Mapping[str, Any]) -> None:
    """Make the old schema of a node that code migrates."""
    required = set(old.get("required", ()))
    for name in old.get("remove", ()):
        place.properties.pop(name, None)
    for name, schema in (old.get("properties") or {}).items():
        place.properties[name] = Prop(_node(schema), name in required)
