"""Everything that a Redis server holds."""

from __future__ import annotations

from typing import Any

import redis


def everything_in(url: str) -> bytes:
    """Return all keys and values of a server, joined."""
    with redis.Redis.from_url(url) as found:
        client: Any = found
        reads = {
            b"hash": client.hgetall,
            b"zset": lambda key: client.zrange(key, 0, -1),
            b"stream": client.xrange,
            b"string": client.get,
            b"set": client.smembers,
            b"list": lambda key: client.lrange(key, 0, -1),
        }
        held = [(key, reads[client.type(key)](key)) for key in client.scan_iter()]
    return repr(held).encode()
