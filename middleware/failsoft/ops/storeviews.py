"""What operators see of the store itself: its history, offers, and a way back."""

from __future__ import annotations

import msgspec

from failsoft.store.protocols import Change

__all__ = ["NodeSet", "OfferRow", "Recovery", "RewindView", "SetDiff", "StoreStatus"]


class SetDiff(msgspec.Struct, frozen=True):
    """What a set has that Redis has not.

    missing: records Redis lost.  changed: those it holds otherwise.  extra: those it
    holds and the set does not.  names: `- flag/x`, `~ flag/y`, `+ kill/z`; at most 20.
    """

    missing: int = 0
    changed: int = 0
    extra: int = 0
    names: tuple[str, ...] = ()

    @property
    def is_empty(self) -> bool:
        """Whether Redis holds the same."""
        return not (self.missing or self.changed or self.extra)


class NodeSet(msgspec.Struct, frozen=True):
    """What one live node enforces.  digest: of its set; offer: of its last good one."""

    node: str
    short: str
    state: str
    epoch: str
    rev: int
    digest: str
    offer: str = ""


class OfferRow(msgspec.Struct, frozen=True):
    """One last good set that is kept in Redis.  fault: why it cannot be used."""

    digest: str
    nodes: int  # live ones that hold it
    encoded_bytes: int
    rev: int = 0
    epoch: str = ""
    records: int = 0
    diff: SetDiff = SetDiff()
    fault: str = ""


class StoreStatus(msgspec.Struct, frozen=True):
    """The control store at one revision.  counts: records per kind."""

    env: str
    revision: int
    epoch: str
    lineage: tuple[str, ...]
    digest: str
    server_ms: int
    counts: dict[str, int]
    nodes: tuple[NodeSet, ...]
    newest_log: str = ""


class RewindView(msgspec.Struct, frozen=True):
    """What is known of a rewind.  why: in words, "" when no node met one."""

    store: StoreStatus
    why: str
    offers: tuple[OfferRow, ...]


class Recovery(msgspec.Struct, frozen=True):
    """What `restore` or `accept` would write.

    seen: digest of what Redis held when this was made.  diff: of the set that most
    nodes hold, or of the offer, to Redis: `restore` writes it, `accept` drops it.
    base: revision known anywhere.  epochs: those that nodes report.
    """

    action: str  # restore accept
    digest: str  # of the set that holds afterwards
    seen: str
    revision: int
    epoch: str
    diff: SetDiff
    changes: tuple[Change, ...]
    base: int
    epochs: tuple[str, ...]
    nodes: int
    tier: int = 3
    tier_why: str = ""
