"""Last good sets that nodes keep in Redis while its history is not theirs."""

from __future__ import annotations

from collections.abc import Mapping

from failsoft.store.redis.connect import Server
from failsoft.store.redis.keys import Keys
from failsoft.store.redis.replies import text_of

__all__ = ["RedisOffers"]

_OFFER_TTL_S = 86_400
_OFFERS_LISTED = 50


class RedisOffers:
    """The `OfferStore` over one server; see `store.protocols`."""

    server: Server
    keys: Keys

    async def offer(self, digest: str, blob: bytes) -> None:
        """Keep an encoded set under its digest for a day; the first one stays."""
        now_ms = await self.server.now_ms()
        pipe = self.server.commands.pipeline(transaction=False)
        pipe.set(self.keys.offer(digest), blob, nx=True, ex=_OFFER_TTL_S)
        pipe.zadd(self.keys.offers, {digest: now_ms})
        pipe.zremrangebyrank(self.keys.offers, 0, -_OFFERS_LISTED - 1)
        pipe.expire(self.keys.offers, _OFFER_TTL_S)
        what = "offering the last good set"
        deadline_s = self.server.timeouts.load_s
        self.server.checked(
            await self.server.run(pipe, what, deadline_s=deadline_s), what
        )

    async def keep_offer(self, digest: str) -> bool:
        """Keep an offer for a day more; False if it is not there."""
        pipe = self.server.commands.pipeline(transaction=False)
        pipe.expire(self.keys.offer(digest), _OFFER_TTL_S)
        pipe.expire(self.keys.offers, _OFFER_TTL_S)
        what = "keeping an offer"
        replies = self.server.checked(await self.server.run(pipe, what), what)
        return all(replies)

    async def offers(self) -> Mapping[str, int]:
        """Return the encoded size in bytes of each offer, newest first."""
        what = "looking for offers"
        names = await self.server.ask(
            what, "ZREVRANGE", self.keys.offers, 0, _OFFERS_LISTED - 1
        )
        digests = [text_of(name) for name in names]
        pipe = self.server.commands.pipeline(transaction=False)
        for digest in digests:
            pipe.strlen(self.keys.offer(digest))
        replies = self.server.checked(await self.server.run(pipe, what), what)
        return {d: size for d, size in zip(digests, replies, strict=True) if size}

    async def offered(self, digest: str) -> bytes | None:
        """Return an offer, None when it is gone."""
        blob: bytes | None = await self.server.ask(
            "reading an offer",
            *("GET", self.keys.offer(digest)),
            deadline_s=self.server.timeouts.load_s,
        )
        return blob

    async def peers(self) -> Mapping[str, bytes]:
        """Return the heartbeats of live nodes by node id."""
        what = "reading the heartbeats of peers"
        names = await self.server.ask(what, "ZRANGE", self.keys.nodes, 0, -1)
        if not names:
            return {}
        nodes = [name.decode(errors="replace") for name in names]
        keys = [self.keys.node(node) for node in nodes]
        beats = await self.server.ask(what, "MGET", *keys)
        return {node: b for node, b in zip(nodes, beats, strict=True) if b is not None}
