"""Batches from a store: one read a second, and the log pushed on its own connection.

Neither loop retries inside a call; both come back by themselves, for ever.  Only a
complete read is proof: a log entry says nothing about the age of observations.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Iterable, Mapping, Sequence
from contextlib import suppress
from typing import Literal, Protocol

import msgspec

from failsoft import clock, dice
from failsoft.errors import StoreError, StoreRefused
from failsoft.ops.nodes import heartbeat_of
from failsoft.ops.sources.ledgers import LedgerReader, LedgerStore, Section
from failsoft.ops.sources.source import Batch
from failsoft.ops.views import Link
from failsoft.store import fleet
from failsoft.store.flagcounts import FlagCountStore
from failsoft.store.protocols import (
    ControlStore,
    Entry,
    ObservationStore,
    Observed,
)

__all__ = ["FleetStore", "StoreSource", "entry_order", "is_login_refused"]

_State = Literal["connecting", "up", "down", "auth"]
_PERIOD_S = 1.0
_LEDGER_PERIODS = 5  # seconds of it: 5
_BLOCK_S = 0.9
_PAUSES_S = (0.25, 0.5, 1.0)
_LOG_AT_START = 500


class FleetStore(
    ControlStore,
    ObservationStore,
    FlagCountStore,
    LedgerStore,
    fleet.FleetStore,
    Protocol,
):
    """A store that serves all protocols, as all of ours do."""


def is_login_refused(error: StoreError) -> bool:
    """Whether the server refused user or password: asking again may lock us out."""
    return isinstance(error, StoreRefused) and "user or password" in error.message


class StoreSource:
    """A `Source` over one store; the store is the caller's to close."""

    live = True

    def __init__(
        self,
        store: FleetStore,
        address: str = "",
        *,
        period_s: float = _PERIOD_S,
        rand: Callable[[], float] = dice.random,
    ) -> None:
        self._store = store
        self._address = address
        self._period_s = period_s
        self._rand = rand
        self._link = Link("connecting", address, since=clock.elapsed())
        self._ticks_after = self._flights_after = ""
        self._digests: set[str] = set()
        self._heard = (0, "")  # revision and epoch of the newest read
        self._controls = _Controls()
        self._ledgers = LedgerReader(store)
        self._wanted = asyncio.Event()
        self._fleet_wanted = asyncio.Event()  # and not before
        self._now_ms = 0
        self._out: asyncio.Queue[Batch] = asyncio.Queue(16)

    def _state(self, state: _State, cause: str = "", tries: int = 0) -> Link:
        # `since` is when the state began, not when it was last met.
        same = self._link.state == state
        since = self._link.since if same else clock.elapsed()
        return Link(state, self._address, cause, tries, since)

    async def batches(self) -> AsyncIterator[Batch]:
        """Yield a batch a second, and one at once for each log entry."""
        yield Batch(self._link, proof=False)
        loops = {
            asyncio.create_task(self._read_loop(), name="failsoft-read"),
            asyncio.create_task(self._log_loop(), name="failsoft-log"),
            asyncio.create_task(self._ledger_loop(), name="failsoft-ledgers"),
        }
        try:
            async for batch in self._drain(set(loops)):
                yield batch
        finally:
            await _ended(loops)

    async def _drain(self, loops: set[asyncio.Task[None]]) -> AsyncIterator[Batch]:
        # Not a TaskGroup: it must not span a yield, and a loop may end by itself.
        while True:
            got = asyncio.create_task(self._out.get())
            try:
                while not got.done():
                    done, _ = await asyncio.wait(
                        {got, *loops}, return_when=asyncio.FIRST_COMPLETED
                    )
                    for task in done & loops:
                        loops.discard(task)
                        task.result()  # a fault of ours ends this source, loudly
            finally:
                got.cancel()
            yield got.result()

    async def _read_loop(self) -> None:
        tries = 0
        while True:
            started = clock.elapsed()
            self._fleet_wanted.clear()
            try:
                batch = await self._read()
            except StoreError as error:
                tries += 1
                await self._out.put(Batch(self._fault(error, tries), proof=False))
                if is_login_refused(error):
                    return
                await self._pause(tries)
                continue
            tries = 0
            await self._out.put(batch)
            with suppress(TimeoutError):
                async with asyncio.timeout(started + self._period_s - clock.elapsed()):
                    await self._fleet_wanted.wait()

    def _fault(self, error: StoreError, tries: int) -> Link:
        never_up = self._link.state == "connecting"
        state: _State = "connecting" if never_up else "down"
        if is_login_refused(error):
            state = "auth"
        self._link = self._state(state, error.message, tries)
        if isinstance(error, StoreRefused):
            self._link = msgspec.structs.replace(self._link, todo=error.todo)
        return self._link

    async def _pause(self, tries: int) -> None:
        pause_s = _PAUSES_S[min(tries, len(_PAUSES_S)) - 1]
        await asyncio.sleep(pause_s * (0.8 + 0.4 * self._rand()))

    async def _read(self) -> Batch:
        observed = await self._store.read(
            ticks_after=self._ticks_after, flights_after=self._flights_after
        )
        if observed.ticks:
            self._ticks_after = observed.ticks[-1][0]
        elif not self._ticks_after:
            self._ticks_after = f"{observed.now_ms - 60_000}-0"
        if observed.flights:
            self._flights_after = observed.flights[-1][0]
        self._heard = (observed.rev, observed.epoch)
        self._now_ms = observed.now_ms
        definitions = await self._definitions(observed)
        if self._link.state != "up":
            self._link = self._state("up")
        rows = await self._store.fleet_read() if self._ledgers.wants_fleet else None
        return Batch(self._link, True, observed, definitions=definitions, fleet=rows)

    async def _definitions(self, observed: Observed) -> Mapping[str, bytes]:
        beats = [heartbeat_of(blob) for blob in observed.nodes.values()]
        wanted = {beat.defs for beat in beats if beat and beat.defs} - self._digests
        found: dict[str, bytes] = {}
        for digest in wanted:
            with suppress(StoreError):  # asked again with the next read
                blob = await self._store.definitions(digest)
                if blob is not None:
                    found[digest] = blob
        self._digests |= found.keys()
        return found

    async def _log_loop(self) -> None:
        tries = 0
        while True:
            try:
                await self._load()
                tries = 0
                await self._follow()
            except StoreError as error:
                if is_login_refused(error):
                    return  # the read loop says so
                tries += 1
                await self._pause(tries)

    async def _load(self) -> None:
        loaded = await self._store.load()
        entries = await self._store.log(_LOG_AT_START)
        self._controls.reset(loaded.rev, loaded.epoch, loaded.tail, loaded.records)
        # Written between the two calls: the push brings it with its record.
        known = [e for e in entries if entry_order(e.id) <= entry_order(loaded.tail)]
        await self._emit(tuple(reversed(known)))

    async def _follow(self) -> None:
        """Return when the log no longer leads to what the store holds."""
        while True:
            before = self._heard
            entries = await self._store.wait(self._controls.tail, _BLOCK_S)
            if not self._controls.take(entries):
                return
            if entries:
                await self._emit(tuple(entries))
            elif before == self._heard and self._controls.differs(*self._heard):
                return

    async def _emit(self, entries: tuple[Entry, ...]) -> None:
        records = dict(self._controls.records)
        await self._out.put(
            Batch(
                self._link,
                proof=False,
                controls=records,
                entries=entries,
                epoch=self._controls.epoch,
            )
        )

    def want(self, sections: Iterable[Section]) -> None:
        """Read these sections too, at once and then each 5 s, and no others."""
        before = self._ledgers.wants_fleet
        self._ledgers.want(sections)
        self._wanted.set()
        if self._ledgers.wants_fleet and not before:
            self._fleet_wanted.set()

    async def _ledger_loop(self) -> None:
        """Read by itself: a ledger of 20,000 entries must not hold up the picture."""
        while True:
            if self._now_ms:
                with suppress(StoreError):  # the age of what is shown says so
                    found = await self._ledgers.read(self._now_ms)
                    if found is not None:
                        await self._out.put(Batch(self._link, False, ledgers=found))
            # Before the first whole view there is nothing to join it with.
            pause_s = self._period_s * (_LEDGER_PERIODS if self._now_ms else 0.1)
            with suppress(TimeoutError):
                async with asyncio.timeout(pause_s):
                    await self._wanted.wait()
            self._wanted.clear()

    async def aclose(self) -> None:
        """Nothing to release: `batches` ends its tasks when it is closed."""


