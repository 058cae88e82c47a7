"""Models of the application's own code as a third party's contract."""

from __future__ import annotations

from collections.abc import Mapping
from types import SimpleNamespace
from typing import Any

from failsoft.errors import DefinitionError
from failsoft.outbound._contract import Answer, Contract, Operation, Place, Shape
from failsoft.shapes.gate import GateBook
from failsoft.shapes.graph import Node, Schemas

__all__ = ["compile_models"]


def compile_models(models: Mapping[tuple[str, str], Any]) -> Contract:
    """Return the contract that models state for 2xx answers, on any host.

    models: (method, path template) -> type of the body, as pydantic reads it.  No
    other status is judged.  Raises DefinitionError for a type it cannot describe.
    """
    from pydantic.fields import FieldInfo

    from failsoft.routes.schemagen import generate

    fields = [
        SimpleNamespace(name=f"models[{key!r}]", field_info=FieldInfo(annotation=model))
        for key, model in models.items()
    ]
    made, components, faults = generate([("validation", field) for field in fields])
    if faults:
        raise DefinitionError(
            [f"{fault}; write a model of the body" for fault in faults]
        )
    schemas, book = Schemas(components), GateBook()
    return Contract(
        _place(method.upper(), path, schemas.node(schema or {}), book)
        for (method, path), schema in zip(models, made, strict=True)
    )


def _place(method: str, path: str, node: Node, book: GateBook) -> Place:
    shape = Shape(lambda: node, book, is_model=True)
    answers = {"2XX": Answer({"application/json": shape, "*/*": None})}
    return Place(None, method, path, Operation(f"{method} {path}", answers, False))
