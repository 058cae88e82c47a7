"""One version's changes, undone in an OpenAPI document.

All fields that the changes of one version made are taken out first, then the old
ones are placed, so that two fields may have swapped names.  Pure.
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from failsoft.versions._document import (
    Document,
    Place,
    Renames,
    Schema,
    split_target,
)
from failsoft.versions._model import (
    ABSENT,
    Add,
    Change,
    Drop,
    EndpointAdded,
    EndpointMoved,
    EnumMap,
    Envelope,
    HeaderEdit,
    Join,
    Move,
    QueryEdit,
    Rename,
    Retype,
    Split,
    StatusEdit,
    Target,
    UnwrapList,
    Version,
    WrapList,
)

__all__ = ["undo_version"]

_TYPES: dict[str, Schema] = {
    "str": {"type": "string"},
    "int": {"type": "integer"},
    "number": {"type": "number"},
    "bool": {"type": "boolean"},
    "epoch": {"type": "integer"},
    "date-time": {"type": "string", "format": "date-time"},
}
_OF_VALUES: tuple[tuple[type, str], ...] = (
    (bool, "boolean"),
    (int, "integer"),
    (float, "number"),
    (str, "string"),
    (list, "array"),
    (dict, "object"),
)


@dataclass(slots=True)
class _Put:
    """An old field to place, once all new ones are out."""

    place: Place
    schema: Schema
    required: bool


_Puts = list[_Put]


def undo_version(document: Document, version: Version) -> None:
    """Make the document of the version before this one."""
    renames = {str(op.target): op.to for op in version.ops if isinstance(op, Rename)}
    for op in version.ops:
        route_undo = _ROUTES.get(type(op))
        if route_undo is not None:
            route_undo(document, op)
    puts: _Puts = []
    for op in version.ops:
        field_undo = _FIELDS.get(type(op))
        if field_undo is not None:
            puts += field_undo(document, op, renames)
    for put in puts:
        put.place.put(put.schema, required=put.required)
    for op in version.ops:
        if isinstance(op, Change):
            _undo_change(document, op, renames)


def _renamed(document: Document, op: Any, names: Renames) -> _Puts:
    puts = []
    old = split_target(op.target)[1]
    for place in document.fields(op.target, {**names, str(op.target): op.to}):
        schema, required = place.take()
        if schema is not None:
            puts.append(_Put(Place(place.owner, old), schema, required))
    return puts


def _moved(document: Document, op: Move, names: Renames) -> _Puts:
    puts = []
    parent, old = split_target(op.target)
    *way, last = op.to.split(".")
    for owner in document.owners(parent, names):
        found = document.way(owner, way)
        if found is None:
            continue
        chain, inner = found
        schema, required = Place(inner, last).take()
        if schema is None:
            continue
        for place in reversed(chain):
            left = place.schema or {}
            if left.get("properties"):
                required = required and place.name in place.owner.get("required", [])
                continue
            required = place.take()[1] and required
        puts.append(_Put(Place(owner, old), schema, required))
    return puts


def _added(document: Document, op: Add, names: Renames) -> _Puts:
    for place in document.fields(op.target, names):
        place.take()
    return []


def _dropped(document: Document, op: Drop, names: Renames) -> _Puts:
    if op.hidden:
        return []
    # The marks tell comparisons what nobody has declared.
    schema = {"x-failsoft-filled": True, **(op.schema or _schema_of(op.fill))}
    return [
        _Put(place, copy.deepcopy(schema), required=op.fill is not ABSENT)
        for place in document.fields(op.target, names)
    ]


def _schema_of(value: Any) -> Schema:
    """Describe a constant; a function's result is not known."""
    found = next((name for kind, name in _OF_VALUES if isinstance(value, kind)), "")
    return {"type": found} if found else {"x-failsoft-unknown": True}


def _was_split(document: Document, op: Split, names: Renames) -> _Puts:
    parent, old = split_target(op.target)
    puts = []
    for owner in document.owners(parent, names):
        taken = [Place(owner, name).take() for name in op.into]
        if any(schema is not None for schema, _ in taken):
            required = all(needed for _, needed in taken)
            # Readers and samples shall meet a text that has all its parts.
            schema = {"type": "string", "examples": [op.sep.join(op.into)]}
            puts.append(_Put(Place(owner, old), schema, required))
    return puts


def _was_joined(document: Document, op: Join, names: Renames) -> _Puts:
    parent, _ = split_target(op.targets[0])
    puts = []
    for owner in document.owners(parent, names):
        schema, required = Place(owner, op.into).take()
        if schema is not None:
            puts += [
                _Put(Place(owner, split_target(one)[1]), {"type": "string"}, required)
                for one in op.targets
            ]
    return puts


def _replaced(
    document: Document, target: Target, names: Renames, old: Callable[[Schema], Schema]
) -> None:
    for node in document.nodes(target, names):
        kept: Schema = {k: node[k] for k in ("title", "description") if k in node}
        schema = old(copy.deepcopy(node))
        node.clear()
        node.update({**kept, **schema})


def _retyped(document: Document, op: Retype, names: Renames) -> _Puts:
    def old(now: Schema) -> Schema:
        return _nullable_as(now, dict(_TYPES.get(op.was, {})))

    _replaced(document, op.target, names, old)
    return []


def _nullable_as(now: Schema, schema: Schema) -> Schema:
    """Let the old schema take null where the new one does."""
    if now.get("nullable"):
        return {**schema, "nullable": True}
    kinds = now.get("type")
    listed = isinstance(kinds, list) and "null" in kinds
    branches = [b for word in ("allOf", "anyOf", "oneOf") for b in now.get(word, ())]
    if listed or any(b.get("type") == "null" for b in branches):
        return {"anyOf": [schema, {"type": "null"}]}
    return schema


