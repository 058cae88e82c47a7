"""Third parties' announcements within one process: as on Redis, without it."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

from failsoft.store.peernotes import MARKS_KEPT, NOTES_KEPT, NOTES_KEPT_MS

__all__ = ["MemoryPeerNotes"]


class MemoryPeerNotes:
    """The `PeerNoteStore` of a process; see `store.peernotes` for its calls."""

    def __init__(self, now_ms: Callable[[], int]) -> None:
        self._noted_ms = now_ms
        self._notes: dict[str, tuple[int, bytes]] = {}  # oldest first
        self._marks: set[str] = set()

    async def peer_notes_add(self, notes: Mapping[str, bytes]) -> None:
        """Replace notes by id; beyond 1,000 those written longest ago give way."""
        now_ms = self._noted_ms()
        for id_, note in notes.items():
            self._notes.pop(id_, None)
            self._notes[id_] = (now_ms, note)
        while len(self._notes) > NOTES_KEPT:
            del self._notes[next(iter(self._notes))]

    async def peer_notes(self, ids: Sequence[str] = ()) -> Mapping[str, bytes]:
        """Return these notes, or all of them, that were written within 35 days."""
        oldest_ms = self._noted_ms() - NOTES_KEPT_MS
        held = {i: note for i, (at, note) in self._notes.items() if at > oldest_ms}
        return {i: held[i] for i in ids if i in held} if ids else held

    async def peer_first(self, marks: Sequence[str]) -> Sequence[bool]:
        """Return for each mark whether it was never said before; says it."""
        if len(self._marks) > MARKS_KEPT:
            self._marks.clear()
        fresh = []
        for mark in marks:
            fresh.append(mark not in self._marks)
            self._marks.add(mark)
        return fresh
