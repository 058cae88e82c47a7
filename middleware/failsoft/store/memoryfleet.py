"""The fleet of one process: as on Redis, without it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from failsoft.store.fleet import (
    LEASE_MS,
    PROBE_STEP_MS,
    PROBE_STEPS,
    PROBE_TTL_S,
    FleetBeat,
    FleetRead,
    FleetSay,
    ProbeAsk,
    ProbeStand,
)

__all__ = ["MemoryFleet"]


@dataclass(slots=True)
class _Probe:
    at_ms: int
    seen_ms: int = 0
    step: int = 0
    ok: int = 0
    out: int = 0
    fail: int = 0


class MemoryFleet:
    """The `FleetStore` of a process; see `store.fleet` for its calls."""

    def __init__(self, now_ms: Callable[[], int]) -> None:
        self._beat_ms = now_ms
        self._rows: dict[str, bytes] = {}
        self._leader, self._leads_until_ms, self._term = "", 0, 0
        self._quotas = b""
        self._probes: dict[tuple[str, int, int], _Probe] = {}

    async def fleet_beat(self, node: str, say: FleetSay) -> FleetBeat:
        """Take a node's second, and answer who leads."""
        now_ms = self._beat_ms()
        for gone in say.gone:
            self._rows.pop(gone, None)
        self._rows[node] = say.row
        self._hold(node, now_ms, wants=say.leads)
        if say.quotas and self._leader == node:
            self._quotas = say.quotas
        rows = dict(self._rows) if say.reads else {}
        return FleetBeat(now_ms, self._leader, self._term, self._quotas, rows)

    def _hold(self, node: str, now_ms: int, *, wants: bool) -> None:
        if now_ms >= self._leads_until_ms:
            self._leader = ""
        if wants and not self._leader:
            self._leader, self._term = node, self._term + 1
        if self._leader == node:
            self._leads_until_ms = now_ms + LEASE_MS
            self._leader = node if wants else ""

    async def fleet_read(self) -> FleetRead:
        """Return the rows kept."""
        return FleetRead(self._beat_ms(), self._leader, self._term, dict(self._rows))

    async def live_nodes(self) -> int:
        """Return the one that is this process."""
        return 1

    async def fleet_leave(self, node: str) -> None:
        """Take a node's row away and give its lease up."""
        self._rows.pop(node, None)
        self._hold(node, self._beat_ms(), wants=False)

    async def fleet_probe(self, ask: ProbeAsk) -> ProbeStand:
        """Tell outcomes and take permits of one probe."""
        now_ms = self._beat_ms()
        old_ms = now_ms - PROBE_TTL_S * 1000
        for key in [k for k, probe in self._probes.items() if probe.seen_ms < old_ms]:
            del self._probes[key]
        key = (ask.name, ask.since_ms, ask.number)
        if key not in self._probes and ask.ok + ask.fail + ask.want == 0:
            return ProbeStand()
        probe = self._probes.setdefault(key, _Probe(now_ms))
        probe.seen_ms = now_ms
        return _told(probe, ask, now_ms)


def _told(probe: _Probe, ask: ProbeAsk, now_ms: int) -> ProbeStand:
    """Do to a probe what probe.lua does."""
    probe.ok += ask.ok
    probe.fail += ask.fail
    probe.out = max(0, probe.out - ask.ok - ask.fail - ask.back)
    size = PROBE_STEPS[probe.step] if probe.step < len(PROBE_STEPS) else 0
    is_old = now_ms - probe.at_ms >= PROBE_STEP_MS
    if not probe.fail and size and (probe.ok >= size or (probe.ok and is_old)):
        probe.step, probe.at_ms, probe.ok, probe.out = probe.step + 1, now_ms, 0, 0
        size = PROBE_STEPS[probe.step] if probe.step < len(PROBE_STEPS) else 0
    elif is_old and not probe.ok:
        probe.at_ms, probe.out = now_ms, 0
    granted = 0
    if not probe.fail:
        granted = max(0, min(ask.want, size - probe.ok - probe.out))
    probe.out += granted
    return ProbeStand(probe.step, granted, probe.fail)
