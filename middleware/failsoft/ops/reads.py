"""What a session reads beside its view: log, history, use of flags, guards.

Each call asks the store once or page by page; nothing is kept.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterable

from failsoft.errors import StoreRefused
from failsoft.ops.controlrows import attempt_row, log_row
from failsoft.ops.flaglife import FlagLife, read_flag_life
from failsoft.ops.guard import GuardRow, read_guards
from failsoft.ops.history import ChangeRow, history_of
from failsoft.ops.reader import Reader
from failsoft.ops.sources.ledgers import Section
from failsoft.ops.sources.store import FleetStore
from failsoft.ops.views import LogRow
from failsoft.store.protocols import ControlSet, Entry
from failsoft.telemetry import Flight

__all__ = ["PAGE", "Reads"]

PAGE = 500  # log entries a read


class Reads:
    """The reads of an `Operator`; see its protocol for the calls."""

    def __init__(self, store: FleetStore, reader: Reader) -> None:
        self.reader = reader
        self._store = store

    def want(self, sections: Iterable[Section]) -> None:
        """Read `versions` or `drift` too, at once and each 5 s; nothing else then."""
        self.reader.want(sections)

    async def log(self, count: int = 200) -> tuple[LogRow, ...]:
        """Return the audit, newest first, refused attempts merged in."""
        entries = await self._store.log(count)
        rows = [log_row(entry) for entry in entries]
        try:
            attempts = await self._store.attempts(count)
        except StoreRefused:  # a viewer sees the log alone
            attempts = ()
        rows += [attempt_row(id_, fields) for id_, fields in attempts]
        rows.sort(key=lambda row: row.at_ms, reverse=True)
        return tuple(rows[:count])

    async def history(self, target: str, count: int = 50) -> tuple[ChangeRow, ...]:
        """Return the changes of one control in the kept log, newest first."""
        found: list[ChangeRow] = []
        before = "+"
        while len(found) < count:
            entries = await self._store.log(PAGE, before)
            found += history_of(entries, target)
            if len(entries) < PAGE:
                break
            before = entries[-1].id
        return tuple(found[:count])

    async def flag_lives(self) -> tuple[FlagLife, ...]:
        """Return how flags are used, stale ones first; one read."""
        return await read_flag_life(
            self._store, self.reader.view, self.reader.merge.definitions
        )

    async def guards(self) -> tuple[GuardRow, ...]:
        """Return the guarded flags, those that tripped first; a read for each."""
        return await read_guards(
            self._store, self.reader.view, self.reader.merge.definitions
        )

    async def controls(self) -> ControlSet:
        """Return all controls as the store holds them at this moment."""
        return await self._store.load()

    async def entries(self, after: str = "0-0") -> AsyncIterator[Entry]:
        """Yield the kept log after an entry's id, oldest first."""
        while found := await self._store.after(after, PAGE):
            for entry in found:
                yield entry
            after = found[-1].id

    async def newest_entries(self, count: int) -> tuple[Entry, ...]:
        """Return the newest entries of the log, oldest first."""
        return tuple(reversed(await self._store.log(count)))

    async def flight(self, flight_id: str) -> Flight | None:
        """Return one kept example, None when it is not kept any more."""
        return self.reader.merge.groups.find(flight_id)
