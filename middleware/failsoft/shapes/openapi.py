"""What an OpenAPI 3 document lists: its operations, and what its parts refer to."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from failsoft.shapes.pointer import pointed

__all__ = ["METHODS", "Operation", "operations_of", "referred"]

METHODS = ("get", "put", "post", "delete", "options", "head", "patch", "trace")
_MAX_HOPS = 10


class Operation:
    """One operation of a document.  key: `METHOD /template`, as it is written."""

    def __init__(self, key: str, item: Mapping[str, Any], body: Mapping[str, Any]):
        self.key = key
        self.item = item
        self.body = body


def operations_of(document: Mapping[str, Any]) -> Iterator[Operation]:
    """Yield the operations of a document in its order."""
    paths = document.get("paths")
    for path, raw in paths.items() if isinstance(paths, Mapping) else ():
        item = referred(raw, document)
        for method in METHODS:
            if isinstance(item.get(method), Mapping):
                yield Operation(f"{method.upper()} {path}", item, item[method])


def referred(part: Any, document: Mapping[str, Any]) -> Mapping[str, Any]:
    """Follow local references of a part that is no schema; {} where they end."""
    for _ in range(_MAX_HOPS):
        ref = part.get("$ref") if isinstance(part, Mapping) else None
        if not isinstance(ref, str):
            return part if isinstance(part, Mapping) else {}
        part = pointed(document, ref)
    return {}
