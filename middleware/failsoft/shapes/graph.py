"""A JSON Schema as a graph of nodes; recursive schemas are cycles in it.

Reads JSON Schema 2020-12 as of OpenAPI 3.1, and `nullable` of OpenAPI 3.0.  What it
cannot say is left open (any value), never guessed.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from failsoft.errors import DefinitionError
from failsoft.shapes.merged import Flat, Joined, SchemaDict, local_name, resolved
from failsoft.shapes.pointer import unescaped

__all__ = [
    "MAX_NODES",
    "STRICT_FORMATS",
    "Node",
    "Prop",
    "Schemas",
    "loosened",
    "over_budget",
    "reached",
]

MAX_NODES = 20_000
_MAX_JOINED = 6
# Formats whose text is checked; any other is the application's to judge.
STRICT_FORMATS = frozenset({"date-time", "date", "time", "uuid"})

_KINDS = ("null", "boolean", "integer", "number", "string", "array", "object")
# Annotations that no reader of a Node asks for: without them most scalars of a
# large document are the same node.
_PROSE = frozenset({"title", "description", "externalDocs", "deprecated", "xml"})


@dataclass(slots=True, eq=False)
class Prop:
    """A property of an object.  aliases: other names the model's own code accepts."""

    node: Node
    required: bool = False
    aliases: tuple[str, ...] = ()


@dataclass(slots=True, eq=False)
class Node:
    """One place of a schema; after the build nobody changes it.

    types: JSON types it accepts (null boolean integer number string array object),
    empty for any.  name: of the component (`Order`), "" for an inline schema; bases:
    of those it extends by `allOf`, so that it has all their properties.
    extra: None forbids other keys, True lets any pass, a Node describes them.
    branches: of a union of several non-null schemas; then the node itself holds no
    properties or items.  tag: (property, value -> branch) of a discriminator.
    members: of an enum or const.  is_opaque: the application's own code may accept
    more than the schema says.  schema: the source, for bounds, patterns, examples.
    plain: Python types of scalars that fit without a closer look; may be empty.
    """

    types: frozenset[str] = frozenset()
    name: str = ""
    properties: dict[str, Prop] = field(default_factory=dict)
    extra: Node | bool | None = True
    items: Node | None = None
    branches: tuple[Node, ...] = ()
    tag: tuple[str, dict[str, Node]] | None = None
    members: tuple[Any, ...] | None = None
    format: str = ""
    is_opaque: bool = False
    schema: Mapping[str, Any] = field(default_factory=dict)
    plain: frozenset[type] = frozenset()
    bases: tuple[str, ...] = ()

    @property
    def names(self) -> tuple[str, ...]:
        """Names of all components whose properties it has."""
        return (self.name, *self.bases) if self.name else self.bases

    def below(self) -> Iterator[Node]:
        """Yield the nodes it refers to; one may come twice, and itself."""
        for prop in self.properties.values():
            yield prop.node
        yield from self.branches
        for each in (self.items, self.extra):
            if isinstance(each, Node):
                yield each

    def leaves(self) -> list[Node]:
        """Return what a union of unions comes down to, each once; else itself."""
        found: list[Node] = []
        seen: set[int] = set()
        todo = [self]
        while todo:
            node = todo.pop()
            if id(node) in seen:
                continue
            seen.add(id(node))
            if node.branches and not node.is_opaque:
                todo += reversed(node.branches)
            else:
                found.append(node)
        return found


