"""Which store a URL means; heavy clients are imported only where they are needed."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from failsoft.store.memory import MemoryStore
    from failsoft.store.redis.store import RedisStore

__all__ = ["open_store"]


def open_store(url: str | None, env: str) -> RedisStore | MemoryStore:
    """Return the store of `env`: Redis at `url`, or this process's memory without one.

    Nothing is sent yet.  Raises DefinitionError on a bad URL or environment name.
    """
    if url:
        from failsoft.store.redis.store import RedisStore

        return RedisStore(url, env)
    from failsoft.store.memory import MemoryStore

    return MemoryStore(env)
