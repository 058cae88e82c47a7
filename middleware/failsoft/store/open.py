"""Which store a URL means; heavy clients are imported only where they are needed."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from failsoft.store.memory import MemoryStore
    from failsoft.store.redis.limits import RedisLimits
    from failsoft.store.redis.store import RedisStore

__all__ = ["load_client", "open_limits", "open_store"]

_log = logging.getLogger("failsoft.store")


def load_client(url: str) -> None:
    """Import what a URL needs, 0.2 s, before a loop serves that this would hold up."""
    if url:
        import failsoft.store.redis.store  # noqa: F401


def open_store(url: str | None, env: str) -> RedisStore | MemoryStore:
    """Return the store of `env`: Redis at `url`, or this process's memory without one.

    Nothing is sent yet.  Raises DefinitionError on a bad URL or environment name.
    """
    if url:
        from failsoft.store.redis.store import RedisStore

        return RedisStore(url, env)
    from failsoft.store.memory import MemoryStore

    _log.info(
        "no store.url: controls and telemetry stay in this process and end with it; "
        "set FAILSOFT_REDIS_URL to share them"
    )
    return MemoryStore(env)


def open_limits(url: str, env: str) -> RedisLimits:
    """Return where limits of clients are counted; nothing is sent yet."""
    from failsoft.store.redis.limits import RedisLimits

    return RedisLimits(url, env)
