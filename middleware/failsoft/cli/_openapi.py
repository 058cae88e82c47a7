"""`failsoft versions openapi`: the document of a version, of a node or an app."""

from __future__ import annotations

import argparse
import json
import sys
from http.client import HTTPException
from typing import Any
from urllib.error import HTTPError
from urllib.parse import quote, urlsplit
from urllib.request import Request, urlopen

import msgspec

from failsoft.cli._answers import OK, answer
from failsoft.cli._ledgers import save
from failsoft.errors import Invalid, StoreUnavailable
from failsoft.ops.text import safe
from failsoft.ops.verbs import Verb, add_words

__all__ = ["add_document", "print_document"]

_TIMEOUT_S = 10.0
_MOST_BYTES = 64 << 20


def add_document(parser: argparse.ArgumentParser, verb: Verb) -> None:
    """Declare the verb's words; it needs no store."""
    add_words(parser, verb.words)
    parser.add_argument("--json", action="store_true", help="within one JSON object")


def print_document(values: argparse.Namespace) -> int:
    """Print the document, or write it to a file."""
    if (values.node is None) == (values.app is None):
        raise Invalid(
            "versions openapi", "needs --node URL or --app module:attribute, not both"
        )
    version = (values.version or "").removeprefix("version:")
    if values.node is not None:
        document = _of_node(values.node.rstrip("/"), version)
    else:
        document = _of_app(values.app, version)
    if values.out:
        save(values.out, json.dumps(document, indent=2) + "\n")
        print(f"written: {safe(values.out)}", file=sys.stderr)
    elif values.json:
        answer({"ok": True, "version": version, "document": document})
    else:
        print(json.dumps(document, indent=2))
    return OK


def _of_node(node: str, version: str) -> Any:
    try:
        place = urlsplit(node)
    except ValueError:
        place = urlsplit("")
    if place.scheme not in ("http", "https") or not node.isprintable() or " " in node:
        raise Invalid("--node", f"{node!r} must be like http://host:8000")
    path = "" if place.path else "/_failsoft/openapi.json"
    url = f"{node}{path}?version={quote(version)}" if version else node + path
    asked = Request(url, headers={"Accept": "application/json"})
    try:
        with urlopen(asked, timeout=_TIMEOUT_S) as reply:
            return _decoded(url, reply.read(_MOST_BYTES))
    except HTTPError as error:
        said = _problem(error.read(4096))
        raise Invalid("--node", f"{safe(url)} answered {error.code}: {said}") from None
    except (OSError, HTTPException) as error:
        todo = "start the node, or correct --node"
        raise StoreUnavailable(f"{error}", where=safe(url), todo=todo) from None


def _decoded(url: str, body: bytes) -> Any:
    try:
        return msgspec.json.decode(body)
    except msgspec.DecodeError as error:
        raise Invalid("--node", f"{safe(url)} answered no JSON: {error}") from None


def _problem(body: bytes) -> str:
    try:
        told = msgspec.json.decode(body)
    except msgspec.DecodeError:
        return "no document there"
    if not isinstance(told, dict):
        return "no document there"
    known = told.get("supported")
    more = (
        f"; known are {', '.join(map(str, known))}" if isinstance(known, list) else ""
    )
    return safe(f"{told.get('detail') or told.get('title') or 'refused'}{more}", 400)


def _of_app(name: str, version: str) -> Any:
    # The application is imported, with all that it needs.
    from failsoft.testing.contractapp import import_app, open_app

    return open_app(import_app(name)).document(version)
