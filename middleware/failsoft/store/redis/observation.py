"""Observations on Redis: one write a node and second, one read a viewer and second."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from redis.asyncio.client import Pipeline

from failsoft.store.protocols import Observed, TickBatch
from failsoft.store.redis.connect import Server
from failsoft.store.redis.flagcounts import read_proposals
from failsoft.store.redis.keys import Keys
from failsoft.store.redis.slo import add_slos, read_states

__all__ = ["RedisObservations"]

_TICKS_KEPT_MS = 60_000
_FLIGHTS_KEPT = 5_000
_FLIGHTS_TTL_S = 14 * 86_400
_ATTEMPTS_KEPT = 2_000
_DEFINITIONS_TTL_S = 900
_WATCH_TTL_S = 10
_READ_TICKS = 5_000
_READ_FLIGHTS = 500


class RedisObservations:
    """The `ObservationStore` over one server; see `store.protocols`."""

    def __init__(self, server: Server, keys: Keys) -> None:
        self.env = keys.env
        self.server = server
        self.keys = keys
        self._known: tuple[str, ...] = ()  # node ids of the newest read

    async def write(self, batch: TickBatch) -> None:
        """Send one node's second in one round trip."""
        now_ms = await self.server.now_ms()
        pipe = self.server.commands.pipeline(transaction=False)
        pipe.time()
        if batch.tick is not None:
            oldest = f"{now_ms - _TICKS_KEPT_MS}-0"
            pipe.xadd(self.keys.ticks, {"b": batch.tick}, minid=oldest)
            pipe.expire(self.keys.ticks, 2 * _TICKS_KEPT_MS // 1000)
        add_slos(pipe, self.keys, batch.slo, now_ms // 1000)
        for flight in batch.flights:
            pipe.xadd(self.keys.flights, {"b": flight}, maxlen=_FLIGHTS_KEPT)
        if batch.flights:
            pipe.expire(self.keys.flights, _FLIGHTS_TTL_S)
        what = "writing observations"
        replies = self.server.checked(await self.server.run(pipe, what), what)
        self.server.saw_time(replies[0])

    async def read(self, *, ticks_after: str, flights_after: str) -> Observed:
        """Read what a view needs in one pipeline; a second one for new nodes only."""
        now_ms = await self.server.now_ms()
        asked = self._known
        pipe = self.server.commands.pipeline(transaction=False)
        # First, so that a viewer without the right to it still reads the rest.
        pipe.set(self.keys.watch, "1", ex=_WATCH_TTL_S)
        pipe.time()
        pipe.hmget(self.keys.meta, "rev", "epoch")
        pipe.zrange(self.keys.nodes, 0, -1, withscores=True)
        pipe.hgetall(self.keys.proposals)
        pipe.hgetall(self.keys.alert)
        self._range_streams(
            pipe, ticks_after or f"{now_ms - _TICKS_KEPT_MS}-0", flights_after
        )
        if asked:
            pipe.mget([self.keys.node(node) for node in asked])
        what = "reading observations"
        _, *replies = await self.server.run(pipe, what)
        time, (rev, epoch), seen, proposals, alerts, *streams = self.server.checked(
            replies, what
        )
        ticks, flights, *beats = streams
        seen_ms = {node.decode(errors="replace"): int(score) for node, score in seen}
        alive = dict(zip(asked, beats[0], strict=True)) if beats else {}
        alive |= await self._heartbeats(tuple(n for n in seen_ms if n not in alive))
        self._known = tuple(seen_ms)
        nodes = {node: alive[node] for node in seen_ms if alive[node] is not None}
        return Observed(
            now_ms=self.server.saw_time(time),
            rev=int(rev or 0),
            epoch=(epoch or b"").decode(),
            env=self.env,
            nodes=nodes,
            silent={n: at_ms for n, at_ms in seen_ms.items() if n not in nodes},
            seen=seen_ms,
            proposals=read_proposals(proposals, now_ms),
            alerts=read_states(alerts),
            ticks=_items(ticks),
            flights=_items(flights if flights_after else reversed(flights)),
        )

    def _range_streams(
        self, pipe: Pipeline, ticks_after: str, flights_after: str
    ) -> None:
        pipe.xrange(self.keys.ticks, min=f"({ticks_after}", count=_READ_TICKS)
        if flights_after:
            after = f"({flights_after}"
            pipe.xrange(self.keys.flights, min=after, count=_READ_FLIGHTS)
        else:
            pipe.xrevrange(self.keys.flights, count=_READ_FLIGHTS)

    async def _heartbeats(self, nodes: tuple[str, ...]) -> dict[str, bytes | None]:
        if not nodes:
            return {}
        keys = [self.keys.node(node) for node in nodes]
        replies = await self.server.ask("reading heartbeats", "MGET", *keys)
        return dict(zip(nodes, replies, strict=True))

    async def publish_definitions(self, digest: str, blob: bytes) -> None:
        """Store encoded definitions under their digest for 15 min."""
        await self.server.ask(
            "publishing definitions",
            *("SET", self.keys.definitions(digest), blob, "EX", _DEFINITIONS_TTL_S),
        )

    async def keep_definitions(self, digest: str) -> bool:
        """Keep what is stored under a digest for 15 min more; False if it is gone."""
        key = self.keys.definitions(digest)
        return bool(
            await self.server.ask(
                "keeping definitions", "EXPIRE", key, _DEFINITIONS_TTL_S
            )
        )

    async def definitions(self, digest: str) -> bytes | None:
        """Return what `publish_definitions` stored, None when it is gone."""
        blob: bytes | None = await self.server.ask(
            "reading definitions", "GET", self.keys.definitions(digest)
        )
        return blob

    async def attempt(self, fields: Mapping[str, str]) -> None:
        """Record a refused write or an arming in the attempts stream."""
        pairs = [text for pair in fields.items() for text in pair]
        await self.server.ask(
            "recording an attempt",
            *("XADD", self.keys.attempts, "MAXLEN", "~", _ATTEMPTS_KEPT, "*", *pairs),
        )

    async def attempts(
        self, count: int = 200
    ) -> Sequence[tuple[str, Mapping[str, str]]]:
        """Return the newest attempts as (stream id, fields), newest first."""
        items = await self.server.ask(
            "reading attempts",
            *("XREVRANGE", self.keys.attempts, "+", "-", "COUNT", count),
        )
        return [(id_.decode(), _texts(fields)) for id_, fields in items]


def _texts(fields: Mapping[bytes, bytes]) -> dict[str, str]:
    return {
        name.decode(errors="replace"): value.decode(errors="replace")
        for name, value in fields.items()
    }


def _items(entries: Any) -> list[tuple[str, bytes]]:
    return [(id_.decode(), fields.get(b"b", b"")) for id_, fields in entries]
