"""An application's lifespan, with failsoft's own begin and end around it."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any

from failsoft.errors import DefinitionError

__all__ = ["Lifespan"]

Message = MutableMapping[str, Any]

_LAST_WORDS = (
    "lifespan.startup.failed",
    "lifespan.shutdown.complete",
    "lifespan.shutdown.failed",
)


class Lifespan:
    """One run of the lifespan of an application.

    readiness: what platforms are told.  complete: once the application has started;
    raises DefinitionError to refuse it.  stop: ends what failsoft began, again too.
    """

    def __init__(
        self,
        readiness: Any,
        complete: Callable[[], Awaitable[None]],
        stop: Callable[[], Awaitable[None]],
    ) -> None:
        self._readiness = readiness
        self._complete = complete
        self._stop = stop
        self._is_known = False  # whether the application has a lifespan
        self._refused = ""

    async def serve(self, app: Any, scope: Any, receive: Any, send: Any) -> None:
        """Run it to its end."""

        async def hear() -> Message:
            if self._refused:  # the application ends what it started, then it is told
                return {"type": "lifespan.shutdown"}
            message: Message = await receive()
            if message["type"] == "lifespan.shutdown":
                self._readiness.stopping()
            return message

        async def forward(message: Message) -> None:
            if answer := await self._answer(message):
                await send(answer)

        try:
            await app(scope, hear, forward)
        finally:
            if self._is_known:
                await self._stop()
            else:  # the server goes on to serve without one
                self._readiness.up()

    async def _answer(self, message: Message) -> Message | None:
        """Return what the server is told for what the application says."""
        self._is_known = True
        if message["type"] == "lifespan.startup.complete":
            try:
                await self._complete()
            except DefinitionError as fault:
                self._refused = str(fault)
                return None
            self._readiness.up()
        elif self._refused:
            message = {"type": "lifespan.startup.failed", "message": self._refused}
        if message["type"] in _LAST_WORDS:
            # Before it is said: a server may end the loop once it heard it.
            await self._stop()
        return message
