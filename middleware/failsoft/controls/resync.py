"""What a node holds of the controls, and what an entry or a full load does to it.

No input or output: the watcher reads, this decides.  Redis skips trimmed log
entries without an error, so each entry must follow the last one by exactly one.
"""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Literal

from failsoft.controls.records import Record, parse_record
from failsoft.store.protocols import KINDS, ControlSet, Entry

__all__ = ["Held", "Key", "hold", "is_rewound", "overlay"]

LOG = logging.getLogger("failsoft.controls")

Key = tuple[str, str]  # kind, name


@dataclass(slots=True)
class Held:
    """The controls one node has applied, due records included.

    ending: key -> end in store ms, of the records that have one.
    unknown: records per kind this release does not know.
    """

    rev: int = 0
    epoch: str = ""
    last_id: str = "0-0"
    records: dict[Key, Record] = field(default_factory=dict)
    ending: dict[Key, int] = field(default_factory=dict)
    unknown: Counter[str] = field(default_factory=Counter)

    def fold(self, entries: Iterable[Entry]) -> Literal["same", "changed", "gap"]:
        """Apply log entries, oldest first.

        "gap": an entry does not follow; what came before it is applied, and a
        full load is due.
        """
        before = self.rev
        for entry in entries:
            first = not self.epoch and self.rev == 0
            if entry.epoch != self.epoch and not first:
                return "gap"
            if entry.rev > self.rev + 1:
                return "gap"
            if entry.rev == self.rev + 1:
                self._put(entry)
                self.rev, self.epoch = entry.rev, entry.epoch
            self.last_id = max(self.last_id, entry.id, key=_id_order)
        return "changed" if self.rev != before else "same"

    def view(self, now_ms: float) -> tuple[Mapping[Key, Record], float | None]:
        """Return the records that have not ended, and the next end in store ms."""
        records = dict(self.records)
        for key in self.due(now_ms):
            del records[key]
        to_come = [end for end in self.ending.values() if end > now_ms]
        return records, min(to_come, default=None)

    def due(self, now_ms: float) -> list[Key]:
        """Return the keys of records whose end has passed."""
        return [key for key, end in self.ending.items() if end <= now_ms]

    def _put(self, entry: Entry) -> None:
        if entry.kind not in KINDS:
            self.unknown[entry.kind] += (entry.was is None) - (entry.value is None)
            return
        key = (entry.kind, entry.name)
        self.records.pop(key, None)
        self.ending.pop(key, None)
        if entry.value is not None:
            self.take(key, entry.value)

    def take(self, key: Key, raw: bytes) -> None:
        """Hold one stored value; a broken one is left out and reported."""
        try:
            record = parse_record(*key, raw)
        except ValueError:
            LOG.warning("%s/%s: its stored value has no readable header", *key)
            return
        self.records[key] = record
        if record.until_ms:
            self.ending[key] = record.until_ms


def hold(loaded: ControlSet) -> Held:
    """Return what a node holds after a full load."""
    unknown = Counter(loaded.unknown)
    held = Held(loaded.rev, loaded.epoch, loaded.tail, unknown=unknown)
    for key, raw in loaded.records.items():
        held.take(key, raw)
    return held


def overlay(good: Held, loaded: ControlSet) -> Held:
    """Return the last good set with what a rewound store holds on top of it.

    Revision and epoch are the store's, so its log can be followed.  Records that
    only the good set has stay until their own end.
    """
    held = hold(loaded)
    held.records = {**good.records, **held.records}
    held.ending = {
        key: record.until_ms for key, record in held.records.items() if record.until_ms
    }
    return held


def is_rewound(known: tuple[str, int], epoch: str, rev: int) -> bool:
    """Whether the store's history is not the one `known` (epoch, rev) came from.

    A node that never held a set knows revision 0 and accepts any history.
    """
    known_epoch, known_rev = known
    return known_rev > 0 and (epoch != known_epoch or rev < known_rev)


def _id_order(id_: str) -> tuple[int, int]:
    at_ms, _, number = id_.partition("-")
    return int(at_ms), int(number or 0)
