"""`[deadline]` and `[stale]`: late requests, and answers kept for bad times."""

from __future__ import annotations

from dataclasses import dataclass

from failsoft.settings._readers import (
    At,
    Fault,
    Reader,
    Size,
    Span,
    read_header_names,
    suggest,
)

__all__ = ["DEADLINE_FIELDS", "STALE_FIELDS", "DeadlineSettings", "StaleSettings"]

TIMEOUT_HEADERS = (
    "failsoft-timeout-ms",
    "x-envoy-expected-rq-timeout-ms",
    "grpc-timeout",
)


@dataclass(frozen=True, slots=True)
class DeadlineSettings:
    """How requests are held to their time.

    headers: in lower case, by which callers say what time they have left.  grace_s:
    the most that a late handler has before it is cancelled, unless its route says.
    fallback_s: what a fallback has.
    """

    headers: tuple[str, ...] = TIMEOUT_HEADERS[:1]
    grace_s: float = 5.0
    fallback_s: float = 0.25


@dataclass(frozen=True, slots=True)
class StaleSettings:
    """What is kept of good answers, least used first out.

    body_max_bytes: longer ones are not kept.  total_bytes: of one process.
    """

    body_max_bytes: int = 256 * 1024
    total_bytes: int = 16 * 1024 * 1024


def _read_headers(raw: object, at: At) -> tuple[str, ...]:
    names = read_header_names(raw, at)
    for name in names:
        if name not in TIMEOUT_HEADERS:
            todo = suggest(name, TIMEOUT_HEADERS)
            raise Fault(f"names {name!r}, which tells no timeout", todo)
    return names


DEADLINE_FIELDS: dict[str, Reader] = {
    "headers": _read_headers,
    "grace": Span("0s", "5m"),
    "fallback": Span("10ms", "10s"),
}
STALE_FIELDS: dict[str, Reader] = {
    "body_max": Size("1KiB", "16MiB"),
    "total": Size("64KiB", "4GiB"),
}
