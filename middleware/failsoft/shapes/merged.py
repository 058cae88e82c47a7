"""One schema with its references followed, `allOf` merged and null folded away."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any
from urllib.parse import unquote

from failsoft.shapes.pointer import unescaped

__all__ = ["Flat", "Joined", "SchemaDict", "local_name", "resolved"]

SchemaDict = Mapping[str, Any]
Lookup = Callable[[str], "SchemaDict | bool"]

_HOMES = ("#/components/schemas/", "#/$defs/", "#/definitions/")
# Keywords that say what a value looks like; beside a $ref or a union anything else
# is prose, or a bound that the application judges.
_SHAPING = frozenset(
    {
        *("type", "enum", "const", "format", "properties", "required", "items"),
        *("additionalProperties", "unevaluatedProperties", "patternProperties"),
        *("allOf", "anyOf", "oneOf", "$ref", "prefixItems"),
        *("x-failsoft-opaque", "x-failsoft-aliases"),
    }
)
_DEEP = frozenset({"properties", "items", "additionalProperties", "patternProperties"})
# A schema that extends itself would never end.
_MAX_PARTS = 200


class Joined(dict[str, Any]):
    """A schema that no document holds: made here, so that two hold at once."""


@dataclass(slots=True)
class Flat:
    """What is left of a schema: one dict, or the branches of a union.

    target: the one schema it stands for, perhaps nullable; None if it says more.
    named: the component whose name it bears though it is not quite the same.
    bases: what it refers to and has all of, `allOf: [{$ref: Pet}, ...]`.
    """

    schema: SchemaDict
    is_nullable: bool = False
    branches: tuple[SchemaDict | bool, ...] = ()
    target: SchemaDict | bool | None = None
    named: SchemaDict | bool | None = None
    bases: tuple[SchemaDict | bool, ...] = ()

    @property
    def is_scalar(self) -> bool:
        """Tell whether nothing hangs below it."""
        return not self.branches and not (_DEEP & self.schema.keys())


def local_name(ref: str) -> str | None:
    """Return the component a reference names, None for another pointer."""
    for home in _HOMES:
        if ref.startswith(home) and "/" not in ref[len(home) :]:
            return unescaped(unquote(ref[len(home) :]))
    return None


def resolved(schema: SchemaDict | bool, lookup: Lookup) -> Flat:
    """Reduce a schema to what it says by itself; what hangs below is not touched.

    lookup: follows a reference; what it raises passes through.
    """
    if not isinstance(schema, Mapping):
        return Flat({})
    if "$ref" not in schema and "allOf" not in schema:
        return _without_union(schema)
    shaping = _SHAPING & schema.keys()
    if shaping == {"$ref"}:
        return Flat(schema, _nullable(schema), target=lookup(schema["$ref"]))
    if shaping == {"allOf"} and len(schema["allOf"]) == 1:
        return Flat(schema, _nullable(schema), target=schema["allOf"][0])
    parts, bases = _parts(schema, lookup)
    flat = _without_union(_merged(parts))
    flat.bases = bases
    if shaping == {"$ref", "x-failsoft-opaque"}:
        flat.named = lookup(schema["$ref"])
    return flat


def _nullable(schema: SchemaDict) -> bool:
    return schema.get("nullable") is True


def _is_null(schema: SchemaDict | bool) -> bool:
    if not isinstance(schema, Mapping):
        return False
    if schema.get("type") in ("null", ["null"]):
        return True
    return schema.get("enum") == [None] or schema.get("const", 0) is None


def _without_union(schema: SchemaDict) -> Flat:
    """Fold null out of a union, and what stands beside it into its branches."""
    union = schema.get("anyOf") or schema.get("oneOf")
    if not union:
        return Flat(schema, _nullable(schema))
    members = [member for member in union if not _is_null(member)]
    is_nullable = _nullable(schema) or len(members) < len(union)
    beside = {
        key: value
        for key, value in schema.items()
        if key in _SHAPING and key not in ("anyOf", "oneOf")
    }
    if all(not (_SHAPING - {"required"}) & _keys(member) for member in members):
        # Which keys go together: the application judges that.
        return Flat({**schema, "anyOf": (), "oneOf": ()}, is_nullable)
    if beside.keys() <= {"type", "x-failsoft-opaque"} and len(members) > 1:
        return Flat(schema, is_nullable, tuple(members))
    if len(members) == 1 and not beside:
        return Flat(schema, is_nullable, target=members[0])
    if beside.keys() == {"x-failsoft-opaque"} and isinstance(members[0], Mapping):
        return Flat(schema, is_nullable, target=Joined({**members[0], **beside}))
    both = tuple(Joined(allOf=[beside, member]) for member in members)
    if len(both) == 1:
        return Flat(schema, is_nullable, target=both[0])
    return Flat(schema, is_nullable, both)


def _keys(schema: SchemaDict | bool) -> frozenset[str]:
    return frozenset(schema) if isinstance(schema, Mapping) else frozenset()


def _parts(
    schema: SchemaDict, lookup: Lookup
) -> tuple[list[SchemaDict], tuple[SchemaDict | bool, ...]]:
    """List what has to hold at once: the schema, what it refers to, its `allOf`.

    Also those of them that it refers to.
    """
    parts: list[SchemaDict] = []
    bases: list[SchemaDict | bool] = []
    todo: list[SchemaDict | bool] = [schema]
    while todo and len(parts) < _MAX_PARTS:
        part = todo.pop(0)
        if not isinstance(part, Mapping):
            continue
        parts.append(part)
        if "$ref" in part:
            bases.append(lookup(part["$ref"]))
            todo.append(bases[-1])
        todo += part.get("allOf") or ()
    return parts, tuple(bases)


def _merged(parts: Sequence[SchemaDict]) -> SchemaDict:
    out: dict[str, Any] = {}
    for part in parts:
        for key, value in part.items():
            if key in ("$ref", "allOf"):
                continue
            if key == "discriminator" and part is not parts[0]:
                continue  # of the parent it extends, not of this one
            if key not in out:
                out[key] = value
            elif key in _MERGES:  # else the first, outermost one holds
                out[key] = _MERGES[key](out[key], value)
    return out


def _types_of(value: Any) -> list[str]:
    return [value] if isinstance(value, str) else list(value)


def _both_types(one: Any, two: Any) -> Any:
    ones, twos = _types_of(one), _types_of(two)
    common = [t for t in ones if t in twos or (t == "integer" and "number" in twos)]
    common += [t for t in twos if t == "integer" and "number" in ones]
    return list(dict.fromkeys(common)) or one


def _both(one: Any, two: Any) -> Any:
    return one if one is two or one == two else Joined(allOf=[one, two])


def _both_properties(one: Any, two: Any) -> Any:
    shared = {name: _both(one[name], two[name]) for name in one if name in two}
    return {**one, **two, **shared}


def _both_extra(one: Any, two: Any) -> Any:
    return one if one is not False else two


_MERGES: Mapping[str, Callable[[Any, Any], Any]] = {
    "type": _both_types,
    "enum": lambda one, two: [value for value in one if value in two] or one,
    "properties": _both_properties,
    "required": lambda one, two: list(dict.fromkeys([*one, *two])),
    "items": _both,
    "additionalProperties": _both_extra,
    "nullable": lambda one, two: bool(one or two),
    "anyOf": lambda one, two: one,
    "oneOf": lambda one, two: one,
}