def _enum_mapped(document: Document, op: EnumMap, names: Renames) -> _Puts:
    back = {now: was for was, now in op.values}
    for node in document.nodes(op.target, names):
        for part in document.flat(node):
            for one in document.elements(part):
                members = one.get("enum", [one["const"]] if "const" in one else None)
                if members is not None:
                    one.pop("const", None)
                    one["enum"] = _old_members(members, back, op.fallback)
    return []


def _old_members(
    members: Sequence[Any], back: Mapping[Any, Any], fallback: Any
) -> list[Any]:
    old: dict[Any, None] = {}
    for member in members:
        if member in back:
            old[back[member]] = None
        elif fallback is ABSENT or member is None:
            old[member] = None
    if fallback is not ABSENT:
        old[fallback] = None
    # Two old members may have become one.
    return list(dict.fromkeys([*old, *back.values()]))


def _was_wrapped(document: Document, op: WrapList, names: Renames) -> _Puts:
    def old(now: Schema) -> Schema:
        found = next((p for p in document.flat(now) if "items" in p), {})
        return _nullable_as(now, dict(found.get("items") or {}))

    return _relisted(document, op, names, old)


def _was_list(document: Document, op: UnwrapList, names: Renames) -> _Puts:
    return _relisted(document, op, names, lambda now: {"type": "array", "items": now})


def _relisted(
    document: Document, op: Any, names: Renames, old: Callable[[Schema], Schema]
) -> _Puts:
    name = split_target(op.target)[1]
    now = op.to or name
    puts = []
    for place in document.fields(op.target, {**names, str(op.target): now}):
        schema, required = place.take()
        if schema is not None:
            holder = {"x": schema}
            own = document.resolved(holder, "x")
            puts.append(_Put(Place(place.owner, name), old(own), required))
    return puts


def _undo_change(document: Document, op: Change, names: Renames) -> None:
    for node in document.nodes(op.on, names):
        for element in document.elements(node):
            for owner in document.objects(element) or [element]:
                _merge(owner, op.old)


def _merge(owner: Schema, old: Mapping[str, Any]) -> None:
    for name in old.get("remove", ()):
        Place(owner, name).take()
    needed = old.get("required", ())
    for name, schema in old.get("properties", {}).items():
        Place(owner, name).put(copy.deepcopy(schema), required=name in needed)
    for name in needed:
        if name in owner.get("properties", {}) and name not in owner.get(
            "required", []
        ):
            owner["required"] = [*owner.get("required", []), name]
    rest = {
        k: v for k, v in old.items() if k not in ("remove", "properties", "required")
    }
    owner.update(copy.deepcopy(rest))


# --- routes -------------------------------------------------------------------


def _enveloped(document: Document, op: Envelope) -> None:
    for media in document.bodies(op.route, op.direction):
        schema = document.resolved(media, "schema")
        for owner in document.objects(schema):
            inner = owner.get("properties", {}).get(op.at)
            if inner is not None:
                media["schema"] = inner


def _status(document: Document, op: StatusEdit) -> None:
    responses = (document.operation(op.route) or {}).get("responses", {})
    for key in (op.now, str(op.now)):
        if key in responses:
            responses[type(key)(op.was)] = responses.pop(key)


def _parameters(document: Document, route: str, where: str) -> Iterator[Schema]:
    operation = document.operation(route) or {}
    listed = operation.get("parameters") or []
    for i in range(len(listed)):
        holder = {"x": listed[i]}
        own = document.resolved(holder, "x")
        if own.get("in") == where:
            listed[i] = own
            yield own


def _header(document: Document, op: HeaderEdit) -> None:
    for one in _parameters(document, op.route, "header"):
        if str(one["name"]).lower() == op.now.lower():
            one["name"] = op.was
    responses = (document.operation(op.route) or {}).get("responses") or {}
    for status in responses:
        headers = document.resolved(responses, status).get("headers") or {}
        for name in list(headers):
            if name.lower() == op.now.lower():
                headers[op.was] = headers.pop(name)


def _query(document: Document, op: QueryEdit) -> None:
    back = {now: was for was, now in op.values}
    for one in _parameters(document, op.route, "query"):
        if one["name"] == op.now:
            one["name"] = op.was
            schema = document.resolved(one, "schema")
            if "enum" in schema:
                schema["enum"] = [back.get(member, member) for member in schema["enum"]]


def _endpoint_added(document: Document, op: EndpointAdded) -> None:
    document.drop_route(op.route)


def _endpoint_moved(document: Document, op: EndpointMoved) -> None:
    operation = document.drop_route(op.now)
    if operation is not None:
        document.put_route(op.was, operation)


_ROUTES: dict[type, Callable[[Document, Any], None]] = {
    Envelope: _enveloped,
    StatusEdit: _status,
    HeaderEdit: _header,
    QueryEdit: _query,
    EndpointAdded: _endpoint_added,
    EndpointMoved: _endpoint_moved,
}
_FIELDS: dict[type, Callable[[Document, Any, Renames], _Puts]] = {
    Rename: _renamed,
    Move: _moved,
    Add: _added,
    Drop: _dropped,
    Split: _was_split,
    Join: _was_joined,
    Retype: _retyped,
    EnumMap: _enum_mapped,
    WrapList: _was_wrapped,
    UnwrapList: _was_list,
}
