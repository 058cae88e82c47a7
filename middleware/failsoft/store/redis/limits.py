"""Limits of clients on Redis: leased tokens, and exact counts by `limits`.

A server of its own, or the same by a pool of its own: a limit that is asked for much
must not hold up controls.  Nothing is tried twice, and 50 ms are the most for all.
"""

from __future__ import annotations

import asyncio
from functools import cache
from hashlib import sha1
from importlib.resources import files
from typing import Any

from limits import RateLimitItemPerSecond
from limits.aio.storage import RedisStorage
from limits.aio.strategies import SlidingWindowCounterRateLimiter
from redis import exceptions as redis_errors

from failsoft.store.redis.connect import Server, Timeouts
from failsoft.store.redis.keys import Keys

__all__ = ["RedisLimits"]

_DEADLINE_S = 0.05
_AT_ONCE = 16
_LEASING = "leasing tokens"


@cache
def _script() -> tuple[bytes, str]:
    text = files("failsoft.store.redis").joinpath("lease.lua").read_bytes()
    # Redis names scripts by SHA-1; nothing secret hangs on it.
    return text, sha1(text, usedforsecurity=False).hexdigest()


class _Counted(RateLimitItemPerSecond):
    """A rate whose key stays when its amount is changed, so that nobody starts anew."""

    def key_for(self, *identifiers: bytes | str | float) -> str:
        return ":".join(map(str, identifiers))


class RedisLimits:
    """The `LimitStore` over one server.

    Bound to one event loop; nothing is sent before the first call.
    """

    def __init__(self, url: str, env: str) -> None:
        self.server = Server(url, Timeouts(_DEADLINE_S, _DEADLINE_S))
        self.keys = Keys(env)
        # One more than the pool holds would be an error; it waits instead.
        self._slots = asyncio.Semaphore(_AT_ONCE)
        pool: Any = self.server.commands.connection_pool
        storage = RedisStorage(
            "redis://",
            implementation="redispy",  # the default asks for coredis
            key_prefix=self.keys.limits,
            connection_pool=pool,
        )
        self._exact = SlidingWindowCounterRateLimiter(storage)

    async def lease(
        self, key: str, rate_per_s: float, burst: int, *, want: int = 0, back: int = 0
    ) -> tuple[int, int, int]:
        """Take tokens, or give some back: (granted, ms until there is one, left).

        back: below 0, what was let pass without asking.
        """
        text, sha = _script()
        words = (1, self.keys.lease(key), repr(rate_per_s), burst, want, back)
        with self.server.translated(_LEASING):
            async with asyncio.timeout(_DEADLINE_S), self._slots:
                try:
                    got = await self._ask("EVALSHA", sha, *words)
                except redis_errors.NoScriptError:
                    got = await self._ask("EVAL", text, *words)
        granted, wait_ms, left = got
        return int(granted), int(wait_ms), int(left)

    async def _ask(self, *command: Any) -> Any:
        missing = redis_errors.NoScriptError
        return await self.server.ask(
            _LEASING, *command, deadline_s=_DEADLINE_S, passing=missing
        )

    async def hit(self, name: str, key: str, rate: tuple[int, int], cost: int) -> bool:
        """Count a request in one trip; False, and not counted, where it is over.

        rate: amount and window in seconds.
        """
        item = _Counted(*rate)
        with self.server.translated("counting a request"):
            async with asyncio.timeout(_DEADLINE_S), self._slots:
                return await self._exact.hit(item, name, key, cost=min(cost, rate[0]))

    async def window(
        self, name: str, key: str, rate: tuple[int, int]
    ) -> tuple[int, float]:
        """Return what remains of a window, and in how many seconds there is more."""
        with self.server.translated("reading a limit"):
            async with asyncio.timeout(_DEADLINE_S), self._slots:
                item = _Counted(*rate)
                storage: Any = self._exact.storage
                before, ends_s, count, left_s = await storage.get_sliding_window(
                    item.key_for(name, key), rate[1]
                )
        amount, window_s = rate
        over = int(before * ends_s / window_s) + count
        # The older window lets go of one each so often; the newer one when it ends.
        resets = [ends_s % (window_s / before)] if before else []
        resets += [left_s % window_s or window_s] if count else []
        return max(0, amount - over), min(resets, default=0.0)

    async def ping(self) -> None:
        """Raise StoreUnavailable unless the server answers."""
        await self.server.ask("asking for limits", "PING", deadline_s=2 * _DEADLINE_S)

    def cut_copies(self) -> None:
        """In a forked child: let go of the copies of the parent's sockets."""
        self.server.cut_copies()

    async def aclose(self) -> None:
        """Close every connection; idempotent."""
        await self.server.aclose()
