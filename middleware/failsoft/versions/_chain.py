"""A contract against the schemas of the application: checked, and compiled.

`compile_contract` tells every fault at once.  `Chains` answers, for a route and a
version: how a request body goes up to the head, how an answer goes down, what is
edited outside bodies, and what the old shapes were.  Pure.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from failsoft.shapes.findings import Finding
from failsoft.versions._model import Contract

if TYPE_CHECKING:
    from failsoft.shapes.graph import Node

__all__ = [
    "Chains",
    "Failure",
    "Migrated",
    "Migration",
    "OldShapes",
    "RequestEdits",
    "compile_contract",
]


@dataclass(frozen=True, slots=True)
class Failure:
    """Why a body could not be migrated, in the client's terms.

    slug: request-not-migratable, patch-not-translatable or migration-failed.
    pointer: where, `/items/0/qty`, "" for the whole body.  kind: of KINDS.
    detail: one sentence, never a value.
    """

    slug: str
    pointer: str
    kind: str
    detail: str


@dataclass(frozen=True, slots=True)
class Migrated:
    """What a migration made.

    body: the bytes to go on with; the original ones if `failure` is set.
    findings: keys that were dropped, as the version does not know them.
    """

    body: bytes
    findings: tuple[Finding, ...] = ()
    failure: Failure | None = None


# Takes the body and its kind: "json", "merge" (PATCH, merge-patch+json) or "patch"
# (json-patch+json).  Never raises, whatever the bytes.
Migration = Callable[[bytes, str], Migrated]


@dataclass(frozen=True, slots=True)
class RequestEdits:
    """What of a request and its answer, other than bodies, has another name.

    headers, query: (old name, head name), lower case for headers.  values: query
    name at the head -> {old text: head text}.  statuses: head status -> old one.
    """

    headers: tuple[tuple[bytes, bytes], ...] = ()
    query: tuple[tuple[str, str], ...] = ()
    values: Mapping[str, Mapping[str, str]] | None = None
    statuses: Mapping[int, int] | None = None


@dataclass(frozen=True, slots=True)
class OldShapes:
    """The schemas of a route as a version knows them; responses as in RouteShapes."""

    request: Node | None
    responses: Mapping[int, Node]


class Chains:
    """Everything compiled of one contract; made by `compile_contract`."""

    def __init__(self, contract: Contract) -> None:
        self.contract = contract

    def up(self, route: str, version: str) -> Migration | None:
        """Return how a request of the version becomes the head's; None = as it is."""
        return None

    def down(self, route: str, version: str, status: int) -> Migration | None:
        """Return how an answer of the head becomes the version's; None = as it is."""
        return None

    def request_edits(self, route: str, version: str) -> RequestEdits | None:
        """Return the renamed headers, query parameters and statuses; None = none."""
        return None

    def moved_paths(self, version: str) -> tuple[tuple[str, str], ...]:
        """Return (old `METHOD /template`, head's) of routes that stood elsewhere."""
        return ()

    def locmap(self, route: str, version: str) -> Migration | None:
        """Return what puts the places in a 422 body into the version's terms."""
        return None

    def old_nodes(self, route: str, version: str) -> OldShapes | None:
        """Return the route's schemas in a version; None = the head's own."""
        return None

    def tag(self, version: str) -> str:
        """Return 8 hex digits that tell a version's bodies from the head's."""
        return "00000000"

    def touched(self, version: str) -> tuple[tuple[str, tuple[str, ...]], ...]:
        """Return (op in words, routes it reaches) of what became different in it."""
        return ()


def compile_contract(contract: Contract, models: Any) -> Chains:
    """Check the contract against the models and compile it.

    models: `routes.models.Models`.  Raises DefinitionError with every fault.
    """
    return Chains(contract)
