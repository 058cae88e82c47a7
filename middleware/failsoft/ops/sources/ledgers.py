"""What is read every 5 s, and only while a surface shows it: usage, drift, notes."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Literal, Protocol

from failsoft.store.callmap import CallMapStore, Seen
from failsoft.store.drift import DriftRead, DriftStore
from failsoft.store.peernotes import PeerNoteStore
from failsoft.store.slo import SloRead, SloStore
from failsoft.store.usage import Called, UsageStore

__all__ = ["DAYS", "LedgerReader", "LedgerStore", "Ledgers", "Section"]

DAYS = 30
_ROWS = 2_000
_CALLED = frozenset({"dependencies", "slo"})  # sections that show who called whom
_FRESH_DAYS = 2  # a day that is over still gets what nodes counted before midnight

Section = Literal["versions", "drift", "dependencies", "slo"]


class LedgerStore(
    UsageStore, DriftStore, PeerNoteStore, CallMapStore, SloStore, Protocol
):
    """A store that keeps all of them, as all of ours do."""


@dataclass(frozen=True, slots=True)
class Ledgers:
    """One read; None = not wanted.  now_ms: the store's time, of the newest view.

    usage: ISO date -> counts, of 30 days.  notes: id -> encoded announcement.  calls:
    when routes last called whom.
    """

    now_ms: int
    usage: Mapping[str, Mapping[Called, int]] | None = None
    drift: DriftRead | None = None
    notes: Mapping[str, bytes] | None = None
    calls: Mapping[Seen, int] | None = None
    slos: SloRead | None = None


class LedgerReader:
    """Reads the wanted sections; days that are over are read once."""

    def __init__(self, store: LedgerStore) -> None:
        self._store = store
        self._days: dict[str, Mapping[Called, int]] = {}
        self._wanted: frozenset[Section] = frozenset()

    @property
    def wants_fleet(self) -> bool:
        """Whether rows of the nodes are shown, which are read each second."""
        return "dependencies" in self._wanted

    def want(self, sections: Iterable[Section]) -> None:
        """Say which sections are shown from now on."""
        self._wanted = frozenset(sections)

    async def read(self, now_ms: int) -> Ledgers | None:
        """Return what is wanted, None when nothing is; raises StoreError."""
        if not self._wanted:
            return None
        usage = await self._usage() if "versions" in self._wanted else None
        calls = await self._store.calls_seen() if self._wanted & _CALLED else None
        slos = None
        if "slo" in self._wanted:
            slos = await self._store.slo_read(await self._store.slo_names())
        if "drift" not in self._wanted:
            return Ledgers(now_ms, usage, calls=calls, slos=slos)
        drift = await self._store.drift(days=DAYS, limit=_ROWS)
        notes = await self._store.peer_notes()
        return Ledgers(now_ms, usage, drift, notes, calls, slos)

    async def _usage(self) -> Mapping[str, Mapping[Called, int]]:
        fresh = await self._store.usage(_FRESH_DAYS if self._days else DAYS)
        if not self._days.keys() >= fresh.keys():
            fresh = await self._store.usage(DAYS)
            self._days.clear()
        self._days.update(fresh)
        return dict(self._days)
