"""An OpenAPI document that is edited: fields and routes by the targets of changes.

Targets look through lists, maps, nulls and references as migrations do.  What is
reached through a reference is copied first, so that a change of one field leaves
other uses of the same schema alone.  Pure.
"""

from __future__ import annotations

import copy
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from failsoft.shapes.openapi import METHODS
from failsoft.shapes.pointer import pointed, unescaped
from failsoft.versions._model import Body, Deprecate, Op, Target

__all__ = ["Document", "Place", "Renames", "Schema", "split_target"]

Schema = dict[str, Any]
# Path -> name after the version, for fields on the way to a target.
Renames = Mapping[str, str]

_UNIONS = ("allOf", "anyOf", "oneOf")
# Lists of lists, unions of unions: a recursive alias has no end.
_MOST_NESTED = 8


@dataclass(slots=True)
class Place:
    """A field of one object schema."""

    owner: Schema
    name: str

    @property
    def schema(self) -> Schema | None:
        """What the field is now, None if the object lacks it."""
        found = self.owner.get("properties", {}).get(self.name)
        return found if isinstance(found, dict) else None

    def take(self) -> tuple[Schema | None, bool]:
        """Remove the field; return what it was and whether it was required."""
        required: list[str] = self.owner.get("required", [])
        was_required = self.name in required
        if was_required:
            self.owner["required"] = [n for n in required if n != self.name]
            if not self.owner["required"]:
                del self.owner["required"]
        return self.owner.get("properties", {}).pop(self.name, None), was_required

    def put(self, schema: Schema, *, required: bool) -> None:
        """Add the field, or replace it."""
        self.owner.setdefault("properties", {})[self.name] = schema
        others = [n for n in self.owner.get("required", []) if n != self.name]
        if required or others:
            self.owner["required"] = [*others, self.name] if required else others


