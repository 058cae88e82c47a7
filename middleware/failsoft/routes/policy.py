"""What a team declares about a route, in code or in failsoft.toml."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Literal, TypeVar

from failsoft.controls.targets import covers, literal_weight
from failsoft.settings import RoutePolicy, RouteRules, read_declared

__all__ = [
    "Criticality",
    "Resolved",
    "declared_on",
    "policy_for",
    "route",
]

Criticality = Literal["critical_plus", "critical", "sheddable_plus", "sheddable"]
Handling = Literal["off", "observe", "warn", "tolerate", "strict"]
Span = str | float  # "800ms", or seconds

_ATTRIBUTE = "__failsoft_route__"
_F = TypeVar("_F", bound=Callable[..., Any])


def route(  # noqa: PLR0913 - each is one thing that may be declared
    *,
    criticality: Criticality | None = None,
    tags: tuple[str, ...] | list[str] = (),
    bypass: bool | None = None,
    handling: Handling | None = None,
    timeout: Span | None = None,
    timeout_scope: Literal["start", "body"] | None = None,
    timeout_grace: Span | None = None,
    rate_limit: str | None = None,
    rate_limit_key: str | Callable[..., Any] | None = None,
    rate_limit_cost: int | Callable[..., Any] | None = None,
    concurrency_limit: int | None = None,
    stale: Span | None = None,
    stale_key: Literal["consumer"] | None = None,
    fallback: Any = None,
    slo: str | None = None,
) -> Callable[[_F], _F]:
    """Declare policy on a handler; failsoft.toml wins over it.

    criticality: who is shed first, default `critical`.  tags: added to the
    framework's own.  bypass: no kill, mode or limit ever touches the route.
    handling: how its bodies are read, default `tolerance.handling`.  The others as
    in `settings.RouteRules`; spans are seconds or text such as `800ms`.
    Put it below the framework's decorator.  ValueError names what cannot be used.
    """
    said = {key: value for key, value in locals().items() if value is not None}
    declared = read_declared(said)

    def mark(handler: _F) -> _F:
        setattr(handler, _ATTRIBUTE, declared)
        return handler

    return mark


def declared_on(endpoint: object) -> RoutePolicy:
    """Return what `route` put on a handler, an empty policy without it."""
    found = getattr(endpoint, _ATTRIBUTE, None)
    return found if isinstance(found, RoutePolicy) else RoutePolicy()


@dataclass(frozen=True, slots=True)
class Resolved:
    """What holds for a route once all layers have spoken."""

    criticality: str
    tags: tuple[str, ...]
    bypass: bool
    handling: str
    rules: RouteRules


def policy_for(
    key: str,
    tags: tuple[str, ...],
    by_glob: Mapping[str, RoutePolicy],
    code: RoutePolicy,
    defaults: RoutePolicy,
) -> Resolved:
    """Resolve what holds for a route: the most literal glob first, defaults last."""
    matching = sorted(
        (glob for glob in by_glob if covers(glob, key)),
        key=literal_weight,
        reverse=True,
    )
    layers = [*(by_glob[glob] for glob in matching), code, defaults]
    every = dict.fromkeys([*tags, *(t for p in layers for t in p.tags)])
    return Resolved(
        next((p.criticality for p in layers if p.criticality), "critical"),
        tuple(every),
        next((p.bypass for p in layers if p.bypass is not None), False),
        next((p.handling for p in layers if p.handling), ""),
        RouteRules.merged(p.rules for p in layers),
    )
