"""SLO buckets and alerts on Redis: a hash for each SLO and width, one for alerts.

A field is `<start>:<t|b|r>`; t is written with 0 too, so that a bucket without it
says that no node reported.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from redis.asyncio.client import Pipeline

from failsoft.store.redis.connect import Server
from failsoft.store.redis.keys import Keys
from failsoft.store.redis.replies import number_of, text_of
from failsoft.store.slo import (
    BUCKETS,
    NAMES_READ,
    SLO_TTL_S,
    Buckets,
    Counts,
    SloRead,
    is_bucket_kept,
    starts_since,
)

__all__ = ["RedisSlos", "add_slos", "read_states"]

_LETTERS = "tbr"


def add_slos(
    pipe: Pipeline, keys: Keys, counts: Mapping[str, Counts], now_s: int
) -> None:
    """Add counts to the buckets of now; part of a node's one write a second."""
    for name, sums in counts.items():
        for width_s in BUCKETS:
            key, start = keys.slo(name, width_s), now_s - now_s % width_s
            for letter, count in zip(_LETTERS, sums, strict=True):
                if count or letter == "t":
                    pipe.hincrby(key, f"{start}:{letter}", count)
            pipe.expire(key, SLO_TTL_S)
    if counts:
        pipe.sadd(keys.slos, *counts)
        pipe.expire(keys.slos, SLO_TTL_S)


class RedisSlos:
    """The `SloStore` over one server; see `store.slo` for its calls."""

    def __init__(self, server: Server, keys: Keys) -> None:
        self.server = server
        self.keys = keys

    async def slo_read(self, names: Iterable[str], since_ms: int = 0) -> SloRead:
        """Return buckets of these SLOs in one round trip."""
        what, asked = "reading SLOs", tuple(names)
        now_ms = await self.server.now_ms()
        pipe = self.server.commands.pipeline(transaction=False)
        pipe.time()
        wanted: list[list[bytes]] = []
        for name in asked:
            for width_s in BUCKETS:
                key, fields = self.keys.slo(name, width_s), []
                if since_ms:
                    starts = starts_since(width_s, since_ms, now_ms)
                    fields = [b"%d:%c" % (at, c) for at in starts for c in b"tbr"]
                    pipe.hmget(key, fields)
                else:
                    pipe.hgetall(key)
                wanted.append(fields)
        replies = self.server.checked(await self.server.run(pipe, what), what)
        time, *hashes = replies
        read_ms = self.server.saw_time(time)
        found: dict[str, dict[int, Mapping[int, Counts]]] = {n: {} for n in asked}
        places = [(name, width_s) for name in asked for width_s in BUCKETS]
        for (name, width_s), fields, held in zip(places, wanted, hashes, strict=True):
            known = dict(zip(fields, held, strict=True)) if since_ms else held
            found[name][width_s] = _buckets(known, width_s, read_ms // 1000)
        slos: dict[str, Buckets] = dict(found)
        return SloRead(read_ms, slos)

    async def slo_names(self) -> tuple[str, ...]:
        """Return the SLOs that any node reported within 31 days."""
        held = await self.server.ask("reading SLOs", "SMEMBERS", self.keys.slos)
        return tuple(sorted(text_of(name) for name in held))[:NAMES_READ]

    async def slo_prune(self, names: Iterable[str]) -> None:
        """Drop buckets that are no longer kept, and names whose buckets are gone."""
        what = "pruning SLOs"
        keys = [
            (self.keys.slo(n, width_s), width_s) for n in names for width_s in BUCKETS
        ]
        known = await self.server.ask(what, "SMEMBERS", self.keys.slos)
        pipe = self.server.commands.pipeline(transaction=False)
        for name in known:
            pipe.exists(self.keys.slo(text_of(name), max(BUCKETS)))
        for key, _ in keys:
            pipe.hkeys(key)
        replies = self.server.checked(await self.server.run(pipe, what), what)
        gone = [n for n, lives in zip(known, replies, strict=False) if not lives]
        replies = replies[len(known) :]
        now_s = await self.server.now_ms() // 1000
        pipe = self.server.commands.pipeline(transaction=False)
        for (key, width_s), fields in zip(keys, replies, strict=True):
            old = [f for f in fields if not _is_kept(f, width_s, now_s)]
            if old:
                pipe.hdel(key, *old)
        if gone:
            pipe.srem(self.keys.slos, *gone)
        if len(pipe):
            self.server.checked(await self.server.run(pipe, what), what)

    async def alerts(self) -> Mapping[str, bytes]:
        """Return the states of alerts by id."""
        held = await self.server.ask("reading alerts", "HGETALL", self.keys.alert)
        return read_states(held)

    async def alerts_put(
        self, states: Mapping[str, bytes], gone: Iterable[str] = ()
    ) -> None:
        """Replace states by id and drop others, in one transaction."""
        what, ended = "writing alerts", list(gone)
        pipe = self.server.commands.pipeline(transaction=True)
        if states:
            held: dict[Any, Any] = dict(states)
            pipe.hset(self.keys.alert, mapping=held)
            pipe.expire(self.keys.alert, SLO_TTL_S)
        if ended:
            pipe.hdel(self.keys.alert, *ended)
        if len(pipe):
            self.server.checked(await self.server.run(pipe, what), what)

    async def beats(self) -> Mapping[str, int]:
        """Return node -> last heartbeat in ms."""
        what = "reading heartbeats"
        pipe = self.server.commands.pipeline(transaction=False)
        pipe.zrange(self.keys.nodes, 0, -1, withscores=True)
        said = self.server.checked(await self.server.run(pipe, what), what)[0]
        return {node.decode(errors="replace"): int(at_ms) for node, at_ms in said}

    async def alert_first(self, mark: str, ttl_s: int) -> bool:
        """Say a mark; whether nobody had said it within its time."""
        key = self.keys.alert_mark(mark)
        said = await self.server.ask(
            "marking an alert", "SET", key, "1", "NX", "EX", ttl_s
        )
        return said is not None


def read_states(held: Mapping[bytes, bytes]) -> dict[str, bytes]:
    """Return the stored states of alerts by id."""
    return {id_.decode(errors="replace"): state for id_, state in held.items()}


def _buckets(held: Any, width_s: int, now_s: int) -> dict[int, Counts]:
    sums: dict[int, list[int]] = {}
    for field, count in held.items():
        start, _, letter = field.partition(b":")
        if count is None or letter not in (b"t", b"b", b"r"):
            continue
        if _is_kept(field, width_s, now_s):
            place = _LETTERS.index(letter.decode())
            sums.setdefault(int(start), [0, 0, 0])[place] = number_of(count)
    return {start: (t, b, r) for start, (t, b, r) in sums.items()}


def _is_kept(field: bytes, width_s: int, now_s: int) -> bool:
    start = field.partition(b":")[0]
    return start.isdigit() and is_bucket_kept(width_s, int(start), now_s)
