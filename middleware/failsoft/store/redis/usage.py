"""Usage of versions on Redis: a hash a day, in version, route and consumer."""

from __future__ import annotations

import secrets
from collections.abc import Mapping, Sequence

from failsoft.clock import utc_date
from failsoft.store.redis.connect import Server
from failsoft.store.redis.keys import Keys
from failsoft.store.usage import (
    DAY_MS,
    DAYS_KEPT,
    FIELDS_KEPT,
    Called,
    capped_usage,
    read_field,
)

__all__ = ["RedisUsage"]

# A pipeline of thousands would hold up the loop of the application.
_AT_ONCE = 500


class RedisUsage:
    """The `UsageStore` over one server; see `store.usage` for its calls."""

    def __init__(self, server: Server, keys: Keys) -> None:
        self.server = server
        self.keys = keys

    async def usage_add(self, counts: Mapping[Called, int]) -> None:
        """Add to today's counts, 500 fields in two round trips.

        Nodes that meet new callers at the same moment may together pass 20,000
        fields by what each of them brought.
        """
        key = self.keys.usage(utc_date(await self.server.now_ms() / 1000))
        items = list(counts.items())
        for at in range(0, len(items), _AT_ONCE):
            await self._add_usage(key, dict(items[at : at + _AT_ONCE]))

    async def _add_usage(self, key: str, counts: Mapping[Called, int]) -> None:
        what = "counting usage"
        pipe = self.server.commands.pipeline(transaction=False)
        pipe.hlen(key)
        pipe.hmget(key, [_raw(called) for called in counts])
        length, held = self.server.checked(await self.server.run(pipe, what), what)
        known = [c for c, n in zip(counts, held, strict=True) if n is not None]
        pipe = self.server.commands.pipeline(transaction=False)
        for called, more in capped_usage(counts, known, FIELDS_KEPT - length).items():
            pipe.hincrby(key, _raw(called), more)
        pipe.expire(key, DAYS_KEPT * DAY_MS // 1000)
        self.server.checked(await self.server.run(pipe, what), what)

    async def usage(self, days: int = 30) -> Mapping[str, Mapping[Called, int]]:
        """Return the counts of the last `days` days, one day a round trip."""
        now_ms = await self.server.now_ms()
        found = {}
        for back in range(min(days, DAYS_KEPT)):
            day = utc_date((now_ms - back * DAY_MS) / 1000)
            held = await self.server.ask(
                "reading usage", "HGETALL", self.keys.usage(day)
            )
            if held:
                found[day] = dict(map(_read, held.items()))
        return found

    async def environment_salt(self) -> bytes:
        """Return the salt of hashed consumers; whoever asks first makes it.

        It stays for good: under another one a caller would look like a new one.
        """
        what, mine = "reading the salt", secrets.token_bytes(16)
        await self.server.ask(what, "SET", self.keys.salt, mine, "NX")
        held: bytes | None = await self.server.ask(what, "GET", self.keys.salt)
        return held or mine


def _raw(called: Called) -> bytes:
    return called.field.encode(errors="replace")


def _read(item: Sequence[bytes]) -> tuple[Called, int]:
    field, count = item
    called = read_field(field.decode(errors="replace"))
    return called, int(count) if count.isdigit() else 0
