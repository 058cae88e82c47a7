"""Reads of a resync: none of them large, so none holds up the server or a node."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping
from typing import Any

from failsoft.store.protocols import KINDS, Spot, Survey
from failsoft.store.redis.connect import Server
from failsoft.store.redis.keys import Keys
from failsoft.store.redis.replies import number_of, text_of

__all__ = ["RedisResync"]

_SURVEY_TRIES = 4
_FLAGS_AT_ONCE = 500

_Records = Mapping[tuple[str, str], bytes]


class RedisResync:
    """The steps of a resync over one server; see `store.protocols.ControlStore`."""

    server: Server
    keys: Keys

    async def survey(self, last_id: str) -> Survey:
        """Read where the history stands, between two equal readings of the revision.

        A full server refuses MULTI even for reads, so that comes only after writers
        got in between three times.
        """
        what = "surveying the controls"
        for attempt in range(_SURVEY_TRIES):
            pipe = self.server.commands.pipeline(
                transaction=attempt == _SURVEY_TRIES - 1
            )
            pipe.time()
            pipe.hgetall(self.keys.meta)
            pipe.xrevrange(self.keys.log, count=1)
            pipe.xrevrange(self.keys.log, max=last_id, count=1)
            pipe.xrange(self.keys.log, count=1)
            for key in self.keys.kinds.values():
                pipe.hlen(key)
            pipe.hmget(self.keys.meta, "rev", "epoch")
            replies = self.server.checked(await self.server.run(pipe, what), what)
            meta = replies[1]
            if replies[-1] == [meta.get(b"rev"), meta.get(b"epoch")]:
                break
        return self._surveyed(replies)

    def _surveyed(self, replies: list[Any]) -> Survey:
        time, meta, tail, proof, oldest, *counts, _ = replies
        prefix = b"n:"
        return Survey(
            now_ms=self.server.saw_time(time),
            rev=number_of(meta.get(b"rev")),
            epoch=text_of(meta.get(b"epoch")),
            lineage=tuple(text_of(meta.get(b"lineage")).split()),
            tail=_spot(*tail[0]) if tail else None,
            proof=_spot(*proof[0]) if proof else None,
            oldest_rev=number_of(oldest[0][1].get(b"rev")) if oldest else 0,
            held=dict(zip(KINDS, counts, strict=True)),
            counted={
                text_of(name[2:]): number_of(count)
                for name, count in meta.items()
                if name.startswith(prefix)
            },
        )

    async def small_kinds(self) -> _Records:
        """Read all records but flags, in one round trip."""
        kinds = {k: key for k, key in self.keys.kinds.items() if k != "flag"}
        pipe = self.server.commands.pipeline(transaction=False)
        for key in kinds.values():
            pipe.hgetall(key)
        what = "reading kills and modes"
        replies = await self.server.run(
            pipe, what, deadline_s=self.server.timeouts.load_s
        )
        return {
            (kind, text_of(name)): value
            for kind, held in zip(
                kinds, self.server.checked(replies, what), strict=True
            )
            for name, value in held.items()
        }

    async def flags(self) -> AsyncIterator[_Records]:
        """Read all flags, some 500 at a time; not as of one instant."""
        cursor = 0
        while True:
            cursor, found = await self.server.ask(
                "reading flags",
                *("HSCAN", self.keys.kinds["flag"], cursor, "COUNT", _FLAGS_AT_ONCE),
                deadline_s=self.server.timeouts.load_s,
            )
            yield {("flag", text_of(name)): value for name, value in found.items()}
            if not cursor:
                return


def _spot(id_: bytes, fields: Mapping[bytes, bytes]) -> Spot:
    rev, op_id = number_of(fields.get(b"rev")), text_of(fields.get(b"id"))
    return Spot(id_.decode(), rev, op_id)
