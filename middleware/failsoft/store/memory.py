"""Controls and observations of one process: the store without Redis.

It answers as apply.lua does; `tests/store` runs one contract over both.
"""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import secrets
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace

from failsoft import clock
from failsoft.errors import StoreConflict, StoreRefused, StoreRewound
from failsoft.store.audit import emit
from failsoft.store.limits import KIND_CAPS, check_call, check_env, max_ttl_ms
from failsoft.store.memorycallmap import MemoryCallMap
from failsoft.store.memorydrift import MemoryDrift
from failsoft.store.memoryflags import MemoryFlagCounts
from failsoft.store.memoryfleet import MemoryFleet
from failsoft.store.memorypeernotes import MemoryPeerNotes
from failsoft.store.memoryresync import MemoryResync
from failsoft.store.memoryslo import MemorySlos
from failsoft.store.memoryusage import MemoryUsage
from failsoft.store.protocols import (
    Answer,
    Beat,
    Call,
    Change,
    ControlSet,
    Entry,
    Observed,
    TickBatch,
    parse_value,
)

__all__ = ["MemoryStore"]

_LOG_KEPT = 10_000
_OPS_KEPT = 10_000
_TICKS_KEPT = 120
_FLIGHTS_KEPT = 500
_ATTEMPTS_KEPT = 2_000
_LINEAGE = 16
_WATCH_S = 10
_HEARTBEAT_MS = 15_000

_Key = tuple[str, str]


class _Process:
    """What both halves share: clock, ids, revision and the nodes of this process."""

    def __init__(self, env: str, now: Callable[[], float]) -> None:
        self.env = check_env(env)
        self._now = now
        self._rev = 0
        self._epoch = ""
        self._lineage: tuple[str, ...] = ()
        self._ids = itertools.count(1)
        self._id_ms = 0
        self._nodes: dict[str, tuple[int, bytes]] = {}
        self._watched_until_ms = 0

    def _now_ms(self) -> int:
        return int(self._now() * 1000)

    def _next_id(self) -> str:
        # Never back with the clock, as in a stream: readers ask for what came after.
        self._id_ms = max(self._id_ms, self._now_ms())
        return f"{self._id_ms}-{next(self._ids)}"


