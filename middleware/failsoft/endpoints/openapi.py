"""`/_failsoft/openapi.json?version=`: the document of each version.

Hooks of plans: they answer before the application is asked.  Documents are made at
their first request and kept.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs

from failsoft.application import framework_of
from failsoft.pipeline import Exchange, Hook, Plan, Rejection
from failsoft.planning import Planner
from failsoft.routes.discover import Found
from failsoft.routes.table import RouteDef
from failsoft.settings import EndpointSettings
from failsoft.versions._model import Contract
from failsoft.versions._openapi import document_at, version_ids
from failsoft.versions._refusals import refusal

__all__ = [
    "Documents",
    "OwnDocument",
    "document_answers",
    "head_document",
    "is_documented",
    "serve_documents",
]

_JSON = (b"content-type", b"application/json")
# A document changes with each release of the application, never in between.
_REVALIDATE = (b"cache-control", b"no-cache")


def head_document(app: Any, contract: Contract | None = None) -> Mapping[str, Any]:
    """Return an application's own OpenAPI document, {} where it has none.

    From `app.openapi()`, looking through wrapping middleware, else from the file
    that the contract names in `schemas`.
    """
    framework = framework_of(app)
    make = getattr(framework, "openapi", None)
    if callable(make):
        made = make()
        return made if isinstance(made, Mapping) else {}
    if contract is not None and contract.schemas:
        found = json.loads(Path(contract.schemas).read_bytes())
        return found if isinstance(found, Mapping) else {}
    return {}


def is_documented(app: Any, contract: Contract | None) -> bool:
    """Whether the application publishes a document: `openapi_url=None` means no."""
    framework = framework_of(app)
    if hasattr(framework, "openapi_url"):
        return framework.openapi_url is not None
    return contract is not None and bool(contract.schemas)


class Documents:
    """The documents of one application, by version; "" is the head's."""

    def __init__(self, app: Any, contract: Contract | None) -> None:
        self._app = app
        self._contract = contract
        self.ids = version_ids(contract)
        self._made: dict[str, bytes] = {}

    def at(self, version: str) -> bytes | None:
        """Return the document as JSON, None for a version that is not declared."""
        known = self._made.get(version)
        if known is None and (not version or version in self.ids):
            known = self._made[version] = self._make(version)
        return known

    def _make(self, version: str) -> bytes:
        document = head_document(self._app, self._contract)
        if version and self._contract is not None:
            document = document_at(document, self._contract, version)
        return json.dumps(document, separators=(",", ":")).encode()

    def asked(self, exchange: Exchange) -> Rejection:
        """Answer `?version=`; without one the version the request speaks, or the head.

        An id that is not declared is the problem `version-unknown` (400).
        """
        query = exchange.scope.get("query_string", b"").decode("latin-1")
        asked = parse_qs(query).get("version", [""])[-1]
        if not asked and exchange.version in self.ids:
            asked = exchange.version
        body = self.at(asked)
        if body is None:
            told = {"requested": asked[:64], "supported": list(self.ids)}
            return refusal("version-unknown", members=told)
        return _answer(body)


def _answer(body: bytes) -> Rejection:
    return Rejection(
        "openapi",
        200,
        (_JSON, _REVALIDATE),
        body,
        is_problem=False,
        is_refusal=False,
    )


def serve_documents(app: Any, planner: Planner) -> Iterator[Found]:
    """Let a planner answer for the documents of a contract; yield the routes added.

    Without a contract nothing is added: the application is as bare.
    """
    contract = planner.contract
    if contract is None or not is_documented(app, contract):
        planner.answers, planner.own_document = {}, None
        return
    documents = Documents(app, contract)
    planner.answers = document_answers(documents, planner.endpoints)
    planner.own_document = OwnDocument(documents, app).dress
    for key in planner.answers:
        yield Found(key.partition(" ")[2], ("GET", "HEAD"))


def document_answers(
    documents: Documents, told: EndpointSettings
) -> Mapping[str, Hook]:
    """Return the routes that failsoft answers itself, `METHOD template` -> hook.

    Empty where documents are switched off.
    """
    if not told.openapi:
        return {}
    return {f"GET {told.prefix}/openapi.json": documents.asked}


class OwnDocument:
    """Dresses the application's own `openapi_url`: each version reads its document.

    A request that speaks no version gets the application's answer.
    """

    def __init__(self, documents: Documents, app: Any) -> None:
        url = getattr(framework_of(app), "openapi_url", None)
        self.route = f"GET {url}" if isinstance(url, str) else ""
        self._documents = documents

    def dress(self, route: RouteDef, plan: Plan) -> None:
        """Add to the plan of that route, and of each version of it."""
        if route.key != self.route:
            return
        # Versions may share a plan: each gets the hook once.
        plans = {id(one): one for one in (plan, *(plan.by_version or {}).values())}
        for one in plans.values():
            one.admit = (*one.admit, self._spoken)

    def _spoken(self, exchange: Exchange) -> Rejection | None:
        if exchange.version not in self._documents.ids:
            return None
        body = self._documents.at(exchange.version)
        return _answer(body) if body is not None else None