class Schemas:
    """Makes nodes of schemas that share components; the same schema, the same node.

    components: by name, what `#/components/schemas/`, `#/$defs/` and
    `#/definitions/` refer to.  document: where any other local pointer leads.
    transparent: components whose own validators count as accepting no more than
    their schema.  is_output: of what the application answers: its validators judge
    what comes in, so nothing is opaque and names have no alternatives.
    Raises DefinitionError for a reference that is not local, or leads nowhere.
    Not safe to use from two threads at once.
    """

    def __init__(
        self,
        components: Mapping[str, SchemaDict],
        *,
        document: SchemaDict | None = None,
        transparent: Iterable[str] = (),
        is_output: bool = False,
    ) -> None:
        self.components = components
        self._document = document or {}
        self._transparent = frozenset(transparent)
        self._is_output = is_output
        # id -> (the schema itself, kept so that its id stays its own; the node)
        self._made: dict[tuple[int, bool], tuple[SchemaDict | bool, Node]] = {}
        self._names = {id(schema): name for name, schema in components.items()}
        self._scalars: dict[str, Node] = {}
        self._todo: list[tuple[Node, Flat, int]] = []
        self._joined_level = 0
        self._joined_count = 0
        self._following: set[int] = set()

    def node(self, schema: SchemaDict | bool) -> Node:
        """Return the node of a schema, complete with all it refers to."""
        root = self._shell(schema)
        unions: list[Node] = []
        while self._todo:
            node, flat, self._joined_level = self._todo.pop()
            self._fill(node, flat)
            if flat.branches:
                unions.append(node)
        self._joined_level = 0
        _settle(unions)
        return root

    def named(self, name: str) -> Node:
        """Return the node of a component."""
        return self.node(self.components[name])

    def _shell(self, schema: SchemaDict | bool, *, nullable: bool = False) -> Node:
        """Return the node of a schema, perhaps still empty but on the list."""
        known = self._made.get((id(schema), nullable))
        if known is not None:
            return known[1]
        level = self._joined_level
        self._joined_level = level + 1 if isinstance(schema, Joined) else 0
        self._joined_count += self._joined_level > 0
        # Recursive schemas that are joined with each other would never end.
        is_endless = self._joined_level > _MAX_JOINED or self._joined_count > MAX_NODES
        flat = Flat({}) if is_endless else resolved(schema, self._lookup)
        flat.is_nullable = flat.is_nullable or nullable
        named = schema if flat.named is None else flat.named
        node = self._same(flat, self._names.get(id(named), ""))
        self._joined_level = level
        self._made[id(schema), nullable] = (schema, node)
        return node

    def _same(self, flat: Flat, name: str) -> Node:
        """Return the node that stands for the same thing, else a new one."""
        if flat.target is not None:
            return self._follow(flat.target, flat.is_nullable)
        if not flat.is_scalar:
            return self._new(flat, name)
        kept = {k: v for k, v in flat.schema.items() if k not in _PROSE}
        key = repr((name, flat.is_nullable, sorted(kept.items(), key=_first)))
        if key not in self._scalars:
            flat.schema = kept
            self._scalars[key] = self._new(flat, name)
        return self._scalars[key]

    def _follow(self, target: SchemaDict | bool, nullable: bool) -> Node:
        if id(target) in self._following:
            name = self._names.get(id(target), "a schema")
            raise DefinitionError([f"{name} is only a $ref to itself; define it"])
        self._following.add(id(target))
        try:
            return self._shell(target, nullable=nullable)
        finally:
            self._following.discard(id(target))

    def _new(self, flat: Flat, name: str) -> Node:
        node = Node(name=name, schema=flat.schema)
        self._todo.append((node, flat, self._joined_level))
        return node

    def _lookup(self, ref: str) -> SchemaDict | bool:
        name = local_name(ref)
        if name is not None and name in self.components:
            return self.components[name]
        if not ref.startswith("#"):
            raise DefinitionError(
                [
                    f"$ref {ref!r} is not in this document; only local references "
                    "(#/...) are followed: bundle the files into one"
                ]
            )
        place: Any = self._document
        for part in ref[1:].strip("/").split("/") if ref != "#" else ():
            part = unescaped(part)
            if isinstance(place, Sequence) and part.isdigit():
                place = place[int(part)] if int(part) < len(place) else None
            else:
                place = place.get(part) if isinstance(place, Mapping) else None
        if not isinstance(place, (Mapping, bool)):
            raise DefinitionError(
                [f"$ref {ref!r} leads nowhere; name a schema of the document"]
            )
        return place

    def _fill(self, node: Node, flat: Flat) -> None:
        schema = flat.schema
        bases = (self._names.get(id(base), node.name) for base in flat.bases)
        node.bases = tuple(dict.fromkeys(base for base in bases if base != node.name))
        node.is_opaque = bool(schema.get("x-failsoft-opaque")) and not (
            self._is_output
            or node.name in self._transparent
            or node.name.removesuffix("-Input") in self._transparent
        )
        if flat.branches:
            node.branches = tuple(self._shell(branch) for branch in flat.branches)
            node.types = frozenset({"null"} if flat.is_nullable else ())
            node.tag = self._declared_tag(schema, flat.branches, node.branches)
            return
        node.format = str(schema.get("format", ""))
        node.members = _members(schema)
        node.types = _types(schema, node.members, node.format)
        if flat.is_nullable and node.types:
            node.types |= {"null"}
        if node.members is None and not node.is_opaque:
            node.plain = _plain(node.types, node.format)
        self._fill_object(node, schema)
        items = _items(schema)
        if isinstance(items, (Mapping, bool)):
            node.items = self._shell(items) if items is not True else None

    def _fill_object(self, node: Node, schema: SchemaDict) -> None:
        required = frozenset(schema.get("required") or ())
        aliases = {} if self._is_output else schema.get("x-failsoft-aliases") or {}
        for name, sub in (schema.get("properties") or {}).items():
            node.properties[name] = Prop(
                self._shell(sub), name in required, tuple(aliases.get(name, ()))
            )
        node.extra = self._extra(schema)

    def _extra(self, schema: SchemaDict) -> Node | bool | None:
        extra = schema.get("additionalProperties", schema.get("unevaluatedProperties"))
        patterns = schema.get("patternProperties") or {}
        if patterns:
            # Of a map keyed by one pattern the values are known; else left open.
            lone = len(patterns) == 1 and not schema.get("properties") and not extra
            return self._shell(next(iter(patterns.values()))) if lone else True
        if isinstance(extra, Mapping):
            return self._shell(extra) if extra else True
        if extra is None and "discriminator" in schema:
            return True  # a parent: what extends it has more
        if extra is None:
            return None if schema.get("properties") else True
        return True if extra else None

    def _declared_tag(
        self,
        schema: SchemaDict,
        members: Sequence[SchemaDict | bool],
        branches: tuple[Node, ...],
    ) -> tuple[str, dict[str, Node]] | None:
        declared = schema.get("discriminator")
        if not isinstance(declared, Mapping) or "propertyName" not in declared:
            return None
        by_value: dict[str, Node] = {}
        for value, ref in (declared.get("mapping") or {}).items():
            ref = ref if "/" in ref or "#" in ref else f"#/components/schemas/{ref}"
            by_value[value] = self._shell({"$ref": ref})
        if not by_value:
            for member, branch in zip(members, branches, strict=True):
                if isinstance(member, Mapping) and "$ref" in member:
                    by_value[local_name(member["$ref"]) or ""] = branch
        known = {id(branch) for branch in branches}
        if not by_value or any(id(node) not in known for node in by_value.values()):
            return None
        return str(declared["propertyName"]), by_value


