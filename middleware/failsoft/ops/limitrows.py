"""What nodes say of the limits of clients, added up for operators.  Pure.

All strings are raw, as in `views`; surfaces pass them through `text.safe`.
"""

from __future__ import annotations

from collections.abc import Callable

import msgspec

from failsoft.store.fleet import FleetRead, LimitRow, decode_row

__all__ = ["LimitSeen", "LimitSum", "limit_sums"]

_WINDOW_S = 30.0
_SHOWN_MS = 15_000  # older rows are of nodes that are gone


class LimitSeen(msgspec.Struct, frozen=True):
    """One limit as one node counts it, over 30 s.

    allowed_per_s, refused_per_s: requests.  trips: to the store for each request,
    None without one.  keys: it remembers.  fault: of the store, "" for none.
    """

    node: str
    short: str
    how: str
    policy: str
    allowed_per_s: float
    refused_per_s: float
    trips: float | None
    keys: int
    left: int
    fault: str


class LimitSum(msgspec.Struct, frozen=True):
    """One limit over all nodes.  refused: share of its requests, None for none.

    how, policy: alike on all nodes of one release, else joined by `|`.  lost_nodes:
    that do without the store.
    """

    name: str
    how: str
    policy: str
    allowed_per_s: float
    refused_per_s: float
    refused: float | None
    trips: float | None
    lost_nodes: int
    nodes: tuple[LimitSeen, ...]


def limit_sums(read: FleetRead, short: Callable[[str], str]) -> tuple[LimitSum, ...]:
    """Return every limit that a live node counts; those that refuse most first.

    short: name of a node for cells.
    """
    seen: dict[str, list[LimitSeen]] = {}
    for node, raw in sorted(read.rows.items()):
        row = decode_row(raw)
        if row is None or read.now_ms - row.at_ms > _SHOWN_MS:
            continue
        for said in row.limits:
            seen.setdefault(said.name, []).append(_seen(node, short(node), said))
    sums = [_sum(name, tuple(nodes)) for name, nodes in seen.items()]
    return tuple(sorted(sums, key=lambda one: (-one.refused_per_s, one.name)))


def _seen(node: str, short: str, said: LimitRow) -> LimitSeen:
    total = said.allowed + said.refused
    return LimitSeen(
        node=node,
        short=short,
        how=said.how,
        policy=said.policy,
        allowed_per_s=said.allowed / _WINDOW_S,
        refused_per_s=said.refused / _WINDOW_S,
        trips=said.trips / total if total and said.how != "local" else None,
        keys=said.keys,
        left=said.left,
        fault=said.fault,
    )


def _sum(name: str, nodes: tuple[LimitSeen, ...]) -> LimitSum:
    allowed = sum(one.allowed_per_s for one in nodes)
    refused = sum(one.refused_per_s for one in nodes)
    trips = [
        one.trips * (one.allowed_per_s + one.refused_per_s)
        for one in nodes
        if one.trips is not None
    ]
    total = allowed + refused
    return LimitSum(
        name=name,
        how=" | ".join(dict.fromkeys(one.how for one in nodes)),
        policy=" | ".join(dict.fromkeys(one.policy for one in nodes)),
        allowed_per_s=allowed,
        refused_per_s=refused,
        refused=refused / total if total else None,
        trips=sum(trips) / total if trips else None,
        lost_nodes=sum(bool(one.fault) for one in nodes),
        nodes=nodes,
    )
