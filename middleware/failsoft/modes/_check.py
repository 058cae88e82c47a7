"""What is wrong with modes once the routes of the application are known."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence

from failsoft.controls.targets import nearest
from failsoft.modes._compile import matches_scope, spares
from failsoft.routes.table import RouteDef
from failsoft.settings import ModeDefinition

__all__ = ["doubts_of", "faults_of", "unmatched"]


def faults_of(
    modes: Mapping[str, ModeDefinition],
    never: tuple[str, ...],
    routes: Sequence[RouteDef],
    handlers: Collection[str],
) -> list[str]:
    """Return a finding for each route, handler or trigger that a mode names in vain.

    routes: of the application, none where they cannot be known.
    """
    found: list[str] = []
    for name, mode in modes.items():
        for action, value in mode.actions:
            if action == "reroute" and value not in handlers:
                what = f"reroute = {value!r}: no failsoft.handler is called so"
                found.append(f"mode.{name}.actions: {what}{_near(value, handlers)}")
        for leaf in mode.enter.leaves() if mode.enter is not None else ():
            if leaf.kind == "health":
                what = f"nothing reports a health check {leaf.name!r}"
                found.append(f"mode.{name}.enter: {what}; drop it, or enter by hand")
        if len(routes) > 1:  # one is `(no route)`
            found += _lost(name, mode, never, routes)
    return found


def doubts_of(modes: Mapping[str, ModeDefinition], flags: Collection[str]) -> list[str]:
    """Return a finding for each flag a mode turns off that nothing declares.

    flags: of code and settings; others may come with their first use, or the store.
    """
    return [
        f"mode.{name}.actions: disable names flag {flag!r}, which nothing declares"
        + _near(flag, flags)
        for name, mode in modes.items()
        for action, value in mode.actions
        for flag in (value if action == "disable" else ())
        if flag not in flags
    ]


def unmatched(
    globs: Mapping[str, Sequence[str]], routes: Sequence[RouteDef]
) -> list[str]:
    """Return a finding for each glob, by where it stands, that reaches no route."""
    if len(routes) < 2:  # one is `(no route)`
        return []
    keys = [route.key for route in routes]
    return [
        f"{where}: {glob!r} matches no route{_near(glob, keys)}"
        for where, said in globs.items()
        for glob in said
        if not any(matches_scope(glob, route) for route in routes)
    ]


def _lost(
    name: str, mode: ModeDefinition, never: tuple[str, ...], routes: Sequence[RouteDef]
) -> Iterator[str]:
    for glob in mode.routes:
        covered = [route for route in routes if matches_scope(glob, route)]
        if not covered:
            near = _near(glob, [route.key for route in routes])
            yield f"mode.{name}.routes: {glob!r} matches no route{near}"
        is_named = not {"*", "?"} & set(glob)
        if is_named and covered and all(spares(route, never) for route in covered):
            why = "is bypass, or modes.never protects it"
            yield f"mode.{name}.routes names {glob!r}, which {why}; drop one of them"


def _near(name: str, known: Collection[str]) -> str:
    close = nearest(name, known, 1)
    return f"; did you mean {close[0]}?" if close else ""
