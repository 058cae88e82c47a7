"""JSON Schemas of bodies, complete in themselves, for generators."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from failsoft.errors import Invalid
from failsoft.shapes.documents import Reader, operations_of

__all__ = ["body_schema"]


def body_schema(
    document: Mapping[str, Any], route: str, section: str, status: int
) -> dict[str, Any]:
    """Return the schema of a route's JSON body, its components included.

    section: request, or response of a status.  Invalid for a route without one.
    """
    reader = Reader(document)
    operation = next((o for o in operations_of(document) if o.key == route), None)
    if operation is None:
        raise Invalid("route", f"{route!r} is not in the document of this version")
    if section == "request":
        holder = reader.request(operation)
    else:
        responses = reader.responses(operation)
        keys = (str(status), f"{status // 100}XX", "default")
        holder = next((responses[k] for k in keys if k in responses), {})
    for kind, media in (holder.get("content") or {}).items():
        if "json" in kind and "schema" in media:
            components = {"components": document.get("components") or {}}
            return {
                **_without_nullable(media["schema"]),
                **_without_nullable(components),
            }
    raise Invalid("route", f"{route!r} has no JSON {section} in this version")


def _without_nullable(schema: Any) -> Any:
    """Say OpenAPI 3.0's `nullable` as JSON Schema does."""
    if isinstance(schema, list):
        return [_without_nullable(one) for one in schema]
    if not isinstance(schema, Mapping):
        return schema
    made = {key: _without_nullable(one) for key, one in schema.items()}
    if made.pop("nullable", None) is True:
        return {"anyOf": [made, {"type": "null"}]}
    return made
