"""Compiles the flags of one process, and follows what they depend on while it runs:
files, flags declared in code, and the age of the controls.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable
from dataclasses import replace
from typing import Any

from failsoft import clock
from failsoft.controls.watcher import ControlState
from failsoft.flags._definitions import IN_CODE, FlagDefinitions
from failsoft.flags._reload import FlagFiles
from failsoft.flags._state import FlagState, aged, check_flags, compile_flags
from failsoft.settings import Settings

__all__ = ["FlagStage"]

_CHECK_S = 1.0


class FlagStage:
    """The flags of one process; files are read when it is built.

    definitions: the newest.
    """

    def __init__(self, settings: Settings) -> None:
        self._files = FlagFiles(settings.flags.files)
        self._in_code = len(IN_CODE)
        self._is_remote = bool(settings.store.url)
        self._born = clock.elapsed()
        self._last: FlagState | None = None
        self.definitions = FlagDefinitions(settings.flags, self._files.layer)

    def compile(
        self, state: ControlState | None, disabled: Iterable[str] = ()
    ) -> FlagState:
        """Return the flags of the controls; None = there are none yet."""
        definitions = self.definitions
        declared = {k: d.default for k, d in definitions.settings.declare.items()}
        rev, records = (state.rev, state.records) if state is not None else (0, {})
        self._last = compile_flags(
            rev, records, declared, disabled, self._last, definitions
        )
        return aged(self._last, self.age_s(state))

    def age_s(self, state: ControlState | None) -> float:
        """Seconds since controls were proven current; since the start before any."""
        if not self._is_remote:
            return 0.0
        return state.age_s if state is not None else clock.elapsed() - self._born

    async def check(self, runtime: Any) -> None:
        """Judge age; look at flags nobody asked for yet, some 2 ms at a time."""
        while True:
            is_left = False
            try:
                flags = aged(runtime.flags, runtime.control_age_s)
                if flags is not runtime.flags:
                    runtime.snapshot = replace(runtime.snapshot, flags=flags)
                is_left = check_flags(runtime.flags, 50)
            except Exception as error:  # noqa: BLE001 - border: age goes on counting
                runtime.failed("checking flags", error)
            await asyncio.sleep(0.02 if is_left else _CHECK_S)

    async def follow(
        self,
        on_change: Callable[[], None],
        failed: Callable[[str, BaseException], None],
    ) -> None:
        """Call `on_change` when files, or flags declared in code, are others."""
        while True:
            await asyncio.sleep(self._files.pause_s)
            try:
                if await self._look():
                    on_change()
            except Exception as error:  # noqa: BLE001 - border: the last ones go on
                failed("flags files", error)

    async def _look(self) -> bool:
        has_files, in_code = bool(self.definitions.settings.files), len(IN_CODE)
        has_news = in_code != self._in_code
        self._in_code = in_code
        if has_files and await asyncio.to_thread(self._files.look):
            self.definitions = replace(self.definitions, files=self._files.layer)
            has_news = True
        return has_news
