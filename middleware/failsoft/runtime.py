"""One process of the fleet: its store, its snapshot, its background tasks.

Requests read `snapshot` and `table` and nothing else; everything that waits runs in
tasks on the application's loop.  A failure here never fails a request: it is
counted, logged once a minute, and told in the heartbeat.
"""

from __future__ import annotations

import asyncio
import logging
import os
import socket
import threading
from concurrent.futures import Future
from dataclasses import replace
from functools import cache
from typing import Any

from failsoft import clock
from failsoft.bodies import Bodies
from failsoft.consumer import Consumers
from failsoft.controls.alarms import Alarms
from failsoft.controls.offers import Offers
from failsoft.controls.snapshot import Snapshot
from failsoft.controls.watcher import ControlState, Watcher
from failsoft.definitions import Publisher
from failsoft.errors import FailsoftError, StoreUnavailable
from failsoft.events import Swapped, tell
from failsoft.flags import FlagState, aged
from failsoft.flags._arms import GuardArms
from failsoft.flags._flush import FlagReporter
from failsoft.flags._stage import FlagStage
from failsoft.lifetime import Good, Lifetime
from failsoft.modes import Acting, read_acting
from failsoft.outbound._flush import PeerReporter
from failsoft.outbound._stage import Dependencies
from failsoft.planning import Planner
from failsoft.privateloop import PrivateLoop
from failsoft.process import current_runtime, enroll, take_over
from failsoft.reports import start_reports
from failsoft.resilience._stage import InboundStage
from failsoft.routes.table import RouteTable
from failsoft.running import Running
from failsoft.settings import Settings
from failsoft.store.open import load_client, open_store
from failsoft.telemetry import Heartbeat, Window, encode
from failsoft.telemetry._callmap import CallMap
from failsoft.telemetry._flush import Flusher, Vitals
from failsoft.telemetry._groups import FlightDeck
from failsoft.tolerance._enums import EnumNames
from failsoft.tolerance._ledger import Ledger
from failsoft.versions._usage import Usage

__all__ = ["Runtime", "current_runtime"]

_log = logging.getLogger("failsoft")
_LOG_EVERY_S = 60.0
_REQUIRE = "store.require = true"
_BASE36 = "0123456789abcdefghijklmnopqrstuvwxyz"
_HOST = socket.gethostname()


def _base36(number: int) -> str:
    digits = ""
    while number:
        number, digit = divmod(number, 36)
        digits = _BASE36[digit] + digits
    return digits or "0"


