"""What each route takes and answers, as schemas.

Read from FastAPI's own records of its routes (0.115 and newer), never from
`app.openapi()`, which leaves routes out; or from an OpenAPI document, for any other
application.  Without either nothing is known, and nothing is judged.
"""

from __future__ import annotations

import sys
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from failsoft.errors import DefinitionError
from failsoft.shapes.graph import (
    Node,
    Schemas,
    loosened,
    over_budget,
    reached,
)
from failsoft.shapes.openapi import operations_of, referred

__all__ = [
    "Models",
    "RouteShapes",
    "base_name",
    "models_from_document",
    "models_of",
]

_REQUEST = -1
_CLASSES = {f"{n}XX": n for n in range(1, 6)}
_EXCLUDES = (
    "response_model_include",
    "response_model_exclude",
    "response_model_exclude_unset",
    "response_model_exclude_defaults",
    "response_model_exclude_none",
)


@dataclass(frozen=True, slots=True)
class RouteShapes:
    """Schemas of one `METHOD template`; None or absent = unknown, never judged.

    responses: by status; 1 to 5 for a whole class (2 = 2XX), 0 for all others.
    is_stream: events or JSON lines; then a response is the shape of one of them.
    """

    request: Node | None = None
    responses: Mapping[int, Node] = field(default_factory=dict)
    is_stream: bool = False

    def response(self, status: int) -> Node | None:
        """Return what is answered with a status, None if that is unknown."""
        for key in (status, status // 100, 0):
            if key in self.responses:
                return self.responses[key]
        return None


@dataclass(frozen=True, slots=True)
class Models:
    """Schemas of an application.

    routes: by `METHOD template`, as in the route table.  names: every node of a
    schema, and of those that extend it, by its name without `-Input` and `-Output`.
    document: components, as under `components.schemas`.  ambiguous: short names of
    several schemas -> their qualified names.  ungated: routes too large to judge.
    faults: what could not be read, in words.
    """

    routes: Mapping[str, RouteShapes] = field(default_factory=dict)
    names: Mapping[str, tuple[Node, ...]] = field(default_factory=dict)
    document: Mapping[str, Any] = field(default_factory=dict)
    ambiguous: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    ungated: frozenset[str] = frozenset()
    faults: tuple[str, ...] = ()


@dataclass(slots=True)
class _Use:
    """One place where a route uses a model.  slot: a key of responses, or -1."""

    key: str
    slot: int
    field: Any
    is_loose: bool = False
    by_alias: bool = True

    @property
    def mode(self) -> str:
        return "validation" if self.slot == _REQUEST else "serialization"


def base_name(name: str) -> str:
    """Return a component's name without FastAPI's `-Input` or `-Output`."""
    return name.removesuffix("-Input").removesuffix("-Output")


def models_of(app: Any, *, transparent: Iterable[str] = ()) -> Models:
    """Return the models of an application; empty for one that has no FastAPI.

    transparent: names of schemas whose own validators are not heeded.  Looks at
    every route once: for start-up.
    """
    if "fastapi.routing" not in sys.modules:
        return Models()
    from failsoft.routes.discover import find_routes, walk

    uses, streams = _uses(walk(find_routes(app) or ()))
    if not uses:
        return Models()
    shapes: dict[str, dict[int, Node]] = {}
    components: dict[str, Any] = {}
    faults: list[str] = []
    for by_alias in (False, True):
        some = [use for use in uses if use.by_alias is by_alias]
        found, more = _add(shapes, some, transparent, by_alias=by_alias)
        components |= found
        faults += more
    return _models(shapes, streams, components, tuple(faults))


def _add(
    shapes: dict[str, dict[int, Node]],
    uses: list[_Use],
    transparent: Iterable[str],
    *,
    by_alias: bool,
) -> tuple[dict[str, Any], list[str]]:
    """Add the nodes of uses to shapes; return components and faults."""
    from failsoft.routes.schemagen import generate

    # One field in several slots is generated once: it costs most of all this.
    wanted = {(use.mode, id(use.field)): (use.mode, use.field) for use in uses}
    made, components, faults = generate(list(wanted.values()), by_alias=by_alias)
    by_field = dict(zip(wanted, made, strict=True))
    taken = Schemas(components, transparent=transparent)
    given = Schemas(components, is_output=True)
    loose: dict[int, Node] = {}
    for use in uses:
        schema = by_field[use.mode, id(use.field)]
        if schema is None:
            continue
        if use.slot == _REQUEST and not use.field.field_info.is_required():
            schema = {"anyOf": [schema, {"type": "null"}]}
        node = (taken if use.slot == _REQUEST else given).node(schema)
        if use.is_loose:
            node = loose.setdefault(id(node), loosened(node))
        shapes.setdefault(use.key, {})[use.slot] = node
    return components, faults


def _uses(found: Iterable[Any]) -> tuple[list[_Use], frozenset[str]]:
    """List what routes use, the first of a key only, as in the route table."""
    from failsoft.routes.table import keys_of

    uses: dict[str, list[_Use]] = {}
    guarded: set[str] = set()
    streams: set[str] = set()
    for route in found:
        for _, key in keys_of(route):
            if key in uses:
                # By host, or by a class of its own: nobody knows which one answers.
                uses[key] = [] if key in guarded or route.guard else uses[key]
                continue
            uses[key] = list(_uses_of(key, route.context))
            if route.guard is not None:
                guarded.add(key)
            if _is_stream(route.context):
                streams.add(key)
    return [use for each in uses.values() for use in each], frozenset(streams)


def _is_stream(context: Any) -> bool:
    names = ("is_sse_stream", "is_json_stream", "stream_item_field")
    return any(getattr(context, name, None) for name in names)


def _uses_of(key: str, context: Any) -> Iterator[_Use]:
    body = getattr(context, "body_field", None)
    if body is not None and not _is_form(body.field_info):
        yield _Use(key, _REQUEST, body)
    for status, each in (getattr(context, "response_fields", None) or {}).items():
        slot = _slot(status)
        if slot is not None:
            yield _Use(key, slot, each)
    main = getattr(context, "stream_item_field", None)
    main = main or getattr(context, "response_field", None)
    if main is not None:
        is_loose = any(getattr(context, name, None) for name in _EXCLUDES)
        by_alias = getattr(context, "response_model_by_alias", True) is not False
        # The handler may set another status than the declared one.
        for slot in (2, getattr(context, "status_code", None) or 200):
            yield _Use(key, slot, main, is_loose, by_alias)


def _is_form(field_info: Any) -> bool:
    params = sys.modules.get("fastapi.params")
    return params is not None and isinstance(field_info, params.Form)


def _slot(status: Any) -> int | None:
    """Return a key of RouteShapes.responses for one of OpenAPI, None if unknown."""
    text = str(status).upper()
    if text == "DEFAULT":
        return 0
    return int(text) if text.isdigit() else _CLASSES.get(text)


def _models(
    shapes: Mapping[str, Mapping[int, Node]],
    streams: frozenset[str],
    components: Mapping[str, Any],
    faults: tuple[str, ...] = (),
) -> Models:
    routes = {
        key: RouteShapes(
            slots.get(_REQUEST),
            {slot: node for slot, node in slots.items() if slot != _REQUEST},
            key in streams,
        )
        for key, slots in shapes.items()
    }
    names: dict[str, list[Node]] = {}
    for node in reached(
        n for slots in shapes.values() for n in slots.values()
    ).values():
        for name in dict.fromkeys(map(base_name, node.names)):
            names.setdefault(name, []).append(node)
    operations = {key: list(slots.values()) for key, slots in shapes.items()}
    return Models(
        routes,
        {name: tuple(nodes) for name, nodes in sorted(names.items())},
        components,
        _ambiguous(components),
        frozenset(over_budget(operations)),
        faults,
    )


def _ambiguous(components: Mapping[str, Any]) -> dict[str, tuple[str, ...]]:
    """Find what pydantic qualified: `a__Order` and `b__Order`, both titled Order."""
    by_short: dict[str, list[str]] = {}
    for name in dict.fromkeys(map(base_name, components)):
        module, _, short = name.rpartition("__")
        if module:
            by_short.setdefault(short, []).append(name)
    return {short: tuple(each) for short, each in by_short.items() if len(each) > 1}


def models_from_document(document: Mapping[str, Any]) -> Models:
    """Return the models an OpenAPI 3.0 or 3.1 document declares.

    Raises DefinitionError for another kind of document or a reference that is not
    local.
    """
    if not str(document.get("openapi", "")).startswith("3."):
        raise DefinitionError(
            [
                "this is no OpenAPI 3 document (it has no `openapi: 3.x`); "
                "convert it first, for example with swagger2openapi"
            ]
        )
    components = (document.get("components") or {}).get("schemas") or {}
    schemas = Schemas(components, document=document)
    shapes: dict[str, dict[int, Node]] = {}
    streams: set[str] = set()
    for one in operations_of(document):
        key, operation = one.key, one.body
        content = referred(operation.get("requestBody"), document).get("content")
        slots = {_REQUEST: _json_of(content)}
        for status, answer in (operation.get("responses") or {}).items():
            slot, content = _slot(status), referred(answer, document).get("content")
            if slot is not None:
                slots[slot] = _json_of(content)
            if "text/event-stream" in (content or ()):
                streams.add(key)
        shapes[key] = {
            slot: schemas.node(schema)
            for slot, schema in slots.items()
            if schema is not None
        }
    return _models(shapes, frozenset(streams), components)


def _json_of(content: Any) -> Any:
    """Return the schema of the JSON media type, None without one."""
    for media_type, body in (content or {}).items():
        plain = media_type.partition(";")[0].strip().lower()
        if plain == "application/json" or plain.endswith("+json"):
            return body.get("schema")
    return None
