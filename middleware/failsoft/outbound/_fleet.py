"""When the fleet opens a dependency for all, and how it finds that it is back.

Breakers are local; all nodes refuse only by quorum, so that one bad node does not
poison the others (App-vNext/Polly#287).  Probing needs no coordinator: every node
works out the same instants, and the store hands out the permits.  Pure.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import mmh3

from failsoft.store.fleet import (
    PROBE_STEPS,
    DependencyRow,
    ProbeAsk,
    ProbeStand,
    QuotaSum,
)

__all__ = [
    "FleetProbes",
    "FleetRule",
    "ProbePermit",
    "has_vote",
    "merged_quotas",
    "probe_instant_ms",
    "probe_number",
    "why_open",
]

_FIRST_MS, _MOST_MS, _SPREAD = 5_000, 60_000, 0.2
_PERMIT_MS = 2_000  # unused for so long it goes back to the fleet
_NEW_RESET_MS = 1_000


@dataclass(frozen=True, slots=True)
class FleetRule:
    """When calls are bad enough.  Ratios 0..1; least: summed calls for a verdict.

    vote: calls that a node must have made for its own vote.
    """

    fail_ratio: float = 0.5
    slow_ratio: float = 0.8
    least: int = 20
    vote: int = 3


def has_vote(
    calls: int, fail: int, slow: int, *, is_open: bool, rule: FleetRule
) -> bool:
    """Whether a node holds a dependency for broken.

    >>> has_vote(3, 2, 0, is_open=False, rule=FleetRule())
    True
    """
    return is_open or (calls >= rule.vote and _is_bad(calls, fail, slow, rule))


def _is_bad(calls: int, fail: int, slow: int, rule: FleetRule) -> bool:
    return fail >= rule.fail_ratio * calls or slow >= rule.slow_ratio * calls


def why_open(rows: Sequence[DependencyRow], rule: FleetRule) -> str:
    """Return why all nodes should refuse calls, "" where they should not.

    rows: fresh ones, one a node that called.  It takes enough calls, bad ones on the
    sum, and the votes of half of those nodes, of two at least; a single node alone.
    """
    reporting = [row for row in rows if row.calls or row.vote]
    votes = sum(row.vote for row in reporting)
    least = 1 if len(reporting) == 1 else max(2, -(-len(reporting) // 2))
    calls = sum(row.calls for row in reporting)
    fail, slow = sum(row.fail for row in reporting), sum(row.slow for row in reporting)
    if not reporting or votes < least or calls < rule.least:
        return ""
    if not _is_bad(calls, fail, slow, rule):
        return ""
    return (
        f"{votes} of {len(reporting)} nodes hold it for broken: of {calls} calls "
        f"{fail / calls:.0%} failed, {slow / calls:.0%} were slow"
    )


def probe_instant_ms(name: str, since_ms: int, number: int) -> int:
    """Return when probe `number` (0, 1, ..) begins, in store time.

    The pauses before it are 5, 10, 20, 40, 60, 60 .. s, each spread by 20 %.
    """
    at_ms = float(since_ms)
    for step in range(number + 1):
        # A hash instead of dice, so that every node finds the same instant.
        drawn = mmh3.hash(f"{name}\0{since_ms}\0{step}".encode(), signed=False) / 2**32
        pause_ms = min(_MOST_MS, _FIRST_MS * 2 ** min(step, 16))
        at_ms += pause_ms * (1 - _SPREAD + 2 * _SPREAD * drawn)
    return int(at_ms)


def probe_number(
    name: str, since_ms: int, now_ms: float, after: int = -1
) -> int | None:
    """Return which probe runs now, None before the first one.

    after: one that is known to have begun; saves the way to it.
    """
    number = max(after, -1)
    while probe_instant_ms(name, since_ms, number + 1) <= now_ms:
        number += 1
    return number if number >= 0 else None


class ProbePermit(NamedTuple):
    """One call of probe `number`, to be used before `until_ms` (store time)."""

    number: int
    until_ms: float


class FleetProbes:
    """One node's part in probing one dependency that is open for the fleet.

    Calls `take` and `settle`, from any thread; once a second `ask` says what to tell
    the store, and `told` brings its answer.  Nothing of it happens while it is not
    `open`.
    """

    def __init__(self, name: str) -> None:
        self.name = name
        self.since_ms = 0
        self._permits: deque[ProbePermit] = deque(maxlen=PROBE_STEPS[-1])
        self._outcomes: deque[tuple[int, bool | None]] = deque(maxlen=100)
        self._refused = 0
        self._number = -1
        self._stand = ProbeStand()

    @property
    def is_open(self) -> bool:
        """Whether the fleet refuses calls, but for those of its probes."""
        return self.since_ms > 0

    @property
    def has_passed(self) -> bool:
        """Whether the probe that runs found the dependency back."""
        return self._stand.has_passed

    def open(self, since_ms: int) -> None:
        """Refuse calls since `since_ms`; without effect when it is so already."""
        if since_ms != self.since_ms:
            self.close()
            self.since_ms = since_ms

    def close(self) -> None:
        """Forget it all: the fleet refuses nothing any more."""
        self.since_ms, self._refused, self._number = 0, 0, -1
        self._stand = ProbeStand()
        self._permits.clear()
        self._outcomes.clear()

    def take(self, now_ms: float) -> ProbePermit | None:
        """Return the permit for one call, None = refuse it."""
        while True:
            try:
                permit = self._permits.popleft()
            except IndexError:
                self._refused += 1
                return None
            if now_ms < permit.until_ms:
                return permit
            self.settle(permit, None)

    def settle(self, permit: ProbePermit, ok: bool | None) -> None:
        """Say how the call of a permit ended; None = it was no outcome."""
        self._outcomes.append((permit.number, ok))

    def retry_after_s(self, now_ms: float) -> float:
        """Return how long until the next probe begins, for refusals."""
        at_ms = probe_instant_ms(self.name, self.since_ms, self._number + 1)
        return max(0.0, (at_ms - now_ms) / 1000)

    def ask(self, now_ms: float) -> ProbeAsk | None:
        """Return what to tell the store now, None = nothing yet.

        Permits are wanted by nodes that refused calls since they asked last.
        """
        if not self.is_open:
            return None
        number = probe_number(self.name, self.since_ms, now_ms, self._number)
        if number is None:
            return None
        if number != self._number:
            self._number, self._stand = number, ProbeStand()
            self._permits.clear()
        ok, fail, back = self._drained(now_ms)
        want, self._refused = min(self._refused, PROBE_STEPS[-1]), 0
        return ProbeAsk(self.name, self.since_ms, number, ok, fail, back, want)

    def _drained(self, now_ms: float) -> tuple[int, int, int]:
        for _ in range(len(self._permits)):
            permit = self._permits.popleft()
            if now_ms < permit.until_ms:
                self._permits.append(permit)
            else:
                self.settle(permit, None)
        ended = [self._outcomes.popleft() for _ in range(len(self._outcomes))]
        mine = [ok for number, ok in ended if number == self._number]
        return mine.count(True), mine.count(False), mine.count(None)

    def told(self, ask: ProbeAsk, stand: ProbeStand, now_ms: float) -> None:
        """Take the store's answer to `ask`."""
        if (ask.since_ms, ask.number) != (self.since_ms, self._number):
            return
        self._stand = stand
        until_ms = now_ms + _PERMIT_MS
        self._permits.extend([ProbePermit(ask.number, until_ms)] * stand.granted)


