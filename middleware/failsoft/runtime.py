"""One process of the fleet: its store, its snapshot, its background tasks.

Requests read `snapshot` and `table` and nothing else; everything that waits runs in
tasks on the application's loop.  A failure here never fails a request: it is
counted, logged once a minute, and told in the heartbeat.
"""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
import logging
import os
import random
import socket
from collections.abc import Coroutine
from dataclasses import dataclass, field, replace
from typing import Any

import msgspec

from failsoft import clock
from failsoft.controls.snapshot import Snapshot
from failsoft.controls.watcher import ControlState, Watcher
from failsoft.errors import FailsoftError, StoreError, StoreUnavailable
from failsoft.flags import FlagState, check_flags, compile_flags
from failsoft.modes import BUILT_IN, Acting, compile_plan, read_acting, summary_of
from failsoft.pipeline import Plan
from failsoft.routes.table import RouteTable
from failsoft.settings import Settings
from failsoft.store.open import open_store
from failsoft.telemetry import Definitions, Heartbeat, ModeDef, Window, encode
from failsoft.telemetry._flush import Flusher, Vitals
from failsoft.telemetry._groups import FlightDeck

__all__ = ["Runtime", "current_runtime"]

_log = logging.getLogger("failsoft")
_PUBLISH_S = 1.0
_STOP_S = 1.0
_LOG_EVERY_S = 60.0
_MAX_FLAGS = 1000
_REQUIRE = "store.require = true"
_BASE36 = "0123456789abcdefghijklmnopqrstuvwxyz"
_HOST = socket.gethostname()

_current: Runtime | None = None


def current_runtime() -> Runtime | None:
    """Return the runtime started last in this process, None before any."""
    return _current


def _base36(number: int) -> str:
    digits = ""
    while number:
        number, digit = divmod(number, 36)
        digits = _BASE36[digit] + digits
    return digits or "0"


@dataclass(slots=True, eq=False)
class _Running:
    """What lives on one event loop, from its start to its end."""

    loop: asyncio.AbstractEventLoop
    store: Any
    watcher: Watcher
    vitals: Vitals
    flusher: Flusher
    tasks: list[asyncio.Task[None]] = field(default_factory=list)
    is_ending: bool = False

    async def keep(self) -> None:
        """End with the loop, where nobody runs a lifespan: it cancels its tasks."""
        try:
            await self.loop.create_future()
        finally:
            await self.end()

    async def end(self) -> None:
        """Send the last second, end the tasks, leave the fleet, close the store."""
        if self.is_ending:
            return
        self.is_ending = True
        self.vitals.stop()
        me = asyncio.current_task()
        ends = [task for task in self.tasks if task is not me]
        for task in ends:
            task.cancel()
        last = self.watcher.stop(), self.flusher.flush()
        ends += [asyncio.ensure_future(work) for work in last]
        # Not gather: before Python 3.12 a cancellation can get lost inside
        # wait_for, and a stop must end.
        done, late = await asyncio.wait(ends, timeout=_STOP_S)
        for task in late:
            task.cancel()
        for task in done:
            if not task.cancelled() and (error := task.exception()) is not None:
                _log.debug("at the stop: %s", error)
        if not self.store.local:
            with contextlib.suppress(StoreError, OSError):  # TimeoutError is one
                async with asyncio.timeout(_STOP_S):
                    await self.store.aclose()


