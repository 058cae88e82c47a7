"""When the fleet opens a dependency for all, and how it finds that it is back.

Breakers are local; all nodes refuse only by quorum, so that one bad node does not
poison the others (App-vNext/Polly#287).  Probing needs no coordinator: every node
works out the same instants, and the store hands out the permits.  Pure.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import mmh3

from failsoft.outbound._gate import DependencyState, Probed
from failsoft.store.fleet import (
    PROBE_STEPS,
    DependencyRow,
    ProbeAsk,
    ProbeStand,
    QuotaSum,
)

__all__ = [
    "FleetProbe",
    "FleetRule",
    "merged_quotas",
    "probe_instant_ms",
    "probe_number",
    "row_of",
    "why_open",
]

_FIRST_MS, _MOST_MS, _SPREAD = 5_000, 60_000, 0.2
_GROWING = 4  # pauses that are shorter than the longest
_NEW_RESET_MS = 1_000


@dataclass(frozen=True, slots=True)
class FleetRule:
    """When calls are bad enough.  Ratios 0..1; least: summed calls for a verdict.

    in_row: failures in a row that say more than what went well before them.
    """

    fail_ratio: float = 0.5
    slow_ratio: float = 0.8
    least: int = 20
    in_row: int = 10


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
    said = [_evidence(row, rule) for row in reporting]
    calls, fail, slow = (sum(counts[i] for counts in said) for i in range(3))
    if votes < least or calls < rule.least or not _is_bad(calls, fail, slow, rule):
        return ""
    return (
        f"{votes} of {len(reporting)} nodes hold it for broken: of {calls} calls "
        f"{fail / calls:.0%} failed, {slow / calls:.0%} were slow"
    )


def _evidence(row: DependencyRow, rule: FleetRule) -> tuple[int, int, int]:
    """Return the calls, failed and slow ones of a node that count.

    The ring of a peer that died just now is full of calls that went well, and once
    breakers are open nothing is added to it.
    """
    if row.vote and row.in_row >= rule.in_row:
        return row.in_row, row.in_row, 0
    return row.calls, row.fail, row.slow


def probe_instant_ms(name: str, since_ms: int, number: int) -> int:
    """Return when probe `number` (0, 1, ..) begins, in store time; O(1).

    The pauses before it are 5, 10, 20, 40, 60, 60 .. s, the last one spread by 20 %.
    """
    # A hash instead of dice, so that every node finds the same instant.
    drawn = mmh3.hash(f"{name}\0{since_ms}\0{number}".encode(), signed=False) / 2**32
    spread = 1 - _SPREAD + 2 * _SPREAD * drawn
    return int(since_ms + _paused_ms(number) + _pause_ms(number) * spread)


def _pause_ms(number: int) -> int:
    return min(_MOST_MS, _FIRST_MS << min(number, _GROWING))


def _paused_ms(number: int) -> int:
    """Return the sum of the pauses before that of probe `number`."""
    grown = _FIRST_MS * ((1 << min(number, _GROWING)) - 1)
    return grown + _MOST_MS * max(0, number - _GROWING)


def probe_number(name: str, since_ms: int, now_ms: float) -> int | None:
    """Return which probe runs now, None before the first one; O(1)."""
    number = 0
    past_ms = now_ms - since_ms - _paused_ms(_GROWING)
    if past_ms > 0:
        number = _GROWING + int(past_ms // _MOST_MS)
    while number < _GROWING and _paused_ms(number + 1) <= now_ms - since_ms:
        number += 1
    while number >= 0 and probe_instant_ms(name, since_ms, number) > now_ms:
        number -= 1
    return number if number >= 0 else None


class FleetProbe:
    """One node's part in probing one dependency that the fleet opened at `since_ms`.

    Once a second `ask` says what to tell the store, and `told` takes its answer.
    """

    def __init__(self, name: str, since_ms: int) -> None:
        self.name = name
        self.since_ms = since_ms
        self._number = -1
        self._stand = ProbeStand()

    @property
    def has_passed(self) -> bool:
        """Whether the probe that runs found the dependency back."""
        return self._stand.has_passed

    def ask(
        self, now_ms: float, ended: Iterable[Probed], *, wants: bool
    ) -> ProbeAsk | None:
        """Return what to tell the store now, None before the first probe.

        ended: what became of permits lent to calls.  wants: calls wait for some.
        """
        number = probe_number(self.name, self.since_ms, now_ms)
        if number is None:
            return None
        if number != self._number:
            self._number, self._stand = number, ProbeStand()
        mine = [one for one in ended if one.key == (self.since_ms, number)]
        return ProbeAsk(
            name=self.name,
            since_ms=self.since_ms,
            number=number,
            ok=sum(one.ok for one in mine),
            fail=sum(one.fail for one in mine),
            back=sum(one.back for one in mine),
            want=PROBE_STEPS[-1] if wants else 0,
        )

    def told(self, stand: ProbeStand) -> int:
        """Take the store's answer; return how many calls may go through."""
        self._stand = stand
        return stand.granted


def row_of(state: DependencyState, in_row: int, now_ms: float) -> DependencyRow:
    """Return what a node says of a dependency; instants in store time.

    in_row: failures since the last good call.
    """

    def ago(seconds: float) -> int:
        return int(now_ms - seconds * 1000) if seconds >= 0 else 0

    def ahead(seconds: float) -> int:
        return int(now_ms + seconds * 1000) if seconds > 0 else 0

    return DependencyRow(
        name=state.name,
        calls=state.calls,
        fail=state.fail,
        slow=state.slow,
        state=state.state,
        in_force=state.in_force,
        vote=state.vote,
        why=state.why[:200],
        since_ms=ago(state.since_s),
        retry_ms=ahead(state.retry_s),
        throttle=state.throttle,
        last_ok_ms=ago(state.last_ok_s),
        refused=state.refused,
        p99_ms=state.p99_ms,
        spent_per_s=state.spent_per_s,
        quota_limit=state.quota_limit,
        quota_remaining=state.quota_remaining,
        quota_reset_ms=ahead(state.quota_reset_s),
        hold_ms=ahead(state.hold_s),
        retries_left=state.retries_left,
        in_row=in_row,
    )


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
