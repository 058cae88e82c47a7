"""The trie must name the route that Starlette itself would run."""

from __future__ import annotations

from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st
from starlette.routing import BaseRoute, Match, Mount, Route, WebSocketRoute

from failsoft.routes.discover import walk
from failsoft.routes.table import NO_ROUTE, build_table
from failsoft.routes.trie import template_of

SEGMENTS = [
    "",
    "a",
    "b",
    "{x}",
    "{x}",
    "{n:int}",
    "{f:float}",
    "v{x}",
    "{x}.json",
    "a.json",
]
REQUESTED = ["", "a", "a\n", "b", "7", "7\n", "7.5", "va", "a.json", "7.json", "é"]
METHODS = [["GET"], ["POST"], ["GET", "POST"], None]


async def handler(request: Any) -> None:
    raise AssertionError("never run")


def path_of(parts: list[str]) -> str:
    # A parameter name may stand once in a path.
    named = [part.replace("{x", f"{{x{i}") for i, part in enumerate(parts)]
    named = [part.replace("{n", f"{{n{i}") for i, part in enumerate(named)]
    return "/" + "/".join(p.replace("{f", f"{{f{i}") for i, p in enumerate(named))


def template_matched(routes: list[BaseRoute], scope: dict[str, Any]) -> str:
    """What Starlette does: the first full match, into mounts and never back."""
    for route in routes:
        match, child = route.matches(scope)
        if match is not Match.FULL:
            continue
        if isinstance(route, Mount):
            inner = template_matched(list(route.routes), {**scope, **child})
            return template_of(route.path) + (inner or "/{path}")
        return str(getattr(route, "path_format", ""))
    return ""


paths = st.lists(st.sampled_from(SEGMENTS), min_size=1, max_size=3).map(path_of)
leaves = st.tuples(paths, st.sampled_from(METHODS)).map(
    lambda t: Route(t[0], handler, methods=t[1])
)
tails = paths.map(lambda p: Route(p.rstrip("/") + "/{rest:path}", handler))
mounts = st.tuples(paths, st.lists(leaves, max_size=3)).map(
    lambda t: Mount(t[0].replace(":int", ""), routes=t[1])
)
tables = st.lists(st.one_of(leaves, tails, mounts), max_size=6)
requests = st.lists(st.sampled_from(REQUESTED), min_size=1, max_size=4).map(
    lambda parts: "/" + "/".join(parts)
)


@settings(max_examples=500)
@given(tables, requests, st.sampled_from(["GET", "POST", "PUT"]))
def test_the_trie_finds_what_starlette_runs(
    routes: list[BaseRoute], path: str, method: str
) -> None:
    table = build_table(walk(routes), {})
    scope = {"type": "http", "method": method, "path": path, "headers": []}

    found = table.routes[table.find(method, scope)].key

    expected = template_matched(routes, scope)
    if "\n" in path and any(isinstance(route, Mount) for route in routes):
        return  # Starlette takes one character too many off such a path
    assert found.partition(" ")[2] == expected or (found == NO_ROUTE and expected == "")


def test_head_counts_as_the_get_route_so_a_kill_covers_it() -> None:
    table = build_table(walk([Route("/x", handler, methods=["GET"])]), {})
    scope = {"type": "http", "method": "HEAD", "path": "/x", "headers": []}

    assert table.routes[table.find("HEAD", scope)].key == "GET /x"


def test_a_trailing_newline_does_not_slip_past_the_route() -> None:
    """Starlette's regexes end in `$`, which matches before a last newline."""
    table = build_table(walk([Route("/x", handler)]), {})
    scope = {"type": "http", "method": "GET", "path": "/x\n", "headers": []}

    assert table.routes[table.find("GET", scope)].key == "GET /x"


def test_a_handshake_never_takes_an_http_route() -> None:
    table = build_table(walk([Route("/x", handler), WebSocketRoute("/x", handler)]), {})
    scope = {"type": "websocket", "path": "/x", "headers": []}

    assert table.routes[table.find("WS", scope)].key == "WS /x"


def test_the_path_below_root_path_is_matched() -> None:
    table = build_table(walk([Route("/x", handler)]), {})
    scope = {"type": "http", "path": "/api/x", "root_path": "/api", "headers": []}

    assert table.routes[table.find("GET", scope)].key == "GET /x"


def test_a_longer_route_does_not_hide_a_shorter_one() -> None:
    routes = [Route("/p/{x}", handler), Route("/p/{x}/r", handler)]
    table = build_table(walk(routes), {})
    scope = {"type": "http", "path": "/p/1", "headers": []}

    assert table.routes[table.find("GET", scope)].key == "GET /p/{x}"
