"""The routes of one application: what they are called, declare, and match."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from failsoft.routes.policy import Resolved, policy_for
from failsoft.routes.trie import WEBSOCKET, Entry, Trie, segments_of, template_of
from failsoft.settings import RoutePolicy, RouteRules

__all__ = ["NO_ROUTE", "RouteDef", "RouteTable", "build_table", "keys_of"]

NO_ROUTE = "(no route)"
_NOTHING_SAID = RoutePolicy()


@dataclass(frozen=True, slots=True)
class RouteDef:
    """One `METHOD template` and what is declared about it.

    handling: of its bodies, "" = as elsewhere.  rules: how it degrades.
    """

    key: str
    criticality: str = "critical"
    tags: tuple[str, ...] = ()
    bypass: bool = False
    handling: str = ""
    rules: RouteRules = field(default_factory=RouteRules)


class RouteTable:
    """Routes by index; index 0 is `(no route)`, where unmatched requests count.

    faults: what routes declare that cannot be.
    """

    __slots__ = ("_root_path", "_trie", "faults", "routes")

    def __init__(
        self, routes: tuple[RouteDef, ...], trie: Trie, root_path: str = ""
    ) -> None:
        self.faults: tuple[str, ...] = ()
        self.routes = routes
        self._trie = trie
        self._root_path = root_path

    def find(self, method: str, scope: Mapping[str, Any]) -> int:
        """Return the index of the route that will handle the scope, 0 for none.

        method: of the request, `WS` for a handshake.
        """
        root = self._root_path or scope.get("root_path", "")
        path = scope["path"]
        return self._trie.find(method, _below(root, path) if root else path, scope)


def _below(root: str, path: str) -> str:
    """Return the path below root_path, by the rule of Starlette's own matching."""
    if not path.startswith(root):
        return path
    below = path[len(root) :]
    return below if not below or below[0] == "/" else path


def build_table(
    found: Iterable[Any],
    by_glob: Mapping[str, RoutePolicy],
    root_path: str = "",
    defaults: RoutePolicy = _NOTHING_SAID,
) -> RouteTable:
    """Build the table from `discover.Found`s, in their order.

    by_glob: policies of failsoft.toml, glob of `METHOD template` -> policy.
    root_path: what a FastAPI application sets on the scope by itself.  defaults: of
    routes that say nothing else.
    """
    from failsoft.routes.discover import path_regex

    trie = Trie()
    defs: dict[str, RouteDef] = {NO_ROUTE: RouteDef(NO_ROUTE)}
    index: dict[str, int] = {NO_ROUTE: 0}
    faults: list[str] = []
    for order, route in enumerate(found):
        faults += _faults(route)
        plans: dict[str, int] = {}
        for method, key in keys_of(route):
            if key not in index:
                index[key] = len(defs)
                own = route.tags, by_glob, route.declared, defaults
                defs[key] = _defined(key, policy_for(key, *own))
            plans[method] = index[key]
        if "GET" in plans and "HEAD" in route.methods:
            plans["HEAD"] = plans["GET"]
        regex = path_regex(route.path) if segments_of(route.path) is None else None
        trie.add(route.path, Entry(order, plans, route.guard), regex)
    trie.freeze()
    table = RouteTable(tuple(defs.values()), trie, root_path)
    table.faults = tuple(faults)
    return table


def _defined(key: str, said: Resolved) -> RouteDef:
    return RouteDef(
        key, said.criticality, said.tags, said.bypass, said.handling, said.rules
    )


def _faults(route: Any) -> list[str]:
    if not route.declared.rules.stale_s or {"GET", "*"} & set(route.methods):
        return []
    return [
        f"{key} has stale, but only answers to GET are kept; drop stale"
        for _, key in keys_of(route)
    ]


def keys_of(route: Any) -> Iterator[tuple[str, str]]:
    """Yield (method, `METHOD template`) of a `discover.Found`."""
    for method in _counted_methods(route.methods):
        yield method, f"{method} {template_of(route.path)}"


def _counted_methods(methods: tuple[str, ...]) -> tuple[str, ...]:
    """Drop HEAD beside GET: a kill of `GET /x` must not leave HEAD open."""
    if "*" in methods:
        return (*(m for m in methods if m == WEBSOCKET), "*")
    if "GET" in methods:
        return tuple(m for m in methods if m != "HEAD")
    return methods
