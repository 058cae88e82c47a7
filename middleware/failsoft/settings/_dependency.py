"""`[dependency.<name>]`: a third party, how it is called, and what it answers."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Any

from failsoft.settings._readers import (
    At,
    Fault,
    Rate,
    Reader,
    Span,
    is_whole,
    read_bool,
    read_fields,
    read_header_names,
    read_path,
    read_share,
    read_texts,
)

__all__ = ["BreakerSettings", "DependencySettings", "is_dependency", "read_dependency"]


@dataclass(frozen=True, slots=True)
class BreakerSettings:
    """When a breaker opens, and how it closes again.

    Of >= calls in 30 s the shares that failed or were slow open it, and so do in_row
    failures with none ok for silent_s.  open_s: of the first opening, twice as long
    for each that follows, open_most_s at most; calm_s closed begin anew.  permits: of
    each step of the half-open state; after step_s one good call is enough.
    """

    calls: int = 10
    fail_ratio: float = 0.5
    slow_ratio: float = 0.8
    in_row: int = 10
    silent_s: float = 2.0
    open_s: float = 5.0
    open_most_s: float = 60.0
    permits: tuple[int, ...] = (1, 3, 10)
    step_s: float = 10.0
    calm_s: float = 300.0


@dataclass(frozen=True, slots=True)
class DependencySettings:
    """What is known of a third party.

    contract: path of its OpenAPI file, "" for none.  hosts: `name` or `name:port`
    that answer like the contract's servers, `*` = any; empty = the servers alone.
    enum_values: unknown members of enums are named in the ledger.  version_header:
    of its answers, in lower case, that says which version answered; "" for none.

    timeout_s: of one attempt, to the head of its answer; None = the client's own.
    slow_s: from when on an answer is slow; None = 0.8 of the timeout.  retries: 0 to
    3 of calls that may be repeated.  internal: one of ours, that is told deadline and
    criticality.  quota_reserve: share of its quota kept for critical requests.
    """

    contract: str = ""
    hosts: tuple[str, ...] = ()
    enum_values: bool = False
    version_header: str = ""
    timeout_s: float | None = None
    slow_s: float | None = None
    retries: int = 0
    internal: bool = False
    quota_reserve: float = 0.2
    breaker: BreakerSettings = BreakerSettings()


def is_dependency(name: str) -> bool:
    """Whether a third party may be called so: 1 to 64 letters, digits, `._-`."""
    return re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}", name) is not None


def read_dependency(raw: object, at: At) -> DependencySettings:
    """Read the table of one third party."""
    if not is_dependency(at.key):
        todo = "write it in letters, digits and ._-, at most 64"
        raise Fault("is no name of a dependency", todo, shown=False)
    return DependencySettings(**_with_units(read_fields(raw, at, _FIELDS), _SPANS))


def _read_breaker(raw: object, at: At) -> BreakerSettings:
    found = _with_units(read_fields(raw, at, _BREAKER), _BREAKER_SPANS)
    ratios = {key: f"{key}_ratio" for key in ("fail", "slow")}
    return BreakerSettings(**{ratios.get(k, k): value for k, value in found.items()})


def _with_units(found: dict[str, Any], spans: tuple[str, ...]) -> dict[str, Any]:
    return {f"{k}_s" if k in spans else k: value for k, value in found.items()}


def _read_version_header(raw: object, at: At) -> str:
    return read_header_names([raw], at)[0]


def _count(low: int, high: int) -> Reader:
    def read(raw: object, at: At) -> int:
        if not is_whole(raw, low, high):
            problem = f"must be a whole number from {low} to {high}"
            raise Fault(problem, f"write {low}, without quotes")
        return raw

    return read


def _read_permits(raw: object, at: At) -> tuple[int, ...]:
    if not isinstance(raw, list | tuple) or not 1 <= len(raw) <= 5:
        raise Fault("must be a list of 1 to 5 steps", "write [1, 3, 10]")
    return tuple(_count(1, 100)(step, at) for step in raw)


_FIELDS: dict[str, Reader] = {
    "contract": read_path,
    "hosts": read_texts,
    "enum_values": read_bool,
    "version_header": _read_version_header,
    "timeout": Span("5ms", "1h"),
    "slow": Span("1ms", "1h"),
    "retries": _count(0, 3),
    "internal": read_bool,
    "quota_reserve": Rate(0, 1),
    "breaker": _read_breaker,
}
_SPANS = ("timeout", "slow")

_BREAKER: dict[str, Reader] = {
    "calls": _count(1, 10_000),
    "fail": read_share,
    "slow": read_share,
    "in_row": _count(1, 10_000),
    "silent": Span("0s", "5m"),
    "open": Span("100ms", "1h"),
    "open_most": Span("100ms", "1h"),
    "permits": _read_permits,
    "step": Span("100ms", "5m"),
    "calm": Span("1s", "1d"),
}
_BREAKER_SPANS = ("silent", "open", "open_most", "step", "calm")
