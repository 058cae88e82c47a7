"""A small API in JSON Schema, and contracts compiled against it."""

from __future__ import annotations

import json
from typing import Any

from failsoft.routes.models import Models, RouteShapes
from failsoft.shapes.graph import Node, Schemas
from failsoft.versions import Contract, Version
from failsoft.versions._chain import Chains, compile_contract

POST, GET, OLD = "POST /orders", "GET /orders/{id}", "2025-01-01"


def api(routes: dict[str, RouteShapes] | None = None, **schemas: Any) -> Models:
    """Return models: `Order` is what POST takes, and what both routes answer."""
    made = Schemas({name: _schema(found) for name, found in schemas.items()})
    names = {name: (made.named(name),) for name in schemas}
    order = names["Order"][0] if "Order" in names else None
    answers: dict[int, Node] = {200: order} if order else {}
    both = {POST: RouteShapes(order, answers), GET: RouteShapes(None, answers)}
    return Models(routes if routes is not None else both, names)


def _schema(found: dict[str, Any]) -> dict[str, Any]:
    if set(found) & {"type", "anyOf", "enum", "properties"}:
        return found
    required = [name for name in found if not name.endswith("?")]
    properties = {name.rstrip("?"): schema for name, schema in found.items()}
    return {"type": "object", "properties": properties, "required": required}


def ref(name: str) -> dict[str, str]:
    """Return a reference to a schema."""
    return {"$ref": f"#/$defs/{name}"}


def compiled(models: Models, *versions: Any, **terms: Any) -> Chains:
    """Compile a contract: one list of ops for each version after the oldest."""
    listed = [Version(OLD)]
    for month, ops in enumerate(versions, 2):
        listed.append(Version(f"2025-{month:02d}-01", *ops))
    return compile_contract(Contract(listed, **terms), models)


def up(chains: Chains, body: Any, kind: str = "json", route: str = POST) -> Any:
    """Migrate a request of the oldest version; returns the body, or the failure."""
    program = chains.up(route, OLD)
    assert program is not None
    done = program(json.dumps(body).encode(), kind)
    return done.failure or json.loads(done.body)


def down(chains: Chains, body: Any, status: int = 200, version: str = OLD) -> Any:
    """Migrate an answer of the head; returns the body, or the failure."""
    program = chains.down(POST, version, status)
    if program is None:
        return body
    done = program(json.dumps(body).encode())
    return done.failure or json.loads(done.body)
