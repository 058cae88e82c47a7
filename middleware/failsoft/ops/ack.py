"""Acknowledgement means enforcement, read from the nodes' own heartbeats.

A node enforces a write when its heartbeat is younger than 3 s, of our epoch, at our
revision or later, and does not list the target as one it cannot enforce.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable

from failsoft import clock
from failsoft.errors import StoreError
from failsoft.ops.nodes import EXPECTED_S, heartbeat_of
from failsoft.ops.stale import SILENT_S
from failsoft.ops.views import AckState, Applied
from failsoft.store.protocols import ObservationStore, Observed

__all__ = ["AckBook", "follow"]

_POLLS_S = (0.03, 0.05)  # push takes a few ms: most writes are done by then
_POLL_S = 0.1
_POLL_MANY_S = 0.5
_MANY_NODES = 200
# Beyond every id: the poll wants heartbeats only.
_NOTHING = "999999999999999-0"


class AckBook:
    """What the nodes answered to one write so far.  Pure.

    short: node id -> short name.
    """

    def __init__(self, applied: Applied, short: Callable[[str], str]) -> None:
        self._applied = applied
        self._short = short
        self._expected: dict[str, None] | None = None
        self._done: dict[str, AckState] = {}

    def take(self, observed: Observed) -> tuple[AckState, ...]:
        """Return the state of each expected node; enforcing ones stay so."""
        if self._expected is None:
            recent = observed.now_ms - EXPECTED_S * 1000
            seen = observed.seen
            names = [n for n in observed.nodes if seen.get(n, recent) >= recent]
            self._expected = dict.fromkeys(sorted(names, key=self._order))
        for node in self._expected:
            if node not in self._done:
                state = self._judge(node, observed)
                if state.state == "enforces":
                    self._done[node] = state
        return tuple(
            self._done.get(node) or self._judge(node, observed)
            for node in self._expected
        )

    def _order(self, node: str) -> tuple[int, str]:
        short = self._short(node)
        return (int(short[1:]) if short[1:].isdigit() else 0, node)

    def _judge(self, node: str, observed: Observed) -> AckState:
        short = self._short(node)
        blob = observed.nodes.get(node)
        if blob is None:
            crashed = node in observed.seen or node in observed.silent
            return AckState(node, short, "silent" if crashed else "gone")
        beat = heartbeat_of(blob)
        if beat is None:
            return AckState(node, short, "old", detail="speaks a newer schema")
        seen_ms = observed.seen.get(node, observed.now_ms)
        age_s = (observed.now_ms - seen_ms) / 1000
        if age_s > SILENT_S:
            return AckState(node, short, "silent", detail=f"{age_s:.0f}s")
        at_work = beat.epoch == self._applied.epoch
        if not at_work or beat.rev < self._applied.revision:
            return AckState(node, short, "waiting", detail=beat.state)
        bad = set(beat.bad).intersection(self._applied.targets)
        if bad:
            return AckState(node, short, "rejected", detail=", ".join(sorted(bad)))
        ms = max(0, seen_ms - self._applied.at_ms)
        return AckState(node, short, "enforces", ms)


async def follow(
    store: ObservationStore,
    applied: Applied,
    short: Callable[[str], str],
    wait_s: float,
) -> AsyncIterator[tuple[AckState, ...]]:
    """Yield the nodes' states until all are settled, or `wait_s` is over.

    A poll without an answer yields the last states again: silence is no proof.
    """
    book = AckBook(applied, short)
    states: tuple[AckState, ...] = ()
    until = clock.elapsed() + wait_s
    polls = 0
    while True:
        try:
            observed = await store.read(ticks_after=_NOTHING, flights_after=_NOTHING)
            states = book.take(observed)
            settled = all(s.state in ("enforces", "gone", "rejected") for s in states)
        except StoreError:
            settled = False
        yield states
        if settled or clock.elapsed() >= until:
            return
        late = _POLL_MANY_S if len(states) > _MANY_NODES else _POLL_S
        await asyncio.sleep(_POLLS_S[polls] if polls < len(_POLLS_S) else late)
        polls += 1
