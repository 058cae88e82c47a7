"""Keeps one node's controls current: push, beat, expiry, staleness.

Three loops on the application's event loop.  *Push* blocks on the log.  *Beat*
says that the node lives and catches up where push failed.  *Mind* ends records
by store time and notices age, also while the store is away.  Nothing is raised
out of them: a dead store shows as state `stale`, never as an exception.
"""

from __future__ import annotations

import asyncio
import logging
import random
import secrets
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Literal

from failsoft.clock import elapsed
from failsoft.controls.clock import StoreClock
from failsoft.controls.records import Record
from failsoft.controls.resync import Held, Key, hold, is_rewound, overlay
from failsoft.errors import StoreError, StoreRefused
from failsoft.store.protocols import Beat, Call, ControlSet, ControlStore, Entry

__all__ = ["ControlState", "NodeState", "Watcher"]

LOG = logging.getLogger("failsoft.controls")

NodeState = Literal["cold", "live", "stale", "rewound", "local"]

_PUSH_GRACE_S = 0.1  # how long a beat leaves a new revision to the push channel
_ECHO_S = 0.02  # an applied change is echoed by a heartbeat within this
_REARM_S = 60.0  # the timer never sleeps longer, should clocks drift
_SWEEP_AFTER_S = 1.0
_LEAVE_S = 0.5
_TELL_EVERY_S = 60.0


@dataclass(frozen=True, slots=True)
class ControlState:
    """What a node knows of the controls at one instant.

    records: (kind, name) -> record, ended ones left out; the same object as in the
    state before unless a record changed.  unknown_kinds: records per kind that
    this release does not know.  watched: somebody reads ticks.  source: where the
    records are from: redis memory file bootstrap inherited.
    """

    rev: int
    epoch: str
    state: NodeState
    records: Mapping[Key, Record]
    unknown_kinds: Mapping[str, int]
    watched: bool
    clock: StoreClock
    source: str = ""

    def now_ms(self) -> float:
        """Return store time in ms, good while the store is away."""
        return self.clock.now_ms()

    @property
    def age_s(self) -> float:
        """Seconds since the newest proof that these controls are current.

        Counted at the moment of asking, however old this object is; 0 before any.
        """
        return self.clock.age_s()

    def same_as(self, other: ControlState) -> bool:
        """Whether nothing but age differs."""
        return self.records is other.records and self._facts() == other._facts()

    def _facts(self) -> tuple[object, ...]:
        link = self.state, self.source, self.watched
        return self.rev, self.epoch, self.unknown_kinds, *link


class _Pauses:
    """Pauses between attempts: 0 to 250 ms, then full jitter up to 2 s."""

    def __init__(self, rand: Callable[[], float]) -> None:
        self._rand = rand
        self.failures = 0

    def next_s(self) -> float:
        top_s = 0.25 if self.failures == 0 else min(0.1 * 2**self.failures, 2.0)
        self.failures = min(self.failures + 1, 10)
        return self._rand() * top_s


