"""A contract against the schemas of the application: checked, and compiled.

`compile_contract` tells every fault at once.  `Chains` answers, for a route and a
version: how a request body goes up to the head, how an answer goes down, what is
edited outside bodies, and what the old shapes were.  Pure.  A chain is put together
when it is first asked for; all its faults were found before.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from failsoft.errors import DefinitionError
from failsoft.routes.models import RouteShapes
from failsoft.shapes.graph import Node
from failsoft.versions._checks import check_contract, check_op
from failsoft.versions._digest import digest_of
from failsoft.versions._edits import OwnerOps, is_lossy
from failsoft.versions._gather import Gathered, gather, words_of
from failsoft.versions._layouts import Layouts
from failsoft.versions._locmap import LocMap
from failsoft.versions._model import (
    Contract,
    EndpointMoved,
    HeaderEdit,
    Op,
    QueryEdit,
    StatusEdit,
    Version,
)
from failsoft.versions._paths import Way
from failsoft.versions._program import Failure, Migrated, Migration, Program, Stage
from failsoft.versions._targets import ERROR, owner_of
from failsoft.versions._visit import Part, build_visit

__all__ = [
    "Chains",
    "Failure",
    "Migrated",
    "Migration",
    "OldShapes",
    "RequestEdits",
    "compile_contract",
]

_EMPTY = RouteShapes()


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
    """Everything compiled of one contract; made by `compile_contract`.

    route: `METHOD template`.  version: a declared id; KeyError for another.
    """

    def __init__(
        self,
        contract: Contract,
        models: Any,
        gathered: Gathered,
        routes: Collection[str],
    ) -> None:
        self.contract = contract
        self._keys = tuple(routes)
        self._routes: Mapping[str, RouteShapes] = models.routes
        self._names: Mapping[str, tuple[Node, ...]] = models.names
        self._gathered = gathered
        self._index = {v.id: i for i, v in enumerate(contract.versions)}
        self.layouts = Layouts(_heads(models), gathered.ops)
        self._owners = frozenset(o for by in gathered.ops.values() for o in by)
        self._unions = dict(self._hints())
        self._hidden = [
            index
            for index, by_owner in gathered.ops.items()
            if any(ops.hidden for ops in by_owner.values())
        ]
        self._roots: dict[tuple[str, str, int], Node | None] = {}
        self._programs: dict[tuple[int, tuple[int, ...], bool, bool], Any] = {}
        self._alone: dict[tuple[frozenset[str], int], bool] = {}
        self._tags: dict[str, str] = {}
        self._edits: dict[tuple[str, int], RequestEdits | None] = {}
        self._edited = {
            route
            for version in contract.versions
            for op in version.ops
            if isinstance(op, HeaderEdit | QueryEdit | StatusEdit)
            for route in (op.route,)
        }

    # --- bodies ---------------------------------------------------------------------

    def up(self, route: str, version: str) -> Program | None:
        """Return how a request of the version becomes the head's; None = as it is."""
        return self._program(self._root(route, "request", 0), version, is_up=True)

    def down(self, route: str, version: str, status: int) -> Program | None:
        """Return how an answer of the head becomes the version's; None = as it is.

        status: what the application answered.
        """
        root = self._root(route, "response", status)
        return self._program(root, version, is_up=False)

    def locmap(self, route: str, version: str) -> LocMap | None:
        """Return what puts the places in a 422 body into the version's terms.

        It takes the head's answer, so it comes before `down` of the status 422.
        """
        up, edits = self.up(route, version), self.request_edits(route, version)
        if up is None and edits is None:
            return None
        query = edits.query if edits is not None else ()
        headers = edits.headers if edits is not None else ()
        return LocMap(up, query, headers)

    def old_nodes(self, route: str, version: str) -> OldShapes | None:
        """Return the route's schemas in a version; None = the head's own."""
        at, shapes = self._index[version], self._routes.get(route, _EMPTY)
        request = self._root(route, "request", 0)
        old = None if request is None else self.layouts.public(request, at)
        responses = {}
        for status in shapes.responses:
            root = self._root(route, "response", status)
            if root is not None:
                responses[status] = self.layouts.public(root, at)
        is_same = all(responses[s] is shapes.responses[s] for s in responses)
        if old is shapes.request and is_same:
            return None
        return OldShapes(old, responses)

    def old_schema(self, name: str, version: str) -> tuple[Node, ...]:
        """Return the nodes of a schema as a version knows it."""
        at = self._index[version]
        return tuple(self.layouts.public(node, at) for node in self._names[name])

    def pair(self, node: Node, version: str) -> tuple[Program, Program] | None:
        """Return (up, down) of one of the head's nodes, for tests of round trips."""
        up = self._program(node, version, is_up=True)
        down = self._program(node, version, is_up=False)
        if up is None or down is None:
            return None
        return up, down

    def lossy_ops(self, node: Node, version: str) -> tuple[str, ...]:
        """Return the ops on a node's bodies that may not bring an old one back."""
        reach, at = self.layouts.reach(node), self._index[version]
        return tuple(
            words_of(op)
            for one in self.contract.versions[at + 1 :]
            for op in one.ops
            if is_lossy(op) and self._gathered.places[id(op)].owner in reach
        )

    # --- what is not in bodies ------------------------------------------------------

    def request_edits(self, route: str, version: str) -> RequestEdits | None:
        """Return the renamed headers, query parameters and statuses; None = none."""
        if route not in self._edited:
            return None
        key = route, self._index[version]
        if key not in self._edits:
            later = self.contract.versions[key[1] + 1 :]
            self._edits[key] = _request_edits(route, later)
        return self._edits[key]

    def moved_paths(self, version: str) -> tuple[tuple[str, str], ...]:
        """Return (old `METHOD /template`, head's) of routes that stood elsewhere."""
        found: dict[str, str] = {}
        for one in reversed(self.contract.versions[self._index[version] + 1 :]):
            for op in one.ops:
                if isinstance(op, EndpointMoved):
                    # A place that moved on later: the head's is where it ended.
                    head = found.pop(op.now, op.now)
                    found[op.was] = head
        return tuple(found.items())

    def tag(self, version: str) -> str:
        """Return 8 hex digits that tell a version's bodies from all others."""
        if version not in self._tags:
            later = self.contract.versions[self._index[version] + 1 :]
            self._tags[version] = digest_of(version, later)
        return self._tags[version]

    def touched(self, version: str) -> tuple[tuple[str, tuple[str, ...]], ...]:
        """Return (op in words, routes it reaches) of what became different in it."""
        ops = self.contract.versions[self._index[version]].ops
        return tuple((words_of(op), self._reached_by(op)) for op in ops)

    def _reached_by(self, op: Op) -> tuple[str, ...]:
        place = self._gathered.places.get(id(op))
        if place is None:
            named = (getattr(op, name, "") for name in ("route", "now"))
            return tuple(route for route in named if route in self._keys)
        owner = place.owner
        if owner == ERROR:
            return self._keys
        if place.is_root:
            return (owner.partition(" ")[2],)
        return tuple(
            route
            for route, shapes in self._routes.items()
            if any(owner in self.layouts.reach(n) for n in _nodes_of(shapes))
        )

    # --- faults -----------------------------------------------------------------------

    def try_all(self) -> None:
        """Take what ops name back to the oldest version, which notes what does not fit.

        Not what only contains it: that is worked out when somebody asks.
        """
        for owner in self._owners:
            for node in self._names.get(owner, ()):
                self.layouts.at(node, -1)
        for owner in sorted(o for o in self._owners if " " in o):
            direction, _, route = owner.partition(" ")
            statuses = self._routes.get(route, _EMPTY).responses
            for status in [s for s in statuses if _class_of(s) in (0, 2)] or [200]:
                root = self._root(route, direction, status)
                if root is not None:
                    self.layouts.at(root, -1)

    def stream_faults(self) -> Iterator[str]:
        """Yield the streams whose items ops reach, though they are not migrated."""
        for route, shapes in self._routes.items():
            if not shapes.is_stream or route in self.contract.accept_untranslated:
                continue
            owners = {
                owner
                for status, node in shapes.responses.items()
                if _class_of(status) in (0, 2)
                for owner in self.layouts.reach(node)
            }
            if owners:
                yield (
                    f"{route}: streams {', '.join(sorted(owners))}, whose changes do "
                    "not reach the items of a stream; name the route in "
                    "accept_untranslated if old clients can take them"
                )

    # --- how -------------------------------------------------------------------------

    def _hints(self) -> Iterator[tuple[int, str]]:
        for _, place, by in self._gathered.unions:
            for node in self._names.get(place.owner, ()):
                for token in place.path:
                    prop = node.properties.get(token)
                    node = prop.node if prop is not None else node
                while node.items is not None:
                    node = node.items
                yield id(node), by

    def _root(self, route: str, direction: str, status: int) -> Node | None:
        """Return the head's node of a body, which also stands for the route's own."""
        key = route, direction, status
        if key not in self._roots:
            self._roots[key] = self._labelled(route, direction, status)
        return self._roots[key]

    def _labelled(self, route: str, direction: str, status: int) -> Node | None:
        shapes = self._routes.get(route, _EMPTY)
        owner = owner_of(route, direction)
        node = shapes.request
        if direction == "response":
            node = shapes.response(status)
            kind = _class_of(status)
            owner = owner if kind in (0, 2) else ERROR if kind >= 4 else ""
            if shapes.is_stream and kind in (0, 2):
                return None
        return self.layouts.label(node, owner) if owner in self._owners else node

    def _program(
        self, root: Node | None, version: str, *, is_up: bool
    ) -> Program | None:
        at = self._index[version]
        if root is None or not self.layouts.reach(root):
            return None
        relevant = tuple(i for i in self.layouts.relevant(root) if i > at)[::-1]
        hidden = None if is_up else self._strip(root, at)
        # The first of them tells the rest: all later ones that reach the root.
        key = id(root), relevant[:1], is_up, hidden is not None
        if key not in self._programs:
            stages = self._stages(root, at, relevant, is_up=is_up)
            stages = [hidden, *stages] if hidden is not None else stages
            found = Program(stages, is_up=is_up) if stages else None
            self._programs[key] = found
        program: Program | None = self._programs[key]
        return program

    def _strip(self, root: Node, at: int) -> Stage | None:
        own = [i for i in self._hidden if i <= at]
        ops = self._ops_of(root, own)
        ops = {o: [x for x in found if x.hidden] for o, found in ops.items()}
        ops = {owner: found for owner, found in ops.items() if found}
        if not ops:
            return None
        layout = self.layouts.at(root, at)
        part = Part(ops, False, unions=self._unions, is_strip=True)
        return Stage(
            build_visit(self.layouts, layout, part), Way(self.layouts, layout, {})
        )

    def _ops_of(self, root: Node, indexes: Iterable[int]) -> dict[str, list[OwnerOps]]:
        found: dict[str, list[OwnerOps]] = {}
        reach = self.layouts.reach(root)
        for index in indexes:
            for owner, ops in self._gathered.ops[index].items():
                if owner in reach:
                    found.setdefault(owner, []).append(ops)
        return found

    def _stages(
        self, root: Node, at: int, relevant: tuple[int, ...], *, is_up: bool
    ) -> list[Stage]:
        stages = []
        for run in self._runs(root, relevant):
            ops = self._ops_of(root, run)
            layout = self.layouts.at(root, run[-1])
            told_apart = _before(relevant, run[0], at) if is_up else None
            envelope = next(
                (o.envelope for x in ops.values() for o in x if o.envelope), ""
            )
            inner = layout
            if envelope:
                prop = layout.properties.get(envelope)
                inner = prop.node if prop is not None else Node()
            part = Part(ops, is_up, told_apart, self._unions)
            visit = build_visit(self.layouts, inner, part)
            if visit is not None or envelope:
                stages.append(Stage(visit, Way(self.layouts, inner, ops), envelope))
        return stages

    def _runs(self, root: Node, relevant: tuple[int, ...]) -> list[list[int]]:
        """Return runs of versions that one traversal does together."""
        runs: list[list[int]] = []
        may_join = False
        for index in relevant:
            is_alone = self._is_alone(root, index)
            if runs and may_join and not is_alone:
                runs[-1].append(index)
            else:
                runs.append([index])
            may_join = not is_alone
        return runs

    def _is_alone(self, root: Node, index: int) -> bool:
        key = self.layouts.reach(root), index
        if key not in self._alone:
            self._alone[key] = self._must_be_alone(root, index)
        return self._alone[key]

    def _must_be_alone(self, root: Node, index: int) -> bool:
        alone = self._gathered.alone | self.layouts.crossing
        return any(
            ops.envelope
            or any(id(edit.op) in alone for edit in ops.edits)
            or ops.changes
            for found in self._ops_of(root, [index]).values()
            for ops in found
        )


