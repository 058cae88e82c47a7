"""How important a request is: its route's word, which its headers may lower."""

from __future__ import annotations

from collections.abc import Mapping
from ipaddress import ip_address
from typing import Any

from failsoft.settings import CRITICALITIES, Network

__all__ = ["CRITICALITY_HEADERS", "criticality_of", "is_trusted"]

_SAID = b"failsoft-criticality"
_PURPOSES = (b"sec-purpose", b"purpose")
CRITICALITY_HEADERS = frozenset((_SAID, *_PURPOSES))
_RANK = {name.encode(): rank for rank, name in enumerate(CRITICALITIES)}
_LEAST = len(CRITICALITIES) - 1


def criticality_of(own: str, said: Mapping[bytes, bytes], *, may_raise: bool) -> str:
    """Return the class of a request; what no class is called says nothing.

    own: of its route.  said: its headers of `CRITICALITY_HEADERS`.  A prefetch is
    sheddable: nobody waits for it.
    """
    rank = CRITICALITIES.index(own)
    wanted = _RANK.get(said.get(_SAID, b"").strip().lower())
    if wanted is not None and (wanted > rank or may_raise):
        rank = wanted
    if any(b"prefetch" in said.get(name, b"").lower() for name in _PURPOSES):
        rank = _LEAST
    return CRITICALITIES[rank]


def is_trusted(scope: Any, networks: tuple[Network, ...]) -> bool:
    """Whether the peer's address lies in one of the networks.

    The server's word: one that takes the address from X-Forwarded-For, as uvicorn
    does for the proxies it trusts, shows the client here, not the proxy.
    """
    host = (scope.get("client") or ("",))[0]
    try:
        address = ip_address(host or "")
    except ValueError:  # a Unix socket, or a name
        return False
    mapped = getattr(address, "ipv4_mapped", None)
    return any((mapped or address) in network for network in networks)
