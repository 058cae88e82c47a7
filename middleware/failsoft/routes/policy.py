"""What a team declares about a route, in code or in failsoft.toml."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Literal, TypeVar

from failsoft.controls.targets import covers, literal_weight
from failsoft.settings import CRITICALITIES, HANDLINGS

__all__ = [
    "Criticality",
    "Declared",
    "declared_on",
    "policy_for",
    "route",
]

Criticality = Literal["critical_plus", "critical", "sheddable_plus", "sheddable"]
Handling = Literal["off", "observe", "warn", "tolerate", "strict"]

_ATTRIBUTE = "__failsoft_route__"
_F = TypeVar("_F", bound=Callable[..., Any])


@dataclass(frozen=True, slots=True)
class Declared:
    """Policy of a route; None leaves a field to the layer below."""

    criticality: Criticality | None = None
    tags: tuple[str, ...] = ()
    bypass: bool | None = None
    handling: Handling | None = None


def route(
    *,
    criticality: Criticality | None = None,
    tags: tuple[str, ...] | list[str] = (),
    bypass: bool | None = None,
    handling: Handling | None = None,
) -> Callable[[_F], _F]:
    """Declare policy on a handler; failsoft.toml wins over it.

    criticality: who is shed first, default `critical`.  tags: added to the
    framework's own.  bypass: no kill, mode or limit ever touches the route.
    handling: how its bodies are read, default `tolerance.handling`.
    Put it below the framework's decorator.
    """
    if criticality is not None and criticality not in CRITICALITIES:
        raise ValueError(
            f"criticality {criticality!r} is not known; "
            f"use one of {', '.join(CRITICALITIES)}"
        )

    if handling is not None and handling not in HANDLINGS:
        raise ValueError(
            f"handling {handling!r} is not known; use one of {', '.join(HANDLINGS)}"
        )
    declared = Declared(criticality, tuple(tags), bypass, handling)

    def mark(handler: _F) -> _F:
        setattr(handler, _ATTRIBUTE, declared)
        return handler

    return mark


def declared_on(endpoint: object) -> Declared:
    """Return what `route` put on a handler, an empty policy without it."""
    found = getattr(endpoint, _ATTRIBUTE, None)
    return found if isinstance(found, Declared) else Declared()


def policy_for(
    key: str, tags: tuple[str, ...], by_glob: Mapping[str, Any], code: Declared
) -> tuple[str, tuple[str, ...], bool, str]:
    """Resolve (criticality, tags, bypass, handling): the most literal glob first."""
    matching = sorted(
        (glob for glob in by_glob if covers(glob, key)),
        key=literal_weight,
        reverse=True,
    )
    layers = [*(by_glob[glob] for glob in matching), code]
    criticality = next((p.criticality for p in layers if p.criticality), "critical")
    bypass = next((p.bypass for p in layers if p.bypass is not None), False)
    every = dict.fromkeys([*tags, *(t for p in layers for t in p.tags)])
    handling = next((p.handling for p in layers if p.handling), "")
    return criticality, tuple(every), bypass, handling
