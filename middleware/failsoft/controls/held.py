"""What a node holds of the controls, and what a log entry does to it.  Pure.

Redis skips trimmed log entries without an error, so each entry must follow the last
one by exactly one; ids of a log only grow, so one that comes later with a revision
that is held already tells of another history.
"""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field
from hashlib import blake2b
from typing import Literal

from failsoft.controls.records import Record, parse_record
from failsoft.store.protocols import KINDS, ControlSet, Entry

__all__ = ["Held", "Key", "Mark", "Outcome", "hold"]

LOG = logging.getLogger("failsoft.controls")

Key = tuple[str, str]  # kind, name
Outcome = Literal["same", "changed", "gap"]

_ALL_64_BITS = (1 << 64) - 1


@dataclass(frozen=True, slots=True)
class Mark:
    """A place in a history: the newest entry somebody has applied.

    op_id: of the write that made the entry at `last_id`, "" when not known.
    """

    rev: int = 0
    epoch: str = ""
    last_id: str = "0-0"
    op_id: str = ""


@dataclass(slots=True)
class Held:
    """The controls one node has applied, due records included.

    ending: key -> end in store ms, of the records that have one.
    unknown: records per kind this release does not know.
    lineage: epochs that the present one replaced.
    total: sum mod 2^64 of a hash of each record's kind, name and document.
    """

    rev: int = 0
    epoch: str = ""
    last_id: str = "0-0"
    records: dict[Key, Record] = field(default_factory=dict)
    ending: dict[Key, int] = field(default_factory=dict)
    unknown: Counter[str] = field(default_factory=Counter)
    op_id: str = ""
    lineage: tuple[str, ...] = ()
    total: int = 0

    @property
    def digest(self) -> str:
        """Digest of the whole set: two nodes on one revision must agree."""
        return f"{self.total:016x}"

    def mark(self) -> Mark:
        """Return where in the history this set stands."""
        return Mark(self.rev, self.epoch, self.last_id, self.op_id)

    def fold(self, entries: Iterable[Entry]) -> Outcome:
        """Apply log entries, oldest first.

        "gap": an entry does not follow; what came before it is applied, and a
        full load is due.
        """
        before = self.rev
        for entry in entries:
            if _id_order(entry.id) <= _id_order(self.last_id):
                continue
            first = not self.epoch and self.rev == 0
            if entry.epoch != self.epoch and not first:
                return "gap"
            if entry.rev != self.rev + 1:
                return "gap"
            self._apply(entry)
            self.rev, self.epoch = entry.rev, entry.epoch
            self.last_id, self.op_id = entry.id, entry.op_id
        return "changed" if self.rev != before else "same"

    def view(self, now_ms: float) -> tuple[dict[Key, Record], float | None]:
        """Return the records that have not ended, and the next end in store ms."""
        records = dict(self.records)
        for key in self.due(now_ms):
            del records[key]
        to_come = [end for end in self.ending.values() if end > now_ms]
        return records, min(to_come, default=None)

    def due(self, now_ms: float) -> list[Key]:
        """Return the keys of records whose end has passed."""
        return [key for key, end in self.ending.items() if end <= now_ms]

    def _apply(self, entry: Entry) -> None:
        if entry.kind not in KINDS:
            self.unknown[entry.kind] += (entry.was is None) - (entry.value is None)
            return
        key = (entry.kind, entry.name)
        self.drop(key)
        if entry.value is not None:
            self.take(key, entry.value)

    def take(self, key: Key, raw: bytes) -> None:
        """Hold one stored value; a broken one is left out and reported."""
        try:
            record = parse_record(*key, raw)
        except ValueError:
            LOG.warning("%s/%s: its stored value has no readable header", *key)
            return
        self._put(key, record)

    def put(self, record: Record) -> None:
        """Hold a record, as the newest."""
        self._put((record.kind, record.name), record)

    def _put(self, key: Key, record: Record) -> None:
        self.drop(key)
        self.records[key] = record
        self.total = (self.total + _hash(record)) & _ALL_64_BITS
        if record.until_ms:
            self.ending[key] = record.until_ms

    def drop(self, key: Key) -> None:
        """Hold a record no longer; no effect on one that is not held."""
        record = self.records.pop(key, None)
        if record is not None:
            self.ending.pop(key, None)
            self.total = (self.total - _hash(record)) & _ALL_64_BITS

    def copy(self) -> Held:
        """Return a set of its own with the same records."""
        return Held(
            self.rev,
            self.epoch,
            self.last_id,
            dict(self.records),
            dict(self.ending),
            Counter(self.unknown),
            self.op_id,
            self.lineage,
            self.total,
        )


def hold(loaded: ControlSet) -> Held:
    """Return what a node holds after a full load."""
    unknown = Counter(loaded.unknown)
    held = Held(loaded.rev, loaded.epoch, loaded.tail, unknown=unknown)
    for key, raw in loaded.records.items():
        held.take(key, raw)
    return held


def _hash(record: Record) -> int:
    named = f"{record.kind}\0{record.name}\0".encode()
    return int.from_bytes(blake2b(named + record.json, digest_size=8).digest(), "big")


def _id_order(id_: str) -> tuple[int, int]:
    at_ms, _, number = id_.partition("-")
    return int(at_ms), int(number or 0)
