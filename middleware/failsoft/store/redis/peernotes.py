"""Third parties' announcements on Redis: one hash, and when each was written."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from failsoft.store.peernotes import MARKS_KEPT, NOTES_KEPT, NOTES_KEPT_MS
from failsoft.store.redis.connect import Server
from failsoft.store.redis.keys import Keys

__all__ = ["RedisPeerNotes"]

_TTL_S = NOTES_KEPT_MS // 1000


class RedisPeerNotes:
    """The `PeerNoteStore` over one server; see `store.peernotes` for its calls."""

    def __init__(self, server: Server, keys: Keys) -> None:
        self.server = server
        self.keys = keys

    async def peer_notes_add(self, notes: Mapping[str, bytes]) -> None:
        """Replace notes by id, in one round trip, two when some have to go."""
        if not notes:
            return
        what = "writing announcements"
        now_ms = await self.server.now_ms()
        held, written = self.keys.peer_notes, self.keys.peer_notes_at
        pipe = self.server.commands.pipeline(transaction=False)
        pipe.hset(held, mapping={_raw(id_): note for id_, note in notes.items()})
        pipe.zadd(written, {_raw(id_): now_ms for id_ in notes})
        pipe.expire(held, _TTL_S)
        pipe.expire(written, _TTL_S)
        pipe.zrange(written, 0, -NOTES_KEPT - 1)
        pipe.zrangebyscore(written, "-inf", now_ms - NOTES_KEPT_MS)
        replies = self.server.checked(await self.server.run(pipe, what), what)
        if gone := [*replies[-2], *replies[-1]]:
            pipe = self.server.commands.pipeline(transaction=False)
            pipe.hdel(held, *gone)
            pipe.zrem(written, *gone)
            self.server.checked(await self.server.run(pipe, what), what)

    async def peer_notes(self, ids: Sequence[str] = ()) -> Mapping[str, bytes]:
        """Return these notes, or all of them, that were written within 35 days."""
        what, held = "reading announcements", self.keys.peer_notes
        if ids:
            found = await self.server.ask(what, "HMGET", held, *map(_raw, ids))
            pairs = zip(ids, found, strict=True)
            return {id_: note for id_, note in pairs if note is not None}
        oldest_ms = await self.server.now_ms() - NOTES_KEPT_MS
        pipe = self.server.commands.pipeline(transaction=False)
        pipe.hgetall(held)
        pipe.zrangebyscore(self.keys.peer_notes_at, oldest_ms, "+inf")
        replies = self.server.checked(await self.server.run(pipe, what), what)
        notes, recent = replies
        return {i.decode(errors="replace"): notes[i] for i in recent if i in notes}

    async def peer_first(self, marks: Sequence[str]) -> Sequence[bool]:
        """Return for each mark whether no node has said it before; says it."""
        if not marks:
            return ()
        what, said = "marking announcements", self.keys.peer_marks
        pipe = self.server.commands.pipeline(transaction=False)
        pipe.hlen(said)
        for mark in marks:
            pipe.hsetnx(said, _raw(mark), "1")
        pipe.expire(said, _TTL_S)
        replies = self.server.checked(await self.server.run(pipe, what), what)
        if replies[0] > MARKS_KEPT:
            await self.server.ask(what, "DEL", said)
        return [bool(fresh) for fresh in replies[1:-1]]


def _raw(text: str) -> bytes:
    return text.encode(errors="replace")
