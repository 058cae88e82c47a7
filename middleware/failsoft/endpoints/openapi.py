"""`/_failsoft/openapi.json?version=`: the document of each version.

A hook answers it before the application is asked; the application's own document is
changed on its way out.  Documents are made at their first request and kept.
"""

from __future__ import annotations

import json
from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import replace
from hashlib import blake2b
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs

from failsoft.application import framework_of
from failsoft.pipeline import BodyPlan, Exchange, Plan, Rejection, Scope
from failsoft.planning import Planner
from failsoft.routes.discover import Found
from failsoft.routes.table import RouteDef
from failsoft.versions._model import Contract
from failsoft.versions._openapi import document_at, version_ids
from failsoft.versions._refusals import refusal

__all__ = ["Documents", "OwnDocument", "head_document", "serve_documents"]

_JSON = (b"content-type", b"application/json")
# A document changes with each release of the application, never in between.
_REVALIDATE = (b"cache-control", b"no-cache")
_SPOKEN_KEPT = 64


def head_document(app: Any, contract: Contract | None = None) -> Mapping[str, Any]:
    """Return an application's own OpenAPI document, {} where it has none.

    From `app.openapi()`, looking through wrapping middleware, else from the file
    that the contract names in `schemas`.
    """
    make = getattr(framework_of(app), "openapi", None)
    if callable(make):
        made = make()
        return made if isinstance(made, Mapping) else {}
    if contract is not None and contract.schemas:
        found = json.loads(Path(contract.schemas).read_bytes())
        return found if isinstance(found, Mapping) else {}
    return {}


class Documents:
    """The documents of one application, by version; "" is the head's."""

    def __init__(self, app: Any, contract: Contract) -> None:
        self._app = app
        self._contract = contract
        self.ids = version_ids(contract)
        self._made: dict[str, bytes] = {}
        self._spoken: dict[tuple[str, bytes], bytes] = {}

    def asked(self, exchange: Exchange) -> Rejection:
        """Answer `?version=`; without one the head's own document.

        An id that is not declared is the problem `version-unknown` (400).
        """
        query = exchange.scope.get("query_string", b"").decode("latin-1")
        asked = parse_qs(query).get("version", [""])[-1]
        if asked and asked not in self.ids:
            told = {"requested": asked[:64], "supported": list(self.ids)}
            return refusal("version-unknown", members=told)
        return self._answer(asked, exchange.scope)

    def spoken(self, exchange: Exchange, body: bytes) -> bytes:
        """Return the application's own document as the request's version reads it.

        body: what the application answered, so that who may read it, and what it
        says of this request (`servers`), stay its own decisions.
        """
        version = exchange.version
        url = getattr(self._framework(exchange.scope), "openapi_url", None)
        # A mounted application has a document and a route of its own.
        is_ours = version in self.ids and url == exchange.plan.template
        if exchange.status != 200 or not is_ours:
            return body
        key = version, blake2b(body, digest_size=16).digest()
        found = self._spoken.get(key)
        if found is None:
            if len(self._spoken) >= _SPOKEN_KEPT:
                self._spoken.clear()  # prefixes of paths stand in `servers`
            found = _dumped(document_at(json.loads(body), self._contract, version))
            self._spoken[key] = found
        return found

    def _framework(self, scope: Scope) -> Any:
        """Return the application: inside its middleware only the scope knows it."""
        inside = scope.get("app")
        return inside if hasattr(inside, "openapi") else framework_of(self._app)

    def _answer(self, version: str, scope: Scope) -> Rejection:
        body = self._made.get(version)
        if body is None:
            framework = self._framework(scope)
            document = head_document(framework, self._contract)
            if version:
                document = document_at(document, self._contract, version)
            body = self._made[version] = _dumped(document)
        return Rejection(
            "openapi",
            200,
            (_JSON, _REVALIDATE),
            body,
            is_problem=False,
            is_refusal=False,
        )


class OwnDocument:
    """Dresses the application's own OpenAPI routes: each version reads its document."""

    def __init__(self, documents: Documents, keys: Collection[str]) -> None:
        self._documents = documents
        self._keys = keys

    def dress(self, route: RouteDef, plan: Plan) -> None:
        """Add to the plan of such a route, and of each version of it."""
        if route.key not in self._keys:
            return
        plan.each(self._speak)

    def _speak(self, plan: Plan) -> None:
        held, spoken = plan.answer or BodyPlan(statuses=_is_ok), self._documents.spoken
        is_for = held.statuses
        plan.answer = replace(
            held,
            changes=(spoken, *held.changes),
            statuses=is_for and (lambda status: status == 200 or is_for(status)),
        )


def _is_ok(status: int) -> bool:
    return status == 200


def _dumped(document: Mapping[str, Any]) -> bytes:
    return json.dumps(document, separators=(",", ":")).encode()


def serve_documents(
    app: Any, found: Iterable[Found], planner: Planner
) -> Iterator[Found]:
    """Let a planner answer for the documents of a contract; yield the routes added.

    found: the application's routes.  Without a contract, and where the application
    publishes no document (`openapi_url=None`), nothing is added: it is as bare.
    """
    contract = planner.contract
    planner.answers, planner.own_document = {}, None
    keys = {f"GET {one.path}" for one in found if _is_document(one)}
    if contract is None or not (keys or contract.schemas):
        return
    documents = Documents(app, contract)
    planner.own_document = OwnDocument(documents, keys).dress
    if planner.endpoints.openapi:
        path = f"{planner.endpoints.prefix}/openapi.json"
        planner.answers = {f"GET {path}": documents.asked}
        yield Found(path, ("GET", "HEAD"))


def _is_document(found: Found) -> bool:
    """Whether FastAPI answers its OpenAPI document here; no attribute tells."""
    endpoint = getattr(found.context, "endpoint", None)
    names = [getattr(endpoint, name, "") for name in ("__module__", "__name__")]
    return names == ["fastapi.applications", "openapi"]
