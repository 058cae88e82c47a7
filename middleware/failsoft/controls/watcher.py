"""Keeps one node's controls current: push, beat, expiry, staleness.

Three loops on the application's event loop.  *Push* blocks on the log.  *Beat*
says that the node lives and catches up where push failed.  *Mind* ends records
by store time and notices age, also while the store is away.  Nothing is raised
out of them: a dead store shows as state `stale`, never as an exception.
"""

from __future__ import annotations

import asyncio
import logging
import secrets
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal

from failsoft import dice
from failsoft.clock import elapsed
from failsoft.controls.clock import StoreClock
from failsoft.controls.held import Held, Key, Mark
from failsoft.controls.records import Record
from failsoft.controls.resync import Gap, Read, read_controls
from failsoft.controls.rewind import why_rewound
from failsoft.controls.standing import Standing
from failsoft.errors import StoreError, StoreRefused
from failsoft.store.protocols import Beat, Call, ControlStore, Entry

__all__ = ["ControlState", "NodeState", "Watcher"]

LOG = logging.getLogger("failsoft.controls")

NodeState = Literal["cold", "live", "stale", "rewound", "local"]

_PUSH_GRACE_S = 0.1  # how long a beat leaves a new revision to the push channel
_ECHO_S = 0.02  # an applied change is echoed by a heartbeat within this
_REARM_S = 60.0  # the timer never sleeps longer, should clocks drift
_SWEEP_AFTER_S = 1.0
_LEAVE_S = 0.5
_TELL_EVERY_S = 60.0
_AGAIN_S, _MOST_AGAIN = 0.2, 5  # a read that met a gap: 0.2 s doubling, then each beat


