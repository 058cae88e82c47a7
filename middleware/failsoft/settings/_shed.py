"""`[shed]` and `[criticality]`: when a node refuses work, and whose word counts."""

from __future__ import annotations

import ipaddress
from dataclasses import dataclass
from typing import Literal

from failsoft.settings._readers import (
    At,
    Fault,
    Reader,
    Span,
    is_whole,
    one_of,
    read_bool,
    read_texts,
)

__all__ = [
    "CRITICALITY_FIELDS",
    "SHED_FIELDS",
    "CriticalitySettings",
    "Network",
    "ShedSettings",
]

Network = ipaddress.IPv4Network | ipaddress.IPv6Network


@dataclass(frozen=True, slots=True)
class ShedSettings:
    """How one node refuses what it cannot serve in time.

    handling: observe counts what it would refuse.  target_s: lag of the event loop
    that is still fine.  interval_s: between two changes of the limit.  max_inflight:
    of requests at a time, whatever the handling.  server_timing: whether refusals
    say so in `Server-Timing`.
    """

    handling: Literal["on", "observe", "off"] = "on"
    target_s: float = 0.03
    interval_s: float = 0.1
    max_inflight: int = 1000
    server_timing: bool = False


@dataclass(frozen=True, slots=True)
class CriticalitySettings:
    """trusted_peers: networks whose requests may raise their own criticality."""

    trusted_peers: tuple[Network, ...] = ()


def _read_inflight(raw: object, at: At) -> int:
    if at.source == "environment" and isinstance(raw, str) and raw.isdecimal():
        raw = int(raw)
    if not is_whole(raw, 4, 1_000_000):
        raise Fault("must be a whole number 4 to 1000000", "write 1000")
    return raw


def _read_networks(raw: object, at: At) -> tuple[Network, ...]:
    return tuple(_network(text) for text in read_texts(raw, at))


def _network(text: str) -> Network:
    try:
        return ipaddress.ip_network(text)
    except ValueError as error:
        todo = 'write networks like "10.0.0.0/8" or addresses'
        raise Fault(f"holds {text!r}, which is no network ({error})", todo) from None


SHED_FIELDS: dict[str, Reader] = {
    "handling": one_of("on", "observe", "off"),
    "target": Span("5ms", "1s"),
    "interval": Span("20ms", "5s"),
    "max_inflight": _read_inflight,
    "server_timing": read_bool,
}
CRITICALITY_FIELDS: dict[str, Reader] = {"trusted_peers": _read_networks}
