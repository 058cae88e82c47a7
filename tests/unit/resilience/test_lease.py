"""Tokens held ahead of use: never over the budget, whatever is lost or late."""

from __future__ import annotations

import math

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from failsoft.resilience._lease import (
    ASK,
    DENIED,
    LOW,
    TAKEN,
    Bucket,
    Lease,
    Quota,
    Window,
)

QUOTA = Quota("q", 1000, 1, 1000, "leased", 1000.0)


def granted(want: int, got: int, *, wait_ms: int = 0, now: float = 0.0) -> Lease:
    lease = Lease(now, "k", QUOTA)
    lease.granted(now, want, (got, wait_ms, 500))
    return lease


def test_a_lease_gives_what_it_holds_and_asks_for_more_below_a_quarter() -> None:
    lease = granted(8, 8)

    said = [lease.take(0.0, 1, QUOTA) for _ in range(9)]

    assert said == [TAKEN] * 6 + [LOW, LOW, ASK]


def test_a_lease_that_got_less_than_it_wanted_refuses_from_memory() -> None:
    lease = granted(50, 1, wait_ms=30)

    said = [lease.take(at, 1, QUOTA) for at in (0.0, 0.05, 0.099, 0.11)]

    assert said == [TAKEN, DENIED, DENIED, ASK]
    assert granted(50, 0, wait_ms=700).take(0.6, 1, QUOTA) == DENIED


def test_a_lease_wants_a_quarter_second_of_its_demand_within_its_share() -> None:
    lease = Lease(0.0, "k", QUOTA)
    for tenth in range(30):  # 200 a second
        for _ in range(20):
            lease.take(tenth / 10, 1, QUOTA)

    assert 45 <= lease.wants(QUOTA, 1, 1) <= 50
    assert lease.wants(QUOTA, 8, 1) == 25  # a fifth of the burst, for eight nodes
    assert lease.wants(QUOTA, 8, 400) == 400  # a dear request must not wait for ever


def test_a_new_key_wants_one_token_or_as_many_as_wait() -> None:
    lease = Lease(0.0, "k", QUOTA)

    assert lease.wants(QUOTA, 4, 1) == 1
    lease.short = 30
    assert lease.wants(QUOTA, 4, 1) == 30


def test_tokens_that_nobody_used_go_back_in_time_or_are_void() -> None:
    lease, late, slept = granted(50, 50), granted(50, 50), granted(50, 50)

    assert not lease.is_idle(0.9)
    assert lease.is_idle(1.1)
    assert (lease.unused(1.5), lease.unused(1.5)) == (50, 0)
    assert late.unused(2.1) == 0
    assert slept.take(2.1, 1, QUOTA) == ASK


def test_without_the_store_a_node_goes_on_with_its_part_of_what_was_left() -> None:
    lease = granted(50, 50)  # 500 were left
    share = QUOTA.scaled(1 / 4)

    spare = lease.stand_in(10.0, share, 4)

    taken = sum(spare.take(10.0, 1, share) == TAKEN for _ in range(300))
    later = sum(spare.take(11.0, 1, share) == TAKEN for _ in range(300))
    assert (taken, later) == (125, 250)


def test_only_what_a_node_overdrew_is_paid_back() -> None:
    lease, share = granted(50, 50), QUOTA.scaled(1 / 4)
    spare = lease.stand_in(10.0, share, 4)
    lease.debt = sum(spare.take(10.0, 1, share) == TAKEN for _ in range(300))

    assert (lease.debt, lease.owed(10.0, share)) == (125, 125)
    assert lease.owed(10.5, share) == 125
    assert lease.owed(10.75, share) == 62
    assert lease.owed(11.1, share) == 0


def test_a_bucket_admits_its_burst_and_then_its_rate() -> None:
    quota = Quota("q", 60, 60, 10, "local", 1.0)
    bucket = Bucket(0.0)

    at_once = sum(bucket.take(0.0, 1, quota) == TAKEN for _ in range(20))

    assert at_once == 10
    assert bucket.wait_s(0.0, 1, quota) == 1.0
    assert bucket.take(1.0, 1, quota) == TAKEN
    assert bucket.take(1.5, 1, quota) == DENIED
    assert bucket.take(100.0, 50, quota) == TAKEN  # above the burst: all of it
    assert bucket.tokens == 0


