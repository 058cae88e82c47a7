"""Every ten seconds: usage goes to the store, and coming ends are told.

Nothing here is awaited by a request.
"""

from __future__ import annotations

import asyncio
import json
import logging
from collections.abc import Callable
from typing import ClassVar

from failsoft.consumer import Consumers
from failsoft.errors import StoreError
from failsoft.store.usage import UsageStore
from failsoft.versions._lifecycle import Notice
from failsoft.versions._usage import Usage

__all__ = ["UsageReporter"]

_log = logging.getLogger("failsoft")
_events = logging.getLogger("failsoft.versions")
# A store that was emptied makes another salt, which all nodes must then use.
_SALT_EVERY = 360
_AT_ONCE = 500


class UsageReporter:
    """Sends what one process counted of versions; `run` is one background task.

    notices: returns the ends that are to be told now.  tick_s: between reports.
    """

    tick_s: ClassVar[float] = 10.0

    def __init__(
        self,
        store: UsageStore,
        usage: Usage,
        consumers: Consumers,
        notices: Callable[[], tuple[Notice, ...]] = tuple,
    ) -> None:
        self._store = store
        self._usage = usage
        self._consumers = consumers
        self._notices = notices
        self._told: set[Notice] = set()

    async def run(self, failed: Callable[[str, BaseException], None]) -> None:
        """Report until cancelled, then send the rest; a fault costs one report."""
        rounds = 0
        try:
            while True:
                try:
                    if not self._consumers.salt or rounds % _SALT_EVERY == 0:
                        self._consumers.salt = await self._store.environment_salt()
                    self.tell()
                    await self.flush()
                except StoreError as error:
                    _log.debug("usage of versions is counted on in memory: %s", error)
                except Exception as error:  # noqa: BLE001 - border: the next comes
                    failed("usage of versions", error)
                rounds += 1
                await asyncio.sleep(self.tick_s)
        except asyncio.CancelledError:
            try:
                await self.flush()
            except StoreError as error:
                _log.debug("the last usage of versions is lost: %s", error)
            raise

    async def flush(self) -> None:
        """Send what was counted; raises StoreError, and counts on with the rest."""
        counts = list(self._usage.take().items())
        # By parts, so that a store which ends amid it counts none of them twice.
        for at in range(0, len(counts), _AT_ONCE):
            try:
                await self._store.usage_add(dict(counts[at : at + _AT_ONCE]))
            except BaseException:
                self._usage.give_back(dict(counts[at:]))
                raise

    def tell(self) -> None:
        """Tell each end once a process at 30, 7 and 1 days, as a line of JSON.

        Logger `failsoft.versions`, event `version.sunset`.
        """
        for notice in self._notices():
            if notice not in self._told:
                self._told.add(notice)
                doc = {"event": "version.sunset", "severity": "warning"}
                _events.warning("%s", json.dumps(doc | notice._asdict()))
