"""What a team declares about a route, in code or in failsoft.toml."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Literal, TypeVar

from failsoft.controls.targets import covers, literal_weight
from failsoft.settings import CRITICALITIES

__all__ = [
    "Criticality",
    "Declared",
    "declared_on",
    "policy_for",
    "route",
]

Criticality = Literal["critical_plus", "critical", "sheddable_plus", "sheddable"]

_ATTRIBUTE = "__failsoft_route__"
_F = TypeVar("_F", bound=Callable[..., Any])


@dataclass(frozen=True, slots=True)
class Declared:
    """Policy of a route; None leaves a field to the layer below."""

    criticality: Criticality | None = None
    tags: tuple[str, ...] = ()
    bypass: bool | None = None


def route(
    *,
    criticality: Criticality | None = None,
    tags: tuple[str, ...] | list[str] = (),
    bypass: bool | None = None,
) -> Callable[[_F], _F]:
    """Declare policy on a handler; failsoft.toml wins over it.

    criticality: who is shed first, default `critical`.  tags: added to the
    framework's own.  bypass: no kill, mode or limit ever touches the route.
    Put it below the framework's decorator.
    """
    if criticality is not None and criticality not in CRITICALITIES:
        raise ValueError(
            f"criticality {criticality!r} is not known; "
            f"use one of {', '.join(CRITICALITIES)}"
        )

    def mark(handler: _F) -> _F:
        setattr(handler, _ATTRIBUTE, Declared(criticality, tuple(tags), bypass))
        return handler

    return mark


def declared_on(endpoint: object) -> Declared:
    """Return what `route` put on a handler, an empty policy without it."""
    found = getattr(endpoint, _ATTRIBUTE, None)
    return found if isinstance(found, Declared) else Declared()


def policy_for(
    key: str, tags: tuple[str, ...], by_glob: Mapping[str, Any], code: Declared
) -> tuple[str, tuple[str, ...], bool]:
    """Resolve (criticality, tags, bypass) of a route: the most literal glob first."""
    matching = sorted(
        (glob for glob in by_glob if covers(glob, key)),
        key=literal_weight,
        reverse=True,
    )
    layers = [*(by_glob[glob] for glob in matching), code]
    criticality = next((p.criticality for p in layers if p.criticality), "critical")
    bypass = next((p.bypass for p in layers if p.bypass is not None), False)
    every = dict.fromkeys([*tags, *(t for p in layers for t in p.tags)])
    return criticality, tuple(every), bypass