class Runtime:
    """Everything a middleware instance shares between requests."""

    def __init__(self, settings: Settings, table: RouteTable) -> None:
        self.settings = settings
        self.window = Window()
        self.loop: asyncio.AbstractEventLoop | None = None
        self.started = clock.unix()
        start = _base36(int(self.started * 1000) + id(self) % 1000)
        self.node = f"{_HOST}:{os.getpid()}:{start}"
        self.deck = FlightDeck(self.node, settings.telemetry.release)
        self.own_errors = 0
        self.own_error = ""
        self._logged_at = -_LOG_EVERY_S
        self.store: Any = None
        self._running: _Running | None = None
        self._state: ControlState | None = None
        self.seen_flags: dict[str, str] = {}
        self._flags: FlagState | None = None
        self._has_new_flags = False
        self.install(table)

    # --- the snapshot -------------------------------------------------------

    def install(self, table: RouteTable) -> None:
        """Take a new route table; plans of the controls in force follow at once."""
        self.table = table
        self._cells = [self.window.cell(r.key, r.criticality) for r in table.routes]
        self._bare = tuple(
            Plan(route.key, route.criticality, cell)
            for route, cell in zip(table.routes, self._cells, strict=True)
        )
        self._define()
        self.snapshot = self._compile(self._state)

    def _on_change(self, state: ControlState) -> None:
        """Swap the one reference that requests read."""
        before = self._state
        try:
            if before is not None and before.records is state.records:
                # Only the age or the link differs: what was compiled stays.
                snapshot = replace(
                    self.snapshot,
                    revision=state.rev,
                    epoch=state.epoch,
                    state=state.state,
                )
            else:
                snapshot = self._compile(state)
        except Exception as error:  # noqa: BLE001 - border: the old plans go on
            # And so does the old revision: nobody is told that this one is enforced.
            self.failed(f"controls at revision {state.rev}", error)
            return
        self._state, self.snapshot = state, snapshot

    def _compile(self, state: ControlState | None) -> Snapshot:
        settings = self.settings
        declared = {key: d.default for key, d in settings.flags.declare.items()}
        if state is None:
            self._flags = compile_flags(0, {}, declared, (), self._flags)
            return Snapshot(0, "", "cold", self._bare, self._flags)
        records = tuple(state.records.values())
        acting = read_acting(records, settings.modes, settings.never)
        self._flags = compile_flags(
            state.rev, state.records, declared, acting.disabled, self._flags
        )
        return Snapshot(
            revision=state.rev,
            epoch=state.epoch,
            state=state.state,
            plans=self._plans(acting),
            flags=self._flags,
            kills=len(acting.kills),
            modes=tuple(mode.name for mode in acting.modes),
            bad=acting.bad,
        )

    def _plans(self, acting: Acting) -> tuple[Plan, ...]:
        if not acting.kills and not acting.modes:
            return self._bare
        return tuple(
            compile_plan(route, cell, acting, self.now_ms, random.random)
            for route, cell in zip(self.table.routes, self._cells, strict=True)
        )

    def now_ms(self) -> float:
        """Return store time in milliseconds; the wall clock before the first sync."""
        state = self._state
        return state.now_ms() if state is not None else clock.unix() * 1000

    # --- flags --------------------------------------------------------------

    @property
    def flags(self) -> FlagState:
        """The flag state of the newest snapshot."""
        flags: FlagState = self.snapshot.flags
        return flags

    def saw_flag(self, key: str, default: Any, variant: str | None) -> None:
        """Count an evaluation; a key first met here is published to operators."""
        if key not in self.seen_flags and not self._meet(key, default):
            key = "(other)"
        self.window.saw_flag(key, variant or "(default)")

    def _meet(self, key: str, default: Any) -> bool:
        if len(self.seen_flags) >= _MAX_FLAGS:
            return False
        key.encode()  # what the wire cannot take fails here, before it is kept
        self.seen_flags[key] = _as_json(default)
        # Described by the next second's task: a handler does not wait for it.
        self._has_new_flags = True
        return True

    # --- start and stop -----------------------------------------------------

    async def ensure(self) -> None:
        """Start on the running loop; waits at most `start_deadline` for a sync.

        Raises StoreUnavailable only with `store.require`, when nothing came.
        """
        loop = asyncio.get_running_loop()
        if self.loop is loop:
            return
        running, settings = self._running, self.settings.store
        if running is None or running.loop is not loop:
            running = self._begin(loop)
        watcher = running.watcher
        try:
            # Whoever comes meanwhile waits here too: else it would pass every kill.
            synced = await watcher.first_sync(settings.start_deadline_s)
        finally:
            if self._running is running:
                self.loop = loop  # once, whatever came
        if not synced and settings.require:
            await self.stop()
            reason = watcher.fault or "the store did not answer"
            raise StoreUnavailable(f"no controls at start: {reason}", where=_REQUIRE)

    def _begin(self, loop: asyncio.AbstractEventLoop) -> _Running:
        global _current
        self._abandon()
        _current = self
        settings = self.settings.store
        if self.store is None or settings.url:
            self.store = open_store(settings.url or None, settings.env)
        watcher = Watcher(
            self.store,
            node_id=self.node,
            heartbeat=self._heartbeat,
            on_change=self._on_change,
            block_s=settings.block_s,
            beat_s=settings.beat_s,
            stale_after_s=settings.stale_after_s,
            rewind=settings.rewind,
        )
        vitals = Vitals(loop)
        flusher = Flusher(
            self.store,
            self.window,
            self.deck,
            vitals,
            is_watched=lambda: watcher.current.watched,
            failed=self.failed,
        )
        running = _Running(loop, self.store, watcher, vitals, flusher)
        self._running = running
        watcher.start()
        self._spawn(running, running.keep(), "keep")
        self._spawn(running, flusher.run(), "flush")
        self._spawn(running, self._publish(self.store), "definitions")
        self._spawn(running, self._check_flags(), "flags")
        return running

    def _spawn(
        self, running: _Running, work: Coroutine[Any, Any, None], name: str
    ) -> None:
        task = running.loop.create_task(work, name=f"failsoft-{name}")
        task.add_done_callback(self._ended)
        running.tasks.append(task)

    def _ended(self, task: asyncio.Task[None]) -> None:
        if not task.cancelled() and (error := task.exception()) is not None:
            self.failed(f"task {task.get_name()} ended", error)

    def _abandon(self) -> None:
        """Let go of what belongs to another loop; it ends there, if it still can."""
        self.loop = None
        old, self._running = self._running, None
        if old is None or old.loop.is_closed():
            return
        with contextlib.suppress(RuntimeError):  # closed just now
            for task in old.tasks:  # one of them is `keep`
                old.loop.call_soon_threadsafe(task.cancel)

    async def stop(self) -> None:
        """Send the last second, take the node off the fleet, close connections."""
        self.loop = None
        running, self._running = self._running, None
        if running is not None:
            await running.end()

    # --- what others see of this node ---------------------------------------

    def _heartbeat(self) -> bytes:
        state, running, settings = self._state, self._running, self.settings
        return encode(
            Heartbeat(
                node=self.node,
                host=_HOST,
                pid=os.getpid(),
                epoch=self.snapshot.epoch,
                rev=self.snapshot.revision,
                state=state.state if state else "cold",
                age_ms=int(state.age_s * 1000) if state else 0,
                app=settings.telemetry.app,
                app_version=settings.telemetry.release,
                failsoft=_version(),
                started_ms=int(self.started * 1000),
                lag_ms=running.vitals.lag_ms if running else 0.0,
                rss_bytes=Vitals.rss_bytes(),
                inflight=self.window.inflight,
                kills=self.snapshot.kills,
                bad=(*self.snapshot.bad, *(f"flag:{k}" for k in self.flags.bad))[:20],
                own_errors=self.own_errors,
                own_error=self.own_error,
                defs=self._digest,
            )
        )

    def _define(self) -> None:
        """Describe this release's routes, flags and modes, under their digest."""
        self._has_new_flags = False
        declared = self.settings.flags.declare
        flags = {key: _as_json(d.default) for key, d in declared.items()}
        modes = {**BUILT_IN, **self.settings.modes}
        definitions = Definitions(
            routes=tuple((r.key, r.criticality, r.tags) for r in self.table.routes),
            flags=tuple(sorted({**self.seen_flags, **flags}.items())),
            modes=tuple(
                ModeDef(name, mode.title, mode.routes, summary_of(mode))
                for name, mode in sorted(modes.items())
            ),
        )
        self._blob = encode(definitions)
        self._digest = hashlib.sha256(self._blob).hexdigest()[:8]

    async def _publish(self, store: Any) -> None:
        while True:
            if self._has_new_flags:
                self._define()
            # Asked each time, as a store may lose what it was told.
            with contextlib.suppress(StoreError):
                if not await store.keep_definitions(self._digest):
                    await store.publish_definitions(self._digest, self._blob)
            await asyncio.sleep(_PUBLISH_S)

    async def _check_flags(self) -> None:
        """Look at the flags nobody asked for yet, some 2 ms at a time."""
        while True:
            is_left = check_flags(self.flags, 50)
            await asyncio.sleep(0.02 if is_left else 1.0)

    def failed(self, what: str, error: BaseException) -> None:
        """Note an internal error of ours: counted, logged once a minute."""
        self.own_errors += 1
        self.own_error = f"{what}: {type(error).__name__}: {error}"[:200]
        now = clock.monotonic()
        if now - self._logged_at >= _LOG_EVERY_S:
            self._logged_at = now
            exposed = not isinstance(error, FailsoftError)
            _log.error(
                "failsoft degraded, requests go on: %s (%d errors so far)",
                self.own_error,
                self.own_errors,
                exc_info=error if exposed else None,
            )


def _version() -> str:
    # Not `import failsoft`: nothing inside imports the root.
    from importlib.metadata import PackageNotFoundError, version

    try:
        return version("failsoft")
    except PackageNotFoundError:
        return ""


def _as_json(value: Any) -> str:
    try:
        return msgspec.json.encode(value).decode()[:200]
    except Exception:  # noqa: BLE001 - any object may stand as a default
        return "null"