@dataclass(eq=False)
class Watcher:
    """Watches a store for one node; `start` on the running loop, then `stop`.

    heartbeat: encoded heartbeat, asked before each beat.  on_change: called on the
    loop, once for each state that differs in more than age; must not block.
    rewind: "hold" keeps the last good set when the store's history is another
    one, "accept" adopts what the store has.  Times in seconds.
    good: the set in force until the store is read, and the one a rewound store is
    held against; good_from: where it is from.
    """

    store: ControlStore
    node_id: str = field(kw_only=True)
    heartbeat: Callable[[], bytes] = field(kw_only=True)
    on_change: Callable[[ControlState], None] = field(kw_only=True)
    block_s: float = field(default=2.0, kw_only=True)
    beat_s: float = field(default=0.8, kw_only=True)
    stale_after_s: float = field(default=4.5, kw_only=True)
    rewind: Literal["hold", "accept"] = field(default="hold", kw_only=True)
    good: Held | None = field(default=None, kw_only=True)
    good_from: str = field(default="", kw_only=True)
    rand: Callable[[], float] = field(default=random.random, kw_only=True)
    elapsed: Callable[[], float] = field(default=elapsed, kw_only=True)

    def __post_init__(self) -> None:
        self.clock = StoreClock(self.elapsed)
        self.fault = ""  # the newest store error, "" after a proof
        self._held = self.good
        self._origin: Held | None = None  # while rewound: the last good set
        self._watched = False
        self._next_end_ms: float | None = None
        self._may_sweep = True
        self._sweep_at: float | None = None
        self._sweeping: asyncio.Task[None] | None = None
        self._loads = 0
        self._loading = asyncio.Lock()
        self._nudge = asyncio.Event()  # the beat goes out now
        self._rearm = asyncio.Event()  # the timer looks again
        self._synced = asyncio.Event()
        self._tasks: list[asyncio.Task[None]] = []
        self._viewed: Held | None = None  # what `current.records` was made of
        self._viewed_rev = 0
        self.current = ControlState(0, "", "cold", {}, {}, False, self.clock)

    def start(self) -> None:
        """Start watching on the running loop; no effect when already started."""
        if not self._tasks:
            self._publish()  # a last good set is in force at once
            steps = {"push": self._push, "beat": self._beat, "mind": self._mind}
            self._tasks = [
                asyncio.create_task(self._forever(name, step), name=f"failsoft-{name}")
                for name, step in steps.items()
            ]

    async def first_sync(self, timeout_s: float) -> bool:
        """Wait until the store has been read once; False after `timeout_s`."""
        try:
            async with asyncio.timeout(timeout_s):
                await self._synced.wait()
        except TimeoutError:
            return False
        return True

    @property
    def is_synced(self) -> bool:
        """Whether the store has been read once."""
        return self._synced.is_set()

    def kept(self) -> Held | None:
        """Return a copy of what is in force, under the revision of the last good set.

        Whoever begins with it meets a rewound store as this node does.
        """
        held = self._held
        if held is None:
            return None
        named = self._origin or held
        return replace(
            held,
            rev=named.rev,
            epoch=named.epoch,
            last_id=named.last_id,
            records=dict(held.records),
            ending=dict(held.ending),
            unknown=held.unknown.copy(),
        )

    async def stop(self) -> None:
        """Stop watching and remove the heartbeat; the store stays open."""
        tasks, self._tasks = self._tasks, []
        if self._sweeping is not None:
            tasks.append(self._sweeping)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        if not tasks:
            return
        try:
            async with asyncio.timeout(_LEAVE_S):
                await self.store.leave(self.node_id)
        except (StoreError, TimeoutError) as error:
            LOG.debug("leaving without a word: %s", error)

    async def _forever(self, name: str, step: Callable[[], Awaitable[None]]) -> None:
        pauses, told_at = _Pauses(self.rand), float("-inf")
        while True:
            try:
                await step()
                pauses.failures = 0
                continue
            except StoreError as error:
                self._note(error)
            except Exception:
                if self.elapsed() - told_at > _TELL_EVERY_S:
                    told_at = self.elapsed()
                    LOG.exception("%s failed; it goes on", name)
            await asyncio.sleep(pauses.next_s())

    def _note(self, error: StoreError) -> None:
        # Once an outage: two loops meet the same fault several times a second.
        if not self.fault:
            LOG.warning("%s", error)
        self.fault = str(error)

    async def _push(self) -> None:
        if self._held is None or not self.is_synced:
            await self._load()
        held = self._held
        if held is None:
            await asyncio.sleep(self.beat_s)
            return
        entries = await self.store.wait(held.last_id, self.block_s)
        await self._take(entries)
        self._prove()

    async def _beat(self) -> None:
        self._nudge.clear()
        sent = self.elapsed()
        known = self._known()
        beat = await self.store.beat(self.node_id, self.heartbeat())
        if self.clock.observe(sent, self.elapsed(), beat.now_ms):
            LOG.warning("store time jumped by more than a second")
            self._rearm.set()
        self._watched = beat.watched
        await self._compare(beat, known)
        self._publish()
        await self._rest(sent)

    async def _rest(self, began: float) -> None:
        """Sleep until the next beat is due, or a change wants to be echoed."""
        try:
            async with asyncio.timeout(self.beat_s * (0.9 + 0.2 * self.rand())):
                await self._nudge.wait()
        except TimeoutError:
            return
        await asyncio.sleep(max(0.0, began + _ECHO_S - self.elapsed()))

    def _known(self) -> tuple[str, int]:
        return (self._held.epoch, self._held.rev) if self._held else ("", 0)

    async def _compare(self, beat: Beat, known: tuple[str, int]) -> None:
        """Act on the store's revision; `known`: ours when the beat was sent."""
        held = self._held
        if (
            held is None
            or not self.is_synced
            or beat.epoch != held.epoch
            or is_rewound(known, beat.epoch, beat.rev)
        ):
            await self._load()
        elif held is not None and beat.rev <= held.rev:
            self._prove()
        else:
            await self._catch_up(beat.rev)

    async def _catch_up(self, rev: int) -> None:
        await asyncio.sleep(_PUSH_GRACE_S)
        held = self._held
        if held is None or held.rev >= rev:
            return
        await self._take(await self.store.after(held.last_id))
        if self._known()[1] < rev:
            await self._load()
        await self.store.renew_push()

    async def _take(self, entries: Sequence[Entry]) -> None:
        if self._held is None or not entries:
            return
        outcome = self._held.fold(entries)
        if outcome == "gap":
            await self._load()
        elif outcome == "changed":
            self._publish()

    async def _load(self) -> None:
        """Read everything, unless another loop has done so meanwhile."""
        loads = self._loads
        async with self._loading:
            if self._loads != loads:
                return
            known, sent = self._known(), self.elapsed()
            loaded = await self.store.load()
            self._loads += 1
            self.clock.observe(sent, self.elapsed(), loaded.now_ms)
            self._adopt(loaded, known)

    def _adopt(self, loaded: ControlSet, known: tuple[str, int]) -> None:
        """Take a full load; of another history only on top of the last good set."""
        origin = self._origin
        good = (origin.epoch, origin.rev) if origin else known
        rewound = is_rewound(good, loaded.epoch, loaded.rev)
        if rewound and self.rewind == "hold":
            self._origin = origin or self._held
            assert self._origin is not None  # nothing held is never rewound
            # What operators write now must work, and no kill may be lost.
            self._held = overlay(self._origin, loaded)
        elif origin or rewound or not self._is_behind(loaded):
            self._held = hold(loaded)
            self._origin = None
        # Else the push channel was quicker than this load: keep what it brought.
        self._synced.set()
        self._prove()
        self._publish()

    def _is_behind(self, loaded: ControlSet) -> bool:
        return is_rewound(self._known(), loaded.epoch, loaded.rev)

    def _prove(self) -> None:
        self.clock.prove()
        self.fault = ""
        if self.current.state == "stale":
            self._publish()

    def _state(self) -> NodeState:
        if self._held is None:
            return "cold"
        if self._origin is not None:
            return "rewound"
        if self.store.local:
            return "local"
        is_old = self.clock.age_s() > self.stale_after_s
        return "stale" if is_old or not self.is_synced else "live"

    def _source(self) -> str:
        if not self.is_synced:
            return self.good_from
        return "memory" if self.store.local else "redis"

    def _publish(self) -> None:
        """Build the present state; tell `on_change` if it differs from the last."""
        held, last = self._held, self.current
        if held is None:
            return
        # An emptied store has no history yet: name the one that is enforced.
        named = self._origin if self._origin and not held.epoch else held
        state = ControlState(
            rev=named.rev,
            epoch=named.epoch,
            state=self._state(),
            records=self._records(held),
            unknown_kinds={kind: n for kind, n in held.unknown.items() if n > 0},
            watched=self._watched,
            clock=self.clock,
            source=self._source(),
        )
        self.current = state
        if state.same_as(last):
            return
        if state.state != last.state:
            quiet = state.state in ("live", "local") or not self.is_synced
            level = logging.INFO if quiet else logging.WARNING
            LOG.log(level, "controls are %s (were %s)", state.state, last.state)
        try:
            self.on_change(state)
        except Exception:
            LOG.exception("a change of controls at revision %d was not taken", held.rev)
        self._nudge.set()
        self._rearm.set()

    def _records(self, held: Held) -> Mapping[Key, Record]:
        """Return the present records; the last object while nothing differs."""
        now_ms = self.clock.now_ms()
        ended = self._next_end_ms is not None and self._next_end_ms <= now_ms
        if self._viewed is held and self._viewed_rev == held.rev and not ended:
            return self.current.records
        self._viewed, self._viewed_rev = held, held.rev
        records, self._next_end_ms = held.view(now_ms)
        return records

    async def _mind(self) -> None:
        self._rearm.clear()
        self._publish()
        self._sweep_when_due()
        try:
            async with asyncio.timeout(self._until_next_s()):
                await self._rearm.wait()
        except TimeoutError:
            return

    def _until_next_s(self) -> float:
        """Seconds until an end, staleness or a sweep is due; at least 1 ms."""
        now = self.elapsed()
        waits = [_REARM_S]
        if self._next_end_ms is not None:
            waits.append((self._next_end_ms - self.clock.now_ms()) / 1000)
        if self.current.state == "live":
            waits.append(self.stale_after_s - self.clock.age_s())
        if self._sweep_at is not None:
            waits.append(self._sweep_at - now)
        return max(min(waits), 0.0) + 0.001

    def _sweep_when_due(self) -> None:
        """Ask the store to clear ended records, a second after they were seen."""
        held, now = self._held, self.elapsed()
        reachable = self.current.state in ("live", "local")
        ended = held.due(self.clock.now_ms()) if held else []
        if not (ended and self._may_sweep and reachable):
            self._sweep_at = None
        elif self._sweep_at is None:
            # Spread over a second, or every node would ask at once.
            self._sweep_at = now + _SWEEP_AFTER_S + self.rand()
        elif self._sweep_at <= now:
            self._sweep_at = None
            self._sweeping = asyncio.create_task(self._sweep())

    async def _sweep(self) -> None:
        call = Call(
            op_id=secrets.token_hex(8),
            actor=self.node_id[:100],
            reason="sweep ended controls",
            changes=(),
        )
        try:
            await self.store.apply(call)
        except StoreRefused:
            self._may_sweep = False  # most nodes may not write controls
        except StoreError as error:
            LOG.debug("sweep: %s", error)
