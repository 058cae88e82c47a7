"""What routes depend on, on Redis: one sorted set, scored by when it happened."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from failsoft.store.callmap import CALLS_KEPT, CALLS_KEPT_MS, Seen, read_seen
from failsoft.store.redis.connect import Server
from failsoft.store.redis.keys import Keys

__all__ = ["RedisCallMap"]


class RedisCallMap:
    """The `CallMapStore` over one server; see `store.callmap` for its calls."""

    server: Server
    keys: Keys

    async def calls_saw(self, seen: Iterable[Seen]) -> None:
        """Note that these happened now, in one round trip after the time."""
        what, key = "noting calls", self.keys.calls
        fields = [one.field.encode(errors="replace") for one in seen]
        if not fields:
            return
        now_ms = await self.server.now_ms()
        pipe = self.server.commands.pipeline(transaction=False)
        pipe.zadd(key, dict.fromkeys(fields, now_ms))
        pipe.zremrangebyrank(key, 0, -CALLS_KEPT - 1)
        pipe.expire(key, CALLS_KEPT_MS // 1000)
        self.server.checked(await self.server.run(pipe, what), what)

    async def calls_seen(self) -> Mapping[Seen, int]:
        """Return when each happened last, of 40 days."""
        oldest_ms = await self.server.now_ms() - CALLS_KEPT_MS
        pipe = self.server.commands.pipeline(transaction=False)
        pipe.zrangebyscore(self.keys.calls, oldest_ms, "+inf", withscores=True)
        what = "reading calls"
        (found,) = self.server.checked(await self.server.run(pipe, what), what)
        return {read_seen(raw.decode(errors="replace")): int(at) for raw, at in found}
