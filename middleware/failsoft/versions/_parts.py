"""What stands between a version and the head on one route; worked out once. Pure."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from failsoft.versions._chain import Chains, Migration, RequestEdits
from failsoft.versions._lifecycle import Lifecycle, earliest, lifecycle_of
from failsoft.versions._model import (
    Contract,
    Deprecate,
    EndpointAdded,
    Gone,
    HeaderEdit,
    QueryEdit,
    StatusEdit,
)

if TYPE_CHECKING:
    from failsoft.shapes.graph import Node

__all__ = ["Answers", "Part", "Parts", "RouteEnd"]

# How `Chains.touched` names all routes, for changes of error bodies.
_EVERY = "* *"
# Asked besides the declared ones: what frameworks answer by themselves.
_USUAL = (200, 201, 202, 400, 401, 403, 404, 405, 409, 410, 415, 422, 429, 500, 503)


class Answers:
    """How answers of one route go down to one group of versions, by status."""

    __slots__ = ("_chains", "_known", "_locmap", "_route", "_version", "is_any")

    def __init__(
        self, chains: Chains, route: str, version: str, statuses: frozenset[int]
    ) -> None:
        self._chains = chains
        self._route = route
        self._version = version
        self._locmap = chains.locmap(route, version)
        self._known: dict[int, tuple[Migration, ...]] = {}
        self.is_any = any(self.has(status) for status in statuses)

    def steps(self, status: int) -> tuple[Migration, ...]:
        """Return what is done with a body of that status, in order."""
        found = self._known.get(status)
        if found is None:
            down = self._chains.down(self._route, self._version, status)
            # First the places, which are said in the head's terms.
            places = self._locmap if status == 422 else None
            steps = (step for step in (places, down) if step is not None)
            found = self._known[status] = tuple(steps)
        return found

    def has(self, status: int) -> bool:
        """Whether bodies of that status change."""
        return bool(self.steps(status))


@dataclass(frozen=True, slots=True, eq=False)
class Part:
    """One group of neighbouring versions that see a route alike.

    ids: of the versions.  up: None, requests are as the head's.  old: the schema of
    their requests, None for the head's.  is_absent: not yet added.
    gone: what to read instead of the route that ended before them, None = it is there.
    """

    ids: tuple[str, ...]
    up: Migration | None
    answers: Answers
    edits: RequestEdits | None
    old: Node | None
    is_absent: bool
    gone: str | None

    @property
    def is_head(self) -> bool:
        """Whether nothing is to be done for them."""
        return not (self.up or self.answers.is_any or self.edits)


@dataclass(frozen=True, slots=True)
class RouteEnd:
    """A route that is deprecated in all versions."""

    life: Lifecycle
    link: str


class Parts:
    """The groups of each route of one contract.

    models: `routes.models.Models`.  Raises ValueError on a date it cannot read.
    """

    def __init__(self, contract: Contract, chains: Chains, models: Any) -> None:
        self._contract = contract
        self._chains = chains
        self._models = models
        self._ids = tuple(version.id for version in contract.versions)
        self._cuts: dict[str, set[int]] = {}
        self._added: dict[str, int] = {}
        self._gone: dict[str, tuple[int, str]] = {}
        self._ends: dict[str, RouteEnd] = {}
        self._index = {one: index for index, one in enumerate(self._ids)}
        self._edges: dict[str, list[int]] = {}
        self._known: dict[tuple[str, int], Part] = {}
        for index, version in enumerate(contract.versions):
            for _, routes in chains.touched(version.id):
                for route in routes:
                    self._cut(route, index)
            for op in version.ops:
                self._read(index, op)

    def _cut(self, route: str, index: int) -> None:
        self._cuts.setdefault(route, set()).add(index)

    def _read(self, index: int, op: object) -> None:
        match op:
            case EndpointAdded(route):
                self._added[route] = index
                self._cut(route, index)
            case Gone(route, link):
                self._gone[route] = index, link
                self._cut(route, index)
            case HeaderEdit(route=route) | QueryEdit(route=route):
                self._cut(route, index)
            case StatusEdit(route=route):
                self._cut(route, index)
            case Deprecate(route=route):
                life = lifecycle_of(op)
                held = self._ends.get(route)
                both = life if held is None else earliest(held.life, life)
                self._ends[route] = RouteEnd(both, op.link)

    def end(self, route: str) -> RouteEnd | None:
        """Return when a route ends whatever the version, None for never."""
        return self._ends.get(route)

    @property
    def lives(self) -> dict[str, Lifecycle]:
        """When each deprecated route ends, by `METHOD template`."""
        return {route: end.life for route, end in self._ends.items()}

    def of(self, route: str, version: str) -> Part:
        """Return the group of a version on a `METHOD template`."""
        edges = self._edges.get(route)
        if edges is None:
            cuts = {*self._cuts.get(route, ()), *self._cuts.get(_EVERY, ())}
            edges = self._edges[route] = sorted({0, len(self._ids), *cuts})
        at = bisect_right(edges, self._index[version]) - 1
        found = self._known.get((route, at))
        if found is None:
            ids = self._ids[edges[at] : edges[at + 1]]
            found = self._known[route, at] = self._part(route, edges[at], ids)
        return found

    def _part(self, route: str, start: int, ids: tuple[str, ...]) -> Part:
        version, chains = ids[0], self._chains
        shapes = chains.old_nodes(route, version)
        since, link = self._gone.get(route, (len(self._ids), ""))
        return Part(
            ids,
            chains.up(route, version),
            Answers(chains, route, version, self._statuses(route)),
            chains.request_edits(route, version),
            shapes.request if shapes is not None else None,
            is_absent=start < self._added.get(route, 0),
            gone=link if start >= since else None,
        )

    def _statuses(self, route: str) -> frozenset[int]:
        routes: Mapping[str, Any] = getattr(self._models, "routes", None) or {}
        shapes = routes.get(route)
        declared = shapes.responses if shapes is not None else ()
        return frozenset(_USUAL) | {s for s in declared if s >= 100}
