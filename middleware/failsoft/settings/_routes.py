"""What may be declared of a route, in `[routes."..."]`, `[defaults]` or code."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field, fields, replace
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any

from failsoft.settings._modes import StaticAnswer
from failsoft.settings._rate_limit import (
    read_cost,
    read_key,
    read_route_limit,
)
from failsoft.settings._readers import (
    IN_CODE,
    At,
    Fault,
    Reader,
    Span,
    check_glob,
    one_of,
    read_bool,
    read_fields,
    read_tags,
    read_text,
    whole,
)
from failsoft.settings._tolerance import read_handling
from failsoft.settings._words import CRITICALITIES

__all__ = [
    "ROUTE_FIELDS",
    "RoutePolicy",
    "RouteRules",
    "policy_of",
    "read_declared",
    "read_route",
]


@dataclass(frozen=True, slots=True)
class RouteRules:
    """How a route is protected and degrades; None = not said here.

    timeout_s: to the start of the answer, or with scope `body` to its end.
    timeout_grace_s: what a late handler has before it is cancelled.  rate_limit: as
    `limits` writes it, or the name of a `[rate_limit.<name>]`; its key: consumer, ip,
    route, header:<name> or a function of the request's scope; its cost 1..1000 or
    such a function.  concurrency_limit: requests at a time on one node.  stale_s:
    age of answers that may stand in; stale_key `consumer` keeps them per caller.
    fallback: function, `Static`, or the name of a `handler`.  slo: name.
    """

    timeout_s: float | None = None
    timeout_scope: str | None = None
    timeout_grace_s: float | None = None
    rate_limit: str | None = None
    rate_limit_key: str | Callable[..., Any] | None = None
    rate_limit_cost: int | Callable[..., Any] | None = None
    concurrency_limit: int | None = None
    stale_s: float | None = None
    stale_key: str | None = None
    fallback: Any = None
    slo: str | None = None

    @classmethod
    def merged(cls, layers: Iterable[RouteRules]) -> RouteRules:
        """Return each field of the first layer that says it."""
        found = cls()
        for layer in layers:
            open_fields = [
                f.name for f in fields(cls) if getattr(found, f.name) is None
            ]
            found = replace(found, **{n: getattr(layer, n) for n in open_fields})
        return found


@dataclass(frozen=True, slots=True)
class RoutePolicy:
    """What is declared for the routes of one glob, or on a handler.

    None = not said here.  handling: of bodies.
    """

    criticality: str | None = None
    tags: tuple[str, ...] = ()
    bypass: bool | None = None
    handling: str | None = None
    rules: RouteRules = field(default_factory=RouteRules)


def read_route(raw: object, at: At) -> RoutePolicy:
    """Read the table of one glob of routes."""
    at.read(lambda _raw, _at: check_glob(at.key), raw)
    policy = policy_of(read_fields(raw, at, ROUTE_FIELDS))
    if policy.rules.stale_s and not _reaches_get(at.key):
        problem = "has stale, but only answers to GET are kept"
        raise Fault(problem, "drop stale", shown=False)
    return policy


def _reaches_get(glob: str) -> bool:
    return fnmatchcase("GET", glob.partition(" ")[0])


def read_declared(values: Mapping[str, Any]) -> RoutePolicy:
    """Read what code declares; ValueError names every fault."""
    at = At(IN_CODE, Path.cwd(), [])
    policy = policy_of(read_fields(values, at, ROUTE_FIELDS))
    if at.findings:
        raise ValueError("; ".join(at.findings))
    return policy


def policy_of(values: Mapping[str, Any]) -> RoutePolicy:
    """Return the policy of what was read by `ROUTE_FIELDS`."""
    rules = {_RULE_OF[key]: value for key, value in values.items() if key in _RULE_OF}
    others = {key: value for key, value in values.items() if key not in _RULE_OF}
    return RoutePolicy(**others, rules=RouteRules(**rules))


def _read_fallback(raw: object, at: At) -> Any:
    if isinstance(raw, str):
        return read_text(raw, at)
    if callable(raw) or isinstance(raw, StaticAnswer):
        return raw
    todo = 'write the name of a failsoft.handler, as "basic-list"'
    raise Fault("is nothing that answers", todo)


ROUTE_FIELDS: dict[str, Reader] = {
    "criticality": one_of(*CRITICALITIES),
    "tags": read_tags,
    "bypass": read_bool,
    "handling": read_handling,
    "timeout": Span("5ms", "1h"),
    "timeout_scope": one_of("start", "body"),
    "timeout_grace": Span("0s", "5m"),
    "rate_limit": read_route_limit,
    "rate_limit_key": read_key,
    "rate_limit_cost": read_cost,
    "concurrency_limit": whole(1, 100_000),
    "stale": Span("1s", "7d"),
    "stale_key": one_of("consumer"),
    "fallback": _read_fallback,
    "slo": read_text,
}
_SPANS = ("timeout", "timeout_grace", "stale")
_RULE_OF = {
    key: f"{key}_s" if key in _SPANS else key
    for key in ROUTE_FIELDS
    if key not in ("criticality", "tags", "bypass", "handling")
}
