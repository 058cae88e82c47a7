"""How a request says its version, as a contract reads it."""

from __future__ import annotations

from typing import Any
from urllib.parse import quote

from failsoft.errors import Invalid
from failsoft.versions._model import (
    Contract,
    Header,
    MediaTypeParam,
    PathPrefix,
    Query,
)

__all__ = ["let_speak", "speak"]

_MARK = "x-failsoft-speaks"
_hooked: list[bool] = []


def speak(contract: Contract | None, version: str, route: str) -> dict[str, Any]:
    """Return an ASGI scope that asks a route for a version; parameters are `1`.

    version: "" says none.
    """
    method, _, template = route.partition(" ")
    path = "".join(
        "1" if i % 2 else part for i, part in enumerate(_cut_parameters(template))
    )
    headers = {"host": "failsoft.test", "content-type": "application/json"}
    query = ""
    where, name, value = _said(contract, version)
    if where == "header":
        headers[name.lower()] = value
    elif where == "query":
        query = f"{quote(name)}={quote(value)}"
    elif where == "path":
        path = f"/{name}{value}{path}"
    return {
        "type": "http",
        "asgi": {"version": "3.0", "spec_version": "2.3"},
        "http_version": "1.1",
        "scheme": "http",
        "method": method,
        "path": path,
        "raw_path": path.encode(),
        "root_path": "",
        "query_string": query.encode(),
        "headers": [(k.encode(), v.encode()) for k, v in headers.items()],
        "client": ("192.0.2.7", 50000),
        "server": ("failsoft.test", 80),
    }


def _cut_parameters(template: str) -> list[str]:
    return template.replace("{", "}").split("}")


def _said(contract: Contract | None, version: str) -> tuple[str, str, str]:
    """Return (header, query or path; name; value) of the first source."""
    if contract is None or not version or not contract.read:
        return "", "", ""
    source = contract.read[0]
    if isinstance(source, Header):
        return "header", source.name, version
    if isinstance(source, Query):
        return "query", source.name, version
    if isinstance(source, MediaTypeParam):
        return "header", "Accept", f"application/json; {source.name}={version}"
    return "path", source.prefix, version


def let_speak(schema: Any, contract: Contract, version: str) -> Any:
    """Let every call of a Schemathesis schema say a version."""
    if isinstance(contract.read[0], PathPrefix):
        todo = "add a Header or Query to the contract, or set base_url"
        raise Invalid("contract.read", f"is a path prefix alone; {todo}")
    # Schemathesis 4 knows this hook for the whole process only, and schemas are
    # cloned by filters: the mark lies in the document, which clones share.
    schema.raw_schema[_MARK] = _said(contract, version)
    if not _hooked:
        import schemathesis

        schemathesis.hook("before_call")(_before_call)
        _hooked.append(True)
    return schema


def _before_call(context: Any, case: Any, kwargs: Any) -> None:
    where, name, value = case.operation.schema.raw_schema.get(_MARK, ("", "", ""))
    if where == "header":
        case.headers = {**(case.headers or {}), name: value}
    elif where == "query":
        case.query = {**(case.query or {}), name: value}
