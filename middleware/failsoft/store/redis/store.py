"""The Redis store: controls and observations of one environment on one server."""

from __future__ import annotations

from failsoft.store.redis.callmap import RedisCallMap
from failsoft.store.redis.connect import Server, Timeouts
from failsoft.store.redis.control import RedisControls
from failsoft.store.redis.drift import RedisDrift
from failsoft.store.redis.flagcounts import RedisFlagCounts
from failsoft.store.redis.fleet import RedisFleet
from failsoft.store.redis.keys import Keys
from failsoft.store.redis.observation import RedisObservations
from failsoft.store.redis.offers import RedisOffers
from failsoft.store.redis.peernotes import RedisPeerNotes
from failsoft.store.redis.resync import RedisResync
from failsoft.store.redis.slo import RedisSlos
from failsoft.store.redis.usage import RedisUsage

__all__ = ["RedisStore"]


class RedisStore(
    RedisControls,
    RedisResync,
    RedisOffers,
    RedisObservations,
    RedisFlagCounts,
    RedisPeerNotes,
    RedisDrift,
    RedisSlos,
    RedisUsage,
    RedisFleet,
    RedisCallMap,
):
    """Every store protocol on one Redis 7.0 or newer, or Valkey.

    url: `redis://`, `rediss://`, `unix://`.  Nothing is sent before the first call;
    DefinitionError on a bad URL or environment name.  Bound to one event loop.
    """

    def __init__(self, url: str, env: str, timeouts: Timeouts | None = None) -> None:
        server, keys = Server(url, timeouts), Keys(env)
        RedisControls.__init__(self, server, keys)
        RedisObservations.__init__(self, server, keys)
        RedisFlagCounts.__init__(self, server, keys)
        RedisPeerNotes.__init__(self, server, keys)
        RedisUsage.__init__(self, server, keys)

    @property
    def address(self) -> str:
        """Return the URL as it may be shown: without its password."""
        return self.server.shown

    async def aclose(self) -> None:
        """Close every connection; idempotent."""
        await self.server.aclose()