def merged_quotas(
    nodes: Iterable[Iterable[DependencyRow]],
) -> tuple[QuotaSum, ...]:
    """Merge what nodes know of quotas: the newest reset, there the least remaining.

    nodes: the rows of each.  What is spent is summed over the nodes.
    """
    found: dict[str, QuotaSum] = {}
    for row in (row for rows in nodes for row in rows):
        if row.quota_limit or row.hold_ms or row.spent_per_s:
            found[row.name] = _merged(found.get(row.name), row)
    return tuple(q for q in found.values() if q.limit or q.hold_ms)


def _merged(known: QuotaSum | None, row: DependencyRow) -> QuotaSum:
    held = known or QuotaSum(row.name)
    limit, remaining, reset_ms = held.limit, held.remaining, held.reset_ms
    mine = row.quota_remaining
    if row.quota_limit and row.quota_reset_ms > reset_ms + _NEW_RESET_MS:
        limit, remaining, reset_ms = row.quota_limit, mine, row.quota_reset_ms
    elif row.quota_limit and row.quota_reset_ms >= reset_ms - _NEW_RESET_MS:
        least = [n for n in (remaining, mine) if n >= 0]
        limit, remaining = max(limit, row.quota_limit), min(least, default=-1)
        reset_ms = max(reset_ms, row.quota_reset_ms)
    return QuotaSum(
        name=row.name,
        limit=limit,
        remaining=remaining,
        reset_ms=reset_ms,
        spent_per_s=held.spent_per_s + row.spent_per_s,
        hold_ms=max(held.hold_ms, row.hold_ms),
    )