class Document:
    """An OpenAPI document that is edited in place; never shared."""

    def __init__(self, whole: Schema) -> None:
        self.whole = whole
        components = whole.get("components") or {}
        self.schemas: dict[str, Schema] = components.get("schemas") or {}

    # --- routes ---

    def operation(self, route: str) -> Schema | None:
        """Return the operation of `METHOD /template`."""
        method, _, path = route.partition(" ")
        item = (self.whole.get("paths") or {}).get(path)
        return item.get(method.lower()) if isinstance(item, dict) else None

    def drop_route(self, route: str) -> Schema | None:
        """Take an operation out and return it; an empty path goes too."""
        method, _, path = route.partition(" ")
        item = self.whole.get("paths", {}).get(path, {})
        found: Schema | None = item.pop(method.lower(), None)
        if not any(key in item for key in METHODS):
            self.whole.get("paths", {}).pop(path, None)
        return found

    def put_route(self, route: str, operation: Schema) -> None:
        """Place an operation."""
        method, _, path = route.partition(" ")
        self.whole.setdefault("paths", {}).setdefault(path, {})[method.lower()] = (
            operation
        )

    def announce(self, ops: Iterable[Op]) -> None:
        """Mark operations that are deprecated."""
        for op in ops:
            found = self.operation(op.route) if isinstance(op, Deprecate) else None
            if found is not None and isinstance(op, Deprecate):
                found["deprecated"] = True
                if op.sunset:
                    found["x-sunset"] = op.sunset

    def bodies(self, route: str, direction: str) -> Iterator[Schema]:
        """Yield the media types of a route's JSON bodies, 2xx of answers."""
        operation = self.operation(route) or {}
        if direction == "request":
            yield from _json_media(self.resolved(operation, "requestBody"))
            return
        responses = operation.get("responses") or {}
        for status in list(responses):
            if str(status)[:1] == "2" or status == "default":
                yield from _json_media(self.resolved(responses, status))

    def _errors(self) -> Iterator[Schema]:
        for item in (self.whole.get("paths") or {}).values():
            for method in item.keys() & METHODS:
                responses = item[method].get("responses") or {}
                for status in list(responses):
                    if str(status)[:1] in "45":
                        yield from _json_media(self.resolved(responses, status))

    # --- schemas ---

    def resolved(self, holder: Schema, key: str) -> Schema:
        """Give the holder its own copy of what it refers to, and return that."""
        value = holder.get(key)
        if not isinstance(value, dict):
            return {}
        for _ in range(32):
            ref = value.get("$ref")
            if not isinstance(ref, str):
                break
            found = pointed(self.whole, ref)
            value = copy.deepcopy(found) if isinstance(found, dict) else {}
            holder[key] = value
        return value

    def _named(self, name: str) -> list[Schema]:
        """Return a model's schemas: FastAPI may write it once per direction."""
        spellings = (name, f"{name}-Input", f"{name}-Output")
        return [self.schemas[one] for one in spellings if one in self.schemas]

    def objects(self, schema: Schema, depth: int = 0) -> list[Schema]:
        """Return the object schemas a value of this schema may be."""
        found = [schema] if "properties" in schema else []
        for word in _UNIONS if depth < _MOST_NESTED else ():
            parts: Any = schema.get(word)
            for i in range(len(parts) if isinstance(parts, list) else 0):
                holder = {str(i): parts[i]}
                part = self.resolved(holder, str(i))
                inner = self.objects(part, depth + 1)
                if inner:
                    parts[i] = part
                found += inner
        if not found and schema.get("type") in ("object", ["object", "null"]):
            found = [schema]
        return found

    def elements(self, schema: Schema, depth: int = 0) -> list[Schema]:
        """Look through lists and maps, as targets do, to what they hold."""
        out = []
        for one in self.flat(schema):
            is_list = "items" in one
            is_map = isinstance(one.get("additionalProperties"), dict)
            if depth < _MOST_NESTED and (
                is_list or (is_map and "properties" not in one)
            ):
                key = "items" if is_list else "additionalProperties"
                out += self.elements(self.resolved(one, key), depth + 1)
            else:
                out.append(one)
        return out

    def flat(self, schema: Schema, depth: int = 0) -> list[Schema]:
        """Return the branches of a union, the schema itself if it is none."""
        if depth > _MOST_NESTED or not any(word in schema for word in _UNIONS):
            return [schema]
        out = [schema] if "properties" in schema else []
        for word in _UNIONS:
            parts = schema.get(word) or []
            for i in range(len(parts)):
                holder = {"x": parts[i]}
                parts[i] = self.resolved(holder, "x")
                out += self.flat(parts[i], depth + 1)
        return out

    def nodes(self, target: Target, renames: Renames) -> list[Schema]:
        """Return every schema a target stands for, itself to be edited."""
        roots, steps = self._start(target)
        at = _head_of(target)
        for step in steps:
            at = f"{at}.{step}" if not isinstance(target, Body) else f"{at}/{step}"
            name = renames.get(at, step)
            roots = [inner for one in roots for inner in self._below(one, name)]
        return roots

    def _below(self, schema: Schema, name: str) -> list[Schema]:
        if name == "*":
            return self.elements(schema)
        return [
            self.resolved(owner["properties"], name)
            for element in self.elements(schema)
            for owner in self.objects(element)
            if name in owner.get("properties", {})
        ]

    def way(self, owner: Schema, names: list[str]) -> tuple[list[Place], Schema] | None:
        """Follow fields through objects; return their places and the last object."""
        chain: list[Place] = []
        for name in names:
            if name not in owner.get("properties", {}):
                return None
            chain.append(Place(owner, name))
            inner = self.objects(self.resolved(owner["properties"], name))
            if not inner:
                return None
            owner = inner[0]
        return chain, owner

    def owners(self, parent: Target, renames: Renames) -> list[Schema]:
        """Return the object schemas whose fields a target's last step names."""
        return [
            owner
            for node in self.nodes(parent, renames)
            for element in self.elements(node)
            for owner in self.objects(element)
        ]

    def _start(self, target: Target) -> tuple[list[Schema], list[str]]:
        if isinstance(target, Body):
            media = self.bodies(target.route, target.direction)
            steps = [unescaped(s) for s in target.pointer.split("/")[1:]]
            return [self.resolved(one, "schema") for one in media], steps
        name, *steps = target.split(".")
        if name == "@error":
            return [self.resolved(one, "schema") for one in self._errors()], steps
        # A qualified name (`shop.models.Order`) has dots of its own.
        while steps and not self._named(name):
            name = f"{name}.{steps.pop(0)}"
        known = self._named(name) or self._named(name.replace(".", "__"))
        return known, steps

    def fields(self, target: Target, renames: Renames) -> list[Place]:
        """Return the places of a target's last step, whether the field is there."""
        parent, name = split_target(target)
        name = renames.get(str(target), name)
        found = [Place(owner, name) for owner in self.owners(parent, renames)]
        return [p for p in found if p.schema is not None] or found


def _json_media(holder: Schema) -> Iterator[Schema]:
    content = holder.get("content") or {}
    for kind, media in content.items():
        if "json" in kind and "schema" in media:
            yield media


def _head_of(target: Target) -> str:
    return str(target) if isinstance(target, Body) else target.split(".")[0]


def split_target(target: Target) -> tuple[Target, str]:
    """Return the target of the object, and the field's name."""
    if isinstance(target, Body):
        parent, _, name = target.pointer.rpartition("/")
        return Body(target.route, target.direction, parent), unescaped(name)
    parent_path, _, name = target.rpartition(".")
    return parent_path, name