class Runtime:
    """Everything a middleware instance shares between requests."""

    def __init__(
        self, settings: Settings, table: RouteTable, contract: Any = None
    ) -> None:
        self.settings = settings
        self.window = Window()
        self.guard = GuardArms()
        self.loop: asyncio.AbstractEventLoop | None = None
        self.deck = FlightDeck("", settings.telemetry.release)
        self._name()
        self.lifetime = Lifetime(settings.store)
        self.consumers = Consumers(settings.consumer.header)
        self.own_errors = 0
        self.bad_headers: dict[str, int] = {}  # malformed trace headers by name
        self.sender: Any = None  # gives the way out to who answers in its place
        self.own_error = ""
        self._logged_at = -_LOG_EVERY_S
        self.store: Any = None
        self._running: Running | None = None
        self._alone: PrivateLoop | None = None
        self.state: ControlState | None = None  # controls in force
        self.alarms: Alarms | None = None  # what burns, for the status of users
        self._flag_stage = FlagStage(settings)
        self.versions: Any = None
        self.usage = Usage()
        self.calls = CallMap()
        self.inbound = InboundStage(settings)
        self.dependencies = Dependencies(settings.dependencies, self.now_ms)
        self.planner = Planner(
            settings, contract, self.window, self.now_ms, self.inbound
        )
        self._watch_contracts()
        self.definitions = Publisher(settings)
        self.install(table)
        load_client(settings.store.url or settings.store.limits_url)
        enroll(self)

    def _watch_contracts(self) -> None:
        """Begin to count what differs from schemas; after a fork, anew."""
        # Long bodies and third parties are judged in threads.
        self.ledger = Ledger(self.now_ms, threading.Lock())
        self.peers = PeerReporter(
            self.settings, self.ledger, self.now_ms, self.failed, EnumNames
        )
        self.bodies = Bodies(self.settings.contracts, self.ledger.tally)
        self.planner.forget(self.ledger, self.consumers, self.usage)

    def _name(self) -> None:
        self.started = clock.unix()
        start = _base36(int(self.started * 1000) + id(self) % 1000)
        self.node = self.deck.node = f"{_HOST}:{os.getpid()}:{start}"

    # --- the snapshot -------------------------------------------------------

    def install(self, table: RouteTable) -> None:
        """Take a new route table; plans of the controls in force follow at once."""
        self.table = table
        self.planner.install(table)
        self.versions = self.planner.versions
        self.definitions.files = self._flag_stage.definitions.files
        self.definitions.versions = self.planner.versions
        self.definitions.own = frozenset(self.planner.answers)
        self.definitions.describe(table)
        self.snapshot = self._compile(self.state)

    def _on_change(self, state: ControlState) -> None:
        """Swap the one reference that requests read."""
        before = self.state
        try:
            if before is not None and before.records is state.records:
                # Only the age or the link differs: what was compiled stays.
                snapshot = replace(
                    self.snapshot,
                    revision=state.rev,
                    epoch=state.epoch,
                    state=state.state,
                    flags=aged(self.flags, self._flag_stage.age_s(state)),
                )
            else:
                snapshot = self._compile(state)
        except Exception as error:  # noqa: BLE001 - border: the old plans go on
            # And so does the old revision: nobody is told that this one is enforced.
            self.failed(f"controls at revision {state.rev}", error)
            return
        self.guard.look(self.flags, snapshot.flags)
        self.state, self.snapshot = state, snapshot
        if before is None or before.records is not state.records:
            self.dependencies.take(state.records.values())
        if self._running is not None and self._running.keeper is not None:
            self._running.keeper.note(state)
        self._tell(state.state)

    def _tell(self, state: str) -> None:
        tell(Swapped(self, state, self.flags))

    def _compile(self, state: ControlState | None) -> Snapshot:
        settings = self.settings
        if state is None:
            flags = self._flag_stage.compile(None)
            plans = self.planner.plans(Acting(), ())
            return Snapshot(0, "", "cold", plans, flags)
        records = tuple(state.records.values())
        acting = read_acting(records, settings.modes, settings.never)
        return Snapshot(
            revision=state.rev,
            epoch=state.epoch,
            state=state.state,
            plans=self.planner.plans(acting, records),
            flags=self._flag_stage.compile(state, acting.disabled),
            kills=len(acting.kills),
            modes=tuple(mode.name for mode in acting.modes),
            bad=(*acting.bad, *self.planner.bad),
            acting=acting,
        )

    async def learn(self, app: Any, root_path: str = "") -> None:
        """Read the models of the routes in force, off the loop; then plans follow.

        Raises DefinitionError where what is declared does not fit them.
        """
        if not self.planner.has_learnt:
            await asyncio.to_thread(self.planner.learn, app, root_path)
            self.install(self.table)

    def learn_later(self, app: Any, root_path: str = "") -> None:
        """Do so while requests are served already, and compile gates."""

        async def work() -> None:
            await self.learn(app, root_path)
            if self.planner.wants_gates:
                await asyncio.to_thread(self.planner.compile_gates)

        if self._running is not None:
            self._running.spawn(work(), "models")

    def now_ms(self) -> float:
        """Return store time in milliseconds; the wall clock before the first sync."""
        state = self.state
        return state.now_ms() if state is not None else clock.unix() * 1000

    # --- flags --------------------------------------------------------------

    @property
    def control_age_s(self) -> float:
        """Seconds since the controls in force were proven current."""
        return self._flag_stage.age_s(self.state)

    def _redefine(self) -> None:
        """Take flags that files or code declare differently now."""
        self.install(self.table)
        self._tell(self.snapshot.state)

    @property
    def flags(self) -> FlagState:
        """The flag state of the newest snapshot."""
        flags: FlagState = self.snapshot.flags
        return flags

    def saw_flag(self, key: str, default: Any, variant: str | None) -> None:
        """Count an evaluation; a key first met here is published to operators."""
        definitions = self.definitions
        if (
            key not in definitions.seen_flags
            and not definitions.meet(key, default)
            and not self.flags.knows(key)
        ):
            key = "(other)"
        self.window.saw_flag(key, variant or "(default)")

    # --- start and stop -----------------------------------------------------

    async def ensure(self) -> None:
        """Start on the running loop; waits at most `start_deadline` for a sync.

        Raises StoreUnavailable only with `store.require`, when there is no set at all.
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
        refused = not synced and settings.require and watcher.current.state == "cold"
        if not synced:
            self._tell("refused" if refused else self.snapshot.state)
        if refused:
            await self.stop()
            reason = watcher.fault or "the store did not answer"
            raise StoreUnavailable(f"no controls at start: {reason}", where=_REQUIRE)

    def _begin(self, loop: asyncio.AbstractEventLoop) -> Running:
        self._abandon(loop)
        take_over(self)
        settings = self.settings.store
        if self.store is None or settings.url:
            self.store = open_store(settings.url or None, settings.env)
        good = self.lifetime.begin()
        watcher = _watcher(self, good)
        vitals = Vitals(loop)
        reporter = FlagReporter(
            self.store,
            self.guard,
            self.node,
            automation_url=settings.automation_url,
        )
        flusher = Flusher(
            self.store,
            self.window,
            self.deck,
            vitals,
            is_watched=lambda: watcher.current.watched,
            failed=self.failed,
        )
        flusher.count_flags = reporter.exposures.add
        keeper = self.lifetime.keeper(watcher, self.failed)
        running = Running(
            loop,
            self.store,
            watcher,
            vitals,
            flusher,
            keeper,
            inbound=self.inbound,
            failed=self.failed,
        )
        self._running = running
        self.inbound.begin(self.store, loop, self.failed)
        watcher.start()
        running.spawn(running.keep(), "keep")
        running.spawn(flusher.run(), "flush")
        if keeper is not None:
            running.spawn(keeper.run(), "lastgood")
        running.spawn(Offers(self.store, watcher).run(), "offers")
        start_reports(self, running)
        running.spawn(self.definitions.run(self.store), "definitions")
        running.spawn(self._flag_stage.check(self), "flags")
        reports = reporter.run(
            lambda: self.flags, self.now_ms, self.failed, lambda: self.window.flags
        )
        running.spawn(reports, "flag reports")
        follow = self._flag_stage.follow(self._redefine, self.failed)
        running.spawn(follow, "files")
        return running

    def _abandon(self, loop: asyncio.AbstractEventLoop) -> None:
        """Let go of what belongs to another loop; it ends there, if it still can."""
        if old := self._leave():
            old.abandon()
        if self._alone is not None and self._alone.loop is not loop:
            self._alone.end()
            self._alone = None

    def _leave(self) -> Running | None:
        self.loop = None
        running, self._running = self._running, None
        if running is not None:
            self.lifetime.inherit(running.watcher)
        return running

    async def stop(self) -> None:
        """Send the last second, take the node off the fleet, close connections."""
        if running := self._leave():
            await running.end()

    @property
    def is_up(self) -> bool:
        """Whether it follows the store, on a loop not closed, or is about to."""
        running = self._running
        is_open = running is not None and not running.loop.is_closed()
        return is_open or self._alone is not None

    def live_alone(self) -> Future[None]:
        """Start on a loop of its own, in a thread; the future is that of `ensure`."""
        self._alone = PrivateLoop()
        take_over(self)  # now: a fork may come before the node has begun
        return self._alone.run(self.ensure())

    def end_alone(self, wait_s: float) -> None:
        """End the loop of its own, with what runs on it."""
        self._leave()
        alone, self._alone = self._alone, None
        if alone is not None:
            alone.end(wait_s)

    def leave_parent(self) -> object:
        """In a forked child: drop what is the parent's, keep the snapshot.

        Returns what must never be finalized in this process.
        """
        running, alone, self._alone = self._leave(), self._alone, None
        self._name()
        self.window.forget()
        self.inbound.forget()
        self.guard = GuardArms()
        self._watch_contracts()
        self.deck.take()
        if running is not None:
            running.cut_copies()
            if self.state is not None and not running.store.local:
                state = replace(self.state, state="stale", source="inherited")
                self.state = state
                self.snapshot = replace(self.snapshot, state="stale")
        if alone is not None:
            alone.cut_copies()
        return running, alone

    # --- what others see of this node ---------------------------------------

    def _heartbeat(self) -> bytes:
        state, running, settings = self.state, self._running, self.settings
        good = state.good if state else None
        return encode(
            Heartbeat(
                node=self.node,
                host=_HOST,
                pid=os.getpid(),
                epoch=self.snapshot.epoch,
                rev=self.snapshot.revision,
                state=state.state if state else "cold",
                source=state.source if state else "",
                digest=state.digest if state else "",
                offer=good.digest if good else "",
                good_epoch=good.epoch if good else "",
                good_rev=good.rev if good else 0,
                lastgood=self.lifetime.lastgood,
                age_ms=int(state.age_s * 1000) if state else 0,
                app=settings.telemetry.app,
                app_version=settings.telemetry.release,
                failsoft=_version(),
                started_ms=int(self.started * 1000),
                lag_ms=running.vitals.lag_ms if running else 0.0,
                rss_bytes=Vitals.rss_bytes(),
                inflight=self.window.inflight,
                kills=self.snapshot.kills,
                bad=(*self.snapshot.bad, *self.flags.bad_targets())[:20],
                abandoned_threads=self.inbound.abandoned_threads,
                own_errors=self.own_errors,
                bad_headers=dict(self.bad_headers),
                own_error=self.own_error,
                defs=self.definitions.digest,
            )
        )

    def failed(self, what: str, error: BaseException) -> None:
        """Note an internal error of ours: counted, logged once a minute."""
        self.own_errors += 1
        text = f"{what}: {type(error).__name__}: {error}"[:200]
        # An error may quote what no wire takes, such as a lone surrogate.
        self.own_error = text.encode(errors="backslashreplace").decode()
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


def _watcher(runtime: Runtime, good: Good | None) -> Watcher:
    settings = runtime.settings.store
    watcher = Watcher(
        runtime.store,
        node_id=runtime.node,
        heartbeat=runtime._heartbeat,
        on_change=runtime._on_change,
        block_s=settings.block_s,
        beat_s=settings.beat_s,
        stale_after_s=settings.stale_after_s,
        rewind=settings.rewind,
        good=good.held if good else None,
        good_from=good.source if good else "",
    )
    if good is not None:
        good.restore(watcher.clock)
    return watcher


@cache  # it reads files, 1.4 ms
def _version() -> str:
    # Not `import failsoft`: nothing inside imports the root.
    from importlib.metadata import PackageNotFoundError, version

    try:
        return version("failsoft")
    except PackageNotFoundError:
        return ""
