"""The seam between third parties' announcements and their store.

`store.redis.peernotes` and `store.memorypeernotes` implement it.  What a note says is
opaque here; all of it expires.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Protocol

__all__ = ["MARKS_KEPT", "NOTES_KEPT", "NOTES_KEPT_MS", "PeerNoteStore"]

NOTES_KEPT = 1_000
NOTES_KEPT_MS = 35 * 86_400_000
MARKS_KEPT = 4_000


class PeerNoteStore(Protocol):
    """Written by nodes at most once a second, read by nodes and operators."""

    async def peer_notes_add(self, notes: Mapping[str, bytes]) -> None:
        """Replace notes by id; beyond 1,000 those written longest ago give way."""
        ...

    async def peer_notes(self, ids: Sequence[str] = ()) -> Mapping[str, bytes]:
        """Return these notes, or all of them, that were written within 35 days."""
        ...

    async def peer_first(self, marks: Sequence[str]) -> Sequence[bool]:
        """Return for each mark whether no node has said it before; says it."""
        ...
