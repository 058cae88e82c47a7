"""How failsoft reaches one Redis server: URL, clients, time-outs, error words.

Two clients a store: one for commands, one that only blocks on the log.  Neither
retries by itself (redis-py's ten retries would hold a beat for many seconds).
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from redis import exceptions as redis_errors
from redis.asyncio import Redis
from redis.asyncio.client import Pipeline
from redis.asyncio.connection import ConnectionPool
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff

from failsoft import clock
from failsoft.errors import DefinitionError, StoreError, StoreRefused, StoreUnavailable
from failsoft.settings import mask_url

__all__ = ["Server", "Timeouts"]


@dataclass(frozen=True, slots=True)
class Timeouts:
    """Limits in seconds: to connect, for a command or pipeline, for a full load."""

    connect_s: float = 0.3
    command_s: float = 1.0
    load_s: float = 5.0


class Server:
    """One Redis server as a store uses it, bound to the loop of its first use.

    url: `redis://`, `rediss://` or `unix://`; DefinitionError on anything else.
    """

    def __init__(self, url: str, timeouts: Timeouts | None = None) -> None:
        self.shown = mask_url(url)
        self.timeouts = timeouts or Timeouts()
        self._url = url
        self.commands = self._client()
        self.push = self._client()
        self._offset_ms: float | None = None

    def _client(self) -> Redis:
        # No socket_timeout: redis-py would send under asyncio.wait_for, which on
        # Python 3.11 loses a cancellation that meets a finished send, and the task
        # would run for ever.  Every call has a deadline of its own here.
        try:
            pool: ConnectionPool = ConnectionPool.from_url(
                self._url,
                protocol=2,
                retry=Retry(NoBackoff(), 0),
                socket_timeout=None,
                socket_connect_timeout=self.timeouts.connect_s,
                client_name="failsoft",
                max_connections=16,
            )
        except ValueError as error:
            why = "" if self.shown.startswith("(not shown") else f" ({error})"
            raise DefinitionError(
                [
                    f"store.url {self.shown!r} is not a Redis URL{why}; write "
                    "e.g. redis://user:password@host:6379/0, rediss://... or "
                    "unix:///path/to/redis.sock"
                ]
            ) from None
        return Redis.from_pool(pool)

    @contextmanager
    def translated(
        self, what: str, *, passing: type[Exception] = StoreError
    ) -> Iterator[None]:
        """Turn the client's errors into `StoreError`s; let `passing` through."""
        try:
            yield
        except (passing, StoreError):
            raise
        except (redis_errors.RedisError, OSError) as error:
            raise self.translate(error, what) from error

    async def ask(
        self,
        what: str,
        *command: Any,
        deadline_s: float | None = None,
        passing: type[Exception] = StoreError,
    ) -> Any:
        """Send one command; returns its parsed reply, raises `StoreError`s."""
        with self.translated(what, passing=passing):
            async with asyncio.timeout(deadline_s or self._budget_s):
                return await self.commands.execute_command(*command)  # type: ignore[no-untyped-call]

    async def ask_push(self, what: str, *command: Any, deadline_s: float) -> Any:
        """Send one blocking command on the push connection."""
        with self.translated(what):
            async with asyncio.timeout(deadline_s):
                return await self.push.execute_command(*command)  # type: ignore[no-untyped-call]

    @property
    def _budget_s(self) -> float:
        return self.timeouts.connect_s + self.timeouts.command_s

    async def run(
        self, pipe: Pipeline, what: str, *, deadline_s: float | None = None
    ) -> list[Any]:
        """Execute a pipeline in one round trip; failed commands are exceptions in it.

        Raises StoreUnavailable when no complete reply came in time.
        """
        with self.translated(what):
            async with asyncio.timeout(deadline_s or self._budget_s), pipe:
                replies: list[Any] = await pipe.execute(raise_on_error=False)
        return replies

    def checked(self, replies: list[Any], what: str) -> list[Any]:
        """Return the replies; raise the first error among them as a `StoreError`."""
        for reply in replies:
            if isinstance(reply, Exception):
                raise self.translate(reply, what)
        return replies

    async def connected(self) -> None:
        """Raise StoreUnavailable or StoreRefused unless a connection stands."""
        pool = self.commands.connection_pool
        with self.translated("connecting"):
            async with asyncio.timeout(self._budget_s):
                await pool.release(await pool.get_connection())  # type: ignore[no-untyped-call]

    def saw_time(self, reply: tuple[int, int]) -> int:
        """Take a TIME reply as the newest proof of store time; return it in ms."""
        now_ms = int(reply[0]) * 1000 + int(reply[1]) // 1000
        self._offset_ms = now_ms - clock.elapsed() * 1000
        return now_ms

    async def now_ms(self) -> int:
        """Return store time as of the newest TIME reply; asks only the first time."""
        if self._offset_ms is None:
            self.saw_time(await self.ask("reading the time", "TIME"))
        return int(clock.elapsed() * 1000 + (self._offset_ms or 0.0))

    async def renew_push(self) -> None:
        """Close the push client; whoever waits on it gets StoreUnavailable."""
        old, self.push = self.push, self._client()
        await _closed(old)

    def cut_copies(self) -> None:
        """In a forked child: let go of the copies of the parent's sockets.

        Each becomes the null device.  Closing by the client would say QUIT, or have
        the loop take the socket out of the epoll that the child shares with its
        parent: the parent would never hear of it again.
        """
        null = os.open(os.devnull, os.O_RDWR)
        for client in (self.commands, self.push):
            pool: Any = client.connection_pool
            for link in [*pool._available_connections, *pool._in_use_connections]:
                writer = getattr(link, "_writer", None)
                taken = writer.get_extra_info("socket") if writer is not None else None
                if taken is not None and taken.fileno() >= 0:
                    os.dup2(null, taken.fileno())
        os.close(null)

    async def aclose(self) -> None:
        """Close both clients; idempotent."""
        await _closed(self.push)
        await _closed(self.commands)

    def translate(self, error: Exception, what: str) -> StoreError:
        """Return the `StoreError` that tells an operator what to do about `error`."""
        where = f"Redis at {self.shown}"
        text = " ".join(str(error).split()) or type(error).__name__
        for known, message, todo in _REFUSALS:
            if isinstance(error, known):
                return StoreRefused(
                    f"{message}: {what}: {text}", where=where, todo=todo
                )
        unready = (redis_errors.BusyLoadingError, redis_errors.ClusterDownError)
        answered = redis_errors.ResponseError | redis_errors.DataError
        if isinstance(error, answered) and not isinstance(error, unready):
            return StoreRefused(f"{what}: {text}", where=where)
        return StoreUnavailable(f"no answer: {what}: {text}", where=where)


_REFUSALS: tuple[tuple[type[Exception], str, str], ...] = (
    (
        redis_errors.NoPermissionError,
        "this user lacks the right",
        "`failsoft acl` prints the rules of each role",
    ),
    (
        redis_errors.ReadOnlyError,
        "is read-only (a replica?)",
        "point store.url (FAILSOFT_REDIS_URL) at the primary",
    ),
    (
        redis_errors.AuthenticationError,
        "refused the user or password",
        "correct the user and password in store.url (FAILSOFT_REDIS_URL)",
    ),
    (
        redis_errors.OutOfMemoryError,
        "is out of memory",
        "raise maxmemory; keep maxmemory-policy noeviction or volatile-ttl",
    ),
    (
        redis_errors.MovedError,
        "is a cluster node that does not hold this environment",
        "point store.url at the primary that holds its slot",
    ),
)


async def _closed(client: Redis) -> None:
    # A close over a dead link may itself fail; the sockets are gone either way.
    try:
        await client.aclose()
    except (redis_errors.RedisError, OSError):
        await client.connection_pool.disconnect(inuse_connections=True)
