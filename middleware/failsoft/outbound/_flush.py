"""Takes what taps see, and keeps third parties' announcements in the store."""

from __future__ import annotations

import asyncio
import json
import logging
from collections.abc import Callable, Iterable, Mapping
from typing import Any, Protocol

import msgspec

from failsoft import clock
from failsoft.errors import StoreError
from failsoft.outbound._announced import (
    Alert,
    PeerNote,
    Said,
    alerts_of,
    merged,
    note_id,
    read_note,
)
from failsoft.settings import DependencySettings, Settings
from failsoft.shapes.findings import Finding
from failsoft.shapes.graph import Node
from failsoft.store.peernotes import PeerNoteStore

__all__ = ["FindingLedger", "PeerReporter"]

_log = logging.getLogger("failsoft")
_events = logging.getLogger("failsoft.dependency")
_NOTES_KEPT = 500
_AGAIN_MS = 60_000  # so often a note that says nothing new is written
_NONE = DependencySettings()
Findings = tuple[Finding, ...]


class FindingLedger(Protocol):
    """What counts differences; bounded, it never waits and never raises."""

    def add(
        self,
        route: str,
        direction: str,
        dependency: str,
        findings: Iterable[Finding],
    ) -> None:
        """Count the findings of one body."""
        ...

    def tally(self, word: str) -> None:
        """Count something that has no entry."""
        ...


class EnumNaming(Protocol):
    """What names the unknown members of one operation's enums; bounded."""

    def named(
        self, node: Node, body: bytes, findings: Iterable[Finding]
    ) -> tuple[Finding, ...]:
        """Return the findings of a body, with what was sent."""
        ...


class PeerReporter:
    """What one runtime does with the answers of third parties.

    now_ms: store time.  failed: takes what went wrong.  enum_names: makes what names
    members of enums, for dependencies that ask for it.  Taps call it from any thread.
    """

    def __init__(
        self,
        settings: Settings,
        ledger: FindingLedger,
        now_ms: Callable[[], float],
        failed: Callable[[str, BaseException], None],
        enum_names: Callable[[], EnumNaming],
    ) -> None:
        self.failed = failed
        self._settings = settings
        self._enum_names = enum_names
        self._named: dict[tuple[str, str], EnumNaming] = {}
        self._ledger = ledger
        self._now_ms = now_ms
        self._notes: dict[str, PeerNote] = {}
        self._fresh: set[str] = set()
        self._walks: dict[str, int] = {}
        self._walks_at = 0

    def settings_of(self, dependency: str) -> DependencySettings:
        """Return what settings say of a third party."""
        return self._settings.dependencies.get(dependency, _NONE)

    def found(
        self, dependency: str, operation: str, findings: Iterable[Finding]
    ) -> None:
        """Count differences of one answer."""
        self._ledger.add(operation, "response", dependency, findings)

    def with_members(
        self, place: tuple[str, str], node: Node, body: bytes, findings: Findings
    ) -> Findings:
        """Return findings with unknown members of enums, of (dependency, operation)."""
        names = self._named.get(place)
        if names is None:
            if len(self._named) >= _NOTES_KEPT:
                return findings
            names = self._named[place] = self._enum_names()
        return names.named(node, body, findings)

    def skip(self, why: str) -> None:
        """Count an answer that was not judged."""
        self._ledger.tally(f"skipped:{why}")

    def may_walk(self, operation: str) -> bool:
        """Whether another body may be looked through this second."""
        second = int(clock.monotonic())
        if second != self._walks_at:
            self._walks_at, self._walks = second, {}
        count, limits = self._walks.get(operation, 0), self._settings.contracts
        if count >= limits.route_walks_per_s:
            return False
        if sum(self._walks.values()) >= limits.walks_per_s:
            return False
        self._walks[operation] = count + 1
        return True

    def note(self, dependency: str, operation: str, said: Said) -> None:
        """Take what an answer announces."""
        id_ = note_id(dependency, operation)
        held = self._notes.get(id_)
        if held is None and len(self._notes) >= _NOTES_KEPT:
            self._ledger.tally("skipped:announced")
            return
        note = merged((dependency, operation), held, said, int(self._now_ms()))
        is_news = held is None or _saying(note) != _saying(held)
        if is_news or note.last_ms - held.last_ms >= _AGAIN_MS:  # type: ignore[union-attr]
            self._notes[id_] = note
            self._fresh.add(id_)

    async def run(self, store: PeerNoteStore) -> None:
        """Write news each second until cancelled, then once more."""
        try:
            while True:
                await asyncio.sleep(1.0)
                try:
                    await self.flush(store)
                except StoreError as error:
                    _log.debug("announcements wait in memory: %s", error)
                except Exception as error:  # noqa: BLE001 - border: the next second comes
                    self.failed("announcements of third parties", error)
        except asyncio.CancelledError:
            try:
                await self.flush(store)
            except StoreError as error:
                _log.debug("the last announcements are lost: %s", error)
            raise

    async def flush(self, store: PeerNoteStore) -> None:
        """Write what is new, and tell what no node has told yet."""
        taken, self._fresh = self._fresh, set()
        if not taken:
            return
        mine = {id_: self._notes[id_] for id_ in taken}
        try:
            held = await store.peer_notes(sorted(taken))
            notes, alerts = self._joined(mine, held)
            await store.peer_notes_add({i: _encoded(note) for i, note in notes.items()})
            firsts = await store.peer_first([alert.mark for alert in alerts])
        except BaseException:
            self._fresh |= taken
            raise
        for id_, note in notes.items():
            if self._notes[id_] is mine[id_]:  # else an answer said more meanwhile
                self._notes[id_] = note
        for alert, is_first in zip(alerts, firsts, strict=True):
            if is_first:
                _tell(alert)

    def _joined(
        self, seen: Mapping[str, PeerNote], held: Mapping[str, bytes]
    ) -> tuple[dict[str, PeerNote], list[Alert]]:
        """Join what this node saw with what others wrote."""
        notes: dict[str, PeerNote] = {}
        alerts: list[Alert] = []
        for id_, mine in seen.items():
            other = read_note(held[id_]) if id_ in held else None
            note = mine
            if other is not None:
                said = Said(*(getattr(mine, name) for name in Said._fields))
                place = mine.dependency, mine.operation
                note = merged(place, other, said, mine.last_ms)
            notes[id_] = note
            alerts += alerts_of(other, note, self._now_ms() / 1000)
        return notes, alerts


def _saying(note: PeerNote) -> tuple[Any, ...]:
    return tuple(getattr(note, name) for name in Said._fields)


def _encoded(note: PeerNote) -> bytes:
    return msgspec.msgpack.encode(note)


def _tell(alert: Alert) -> None:
    """Tell an event as one JSON line on logger `failsoft.dependency`."""
    doc = {
        "event": alert.kind,
        "severity": "warning",
        "dependency": alert.dependency,
        "route": alert.operation,
        "text": alert.text,
    }
    _events.warning("%s", json.dumps(doc))
