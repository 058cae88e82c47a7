"""Each second: what differed goes to the store; what is new is told.

Nothing here is awaited by a request.  With the store away the ledger counts on.
"""

from __future__ import annotations

import asyncio
import json
import logging
from collections.abc import Callable
from typing import Any

from failsoft.errors import StoreError
from failsoft.store.drift import AT_ONCE, Counted, DriftStore, severity_of
from failsoft.tolerance._ledger import PROCESS_ENTRIES, Ledger, Taken

__all__ = ["DriftReporter", "emit"]

_FORGET_EVERY = 60
_TOLD_A_FLUSH = 20
_MOST_CALLS = PROCESS_ENTRIES // AT_ONCE

_log = logging.getLogger("failsoft")
_events = logging.getLogger("failsoft.drift")
_LEVELS = {"warning": logging.WARNING, "info": logging.INFO}


def emit(event: str, severity: str, **fields: object) -> None:
    """Tell an event as one JSON line on logger `failsoft.drift`.

    event: `drift.new`, `tolerance.expired`.  severity: warning or info.
    """
    level = _LEVELS[severity]
    if _events.isEnabledFor(level):
        doc = {"event": event, "severity": severity, **fields}
        _events.log(level, "%s", json.dumps(doc))


class DriftReporter:
    """Sends one ledger to one store; `run` is one background task.

    check: called each second before the flush, for what goes by the clock.
    """

    def __init__(
        self, store: DriftStore, ledger: Ledger, check: Callable[[], None] | None = None
    ) -> None:
        self._store = store
        self._ledger = ledger
        self._check = check

    async def run(self, failed: Callable[[str, BaseException], None]) -> None:
        """Flush each second until cancelled, then once more."""
        rounds = 0
        try:
            while True:
                await asyncio.sleep(1.0)
                rounds += 1
                try:
                    if self._check is not None:
                        self._check()
                    await self.flush()
                    if rounds % _FORGET_EVERY == 0:
                        self._ledger.forget()
                except StoreError as error:
                    _log.debug("drift is counted on in memory: %s", error)
                except Exception as error:  # noqa: BLE001 - border: the next second comes
                    failed("drift", error)
        except asyncio.CancelledError:
            try:
                await self.flush()
            except StoreError as error:
                _log.debug("the last second of drift is lost: %s", error)
            raise

    async def flush(self) -> None:
        """Send what was counted, 500 entries a call, and at most all it can hold.

        Raises StoreError; what was not confirmed is counted on.  A write whose
        outcome is unknown may so be counted twice: better than drift unseen.
        """
        for _ in range(_MOST_CALLS):
            if not (taken := self._ledger.take(AT_ONCE)):
                return
            try:
                made = await self._store.drift_add(taken.counted, taken.tallies)
            except BaseException:
                self._ledger.give_back(taken)
                raise
            self._tell(taken, made)
            if len(taken.counted) < AT_ONCE:
                return  # what requests counted meanwhile is of the next second

    def _tell(self, taken: Taken, made: frozenset[str]) -> None:
        new = [one for one in taken.counted if one.id in made]
        for one in new[:_TOLD_A_FLUSH]:
            emit("drift.new", severity_of(one.entry.kind), **_fields(one))
        if len(new) > _TOLD_A_FLUSH:
            # A release that changes a shape, or a flood: one line says so.
            emit("drift.new", "warning", more=len(new) - _TOLD_A_FLUSH)


def _fields(one: Counted) -> dict[str, Any]:
    entry = one.entry
    names = ("route", "direction", "dependency", "path", "kind", "expected", "got")
    said = {name: getattr(entry, name) for name in (*names, "consumer", "version")}
    return {"id": one.id, **{name: text for name, text in said.items() if text}}