class _Controls(_Process):
    local = True

    def __init__(self, env: str, now: Callable[[], float]) -> None:
        super().__init__(env, now)
        self._records: dict[_Key, bytes] = {}
        self._log: deque[Entry] = deque(maxlen=_LOG_KEPT)
        self._answers: dict[str, Answer] = {}
        self._waiting: set[asyncio.Future[None]] = set()

    async def load(self) -> ControlSet:
        """Read the whole control set consistently with its log tail."""
        tail = self._log[-1].id if self._log else "0-0"
        return ControlSet(
            self._rev, self._epoch, tail, self._now_ms(), dict(self._records)
        )

    async def wait(self, last_id: str, block_s: float) -> Sequence[Entry]:
        """Block up to `block_s` for entries after `last_id`."""
        if not self._after(last_id):
            # A future of the waiter's own loop: test clients change loops.
            grown = asyncio.get_running_loop().create_future()
            self._waiting.add(grown)
            try:
                await asyncio.wait({grown}, timeout=block_s)
            finally:
                self._waiting.discard(grown)
        return self._after(last_id)[:500]

    async def renew_push(self) -> None:
        """Let a pending `wait` return."""
        self._wake()

    def _wake(self) -> None:
        for grown in list(self._waiting):
            with contextlib.suppress(RuntimeError):  # its loop has closed
                grown.get_loop().call_soon_threadsafe(_finish, grown)

    def _after(self, last_id: str) -> list[Entry]:
        last = _id_order(last_id)
        if self._log and _id_order(self._log[-1].id) <= last:
            return []
        return [entry for entry in self._log if _id_order(entry.id) > last]

    async def after(self, last_id: str, count: int = 500) -> Sequence[Entry]:
        """Return entries after `last_id` without blocking, oldest first."""
        return self._after(last_id)[:count]

    async def log(self, count: int = 200, before: str = "+") -> Sequence[Entry]:
        """Return the newest entries before stream id `before`, newest first."""
        newest = reversed(self._log)
        if before != "+":
            top = _id_order(before)
            newest = (entry for entry in newest if _id_order(entry.id) < top)
        return list(itertools.islice(newest, count))

    async def apply(self, call: Call) -> Answer:
        """Write all changes or none, in the order of apply.lua."""
        check_call(call)
        now_ms = self._now_ms()
        if call.op_id in self._answers:
            known = self._answers[call.op_id]
            return Answer(known.revision, known.epoch, known.now_ms, duplicate=True)
        if call.epoch and call.epoch != self._epoch:
            raise StoreRewound(
                f"the epoch is {self._epoch or 'empty'}, expected {call.epoch}",
                where="controls",
                todo="read the controls again",
            )
        writes = bool(call.changes) or call.accept is not None
        fresh = secrets.token_hex(16)
        if writes:
            self._epoch = self._epoch or fresh
        self._sweep(call.actor, now_ms)
        ends = [self._check(change, now_ms) for change in call.changes]
        made = [(c, end) for c, end in zip(call.changes, ends, strict=True) if end >= 0]
        self._check_counts([change for change, _ in made])
        if writes:
            self._rev = max(self._rev, call.base)
        for change, until_ms in made:
            self._write(call, change, until_ms, now_ms)
        if call.accept is not None:
            self._replace_epoch(call, fresh)
        answer = Answer(self._rev, self._epoch, now_ms)
        emit(self.env, call, answer)
        if writes:
            self._answers[call.op_id] = answer
            if len(self._answers) > _OPS_KEPT:
                del self._answers[next(iter(self._answers))]
        self._wake()
        return answer

    def _replace_epoch(self, call: Call, fresh: str) -> None:
        old = [self._epoch] if self._epoch != fresh else []
        replaced = dict.fromkeys([*self._lineage, *(call.accept or ()), *old])
        self._epoch, self._lineage = fresh, tuple(replaced)[-_LINEAGE:]
        blame = (call.actor, call.reason, call.via, call.op_id)
        self._append(("store", ""), "accept", None, None, blame)

    def _sweep(self, actor: str, now_ms: int) -> None:
        for key, value in list(self._records.items()):
            if 0 < parse_value(value)[2] <= now_ms:
                del self._records[key]
                self._append(
                    key,
                    "expire",
                    None,
                    value,
                    ("(expiry)", "its end has passed", actor, ""),
                )

    def _check(self, change: Change, now_ms: int) -> int:
        """Return the change's end, 0 for none, -1 for a restore past its end."""
        current = self._records.get((change.kind, change.name))
        revision = parse_value(current)[0] if current else 0
        if change.if_rev is not None and change.if_rev != revision:
            raise self._conflict(change, current, revision, now_ms)
        if change.op == "del":
            return 0
        until_ms = int(change.until) + (now_ms if change.until[0] == "+" else 0)
        if change.op == "restore":
            return -1 if 0 < until_ms <= now_ms else until_ms
        if until_ms and not now_ms < until_ms <= now_ms + max_ttl_ms(change.kind):
            raise StoreRefused(
                f"ends {(until_ms - now_ms) / 1000:g} s from now, allowed are 0 s to "
                f"{max_ttl_ms(change.kind) // 86_400_000} d",
                where=f"{change.kind}/{change.name}",
            )
        return until_ms

    def _conflict(
        self, change: Change, current: bytes | None, revision: int, now_ms: int
    ) -> StoreConflict:
        key = (change.kind, change.name)
        mine = (
            entry for entry in reversed(self._log) if (entry.kind, entry.name) == key
        )
        last = next(mine, None)
        return StoreConflict(
            f"{change.kind}/{change.name}",
            current=current,
            revision=revision,
            expected=change.if_rev or 0,
            actor=last.who if last else "",
            age_ms=now_ms - _id_order(last.id)[0] if last else None,
        )

    def _check_counts(self, changes: Sequence[Change]) -> None:
        growth: dict[str, int] = {}
        for change in changes:
            held = (change.kind, change.name) in self._records
            step = (change.op != "del" and not held) - (change.op == "del" and held)
            growth[change.kind] = growth.get(change.kind, 0) + step
        for kind, more in growth.items():
            count = sum(key[0] == kind for key in self._records) + more
            if more > 0 and count > KIND_CAPS[kind]:
                raise StoreRefused(
                    f"{count} records of kind {kind}, the limit is {KIND_CAPS[kind]}",
                    todo="delete some first",
                )

    def _write(self, call: Call, change: Change, until_ms: int, now_ms: int) -> None:
        key = (change.kind, change.name)
        was = self._records.pop(key, None)
        if change.op == "del" and was is None:
            return
        value = None
        if change.op != "del":
            value = b"%d %d %d " % (self._rev + 1, now_ms, until_ms) + change.json
            self._records[key] = value
        blame = (call.actor, call.reason, call.via, call.op_id)
        self._append(key, change.op, value, was, blame)

    def _append(
        self,
        key: _Key,
        op: str,
        value: bytes | None,
        was: bytes | None,
        blame: tuple[str, str, str, str],
    ) -> None:
        self._rev += 1
        who, why, via, op_id = blame
        self._log.append(
            Entry(
                id=self._next_id(),
                rev=self._rev,
                epoch=self._epoch,
                kind=key[0],
                name=key[1],
                op=op,
                value=value,
                was=was,
                who=who,
                why=why,
                via=via,
                op_id=op_id,
            )
        )

    async def beat(self, node: str, heartbeat: bytes) -> Beat:
        """Say that `node` lives and read revision, epoch and whether it is watched."""
        now_ms = self._now_ms()
        self._nodes[node] = (now_ms, heartbeat)
        watched = now_ms < self._watched_until_ms
        return Beat(now_ms, self._rev, self._epoch, watched)

    async def beats(self) -> Mapping[str, int]:
        """Return node -> last heartbeat in ms."""
        return {node: at_ms for node, (at_ms, _) in self._nodes.items()}

    async def leave(self, node: str) -> None:
        """Remove the node's heartbeat on a clean stop."""
        self._nodes.pop(node, None)

    async def identify(self) -> tuple[str, str]:
        """Return an unproven operator: whoever runs this process."""
        return "local?", "operator"


