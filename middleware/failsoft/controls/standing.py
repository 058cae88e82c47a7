"""What is in force on one node, and which of two sets wins.  Pure.

A set read from a store that lost history is laid over the last good one, which is
kept until the store's history goes on from it, or replaces it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

from failsoft.controls.held import Held, Key, Outcome
from failsoft.controls.records import Record
from failsoft.store.protocols import Entry

__all__ = ["Standing"]

_AT_ONCE = ("kill", "mode")


class Standing:
    """The controls in force.

    held: what log entries are applied to, None before any.  origin: while rewound,
    the last good set under it.  next_end_ms: when a record of `records` ends.
    """

    def __init__(self, held: Held | None) -> None:
        self.held = held
        self.origin: Held | None = None
        self.next_end_ms: float | None = None
        self._ahead: dict[Key, Record] = {}  # of the store, before its flags are read
        self._viewed: tuple[Held | None, int] = (None, 0)  # what `_records` is made of
        self._records: Mapping[Key, Record] = {}

    @property
    def good(self) -> Held | None:
        """The set that the store's history is compared with."""
        return self.origin or self.held

    @property
    def shown(self) -> Held | None:
        """What stands for the whole; before any read, whatever is ahead of it."""
        return self.held or (Held() if self._ahead else None)

    @property
    def known(self) -> tuple[str, int]:
        """Epoch and revision applied."""
        return (self.held.epoch, self.held.rev) if self.held else ("", 0)

    def is_ahead_of(self, epoch: str, rev: int) -> bool:
        """Whether a place lies before what was applied, in the same history."""
        return self.known[0] == epoch and rev < self.known[1]

    def hasten(self, found: Mapping[Key, Record]) -> None:
        """Enforce kills and modes at once; what was lifted waits for the whole read."""
        self._ahead = {k: r for k, r in found.items() if k[0] in _AT_ONCE}
        self._viewed = (None, 0)

    def fold(self, entries: Sequence[Entry]) -> Outcome:
        """Apply log entries to what is held; see `Held.fold`."""
        outcome = self.held.fold(entries) if self.held else "same"
        if outcome != "gap":
            # What a broken read was ahead with: the log knows better by now.
            for entry in entries:
                self._ahead.pop((entry.kind, entry.name), None)
        return outcome

    def lay(self, held: Held, *, over: Held | None) -> None:
        """Take a set that was laid over the last good one, which is kept.

        Not if the push channel was quicker than the read of it.
        """
        self._forget_view()
        if over is not self.origin or not self.is_ahead_of(held.epoch, held.rev):
            self.origin, self.held = over, held

    def adopt(self, stored: Held, *, always: bool = False) -> None:
        """Take what the store holds.

        Not if the push channel was quicker than that read, unless `always`.
        """
        self._forget_view()
        if always or self.origin or not self.is_ahead_of(stored.epoch, stored.rev):
            self.origin, self.held = None, stored

    def look_again(self) -> None:
        """Judge anew what has ended: store time was set, maybe back."""
        self._viewed = (None, 0)

    def _forget_view(self) -> None:
        self._ahead, self._viewed = {}, (None, 0)

    def kept(self) -> Held | None:
        """Return a copy of what is in force, under the place of the last good set.

        Whoever begins with it meets a rewound store as this node does.  One revision
        further if it holds more: no history that the store may return to has that.
        """
        held, named = self.held, self.good
        if held is None or named is None:
            return None
        return replace(
            held.copy(),
            rev=named.rev + (held.total != named.total),
            epoch=named.epoch,
            last_id=named.last_id,
            op_id=named.op_id,
            lineage=named.lineage,
        )

    def due(self, now_ms: float) -> list[Key]:
        """Return the keys of records whose end has passed; now_ms: store time."""
        return self.held.due(now_ms) if self.held else []

    def records(self, now_ms: float) -> Mapping[Key, Record]:
        """Return the records that have not ended; the last object while none differs.

        now_ms: store time.
        """
        held = self.shown
        if held is None:
            return {}
        ended = self.next_end_ms is not None and self.next_end_ms <= now_ms
        if self._viewed[0] is held and self._viewed[1] == held.rev and not ended:
            return self._records
        self._viewed = (held, held.rev)
        records, self.next_end_ms = held.view(now_ms)
        records |= {k: r for k, r in self._ahead.items() if not r.is_due(now_ms)}
        self._records = records
        return records