@dataclass(frozen=True, slots=True)
class ControlState:
    """What a node knows of the controls at one instant.

    records: (kind, name) -> record, ended ones left out; the same object as in the
    state before unless a record changed.  unknown_kinds: records per kind that
    this release does not know.  watched: somebody reads ticks.  source: where the
    records are from: redis memory file bootstrap inherited offer.  digest: of the
    whole set.  good: while rewound, the last good set under what was written since.
    """

    rev: int
    epoch: str
    state: NodeState
    records: Mapping[Key, Record]
    unknown_kinds: Mapping[str, int]
    watched: bool
    clock: StoreClock
    source: str = ""
    digest: str = ""
    good: Held | None = None

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
    rand: Callable[[], float] = field(default=dice.random, kw_only=True)
    elapsed: Callable[[], float] = field(default=elapsed, kw_only=True)

    def __post_init__(self) -> None:
        self.clock = StoreClock(self.elapsed)
        self.fault = ""  # the newest store error, "" after a proof
        self._standing = Standing(self.good)
        self._doubtful = False  # another server may have answered since
        self._watched = False
        self._unheard = ""  # why the newest heartbeat was not kept
        self._sweeper = _Sweeper(self, self._standing)
        self._untaken = _Minute(self.elapsed)
        self._loads = 0
        self._again = _Again(self.elapsed, self.beat_s)
        self._loading = asyncio.Lock()
        self._wanted = asyncio.Event()  # a full read
        self._wanted_since = 0
        self._nudge = asyncio.Event()  # the beat goes out now
        self._rearm = asyncio.Event()  # the timer looks again
        self._synced = asyncio.Event()
        self._tasks: list[asyncio.Task[None]] = []
        self.current = ControlState(0, "", "cold", {}, {}, False, self.clock)

    def start(self) -> None:
        """Start watching on the running loop; no effect when already started."""
        if not self._tasks:
            self._publish()  # a last good set is in force at once
            steps = {
                "push": self._push,
                "beat": self._beat,
                "load": self._load_when_wanted,
                "mind": self._mind,
            }
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
        return self._standing.kept()

    async def stop(self) -> None:
        """Stop watching and remove the heartbeat; the store stays open."""
        tasks, self._tasks = self._tasks, []
        tasks += self._sweeper.tasks
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
        pauses, minute = _Pauses(self.rand), _Minute(self.elapsed)
        while True:
            try:
                await step()
                pauses.failures = 0
                continue
            except StoreError as error:
                # Once an outage: the loops meet the same fault several times a second.
                if not self.fault:
                    LOG.warning("%s", error)
                self.fault = str(error)
            except Exception:
                if minute.is_over():
                    LOG.exception("%s failed; it goes on", name)
            await asyncio.sleep(pauses.next_s())

    async def _push(self) -> None:
        if self._standing.held is None or not self.is_synced:
            await self._load()
        elif self._doubtful:
            await self._compare_history()
        held = self._standing.held
        if held is None or not self.is_synced:
            await asyncio.sleep(self.beat_s)
            return
        try:
            entries = await self.store.wait(held.last_id, self.block_s)
        except StoreError:
            self._doubtful = True
            raise
        if await self._take(entries):
            self._prove()
        else:
            await asyncio.sleep(self._again.wait_s())

    async def _compare_history(self) -> None:
        """After a lost connection: read all again if the history is another one.

        It may have grown beyond what is held here, so that revisions alone do not tell.
        While rewound: another one than the log is followed in.
        """
        held = self._standing.held
        known = held.mark() if held else Mark()
        if why_rewound(known, await self.store.survey(known.last_id)):
            await self._load()
        self._doubtful = False

    async def _beat(self) -> None:
        self._nudge.clear()
        sent = self.elapsed()
        known = self._standing.known
        beat = await self.store.beat(self.node_id, self.heartbeat())
        if self.clock.observe(sent, self.elapsed(), beat.now_ms):
            LOG.warning("store time jumped by more than a second")
            self._standing.look_again()
            self._rearm.set()
        self._watched = beat.watched
        if beat.refused and not self._unheard:
            LOG.warning("operators do not see this node: %s", beat.refused)
        self._unheard = beat.refused
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

    async def _compare(self, beat: Beat, known: tuple[str, int]) -> None:
        """Act on the store's revision; `known`: ours when the beat was sent."""
        held = self._standing.held
        is_behind = beat.epoch == known[0] and beat.rev < known[1]
        is_other = not self.is_synced or is_behind
        if held is None or is_other or beat.epoch != held.epoch:
            self._want()
        elif beat.rev <= held.rev:
            self._prove()
        else:
            await self._catch_up(beat.rev)

    async def _catch_up(self, rev: int) -> None:
        """Read what the push channel did not bring; leave it alone if it brings."""
        known = self._standing.known
        await asyncio.sleep(_PUSH_GRACE_S)
        held = self._standing.held
        if held is None or held.rev >= rev or self._standing.known != known:
            return
        entries = await self.store.after(held.last_id)
        if not entries or self._standing.fold(entries) == "gap":
            self._want()
        self._publish()
        await self.store.renew_push()

    def _want(self) -> None:
        """Have everything read soon; a beat that waited for it would seem silent."""
        self._wanted_since = self._loads
        self._wanted.set()

    async def _load_when_wanted(self) -> None:
        await self._wanted.wait()
        self._wanted.clear()
        await self._load(since=self._wanted_since)

    async def _take(self, entries: Sequence[Entry]) -> bool:
        """Apply what the log brought; False if a full read is still to be made."""
        outcome = self._standing.fold(entries)
        if outcome == "gap":
            return await self._load()
        if outcome == "changed":
            self._publish()
        return True

    async def begin_with(self, good: Held) -> bool:
        """Hold the store against a last good set that peers offer; False: not yet.

        Without effect when the store's history goes on from that set.
        """
        return await self._load(good)

    async def _load(
        self, offered: Held | None = None, since: int | None = None
    ) -> bool:
        """Read everything, unless another loop has done so meanwhile; False if not.

        since: the count of reads when this one was wanted, now unless said.
        """
        loads = self._loads if since is None else since

        def hasten(found: Mapping[Key, Record]) -> None:
            self._standing.hasten(found)
            self._publish()

        async with self._loading:
            if self._loads != loads and offered is None:
                return True
            if self._again.wait_s():
                return False
            good = offered or await _good(self._standing, self.store)
            try:
                read = await read_controls(self.store, good, hasten, self.elapsed)
            except Gap:
                self._again.put_off()
                return False
            self._loads += 1
            self._again.gaps = 0
            self.clock.observe(read.sent, read.received, read.now_ms)
            if offered is not None and read.why:
                self.good_from = "offer"
            self._adopt(read, good)
        return True

    def _adopt(self, read: Read, good: Held | None) -> None:
        """Take a full read; of another history only on top of the last good set."""
        if read.why and self.rewind == "hold":
            if self._standing.origin is None:
                LOG.warning("the store was rewound (%s); what was held stays", read.why)
            self._standing.lay(read.held, over=good)
        else:
            self._standing.adopt(read.stored, always=bool(read.why))
        self._synced.set()
        self._prove()
        self._publish()

    def _prove(self) -> None:
        self.clock.prove()
        self.fault = ""
        if self.current.state == "stale":
            self._publish()

    def _state(self) -> NodeState:
        if self._standing.held is None:
            return "cold"
        if self._standing.origin is not None:
            return "rewound"
        if self.store.local:
            return "local"
        is_old = self.clock.age_s() > self.stale_after_s
        return "stale" if is_old or not self.is_synced else "live"

    def _source(self) -> str:
        from_peers = self._standing.origin is not None and self.good_from == "offer"
        if from_peers or not self.is_synced:
            return self.good_from
        return "memory" if self.store.local else "redis"

    def _publish(self) -> None:
        """Build the present state; tell `on_change` if it differs from the last."""
        held, origin, last = self._standing.shown, self._standing.origin, self.current
        if held is None:
            return
        # An emptied store has no history yet: name the one that is enforced.
        named = origin if origin and not held.epoch else held
        state = ControlState(
            rev=named.rev,
            epoch=named.epoch,
            state=self._state(),
            records=self._standing.records(self.clock.now_ms()),
            unknown_kinds={kind: n for kind, n in held.unknown.items() if n > 0},
            watched=self._watched,
            clock=self.clock,
            source=self._source(),
            digest=held.digest,
            good=origin,
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
            if self._untaken.is_over():
                LOG.exception("controls at revision %d were not taken", held.rev)
        self._nudge.set()
        self._rearm.set()

    async def _mind(self) -> None:
        self._rearm.clear()
        self._publish()
        self._sweeper.look()
        try:
            async with asyncio.timeout(self._until_next_s()):
                await self._rearm.wait()
        except TimeoutError:
            return

    def _until_next_s(self) -> float:
        """Seconds until an end, staleness or a sweep is due; at least 1 ms."""
        now = self.elapsed()
        waits = [_REARM_S]
        if self._standing.next_end_ms is not None:
            waits.append((self._standing.next_end_ms - self.clock.now_ms()) / 1000)
        if self.current.state == "live":
            waits.append(self.stale_after_s - self.clock.age_s())
        if self._sweeper.at is not None:
            waits.append(self._sweeper.at - now)
        return max(min(waits), 0.0) + 0.001


async def _good(standing: Standing, store: ControlStore) -> Held | None:
    """Return the last good set; all that is in force if the store is rewound again.

    What was written after the first time is lost there, too.
    """
    if standing.origin is not None and standing.held is not None:
        known = standing.held.mark()
        if why_rewound(known, await store.survey(known.last_id)):
            return standing.kept()
    return standing.good


class _Again:
    """When to read again after the log moved on faster than it could be read.

    gaps: reads in a row that met one.
    """

    def __init__(self, elapsed: Callable[[], float], beat_s: float) -> None:
        self._elapsed = elapsed
        self._beat_s = beat_s
        self._at = float("-inf")
        self.gaps = 0

    def put_off(self) -> None:
        """Wait 0.2 s, doubling; after five reads in vain, for the next beat."""
        many = self.gaps >= _MOST_AGAIN
        self._at = self._elapsed() + (self._beat_s if many else _AGAIN_S * 2**self.gaps)
        self.gaps += 1

    def wait_s(self) -> float:
        """Return the seconds left, 0.0 when there are none."""
        return max(0.0, self._at - self._elapsed())


class _Minute:
    """Lets the same thing be said once a minute."""

    def __init__(self, elapsed: Callable[[], float]) -> None:
        self._elapsed = elapsed
        self._told_at = float("-inf")

    def is_over(self) -> bool:
        """Whether nothing was said for a minute; if so, it is now."""
        now = self._elapsed()
        is_over = now - self._told_at > _TELL_EVERY_S
        if is_over:
            self._told_at = now
        return is_over


class _Sweeper:
    """Asks the store to clear ended records, a second after they were seen.

    at: when it will, None when there is nothing to clear.
    """

    def __init__(self, watcher: Watcher, standing: Standing) -> None:
        self._watcher = watcher
        self._standing = standing
        self._may_sweep = True
        self.at: float | None = None
        self.tasks: list[asyncio.Task[None]] = []

    def look(self) -> None:
        """Sweep if it is time to."""
        watcher = self._watcher
        now, reachable = watcher.elapsed(), watcher.current.state in ("live", "local")
        ended = self._standing.due(watcher.clock.now_ms())
        if not (self._may_sweep and reachable and ended):
            self.at = None
        elif self.at is None:
            # Spread over a second, or every node would ask at once.
            self.at = now + _SWEEP_AFTER_S + watcher.rand()
        elif self.at <= now:
            self.at = None
            self.tasks = [asyncio.create_task(self._sweep())]

    async def _sweep(self) -> None:
        call = Call(
            op_id=secrets.token_hex(8),
            actor=self._watcher.node_id[:100],
            reason="sweep ended controls",
            changes=(),
        )
        try:
            await self._watcher.store.apply(call)
        except StoreRefused:
            self._may_sweep = False  # most nodes may not write controls
        except StoreError as error:
            LOG.debug("sweep: %s", error)