def _items(schema: SchemaDict) -> Any:
    """Return what each item of an array is, None if that is not known."""
    fixed = schema.get("prefixItems")
    if fixed is None:
        return schema.get("items")
    # Of a tuple each item is one of those; which one, the application judges.
    is_closed = schema.get("items") is False or schema.get("maxItems") == len(fixed)
    if not fixed or not is_closed:
        return None
    return fixed[0] if all(one == fixed[0] for one in fixed) else {"anyOf": fixed}


def _first(pair: tuple[str, Any]) -> str:
    return pair[0]


def _members(schema: SchemaDict) -> tuple[Any, ...] | None:
    """Return what an enum or const allows, without null, which is a type."""
    if "const" in schema:
        values: Sequence[Any] = (schema["const"],)
    elif isinstance(schema.get("enum"), Sequence):
        values = schema["enum"]
    else:
        return None
    return tuple(value for value in values if value is not None)


def _types(
    schema: SchemaDict, members: tuple[Any, ...] | None, format_: str
) -> frozenset[str]:
    declared = schema.get("type")
    if isinstance(declared, str):
        types = {declared}
    elif isinstance(declared, Sequence):
        types = {str(each) for each in declared}
    elif members is not None:
        types = {_kind(value) for value in members}
    elif "properties" in schema or "additionalProperties" in schema:
        types = {"object"}
    else:
        types = {"array"} if "items" in schema or "prefixItems" in schema else set()
    if schema.get("const", 0) is None or None in (schema.get("enum") or ()):
        types.add("null")
    if format_ == "int-or-string":  # Kubernetes declares a string for both
        types |= {"string", "integer"}
    return frozenset(types & set(_KINDS))


