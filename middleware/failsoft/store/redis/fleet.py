"""Rows of the nodes, the leader's lease and probes on Redis: one trip each."""

from __future__ import annotations

from functools import cache
from importlib.resources import files
from typing import Any

from redis.asyncio.client import Pipeline

from failsoft.store.fleet import (
    LEASE_MS,
    PROBE_STEP_MS,
    PROBE_STEPS,
    PROBE_TTL_S,
    QUOTAS_TTL_MS,
    ROWS_TTL_MS,
    FleetBeat,
    FleetRead,
    FleetSay,
    ProbeAsk,
    ProbeStand,
)
from failsoft.store.redis.connect import Server
from failsoft.store.redis.keys import Keys
from failsoft.store.redis.replies import number_of, text_of

__all__ = ["RedisFleet"]

_ALIVE_MS = 5_000


@cache
def _script(name: str) -> str:
    # Sent whole each time: a kilobyte a second is less than a second trip.
    return files("failsoft.store.redis").joinpath(name).read_text()


class RedisFleet:
    """The `FleetStore` over one server; see `store.fleet` for its calls."""

    server: Server
    keys: Keys

    async def fleet_beat(self, node: str, say: FleetSay) -> FleetBeat:
        """Take a node's second in one round trip, and answer who leads."""
        what, keys = "telling the fleet", self.keys
        pipe = self.server.commands.pipeline(transaction=False)
        pipe.time()
        # First of all: a full server lets go on what begins with a removal.
        if say.gone:
            pipe.hdel(keys.fleet_rows, *say.gone)
        self._hold(pipe, node, leads=say.leads, quotas=say.quotas)
        pipe.get(keys.fleet_quotas)
        pipe.hset(keys.fleet_rows, node, say.row)
        pipe.pexpire(keys.fleet_rows, ROWS_TTL_MS)
        if say.reads:
            pipe.hgetall(keys.fleet_rows)
        replies = self.server.checked(await self.server.run(pipe, what), what)
        time, *rest = replies
        (holder, term), quotas, *_ = rest[bool(say.gone) :]
        rows = rest[-1] if say.reads else {}
        return FleetBeat(
            now_ms=self.server.saw_time(time),
            leader=text_of(holder),
            term=number_of(term),
            quotas=quotas or b"",
            rows={text_of(name): row for name, row in rows.items()},
        )

    def _hold(
        self, pipe: Pipeline, node: str, *, leads: bool, quotas: bytes = b""
    ) -> None:
        keys = (self.keys.fleet_leader, self.keys.fleet_term, self.keys.fleet_quotas)
        arguments: list[Any] = [node, LEASE_MS, int(leads), quotas, QUOTAS_TTL_MS]
        pipe.eval(_script("leader.lua"), len(keys), *keys, *arguments)

    async def fleet_read(self) -> FleetRead:
        """Return the rows kept; those of nodes that are gone may be a minute old."""
        what = "reading the fleet"
        pipe = self.server.commands.pipeline(transaction=False)
        pipe.time()
        pipe.get(self.keys.fleet_leader)
        pipe.get(self.keys.fleet_term)
        pipe.hgetall(self.keys.fleet_rows)
        replies = self.server.checked(await self.server.run(pipe, what), what)
        time, leader, term, rows = replies
        return FleetRead(
            now_ms=self.server.saw_time(time),
            leader=text_of(leader or b""),
            term=number_of(term),
            rows={text_of(name): row for name, row in rows.items()},
        )

    async def live_nodes(self) -> int:
        """Return how many nodes have sent a heartbeat within 5 s."""
        since_ms = await self.server.now_ms() - _ALIVE_MS
        command = ("ZCOUNT", self.keys.nodes, since_ms, "+inf")
        return int(await self.server.ask("counting nodes", *command))

    async def fleet_leave(self, node: str) -> None:
        """Take a node's row away and give its lease up."""
        what, keys = "leaving the fleet", self.keys
        pipe = self.server.commands.pipeline(transaction=False)
        pipe.hdel(keys.fleet_rows, node)
        self._hold(pipe, node, leads=False)
        self.server.checked(await self.server.run(pipe, what), what)

    async def fleet_probe(self, ask: ProbeAsk) -> ProbeStand:
        """Tell outcomes and take permits of one probe, atomically."""
        key = self.keys.probe(ask.name, ask.since_ms, ask.number)
        step, granted, fail = await self.server.ask(
            "probing a dependency",
            *("EVAL", _script("probe.lua"), 1, key),
            *(ask.ok, ask.fail, ask.back, ask.want),
            *(PROBE_STEP_MS, PROBE_TTL_S, *PROBE_STEPS),
        )
        return ProbeStand(int(step), int(granted), int(fail))