def _class_of(status: int) -> int:
    """Return 2 for 201, and for the key 2 that stands for all of them."""
    return status if status < 10 else status // 100


def _before(relevant: tuple[int, ...], first: int, at: int) -> int:
    """Return the version whose layout a run of versions starts from."""
    older = [index for index in relevant if index < first]
    return older[-1] if older else at


def _nodes_of(shapes: RouteShapes) -> Iterator[Node]:
    if shapes.request is not None:
        yield shapes.request
    yield from shapes.responses.values()


def _request_edits(route: str, later: Iterable[Version]) -> RequestEdits | None:
    """Join the edits of later versions: old name -> the head's."""
    headers: dict[str, str] = {}
    query: dict[str, str] = {}
    values: dict[str, dict[str, str]] = {}
    statuses: dict[int, int] = {}
    for op in (op for version in later for op in version.ops):
        if getattr(op, "route", None) != route:
            continue
        if isinstance(op, HeaderEdit):
            _chained(headers, op.was.lower(), op.now.lower())
        elif isinstance(op, QueryEdit):
            _chained(query, op.was, op.now)
            table = values.pop(op.was, {})
            told = dict(op.values)
            table = {was: told.get(now, now) for was, now in table.items()}
            values[op.now] = {**told, **table}
        elif isinstance(op, StatusEdit):
            _chained(statuses, op.was, op.now)
    edits = RequestEdits(
        tuple((was.encode(), now.encode()) for was, now in headers.items()),
        tuple(query.items()),
        {name: table for name, table in values.items() if table} or None,
        {now: was for was, now in statuses.items()} or None,
    )
    return None if edits == RequestEdits() else edits


