"""The dependencies of one process: made at their first call, moved each second."""

from __future__ import annotations

import asyncio
import json
import logging
import os
import threading
from collections.abc import Callable, Iterable, Mapping
from types import MappingProxyType
from weakref import WeakSet

import msgspec

from failsoft import clock, dice
from failsoft.controls.records import Record
from failsoft.outbound._gate import DependencyState, Force, Gate
from failsoft.outbound._quota import Announced
from failsoft.settings import DependencySettings, is_dependency
from failsoft.store.fleet import QuotaSum

__all__ = ["OTHER", "Dependencies"]

OTHER = "(other)"
_UNDECLARED_KEPT = 64
_TICK_S = 1.0
_events = logging.getLogger("failsoft.dependency")
_NONE = DependencySettings()
_NO_NAMES: Mapping[str, DependencySettings] = MappingProxyType({})


def _unix_ms() -> float:
    return clock.unix() * 1000


class Dependencies:
    """Finds the gate of a dependency, and gives all of them what comes from elsewhere.

    declared: settings by name.  now_ms: store time.  Those that nobody declared get
    the defaults; of more than 64 of these the others share one gate, `(other)`.  Any
    thread may ask.
    """

    def __init__(
        self,
        declared: Mapping[str, DependencySettings] = _NO_NAMES,
        now_ms: Callable[[], float] = _unix_ms,
    ) -> None:
        self._declared = declared
        self._now_ms = now_ms
        self._forces: dict[str, Force] = {}
        self._hosts = {
            host: name for name, one in declared.items() for host in one.hosts
        }
        self.forget()
        _ALL.add(self)

    def forget(self) -> None:
        """Begin anew: in a forked child, where calls and locks are the parent's."""
        self._making = threading.Lock()
        self._is_full = False
        self._gates: dict[str, Gate] = {}
        for name in self._declared:
            self._make(name)

    def of(self, name: str) -> Gate:
        """Return the gate of a dependency, the same one for each name."""
        gate = self._gates.get(name)
        if gate is None:
            shared = self._gates.get(OTHER) if self._is_shared(name) else None
            gate = shared or self._make(name)
        return gate

    def _is_shared(self, name: str) -> bool:
        # What operators decide of one of them must reach it.
        return self._is_full and name not in self._forces

    def at_host(self, host: str, port: int | None = None) -> Gate:
        """Return the gate of whom a host belongs to; else the host is the name."""
        names = self._hosts
        name = names.get(f"{host}:{port}") or names.get(host) or names.get("*") or host
        return self.of(name if is_dependency(name) else OTHER)

    def _make(self, name: str) -> Gate:
        with self._making:
            if name not in self._gates and name not in self._declared:
                undeclared = sum(key not in self._declared for key in self._gates)
                self._is_full |= undeclared >= _UNDECLARED_KEPT
                if self._is_shared(name):
                    name = OTHER
            gate = self._gates.get(name)
            if gate is None:
                settings, now = self._declared.get(name, _NONE), clock.monotonic()
                gate = Gate(name, settings, threading.Lock(), dice.random, now)
                gate.enforce(self._forces.get(name), now, self._now_ms())
                self._gates[name] = gate
        return gate

    # --- what comes from elsewhere ------------------------------------------

    def take(self, records: Iterable[Record]) -> None:
        """Enforce the `breaker` records among all; one that is no such is as none."""
        found = ((r.name, _force_of(r)) for r in records if r.kind == "breaker")
        forces = {name: force for name, force in found if force is not None}
        with self._making:  # one that a thread makes now gets the old ones or these
            self._forces, gates = forces, list(self._gates.items())
        now, now_ms = clock.monotonic(), self._now_ms()
        for name, gate in gates:
            gate.enforce(forces.get(name), now, now_ms)

    def take_quotas(self, sums: Iterable[QuotaSum]) -> None:
        """Take what the fleet knows of quotas."""
        now, now_ms = clock.monotonic(), self._now_ms()
        for one in sums:
            gate = self._gates.get(one.name)
            if gate is not None:
                reset_s = max((one.reset_ms - now_ms) / 1000, 0.0)
                hold_s = max((one.hold_ms - now_ms) / 1000, 0.0)
                said = Announced(one.limit, one.remaining, reset_s)
                gate.quotas.share(said, hold_s, one.spent_per_s, now)

    # --- what others read ---------------------------------------------------

    def gates(self) -> tuple[Gate, ...]:
        """Return all that are declared or were called since the start, by name."""
        return tuple(gate for _, gate in sorted(self._gates.items()))

    def state(self, name: str) -> DependencyState:
        """Return how one stands, also one that was never called; changes nothing."""
        gate = self._gates.get(name)
        if gate is None and self._is_shared(name):
            gate = self._gates.get(OTHER)
        return DependencyState(name) if gate is None else gate.state(clock.monotonic())

    def states(self) -> tuple[DependencyState, ...]:
        """Return how each of them stands; changes nothing."""
        now = clock.monotonic()
        return tuple(gate.state(now) for gate in self.gates())

    async def run(self) -> None:
        """Move them each second until cancelled, and tell what changed."""
        while True:
            await asyncio.sleep(_TICK_S)
            self.tick()

    def tick(self) -> None:
        """Move them where time alone has come, and tell what changed."""
        now = clock.monotonic()
        for gate in self.gates():
            gate.tick(now)
            while gate.changes:
                _tell(gate.name, *gate.changes.popleft())


_ALL: WeakSet[Dependencies] = WeakSet()


def _after_fork() -> None:
    for dependencies in list(_ALL):
        dependencies.forget()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_after_fork)


def _force_of(record: Record) -> Force | None:
    try:
        doc = record.doc()
    except msgspec.DecodeError:
        return None
    is_fleet = doc.via == "auto"
    return Force(
        doc.state, is_fleet, doc.why, doc.since_ms, record.until_ms, record.rev
    )


def _tell(name: str, before: str, after: str, why: str) -> None:
    """Tell a change as one JSON line on logger `failsoft.dependency`."""
    doc = {
        "event": "breaker",
        "severity": "warning" if after == "open" else "info",
        "dependency": name,
        "from": before,
        "to": after,
        "why": why,
    }
    level = logging.WARNING if after == "open" else logging.INFO
    _events.log(level, "%s", json.dumps(doc))
