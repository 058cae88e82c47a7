"""`[rate_limit.<name>]`: a limit of clients that routes share by its name."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from functools import lru_cache
from inspect import iscoroutinefunction
from typing import Any, NamedTuple

from failsoft.settings._readers import (
    At,
    Fault,
    Reader,
    one_of,
    read_fields,
    read_text,
    read_texts,
    suggest,
    whole,
)

__all__ = [
    "RateLimitSettings",
    "RatePart",
    "is_rate",
    "or_function",
    "parse_rates",
    "read_cost",
    "read_key",
    "read_rate_limit",
    "read_route_limit",
    "unknown_limits",
]

_NAME = re.compile(r"[A-Za-z][A-Za-z0-9._-]{0,63}")
_NAME_TODO = "write it in letters, digits and ._-, at most 64, a letter first"
_COST_MAX = 1000


class RatePart(NamedTuple):
    """One of the rates of a limit: amount requests in window_s seconds.

    unit: the window as written, such as `minute` or `5minute`.
    """

    amount: int
    window_s: int
    unit: str


@dataclass(frozen=True, slots=True)
class RateLimitSettings:
    """What a limit says; key and cost are those of routes that say none.

    key: whose requests are counted together, consumer, ip, route, header:<name> or
    a function of the scope.  cost: of a request, 1..1000 or such a function.  how:
    leased, exact, local, "" = by the rates.  burst: at once, 0 = the count.  exempt:
    keys that are not limited.  on_store_error: what holds while Redis does not
    answer.  headers: full = what remains is told on every answer.
    """

    rate: tuple[RatePart, ...] = ()
    key: str | Callable[..., Any] = "consumer"
    cost: int | Callable[..., Any] = 1
    how: str = ""
    burst: int = 0
    exempt: tuple[str, ...] = ()
    on_store_error: str = "local"
    headers: str = "default"


def is_rate(text: str) -> bool:
    """Whether a route's `rate_limit` is a rate; else it names a limit."""
    return not _NAME.fullmatch(text.strip())


@lru_cache(1024)  # each flip of a control compiles every route again
def parse_rates(text: str) -> tuple[RatePart, ...]:
    """Return the rates of `100/minute;2000/hour`, the shortest window first.

    Raises ValueError in the words of `limits`.
    """
    from limits import parse_many

    found = set()
    for item in parse_many(text):
        if item.amount < 1 or item.get_expiry() < 1:
            raise ValueError(f"{text!r} lets nothing pass")
        several = str(item.multiples) if item.multiples > 1 else ""
        unit = f"{several}{item.GRANULARITY.name}"
        found.add(RatePart(item.amount, item.get_expiry(), unit))
    return tuple(sorted(found, key=lambda part: (part.window_s, part.amount)))


def read_rate_limit(raw: object, at: At) -> RateLimitSettings:
    """Read the table of one limit."""
    if not _NAME.fullmatch(at.key):
        raise Fault("is no name of a limit", _NAME_TODO, shown=False)
    limit = RateLimitSettings(**read_fields(raw, at, _FIELDS))
    if "rate" not in (raw or ()):  # type: ignore[operator]
        raise Fault("has no rate", 'add rate = "100/minute"', shown=False)
    if limit.rate:  # else it is told already
        _check(limit)
    return limit


def _check(limit: RateLimitSettings) -> None:
    first = limit.rate[0]
    if limit.burst and (len(limit.rate) > 1 or limit.how == "exact"):
        todo = "drop burst, or split it into limits of one rate that are not exact"
        raise Fault("has a burst besides exact or several rates", todo, shown=False)
    if limit.burst > first.amount:
        todo = f"write at most {first.amount}"
        raise Fault("has a burst above its rate", todo, shown=False)
    most = limit.burst or min(part.amount for part in limit.rate)
    if isinstance(limit.cost, int) and limit.cost > most:
        todo = f"lower cost to at most {most}"
        raise Fault("can never be afforded", todo, shown=False)


def read_route_limit(raw: object, at: At) -> str:
    """Read what a route says: a rate, or the name of a limit."""
    text = read_text(raw, at)
    if is_rate(text):
        _read_rate(text, at)
    return text


def _read_rate(raw: object, at: At) -> tuple[RatePart, ...]:
    text = read_text(raw, at)
    try:
        return parse_rates(text)
    except ValueError as error:
        todo = 'write it like "100/minute" or "10/second;2000/hour"'
        raise Fault(f"is no rate ({error})", todo, shown=False) from None


def unknown_limits(
    routes: Iterable[tuple[str, str | None]], known: Mapping[str, object]
) -> list[str]:
    """Return a finding for each place that names a limit which is not declared."""
    return [
        f"{place}: rate_limit = {name!r} is not declared; "
        + (suggest(name, known) if known else f"add [rate_limit.{name}]")
        for place, name in routes
        if name and not is_rate(name) and name not in known
    ]


def or_function(reader: Reader) -> Reader:
    """Return a reader that takes functions too; in a file nothing is one."""

    def read(raw: object, at: At) -> Any:
        if iscoroutinefunction(raw):  # its coroutines would all be different keys
            problem = "is an async function, for which no request can wait"
            raise Fault(problem, "write it as a plain def")
        return raw if callable(raw) else reader(raw, at)

    return read


def _read_key(raw: object, at: At) -> str:
    known = ("consumer", "ip", "route")
    text = read_text(raw, at)
    if text in known:
        return text
    if text.startswith("header:") and text[7:].strip():
        return text.lower()
    raise Fault(f"is none of {', '.join(known)}, header:<name>", "write one of these")


read_key = or_function(_read_key)
read_cost = or_function(whole(1, _COST_MAX))

_FIELDS: dict[str, Reader] = {
    "rate": _read_rate,
    "key": read_key,
    "cost": read_cost,
    "how": one_of("leased", "exact", "local"),
    "burst": whole(1, 1_000_000_000),
    "exempt": read_texts,
    "on_store_error": one_of("local", "open", "closed"),
    "headers": one_of("default", "full"),
}
