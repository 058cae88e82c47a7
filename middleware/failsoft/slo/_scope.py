"""Which routes each SLO is about, and what is wrong with how that is declared."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import replace

from failsoft.controls.targets import covers, nearest
from failsoft.routes.table import NO_ROUTE, RouteDef
from failsoft.settings import SloDefinition, declared_slos

__all__ = ["aims_of", "faults_of", "scopes_of", "watched_slos"]

_ROUTES_NAMED = 50


def scopes_of(
    slos: Mapping[str, SloDefinition], routes: Iterable[RouteDef]
) -> dict[str, tuple[str, ...]]:
    """Return the keys of the routes of each SLO that holds.

    Routes out of failsoft's reach (`bypass`) are in none.  What has no route is in
    the SLO `all` of applications that declare none.
    """
    counted = [route for route in routes if not route.bypass]
    return {
        name: tuple(r.key for r in counted if _is_in(name, slo, r, bool(slos)))
        for name, slo in declared_slos(slos).items()
    }


def watched_slos(
    slos: Mapping[str, SloDefinition], routes: Iterable[RouteDef]
) -> dict[str, SloDefinition]:
    """Return the SLOs that hold; routes that name one themselves stand in its scope."""
    known = tuple(routes)
    return {
        name: replace(
            slo,
            routes=(*slo.routes, *(r.key for r in known if r.rules.slo == name))[
                :_ROUTES_NAMED
            ],
        )
        for name, slo in declared_slos(slos).items()
    }


def _is_in(name: str, slo: SloDefinition, route: RouteDef, is_declared: bool) -> bool:
    if route.key == NO_ROUTE:
        return not is_declared
    return route.rules.slo == name or any(_names(g, route) for g in slo.routes)


def _names(glob: str, route: RouteDef) -> bool:
    if glob.startswith("tag:"):
        return glob[4:] in route.tags
    return covers(glob, route.key)


def aims_of(
    slos: Mapping[str, SloDefinition], routes: Iterable[RouteDef]
) -> dict[str, tuple[tuple[str, float], ...]]:
    """Return what judges the answers of each route: (SLO, latest good in us)."""
    found: dict[str, list[tuple[str, float]]] = {}
    declared = declared_slos(slos)
    for name, keys in scopes_of(slos, routes).items():
        latency_s = declared[name].latency_s
        for key in keys:
            limit_us = float("inf") if latency_s is None else latency_s * 1e6
            found.setdefault(key, []).append((name, limit_us))
    return {key: tuple(aims) for key, aims in found.items()}


def faults_of(
    slos: Mapping[str, SloDefinition], routes: Iterable[RouteDef]
) -> list[str]:
    """Return what declared SLOs and routes say of each other that cannot be.

    For when all routes are known: a glob without a route would watch nothing.
    """
    known = [route for route in routes if route.key != NO_ROUTE]
    faults = []
    for name, slo in slos.items():
        faults += [
            f"slo.{name}.routes holds {glob!r}, which is no route of the application; "
            f"{_todo(glob, known)}"
            for glob in slo.routes
            if not any(_names(glob, route) for route in known)
        ]
        if not slo.routes and not any(r.rules.slo == name for r in known):
            todo = f'give it routes, or a route slo = "{name}"'
            faults.append(f"slo.{name} is about no route; {todo}")
    names = declared_slos(slos)
    for route in known:
        said = route.rules.slo
        if said is not None and said not in names:
            close = nearest(said, names, 1)
            todo = f"did you mean {close[0]}?" if close else f"declare [slo.{said}]"
            faults.append(f"{route.key}: slo = {said!r} is not declared; {todo}")
    return faults


def _todo(glob: str, routes: list[RouteDef]) -> str:
    tags = [f"tag:{tag}" for route in routes for tag in route.tags]
    names = tags if glob.startswith("tag:") else [route.key for route in routes]
    close = nearest(glob, names, 1)
    return f"did you mean {close[0]}?" if close else "drop it, or name a route"