class _Observations(_Process):
    def __init__(self, env: str, now: Callable[[], float]) -> None:
        super().__init__(env, now)
        self._ticks: deque[tuple[str, bytes]] = deque(maxlen=_TICKS_KEPT)
        self._flights: deque[tuple[str, bytes]] = deque(maxlen=_FLIGHTS_KEPT)
        self._attempts: deque[tuple[str, dict[str, str]]] = deque(maxlen=_ATTEMPTS_KEPT)
        self._definitions: dict[str, bytes] = {}

    async def write(self, batch: TickBatch) -> None:
        """Keep one node's second."""
        if batch.tick is not None:
            self._ticks.append((self._next_id(), batch.tick))
        for flight in batch.flights:
            self._flights.append((self._next_id(), flight))

    async def read(self, *, ticks_after: str, flights_after: str) -> Observed:
        """Read what a view needs; marks the ticks as watched for 10 s."""
        now_ms = self._now_ms()
        self._watched_until_ms = now_ms + _WATCH_S * 1000
        seen = self._nodes.items()
        return Observed(
            now_ms=now_ms,
            rev=self._rev,
            epoch=self._epoch,
            env=self.env,
            nodes={n: blob for n, (at, blob) in seen if at > now_ms - _HEARTBEAT_MS},
            silent={n: at for n, (at, _) in seen if at <= now_ms - _HEARTBEAT_MS},
            seen={n: at for n, (at, _) in seen},
            ticks=_newer(self._ticks, ticks_after or f"{now_ms - 60_000}-0"),
            flights=_newer(self._flights, flights_after or "0-0"),
        )

    async def publish_definitions(self, digest: str, blob: bytes) -> None:
        """Keep encoded definitions under their digest."""
        self._definitions = {digest: blob}

    async def keep_definitions(self, digest: str) -> bool:
        """Whether the definitions under a digest are still here."""
        return digest in self._definitions

    async def definitions(self, digest: str) -> bytes | None:
        """Return what `publish_definitions` stored last, None for another digest."""
        return self._definitions.get(digest)

    async def attempt(self, fields: Mapping[str, str]) -> None:
        """Record a refused write or an arming."""
        self._attempts.append((self._next_id(), dict(fields)))

    async def attempts(
        self, count: int = 200
    ) -> Sequence[tuple[str, Mapping[str, str]]]:
        """Return the newest attempts as (stream id, fields), newest first."""
        return list(itertools.islice(reversed(self._attempts), count))


class MemoryStore(
    _Controls,
    _Observations,
    MemoryFlagCounts,
    MemoryPeerNotes,
    MemoryDrift,
    MemorySlos,
    MemoryUsage,
    MemoryResync,
    MemoryFleet,
    MemoryCallMap,
):
    """Every store protocol within one process.

    now: Unix seconds, the clock that decides when records end.
    """

    def __init__(self, env: str, now: Callable[[], float] = clock.unix) -> None:
        super().__init__(env, now)
        MemoryFlagCounts.__init__(self, self._now_ms)
        MemoryPeerNotes.__init__(self, self._now_ms)
        MemoryDrift.__init__(self, self._now_ms)
        MemorySlos.__init__(self, self._now_ms)
        MemoryUsage.__init__(self, self._now_ms)
        MemoryResync.__init__(self)
        MemoryFleet.__init__(self, self._now_ms)
        MemoryCallMap.__init__(self, self._now_ms)

    async def read(self, *, ticks_after: str, flights_after: str) -> Observed:
        """Read what a view needs; marks the ticks as watched for 10 s."""
        found = await super().read(ticks_after=ticks_after, flights_after=flights_after)
        return replace(
            found, proposals=await self.proposals(), alerts=await self.alerts()
        )

    async def write(self, batch: TickBatch) -> None:
        """Keep one node's second."""
        await super().write(batch)
        self.slo_add(batch.slo)

    async def aclose(self) -> None:
        """Nothing to close."""


def _finish(grown: asyncio.Future[None]) -> None:
    if not grown.done():
        grown.set_result(None)


def _id_order(id_: str) -> tuple[int, int]:
    at_ms, _, number = id_.partition("-")
    return int(at_ms), int(number or 0)


def _newer(items: deque[tuple[str, bytes]], after: str) -> list[tuple[str, bytes]]:
    last = _id_order(after)
    return [item for item in items if _id_order(item[0]) > last]