def _plain(types: frozenset[str], format_: str) -> frozenset[type]:
    plain: dict[str, type] = {"null": type(None), "boolean": bool, "integer": int}
    if format_ not in STRICT_FORMATS:
        plain["string"] = str
    return frozenset(plain[each] for each in types if each in plain)


def _kind(value: Any) -> str:
    kinds = {bool: "boolean", int: "integer", float: "number", str: "string"}
    return kinds.get(type(value), "array" if isinstance(value, list) else "object")


def _settle(unions: list[Node]) -> None:
    """Work out what unions accept, and by which property they can be told apart."""
    changed = True
    while changed:  # unions of unions, perhaps in a cycle: until nothing moves
        changed = False
        for union in unions:
            types = union.types.union(*(branch.types for branch in union.branches))
            if types != union.types:
                union.types, changed = types, True
    anything = {id(union) for union in unions if _holds_any(union)}
    for union in unions:
        if id(union) in anything:
            union.types = frozenset()
        if union.tag is None:
            union.tag = _tag_of(union.branches)


def _holds_any(union: Node) -> bool:
    seen, todo = {id(union)}, list(union.branches)
    while todo:
        node = todo.pop()
        if not node.branches and not node.types:
            return True
        if id(node) not in seen:
            seen.add(id(node))
            todo += node.branches
    return False


def _tag_of(branches: tuple[Node, ...]) -> tuple[str, dict[str, Node]] | None:
    """Find a required property whose constants name exactly one object branch."""
    objects = [branch for branch in branches if "object" in branch.types]
    if len(objects) < 2 or any(b.branches or len(b.types) > 1 for b in objects):
        return None
    for name in objects[0].properties:
        by_value: dict[str, Node] = {}
        for branch in objects:
            values = _constants(branch.properties.get(name))
            if not values or any(value in by_value for value in values):
                break
            by_value.update(dict.fromkeys(values, branch))
        else:
            return name, by_value
    return None


def _constants(prop: Prop | None) -> tuple[str, ...]:
    if prop is None or not prop.required or prop.node.types != {"string"}:
        return ()
    return prop.node.members or ()


def reached(roots: Iterable[Node]) -> dict[int, Node]:
    """Return every node that roots lead to, by id."""
    found: dict[int, Node] = {}
    todo = list(roots)
    while todo:
        node = todo.pop()
        if id(node) in found:
            continue
        found[id(node)] = node
        todo += node.below()
    return found


def over_budget(
    operations: Mapping[str, Sequence[Node]], max_nodes: int = MAX_NODES
) -> tuple[str, ...]:
    """Name the largest operations, which without the rest fits into max_nodes.

    operations: roots by name.  Empty if all nodes together stay within the limit.
    """
    if len(reached(n for roots in operations.values() for n in roots)) <= max_nodes:
        return ()
    found = {name: reached(roots) for name, roots in operations.items()}
    kept: set[int] = set()
    dropped: list[str] = []
    for name in sorted(found, key=lambda each: (len(found[each]), each)):
        if len(kept | found[name].keys()) > max_nodes:
            dropped.append(name)
        else:
            kept |= found[name].keys()
    return tuple(sorted(dropped))


def loosened(root: Node) -> Node:
    """Return a copy of a graph in which no property is required."""
    copies = {key: Node() for key in reached([root])}
    for key, node in reached([root]).items():
        copy = copies[key]
        for name in Node.__slots__:
            setattr(copy, name, getattr(node, name))
        copy.properties = {
            name: Prop(copies[id(prop.node)], False, prop.aliases)
            for name, prop in node.properties.items()
        }
        copy.branches = tuple(copies[id(branch)] for branch in node.branches)
        copy.items = copies[id(node.items)] if node.items else None
        if isinstance(node.extra, Node):
            copy.extra = copies[id(node.extra)]
        if node.tag is not None:
            # A discriminator that may be absent tells nothing apart.
            copy.tag = None
    return copies[id(root)]
