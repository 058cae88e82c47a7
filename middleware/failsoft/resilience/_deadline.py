"""How long a request has: its route's timeout, and what its caller says.

Spans, not instants, are passed between services, as their clocks differ.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping

from failsoft.pipeline import Exchange, Rejection, Scalars
from failsoft.problem import LATE
from failsoft.settings import RouteRules

__all__ = ["heed", "timeout_ns_of"]

_NS = 1_000_000_000
_MS_NS = 1_000_000
# Less is over before a handler could do anything.
_LEAST_NS = 5 * _MS_NS
_MOST_MS = 3_600_000


def _milliseconds(raw: bytes) -> int:
    """Return the nanoseconds of 1 to 3,600,000 ms; 0 where it says nothing."""
    if len(raw) > 7 or not raw.isdigit() or not 1 <= (ms := int(raw)) <= _MOST_MS:
        return 0
    return ms * _MS_NS


# "Timeout" of gRPC over HTTP/2 (grpc/grpc: doc/PROTOCOL-HTTP2.md): at most 8 digits.
_UNITS_NS = {
    b"H": 3600 * _NS,
    b"M": 60 * _NS,
    b"S": _NS,
    b"m": _MS_NS,
    b"u": 1000,
    b"n": 1,
}


def _grpc(raw: bytes) -> int:
    match = re.fullmatch(rb"([0-9]{1,8})([HMSmun])", raw)
    if match is None:
        return 0
    return min(int(match[1]) * _UNITS_NS[match[2]], _MOST_MS * _MS_NS)


_READERS: dict[bytes, Callable[[bytes], int]] = {
    b"failsoft-timeout-ms": _milliseconds,
    b"x-envoy-expected-rq-timeout-ms": _milliseconds,
    b"grpc-timeout": _grpc,
}


def timeout_ns_of(rules: RouteRules, scalars: Scalars) -> int:
    """Return a route's timeout in nanoseconds, as modes turn it; 0 for none."""
    spans = [scalars.timeout_s] if scalars.timeout_s else []
    if rules.timeout_s:
        spans.append(rules.timeout_s * scalars.timeout_scale)
    return max(_LEAST_NS, int(min(spans) * _NS)) if spans else 0


def heed(exchange: Exchange, said: Mapping[bytes, bytes]) -> Rejection | None:
    """Lower a request's deadline by what its caller says; never raise it.

    said: values of headers, by lower-case name.  What is
    malformed counts in `bad_headers`.  Refused where less than 5 ms is left.
    """
    for name, value in said.items():
        reader = _READERS.get(name)
        if reader is None:
            continue
        if not (span_ns := reader(value)):
            counts, key = exchange.runtime.bad_headers, name.decode()
            counts[key] = counts.get(key, 0) + 1
            continue
        at_ns = exchange.started_ns + span_ns
        if not exchange.deadline_ns or at_ns < exchange.deadline_ns:
            exchange.deadline_ns = at_ns
        if span_ns < _LEAST_NS:
            return LATE
    return None