def entry_order(entry_id: str) -> tuple[int, int]:
    """Return what orders the ids of a stream."""
    at_ms, _, number = entry_id.partition("-")
    return int(at_ms), int(number or 0)


async def _ended(tasks: set[asyncio.Task[None]]) -> None:
    # More than once: a cancel that meets redis-py while it connects gets lost.
    while tasks:
        for task in tasks:
            task.cancel()
        _, tasks = await asyncio.wait(tasks, timeout=0.1)


class _Controls:
    """Raw records, kept current by log entries."""

    def __init__(self) -> None:
        self.rev = 0
        self.epoch = ""
        self.tail = "0-0"
        self.records: dict[tuple[str, str], bytes] = {}

    def reset(
        self, rev: int, epoch: str, tail: str, records: Mapping[tuple[str, str], bytes]
    ) -> None:
        """Start from a complete load."""
        self.rev, self.epoch, self.tail = rev, epoch, tail
        self.records = dict(records)

    def take(self, entries: Sequence[Entry]) -> bool:
        """Apply entries in order; False on a gap or another history."""
        for entry in entries:
            self.tail = entry.id
            if entry.rev <= self.rev and entry.epoch == self.epoch:
                continue
            known = entry.epoch == self.epoch or not self.epoch
            if not known or entry.rev != self.rev + 1:
                return False
            self.rev, self.epoch = entry.rev, entry.epoch
            if entry.value is None:
                self.records.pop((entry.kind, entry.name), None)
            else:
                self.records[entry.kind, entry.name] = entry.value
        return True

    def differs(self, rev: int, epoch: str) -> bool:
        """Whether a read tells another history or another revision."""
        return (rev, epoch) != (self.rev, self.epoch)
