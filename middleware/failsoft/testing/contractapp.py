"""An application as contract tests see it: its contract, its models, its documents."""

from __future__ import annotations

import os
import sys
from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import cached_property, lru_cache
from importlib import import_module
from pathlib import Path
from typing import Any

from failsoft.application import framework_of
from failsoft.asgi import Failsoft
from failsoft.endpoints.openapi import head_document
from failsoft.errors import Invalid
from failsoft.routes.discover import find_routes, walk
from failsoft.routes.models import (
    Models,
    base_name,
    models_from_document,
    models_of,
)
from failsoft.routes.table import keys_of
from failsoft.settings import EndpointSettings, Settings, load_settings
from failsoft.versions._chain import Chains, compile_contract
from failsoft.versions._model import Contract
from failsoft.versions._openapi import document_at, version_ids
from failsoft.versions._toml import contract_of

__all__ = ["PROBE", "OpenedApp", "failsoft_of", "import_app", "open_app"]

# Routes that exist in contract tests only: one for each schema, in and out alike.
PROBE = "/(schema)/"
_MAX_LAYERS = 100
_DEFAULT_PREFIX = EndpointSettings().prefix


def import_app(name: str, folder: Path | None = None) -> Any:
    """Return the application of `module:attribute`; a factory ends with `()`.

    folder: put first on the import path, the working directory by default.
    Raises Invalid, which names what is missing.
    """
    module_name, colon, attribute = name.removesuffix("()").partition(":")
    if not (module_name and colon and attribute):
        raise Invalid("app", f"{name!r} must be module:attribute, e.g. shop:app")
    path = str(folder or Path.cwd())
    if path not in sys.path:
        sys.path.insert(0, path)
    try:
        found: Any = import_module(module_name)
    except ImportError as error:
        raise Invalid("app", f"{name!r} cannot be imported: {error}") from error
    for part in attribute.split("."):
        if not hasattr(found, part):
            raise Invalid("app", f"{name!r}: {module_name} has no {attribute}")
        found = getattr(found, part)
    return found() if name.endswith("()") else found


@dataclass(frozen=True)
class OpenedApp:
    """What is declared of one application; read once.

    app: as given.  contract: None without one.  head: its own OpenAPI document.
    prefix: of what failsoft answers itself.
    """

    app: Any
    contract: Contract | None
    head: Mapping[str, Any]
    prefix: str = _DEFAULT_PREFIX

    @property
    def versions(self) -> tuple[str, ...]:
        """The declared ids, oldest first; none without a contract."""
        return version_ids(self.contract)

    @property
    def older(self) -> tuple[str, ...]:
        """The ids before the newest."""
        return self.versions[:-1]

    @cached_property
    def models(self) -> Models:
        """Schemas of the head, by route and by name."""
        made = models_of(self.app)
        return made if made.routes else models_from_document(_openapi(self.head))

    @cached_property
    def chains(self) -> Chains:
        """The migrations; raises DefinitionError with every fault of the contract."""
        return compile_contract(self.needed, self.models, self._routes())

    @property
    def needed(self) -> Contract:
        """The contract; Invalid without one."""
        if self.contract is None:
            text = "has no contract: give one to Failsoft(contract=...)"
            raise Invalid("app", text)
        return self.contract

    def document(self, version: str = "") -> Mapping[str, Any]:
        """Return the OpenAPI document of a version, "" for the newest.

        Without a contract it is the application's own.  Invalid for a version that
        is not declared.
        """
        if self.contract is None:
            if version:
                raise Invalid("version", f"{version!r}: the app has no contract")
            return self.head
        wanted = version or self.contract.head
        if wanted not in self.versions:
            known = ", ".join(self.versions)
            raise Invalid("version", f"{wanted!r} is not declared; known: {known}")
        return self._documents.setdefault(
            wanted, document_at(self.head, self.contract, wanted)
        )

    @cached_property
    def _documents(self) -> dict[str, Mapping[str, Any]]:
        return {}

    def old_models(self, version: str) -> Models:
        """Return the schemas that a version's document publishes."""
        known = self._old.get(version)
        if known is None:
            known = models_from_document(_openapi(self.document(version)))
            self._old[version] = known
        return known

    @cached_property
    def _old(self) -> dict[str, Models]:
        return {}

    @cached_property
    def probes(self) -> OpenedApp:
        """The same, with a route for each named schema that takes and answers it."""
        names = (self.head.get("components") or {}).get("schemas") or {}
        paths = {f"{PROBE}{name}": {"post": _probe(name)} for name in names}
        return replace(self, head={**self.head, "paths": paths})

    @cached_property
    def probe_models(self) -> Models:
        """The head's schemas as the probes take and answer them."""
        return models_from_document(_openapi(self.probes.head))

    @cached_property
    def probe_chains(self) -> Chains:
        """Migrations of the probes, among those of the real routes."""
        probes, real = self.probe_models, self.models
        names = {
            name: (*real.names.get(name, ()), *probes.names.get(name, ()))
            for name in {**real.names, **probes.names}
        }
        models = replace(real, routes={**real.routes, **probes.routes}, names=names)
        keys = [*self._routes(), *probes.routes]
        return compile_contract(self.needed, models, keys)

    def _routes(self) -> list[str]:
        found = walk(find_routes(self.app) or ())
        keys = [key for one in found for _, key in keys_of(one)]
        return [*keys, *self.models.routes]


def _openapi(document: Mapping[str, Any]) -> Mapping[str, Any]:
    return document if "openapi" in document else {"openapi": "3.1.0", **document}


def _probe(name: str) -> dict[str, Any]:
    schema = {"$ref": f"#/components/schemas/{name}"}
    content = {"content": {"application/json": {"schema": schema}}}
    return {
        "requestBody": {**content, "required": True},
        "responses": {"200": {"description": base_name(name), **content}},
    }


@lru_cache(maxsize=8)
def open_app(app: Any) -> OpenedApp:
    """Read an application; kept, as its schemas take some time.

    app: FastAPI, Starlette, Failsoft(...), or any of them inside other middleware.
    Raises DefinitionError if the settings of its Failsoft cannot be used.
    """
    contract, settings = _declared(app)
    head = head_document(app, contract)
    prefix = settings.endpoints.prefix if settings else _DEFAULT_PREFIX
    return OpenedApp(app, contract, head, prefix)


def failsoft_of(app: Any) -> Failsoft | None:
    """Return the Failsoft around an application, or made as its middleware says."""
    return _around(app) or next(
        (one.cls(framework_of(app), **one.kwargs) for one in _in_middleware(app)), None
    )


def _around(app: Any) -> Failsoft | None:
    for _ in range(_MAX_LAYERS):
        if isinstance(app, Failsoft):
            return app
        app = getattr(app, "app", None)
    return None


def _in_middleware(app: Any) -> list[Any]:
    return [
        one
        for one in getattr(framework_of(app), "user_middleware", ())
        if isinstance(one.cls, type) and issubclass(one.cls, Failsoft)
    ]


def _declared(app: Any) -> tuple[Contract | None, Settings | None]:
    """Return what the Failsoft around an application, or in its middleware, has."""
    if layer := _around(app):
        if not hasattr(layer, "runtime"):
            todo = "start it once, it says all that is wrong with them"
            raise Invalid("app", f"the settings of Failsoft cannot be used; {todo}")
        return layer.runtime.planner.contract, layer.runtime.settings
    for one in _in_middleware(app):
        given = dict(one.kwargs)
        contract = given.pop("contract", None)
        settings = load_settings(given, os.environ, Path.cwd())
        return contract_of(contract, settings.versions), settings
    return None, None
