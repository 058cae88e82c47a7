"""An OpenAPI 3.0 or 3.1 document as a contract."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any
from urllib.parse import urlsplit

import msgspec

from failsoft.errors import DefinitionError
from failsoft.outbound._contract import Answer, Contract, Operation, Place, Shape
from failsoft.shapes.gate import GateBook
from failsoft.shapes.graph import Node, Schemas, reached
from failsoft.shapes.openapi import operations_of, referred

__all__ = ["MAX_BYTES", "compile_document", "read_document"]

MAX_BYTES = 64 * 1024 * 1024
_MAX_DEPTH = 500
_TO_JSON = (
    "python -c 'import json, sys, yaml; json.dump(yaml.safe_load(sys.stdin), "
    "sys.stdout, default=str)' < {0} > {0}.json"
)

_Table = Mapping[str, Any]


def read_document(raw: bytes, name: str) -> _Table:
    """Return the document of a file's bytes; name: its path, for errors.

    Reads JSON, and YAML where PyYAML is installed; 64 MB at most.
    Raises DefinitionError.
    """
    if len(raw) > MAX_BYTES:
        size = f"more than {MAX_BYTES // 2**20} MiB"
        raise DefinitionError([f"{name} has {size}; drop what is not called"])
    raw = raw.removeprefix(b"\xef\xbb\xbf")
    try:
        document = _read_yaml(raw, name) if _is_yaml(raw, name) else _read_json(raw)
    except (ValueError, RecursionError) as error:
        if isinstance(error, DefinitionError):
            raise
        raise DefinitionError([f"{name} cannot be read: {error}; correct it"]) from None
    version = document.get("openapi") if isinstance(document, Mapping) else None
    if not str(version).startswith(("3.0", "3.1")):
        said = f"openapi = {version!r}" if version else "no key openapi"
        todo = "convert it to OpenAPI 3.0 or 3.1"
        raise DefinitionError([f"{name} has {said}; {todo}"])
    return document  # type: ignore[no-any-return]


def _is_yaml(raw: bytes, name: str) -> bool:
    return name.endswith((".yaml", ".yml")) or raw.lstrip()[:1] not in (b"{", b"[")


def _read_json(raw: bytes | msgspec.Raw, levels: int = 3) -> Any:
    # By parts: decoding holds the interpreter, and other threads answer requests.
    if not levels or bytes(memoryview(raw)[:16]).lstrip()[:1] != b"{":
        return msgspec.json.decode(raw)
    parts = msgspec.json.decode(raw, type=dict[str, msgspec.Raw])
    return {key: _read_json(part, levels - 1) for key, part in parts.items()}


def _read_yaml(raw: bytes, name: str) -> Any:
    try:
        import yaml
    except ImportError:
        todo = f"pip install pyyaml, or convert it once: {_TO_JSON.format(name)}"
        raise DefinitionError([f"{name} is YAML, which needs PyYAML; {todo}"]) from None
    loader: Any = getattr(yaml, "CSafeLoader", yaml.SafeLoader)  # C: 10 times faster
    try:
        _check_depth(yaml.parse(raw, loader))
        return yaml.load(raw, loader)
    except yaml.YAMLError as error:
        raise ValueError(" ".join(str(error).split())) from None


def _check_depth(events: Iterable[Any]) -> None:
    # The loader in C recurses without a limit: deep files would end the process.
    depth = 0
    for event in events:
        name = type(event).__name__
        depth += name.endswith(("MappingStartEvent", "SequenceStartEvent"))
        depth -= name.endswith(("MappingEndEvent", "SequenceEndEvent"))
        if depth > _MAX_DEPTH:
            raise ValueError(f"it is nested more than {_MAX_DEPTH} levels deep")


def compile_document(document: _Table, hosts: Sequence[str] = ()) -> Contract:
    """Return the contract of a document; schemas wait for their first use.

    hosts: `name` or `name:port` that answer like the servers, `*` = any; empty =
    the servers alone.  Servers without a host answer on any.
    """
    return _Reader(document, hosts).contract()


class _Reader:
    def __init__(self, document: _Table, hosts: Sequence[str]) -> None:
        self._document = document
        self._hosts = hosts
        self._book = GateBook()
        components = _table(_table(document.get("components")).get("schemas"))
        self._schemas = Schemas(components, document=document)

    def contract(self) -> Contract:
        places: list[Place] = []
        for one in operations_of(self._document):
            places += self._places(one.key, one.item, one.body)
        return Contract(places)

    def _places(self, key: str, item: _Table, raw: _Table) -> Iterator[Place]:
        method, _, path = re.split(r"[?#]", key)[0].partition(" ")
        answers = {
            str(status).upper().replace("DEFAULT", "default"): self._answer(answer)
            for status, answer in _table(raw.get("responses")).items()
            if not str(status).startswith("x-")
        }
        operation = Operation(f"{method} {path}", answers, bool(answers))
        servers = raw.get("servers") or item.get("servers")
        for host, below in self._servers(servers or self._document.get("servers")):
            yield Place(host, method, below + path, operation)

    def _servers(self, raw: Any) -> list[tuple[str | None, str]]:
        """Return pattern of the host and path of each server, without doubles."""
        found: dict[tuple[str | None, str], None] = {}
        servers = raw if isinstance(raw, list) and raw else [{"url": "/"}]
        for server in servers:
            url = str(_table(server).get("url", "/"))
            try:
                host, path = _split(url, _table(_table(server).get("variables")))
            except ValueError as error:
                fault = f"servers: {url!r} is no URL ({error}); correct it"
                raise DefinitionError([fault]) from None
            patterns = [host] if not self._hosts else [host, *map(_host, self._hosts)]
            for pattern in patterns if None not in patterns else [None]:
                found[pattern, path] = None
        return list(found)

    def _answer(self, raw: Any) -> Answer:
        content = _table(referred(raw, self._document).get("content"))
        return Answer(
            {
                str(media).partition(";")[0].strip().lower(): self._shape(entry)
                for media, entry in content.items()
            }
        )

    def _shape(self, entry: Any) -> Shape | None:
        schema = _table(entry).get("schema")
        if not isinstance(schema, Mapping) or not schema:
            return None
        return Shape(lambda: self._node(schema), self._book)

    def _node(self, schema: _Table) -> Node:
        node = self._schemas.node(schema)
        for each in reached([node]).values():
            for prop in each.properties.values():
                # What is only ever sent is in no answer, required or not.
                if prop.required and prop.node.schema.get("writeOnly") is True:
                    prop.required = False
        return node


def _table(raw: Any) -> _Table:
    return raw if isinstance(raw, Mapping) else {}


def _host(text: str) -> str | None:
    if text == "*":
        return None
    port = "" if re.search(r":[0-9]+$", text) else "(:[0-9]+)?"
    return re.escape(text) + port


def _split(url: str, variables: _Table) -> tuple[str | None, str]:
    """Return pattern of the host, None for any, and the path of a server's URL."""
    for name, variable in variables.items():
        # A variable of the path has one value, that of the host may have any.
        default = str(_table(variable).get("default", ""))
        head, slash, path = url.partition("//")
        host, cut, rest = path.partition("/") if slash else ("", "", url)
        rest = rest.replace(f"{{{name}}}", default)
        url = f"{head}//{host}{cut}{rest}" if slash else rest
    # A host that is nothing but a variable is whatever the user says.
    parts = urlsplit(re.sub(r"{[^{}]*}", "*", url))
    path = parts.path.rstrip("/")
    if not parts.netloc:
        return None, path if path.startswith("/") else ""
    netloc = parts.netloc.rpartition("@")[2]
    pattern = re.escape(netloc).replace(r"\*", r"[^/]*")
    return pattern if ":" in netloc else f"{pattern}(:443|:80)?", path