def _heads(models: Any) -> Iterator[Node]:
    for shapes in models.routes.values():
        yield from _nodes_of(shapes)
    for nodes in models.names.values():
        yield from nodes


def _chained(table: dict[Any, Any], was: Any, now: Any) -> None:
    for first, last in list(table.items()):
        if last == was:
            table[first] = now
            return
    table[was] = now


def compile_contract(
    contract: Contract, models: Any, routes: Collection[str] = ()
) -> Chains:
    """Check the contract against the models and compile it.

    models: `routes.models.Models`.  routes: keys of all routes, also of those that
    have no models; empty = those of the models.
    Raises DefinitionError with every fault.
    """
    names = models.names
    gathered = gather(contract, names)
    routes = routes or tuple(models.routes)
    findings = check_contract(contract, routes)
    chains = Chains(contract, models, gathered, routes)
    chains.try_all()
    for version in contract.versions:
        for op in version.ops:
            where = f"version {version.id}: {words_of(op)}"
            faults = list(check_op(op, gathered, names, models.ambiguous))
            complaints = chains.layouts.complaints.get(id(op), [])
            if not faults and complaints and all(complaints):
                faults = complaints[:1]
            findings += [f"{where}: {fault}" for fault in faults]
    findings += chains.stream_faults()
    if findings:
        raise DefinitionError(findings)
    return chains
