"""Keeps the desk's view new: connects, follows the operator, connects again."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

from failsoft.errors import (
    DefinitionError,
    EnvMismatch,
    FailsoftError,
    Invalid,
    MissingExtraError,
    StoreRefused,
)
from failsoft.ops.operator import Operator
from failsoft.ops.text import safe
from failsoft.ops.views import FleetView
from failsoft_tui.desk import Desk
from failsoft_tui.process import write_crash

__all__ = ["LiveLink", "OperatorFactory"]

OperatorFactory = Callable[[], Awaitable[Operator]]

# Trying again cannot help: the operator must change something and press ctrl+r.
_FINAL = (DefinitionError, EnvMismatch, Invalid, MissingExtraError, StoreRefused)
_WAITS_S = (0.25, 0.5, 1.0)


class LiveLink:
    """One supervised task; faults become text on the desk, never an exit.

    shown: called after each view and each fault.
    """

    def __init__(
        self, desk: Desk, factory: OperatorFactory, shown: Callable[[], None]
    ) -> None:
        self._desk = desk
        self._factory = factory
        self._shown = shown
        self._again = asyncio.Event()

    def reconnect(self) -> None:
        """Try now, also after a final refusal."""
        self._again.set()

    async def run(self) -> None:
        """Connect and follow, for ever."""
        while True:
            operator = await self._connect()
            if operator is not None:
                self._desk.operator = operator
                await self._follow(operator)
                await self.aclose()

    async def aclose(self) -> None:
        """Disarm and close the operator, in 2 s at most."""
        operator, self._desk.operator = self._desk.operator, None
        if operator is None:
            return
        try:
            async with asyncio.timeout(2.0):
                if operator.armed_until is not None:
                    await operator.disarm()
                await operator.aclose()
        except (FailsoftError, TimeoutError, OSError):
            pass  # we leave: the arming ends with this session anyway

    async def _connect(self) -> Operator | None:
        desk = self._desk
        desk.tries += 1
        try:
            operator = await self._factory()
        except FailsoftError as error:
            await self._failed(safe(error, 300), isinstance(error, _FINAL))
        except Exception as error:  # noqa: BLE001 - border: a fault must not end the UI
            await self._failed(write_crash(error), False)
        else:
            desk.tries, desk.cause = 0, ""
            self._show(operator.view())
            return operator
        return None

    async def _failed(self, cause: str, final: bool) -> None:
        desk = self._desk
        desk.cause = f"{cause}; ctrl+r tries again" if final else cause
        self._shown()
        wait_s = _WAITS_S[min(desk.tries, len(_WAITS_S)) - 1]
        self._again.clear()
        try:
            async with asyncio.timeout(None if final else wait_s):
                await self._again.wait()
        except TimeoutError:
            pass

    async def _follow(self, operator: Operator) -> None:
        watching = asyncio.create_task(self._watch(operator))
        self._again.clear()
        again = asyncio.create_task(self._again.wait())
        try:
            await asyncio.wait({watching, again}, return_when="FIRST_COMPLETED")
        finally:
            again.cancel()
            watching.cancel()
            await asyncio.gather(again, watching, return_exceptions=True)

    async def _watch(self, operator: Operator) -> None:
        try:
            async for view in operator.watch():
                self._show(view)
        except FailsoftError as error:
            await self._failed(safe(error, 300), False)
        except Exception as error:  # noqa: BLE001 - border, as above
            await self._failed(write_crash(error), False)

    def _show(self, view: FleetView) -> None:
        self._desk.newest = view
        self._shown()
