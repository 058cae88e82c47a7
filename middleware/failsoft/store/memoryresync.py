"""Resync and offers on the store of one process: as on Redis, without it."""

from __future__ import annotations

from collections import Counter, deque
from collections.abc import AsyncIterator, Callable, Mapping

from failsoft.store.protocols import KINDS, Entry, Spot, Survey

__all__ = ["MemoryResync"]

_FLAGS_AT_ONCE = 500

_Records = Mapping[tuple[str, str], bytes]


class MemoryResync:
    """The steps of a resync, and `OfferStore`; see `store.protocols`."""

    _rev: int
    _epoch: str
    _lineage: tuple[str, ...]
    _records: dict[tuple[str, str], bytes]
    _log: deque[Entry]
    _nodes: dict[str, tuple[int, bytes]]
    _now_ms: Callable[[], int]

    def __init__(self) -> None:
        self._offers: dict[str, bytes] = {}

    async def survey(self, last_id: str) -> Survey:
        """Read where the history stands."""
        last = _id_order(last_id)
        known = (e for e in reversed(self._log) if _id_order(e.id) <= last)
        tail = self._log[-1] if self._log else None
        counts = Counter(kind for kind, _ in self._records)
        held = {kind: counts[kind] for kind in KINDS}
        return Survey(
            now_ms=self._now_ms(),
            rev=self._rev,
            epoch=self._epoch,
            lineage=self._lineage,
            tail=_spot(tail),
            proof=_spot(next(known, None)),
            oldest_rev=self._log[0].rev if self._log else 0,
            held=held,
            counted=held,
        )

    async def small_kinds(self) -> _Records:
        """Read all records but flags."""
        return {key: raw for key, raw in self._records.items() if key[0] != "flag"}

    async def flags(self) -> AsyncIterator[_Records]:
        """Read all flags, some 500 at a time."""
        found = [item for item in self._records.items() if item[0][0] == "flag"]
        for at in range(0, len(found), _FLAGS_AT_ONCE):
            yield dict(found[at : at + _FLAGS_AT_ONCE])

    async def offer(self, digest: str, blob: bytes) -> None:
        """Keep an encoded set under its digest; the first one stays."""
        self._offers.setdefault(digest, blob)

    async def keep_offer(self, digest: str) -> bool:
        """Whether an offer is still here."""
        return digest in self._offers

    async def offers(self) -> Mapping[str, int]:
        """Return the encoded size in bytes of each offer, newest first."""
        return {digest: len(blob) for digest, blob in reversed(self._offers.items())}

    async def offered(self, digest: str) -> bytes | None:
        """Return an offer, None when there is none."""
        return self._offers.get(digest)

    async def peers(self) -> Mapping[str, bytes]:
        """Return the heartbeats of the nodes of this process."""
        return {node: beat for node, (_, beat) in self._nodes.items()}


def _spot(entry: Entry | None) -> Spot | None:
    return Spot(entry.id, entry.rev, entry.op_id) if entry else None


def _id_order(id_: str) -> tuple[int, int]:
    at_ms, _, number = id_.partition("-")
    return int(at_ms), int(number or 0)
