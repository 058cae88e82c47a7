"""Follows what developers declare of flags while a process runs."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import replace

from failsoft.flags._definitions import IN_CODE, FlagDefinitions
from failsoft.flags._reload import FlagFiles
from failsoft.settings import FlagSettings

__all__ = ["FlagStage"]


class FlagStage:
    """The definitions of flags in one process; files are read when it is built.

    definitions: the newest.
    """

    def __init__(self, settings: FlagSettings) -> None:
        self._files = FlagFiles(settings.files)
        self._has_files = bool(settings.files)
        self._in_code = len(IN_CODE)
        self.definitions = FlagDefinitions(settings, self._files.layer)

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
        changed = self._has_files and await asyncio.to_thread(self._files.look)
        if changed:
            self.definitions = replace(self.definitions, files=self._files.layer)
        elif len(IN_CODE) == self._in_code:
            return False
        self._in_code = len(IN_CODE)
        return True
