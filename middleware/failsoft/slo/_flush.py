"""What the leader and each node do for alerts, once a second.

The leader reads the buckets, judges the rules and tells; its state lies in the store,
so the next leader goes on with it.  Each node reads which alerts fire, for the status
of users, and tells by itself what nobody else could: that Redis is lost.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Iterable, Mapping
from itertools import chain
from types import MappingProxyType
from typing import Any, Protocol

from failsoft.controls.alarms import Alarm, Alarms
from failsoft.controls.burns import Burns
from failsoft.controls.lead import FleetFacts, Lead
from failsoft.errors import StoreError
from failsoft.settings import SloDefinition
from failsoft.slo._alert import (
    AlertState,
    Condition,
    Tell,
    decode_state,
    encode_state,
    step_all,
)
from failsoft.slo._buckets import SloHistory
from failsoft.slo._burn import auto_burn
from failsoft.slo._conditions import (
    Seen,
    fleet_conditions,
    redis_conditions,
    slo_conditions,
)
from failsoft.slo._notify import Notifier

__all__ = ["ALIVE", "AlertDesk", "AlertDuty", "AlertWatch", "alarms_of", "read_states"]

_log = logging.getLogger("failsoft")
_OVERLAP_MS = 5_000  # a node's write may be on its way while its second is read
_TURNS = 5  # seconds in which the rules of all SLOs are judged once
_STORE_MS = 10_000
_PRUNE_MS = 60_000
_WATCH_S = 1.0
_AUTO_REST_S = 10.0
_TOLD_S = 60  # in which all nodes see that the store is back, or set back
# In the place of an alert's state: when the rules were judged last.
ALIVE = "@"

_Slos = Callable[[], Mapping[str, SloDefinition]]


class Clocked(Protocol):
    """What a node knows of its controls."""

    def __call__(self) -> tuple[str, float, bool]:
        """Return (state, seconds since they were proven current, store is local)."""
        ...


class AlertDuty:
    """Judges the rules of the fleet; made anew with each gain of the lease.

    slos: those in force.  drill_every_s: by mode.  burns: by SLO, for triggers of
    modes; of the newest second.
    """

    def __init__(
        self,
        store: Any,
        slos: _Slos,
        notifier: Notifier,
        drill_every_s: Mapping[str, float] = MappingProxyType({}),
    ) -> None:
        self.burns: Burns = {}
        self._drill_every_s = drill_every_s
        self._store = store
        self._slos = slos
        self._notifier = notifier
        self._history = SloHistory()
        self._read_ms = 0
        self._states: Mapping[str, AlertState] | None = None
        self._judged: dict[str, tuple[Condition, ...]] = {}
        self._seen = Seen()
        self._at_ms = dict.fromkeys(("store", "prune", "alive"), 0)

    async def each_second(self, facts: FleetFacts, lead: Lead) -> None:
        """Read, judge, tell and write; what the store does not take is tried again."""
        try:
            await self._second(facts)
        except StoreError as error:
            _log.debug("alerts wait for the store: %s", error)

    async def _second(self, facts: FleetFacts) -> None:
        slos, now_ms = self._slos(), facts.now_ms
        await self._read(tuple(slos), now_ms)
        now_s = now_ms / 1000
        self.burns = {
            name: auto_burn(self._history, name, slo.objective, now_s)
            for name, slo in slos.items()
        }
        await self._judge(slos, now_ms)
        if self._is_due("store", _STORE_MS, now_ms):
            self._seen = await self._look()
        conditions = (
            *chain.from_iterable(self._judged.values()),
            *self._auto(slos),
            *fleet_conditions(facts, self._seen, self._drill_every_s),
            *self._webhooks(),
        )
        await self._step(conditions, now_ms)

    def _is_due(self, what: str, every_ms: int, now_ms: int) -> bool:
        if 0 <= now_ms - self._at_ms[what] < every_ms:  # its clock may be set back
            return False
        self._at_ms[what] = now_ms
        return True

    async def _read(self, names: tuple[str, ...], now_ms: int) -> None:
        # One by one where it is all of them: 20 would hold up the loop for 0.2 s.
        parts = [names] if self._read_ms else [(name,) for name in names]
        since_ms, read_ms = self._read_ms, now_ms
        for part in parts:
            read = await self._store.slo_read(part, since_ms)
            self._history.take(read)
            read_ms = min(read_ms, read.now_ms)
        self._read_ms = max(1, read_ms - _OVERLAP_MS)
        if self._is_due("prune", _PRUNE_MS, now_ms):
            await self._store.slo_prune(names)

    async def _judge(self, slos: Mapping[str, SloDefinition], now_ms: int) -> None:
        """Judge a fifth of the SLOs, and those that were never judged."""
        self._judged = {n: judged for n, judged in self._judged.items() if n in slos}
        for place, (name, slo) in enumerate(slos.items()):
            if name not in self._judged or (now_ms // 1000 + place) % _TURNS == 0:
                judged = slo_conditions({name: slo}, self._history, now_ms / 1000)
                self._judged[name] = tuple(judged)
                await asyncio.sleep(0)  # requests come first

    async def _look(self) -> Seen:
        beats = await self._store.beats()
        proposals = await self._store.proposals()
        return Seen(beats, {target: p.at_ms for target, p in proposals.items()})

    def _auto(self, slos: Mapping[str, SloDefinition]) -> Iterable[Condition]:
        for name, burn in self.burns.items():
            yield Condition(
                id=f"slo:{name}:auto",
                kind="slo",
                severity="",
                title=f"SLO {name} fails now",
                is_true=burn.is_over if burn.has_data else None,
                rest_s=_AUTO_REST_S,
                facts={"slo": name},
                routes=slos[name].routes,
            )

    def _webhooks(self) -> Iterable[Condition]:
        for name, (why, dropped) in self._notifier.faults.items():
            yield Condition(
                id=f"webhook:{name}",
                kind="webhook",
                severity="ticket",
                title=f"webhook {name} takes no alerts",
                facts={"webhook": name, "why": why, "dropped": dropped},
            )

    async def _step(self, conditions: Iterable[Condition], now_ms: int) -> None:
        if self._states is None:
            self._states = read_states(await self._store.alerts())
        step = step_all(self._states, conditions, now_ms)
        for tell in step.tells:
            # Said before it is sent: two leaders for a moment tell it once.
            if tell.alert.severity and await self._is_first(tell):
                self._notifier.tell(tell, now_ms)
        changed = {id_: encode_state(state) for id_, state in step.changed.items()}
        if self._is_due("alive", _STORE_MS, now_ms):
            changed[ALIVE] = b"%d" % now_ms
        if changed or step.gone:
            await self._store.alerts_put(changed, step.gone)
        self._states = step.states

    async def _is_first(self, tell: Tell) -> bool:
        first: bool = await self._store.alert_first(tell.mark, 2 * tell.repeat_s)
        return first


class AlertWatch:
    """What each node does: it knows what fires, and tells that Redis is lost.

    told: takes what fires, once a second.
    """

    def __init__(
        self,
        store: Any,
        notifier: Notifier,
        controls: Clocked,
        told: Callable[[Alarms], None],
        now_ms: Callable[[], float],
    ) -> None:
        self._store = store
        self._notifier = notifier
        self._controls = controls
        self._told = told
        self._now_ms = now_ms
        self._own: Mapping[str, AlertState] = {}

    async def run(self, failed: Callable[[str, BaseException], None]) -> None:
        """Look each second until cancelled; a fault costs one second."""
        while True:
            await asyncio.sleep(_WATCH_S)
            try:
                await self.second()
            except StoreError as error:
                _log.debug("which alerts fire is not known: %s", error)
            except Exception as error:  # noqa: BLE001 - border: the next second comes
                failed("alerts", error)

    async def second(self) -> None:
        """Judge what is known here, then ask what fires; raises StoreError."""
        state, age_s, is_local = self._controls()
        now_ms = int(self._now_ms())
        conditions = redis_conditions(state, age_s, is_local=is_local)
        step = step_all(self._own, conditions, now_ms)
        self._own = step.states
        for tell in step.tells:
            if await self._is_first(tell):
                self._notifier.tell(tell, now_ms)
        alarms = alarms_of(await self._store.alerts())
        if alarms is not None:
            self._told(alarms)

    async def _is_first(self, tell: Tell) -> bool:
        """Whether no other node told it; all of them do while the store is away."""
        try:
            mark = f"{tell.alert.id}:{tell.state}"
            first: bool = await self._store.alert_first(mark, _TOLD_S)
        except StoreError:
            return True
        return first


class AlertDesk:
    """All that one node does for alerts, from its start to its end.

    slos: those in force.  drill_every_s: by mode.
    """

    def __init__(
        self,
        store: Any,
        slos: _Slos,
        notifier: Notifier,
        watch: AlertWatch,
        drill_every_s: Mapping[str, float],
    ) -> None:
        self._store = store
        self._drill_every_s = drill_every_s
        self._slos = slos
        self._notifier = notifier
        self._watch = watch
        self._duty: AlertDuty | None = None

    def duty(self) -> AlertDuty:
        """Return what judges for the fleet; made anew with each gain of the lease."""
        self._duty = AlertDuty(
            self._store, self._slos, self._notifier, self._drill_every_s
        )
        return self._duty

    def burns(self) -> Burns:
        """Return the rule for automatic modes by SLO, as of the newest second."""
        return self._duty.burns if self._duty is not None else {}

    async def run(self, failed: Callable[[str, BaseException], None]) -> None:
        """Watch and tell until cancelled."""
        await asyncio.gather(self._notifier.run(), self._watch.run(failed))


def read_states(held: Mapping[str, bytes]) -> dict[str, AlertState]:
    """Return the alerts that can be read; the others are of another release."""
    found = {id_: decode_state(raw) for id_, raw in held.items() if id_ != ALIVE}
    return {id_: state for id_, state in found.items() if state is not None}


def alarms_of(held: Mapping[str, bytes]) -> Alarms | None:
    """Return what users' status needs of the alerts; None where nobody judges them."""
    at = held.get(ALIVE, b"")
    if not at.isdigit():
        return None
    by_slo: dict[str, list[AlertState]] = {}
    for state in read_states(held).values():
        if state.kind == "slo" and state.state == "firing":
            by_slo.setdefault(str(state.facts.get("slo", "")), []).append(state)
    found = [
        Alarm(
            slo=name,
            routes=states[0].routes,
            pages=any(state.severity == "page" for state in states),
            is_failing=any(not state.severity for state in states),
            since_ms=min(state.since_ms for state in states),
        )
        for name, states in sorted(by_slo.items())
    ]
    return Alarms(int(at), tuple(found))