def test_an_exact_refusal_is_remembered_for_a_second_at_most() -> None:
    quota = Quota("q", 10, 60, 10, "exact", 1 / 6)
    window = Window(0.0, "k")
    window.told(0.0, 0, 42.0)
    window.refused(0.0)

    assert window.take(0.9, 1, quota) == DENIED
    assert window.take(1.1, 1, quota) == ASK
    assert window.wait_s(1.0, 1, quota) == 41.0


class _Store:
    """What lease.lua does, with the clock passed in."""

    def __init__(self) -> None:
        self.tokens: float | None = None
        self.at = self.ends = 0.0

    def lease(self, now: float, want: int, back: int) -> tuple[int, int, int]:
        burst, rate = QUOTA.burst, QUOTA.rate_per_s
        if self.tokens is None or now >= self.ends:
            self.tokens, self.at = float(burst), now
        top = max(burst - burst // 5, min(self.tokens, burst))
        grown = min(top, self.tokens + (now - self.at) * rate)
        grown = min(burst, grown + back)
        got = min(want, math.floor(grown))
        self.tokens, self.at = grown - got, now
        self.ends = now + burst / rate + 3
        wait_ms = math.ceil(max(0, 1 - self.tokens)) if got < want else 0
        return got, wait_ms, math.floor(self.tokens)


class SharedLimit(RuleBasedStateMachine):
    """Three nodes, one bucket: replies get lost, nodes sleep, tokens go back."""

    def __init__(self) -> None:
        super().__init__()
        self.now = 100.0
        self.store = _Store()
        self.leases = [Lease(self.now, "k", QUOTA) for _ in range(3)]
        self.admitted = 0
        self.least = 0.0
        self.most = 0.0

    def _admit(self, count: int) -> None:
        # The most that any stretch admitted beyond the rate, by its lowest start.
        start = self.admitted - QUOTA.rate_per_s * self.now
        self.least = min(self.least, start) if self.admitted else start
        self.admitted += count
        end = self.admitted - QUOTA.rate_per_s * self.now
        self.most = max(self.most, end - self.least)

    @rule(node=st.integers(0, 2), count=st.integers(1, 400), lost=st.booleans())
    def load(self, node: int, count: int, lost: bool) -> None:
        self._load(self.leases[node], count, lost=lost)

    @rule(count=st.integers(1, 500))
    def load_all(self, count: int) -> None:
        for lease in self.leases:
            self._load(lease, count)

    def _load(self, lease: Lease, count: int, *, lost: bool = False) -> None:
        for _ in range(count):
            verdict = lease.take(self.now, 1, QUOTA)
            if verdict in (ASK, LOW):
                want = lease.wants(QUOTA, 3, 1)
                answer = self.store.lease(self.now, want, 0)
                if not lost:
                    lease.granted(self.now, want, answer)
                if verdict == ASK:
                    verdict = lease.draw(self.now, 1, QUOTA)
            if verdict <= LOW:
                self._admit(1)

    @rule(node=st.integers(0, 2), lost=st.booleans())
    def tidy(self, node: int, lost: bool) -> None:
        lease = self.leases[node]
        if lease.is_idle(self.now) and (back := lease.unused(self.now)) and not lost:
            self.store.lease(self.now, 0, back)

    @rule(seconds=st.sampled_from([0.05, 0.3, 1.0, 1.9, 6.0]))
    def wait(self, seconds: float) -> None:
        self.now += seconds

    @invariant()
    def no_stretch_of_time_admits_more_than_burst_and_rate(self) -> None:
        assert self.most <= QUOTA.burst + 1


SharedLimit.TestCase.settings = settings(max_examples=40, stateful_step_count=25)
TestSharedLimit = SharedLimit.TestCase
