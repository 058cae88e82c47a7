"""A JSON Schema as a graph of nodes; recursive schemas are cycles in it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

__all__ = ["Node", "Prop"]


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
    empty for any.  name: of the component (`Order`), "" for an inline schema.
    extra: None forbids other keys, True lets any pass, a Node describes them.
    branches: of a union of several non-null schemas; then the node itself holds no
    properties or items.  tag: (property, value -> branch) of a discriminator.
    members: of an enum or const.  is_opaque: the application's own code may accept
    more than the schema says.  schema: the source, for bounds, patterns, examples.
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
