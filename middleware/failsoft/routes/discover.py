"""Read an application's routes: Starlette, FastAPI, mounts, hosts, included routers.

Nothing is patched; public attributes are read once at start-up.
"""

from __future__ import annotations

import re
import sys
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from starlette.convertors import CONVERTOR_TYPES
from starlette.routing import BaseRoute, Host, Match, Mount, Route, WebSocketRoute

from failsoft.routes.policy import declared_on
from failsoft.routes.trie import WEBSOCKET, Guard
from failsoft.settings import RoutePolicy

__all__ = ["Found", "find_routes", "path_regex", "walk"]

_PARAM = re.compile(r"{[a-zA-Z_]\w*(?::([a-zA-Z_]\w*))?}")
_MAX_WRAPPERS = 100


@dataclass(frozen=True, slots=True)
class Found:
    """One route as registered, in order.  methods: `*` for any, `WS` for sockets.

    context: the framework's own record of it, None for what only ends a mount.
    """

    path: str
    methods: tuple[str, ...]
    tags: tuple[str, ...] = ()
    declared: RoutePolicy = field(default_factory=RoutePolicy)
    guard: Guard | None = None
    context: Any = field(default=None, compare=False, repr=False)


def find_routes(app: Any) -> Sequence[BaseRoute] | None:
    """Return the route list of an app, looking through wrapping middleware."""
    for _ in range(_MAX_WRAPPERS):
        routes = getattr(app, "routes", None)
        if isinstance(routes, (list, tuple)):
            return routes
        app = getattr(app, "app", None)
        if app is None:
            return None
    return None


def path_regex(path: str) -> re.Pattern[str]:
    """Compile a path whose convertors may hold slashes, as Starlette would."""
    out, last = ["^"], 0
    for match in _PARAM.finditer(path):
        out.append(re.escape(path[last : match.start()]))
        out.append(f"(?:{CONVERTOR_TYPES[match.group(1) or 'str'].regex})")
        last = match.end()
    return re.compile("".join([*out, re.escape(path[last:]), "$"]))


def walk(
    routes: Iterable[Any], prefix: str = "", guard: Guard | None = None
) -> Iterator[Found]:
    """Yield every route in the order in which Starlette would try them."""
    for context in _contexts(routes):
        original = getattr(context, "original_route", context)
        if isinstance(original, Mount):
            yield from _walk_mount(context, prefix, guard)
        elif isinstance(original, Host):
            inner = find_routes(context.app)
            yield from walk(inner or (), prefix, _both(guard, _host_guard(original)))
        elif isinstance(original, WebSocketRoute):
            yield _found(context, prefix, guard, (WEBSOCKET,))
        elif isinstance(original, Route):
            methods = tuple(sorted(context.methods)) if context.methods else ("*",)
            own = None if prefix else _own_match(original)
            yield _found(context, prefix, _both(guard, own), methods)


def _found(
    context: Any, prefix: str, guard: Guard | None, methods: tuple[str, ...]
) -> Found:
    tags = tuple(
        str(getattr(tag, "value", tag)) for tag in getattr(context, "tags", None) or ()
    )
    declared = declared_on(getattr(context, "endpoint", None))
    return Found(prefix + context.path, methods, tags, declared, guard, context)


def _walk_mount(mount: Any, prefix: str, guard: Guard | None) -> Iterator[Found]:
    path = prefix + mount.path.rstrip("/")
    yield from walk(find_routes(mount.app) or mount.routes or (), path, guard)
    # Starlette never leaves a mount it entered: what no inner route takes ends here.
    yield Found(path + "/{path:path}", ("*", WEBSOCKET), guard=guard)


def _contexts(routes: Iterable[Any]) -> Iterable[Any]:
    """Resolve FastAPI's lazily included routers (0.137 and newer) to routes."""
    fastapi = sys.modules.get("fastapi.routing")
    expand = getattr(fastapi, "iter_route_contexts", None)
    for context in expand(list(routes)) if expand else _included(routes):
        # In some releases what Starlette serves stood in there, as a route of its own.
        yield getattr(context, "starlette_route", None) or context


def _included(routes: Iterable[Any]) -> Iterator[Any]:
    """Walk the tree of 0.137.0 and 0.137.1, which have no function for it."""
    for route in routes:
        expand = getattr(route, "effective_route_contexts", None)
        yield from (route,) if expand is None else expand()


def _both(one: Guard | None, two: Guard | None) -> Guard | None:
    if one is None or two is None:
        return one or two
    return lambda scope: one(scope) and two(scope)


def _host_guard(host: Host) -> Guard:
    def matches(scope: Mapping[str, Any]) -> bool:
        return host.matches(dict(scope))[0] is not Match.NONE

    return matches


def _own_match(route: BaseRoute) -> Guard | None:
    """Ask a route whose class decides by itself (a subclass with `matches`)."""
    if type(route).matches.__module__ in ("starlette.routing", "fastapi.routing"):
        return None
    return lambda scope: route.matches(dict(scope))[0] is Match.FULL
