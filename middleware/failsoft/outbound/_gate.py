"""What lets calls to one dependency through on this node, and learns from them.

Quota, breaker and throttle in their order, under what operators and the fleet
decided.  Any thread may call it and none ever waits: outcomes are posted, and worked
off by whoever is free to.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from typing import Any, NamedTuple

from failsoft.errors import BreakerOpen, CallThrottled, QuotaReserved
from failsoft.outbound._breaker import CLOSED, HALF_OPEN, OPEN, Breaker, Permit
from failsoft.outbound._classify import FAIL, IGNORED, LIMITED, OK, SLOW, slow_after
from failsoft.outbound._quota import Announced, Quotas
from failsoft.outbound._retry import RetryBudget
from failsoft.outbound._throttle import refused_share
from failsoft.settings import DependencySettings

__all__ = ["DependencyState", "Force", "Gate", "Probed"]

_LATENCIES = 512
_LATENCY_S = 30.0
_POSTED = 10_000
_CHANGES = 64
_LENT_S = 2.0
_DETACHED_MOST = 100
_PROBE_S = 5.0  # until the first probe of a fleet
_ACTIVE_S = 60.0


class Force(NamedTuple):
    """What a `breaker` record demands.

    state: open, closed, metrics_only or probe.  is_fleet: the fleet's own decision.
    rev: of the record.  until_ms: of store time, 0 = no end.
    """

    state: str
    is_fleet: bool = False
    why: str = ""
    since_ms: int = 0
    until_ms: int = 0
    rev: int = 0

    @property
    def in_force(self) -> str:
        """The word for it on every surface."""
        if self.state == "metrics_only":
            return self.state
        return "fleet_open" if self.is_fleet else f"forced_{self.state}"


class Probed(NamedTuple):
    """What became of permits lent for probe `key` = (since_ms, number)."""

    key: tuple[int, int]
    ok: int = 0
    fail: int = 0
    back: int = 0


class DependencyState(NamedTuple):
    """How a dependency stands on this node; sums are of 30 s, spans in seconds.

    state: of the local breaker.  in_force: what calls meet: that, or forced_open,
    forced_closed, metrics_only, fleet_open.  since_s: how long so.  retry_s: until
    the next local probe.  step: of the half-open breaker, from 0.  vote: this node
    would have the fleet open.  throttle: share refused.  retries_left: of the budget.
    last_ok_s: ago, -1 = never.  quota_*: the tightest; limit 0 and remaining -1 = not
    known.  hold_s: nobody calls before it is over.  fallbacks: used since the start.
    """

    name: str
    state: str = CLOSED
    in_force: str = CLOSED
    why: str = ""
    since_s: float = 0.0
    retry_s: float = 0.0
    step: int = 0
    openings: int = 0
    vote: bool = False
    ok: int = 0
    fail: int = 0
    slow: int = 0
    limited: int = 0
    refused: int = 0
    throttle: float = 0.0
    retries_left: float = 0.0
    last_ok_s: float = -1.0
    p95_ms: float = 0.0
    p99_ms: float = 0.0
    quota_limit: int = 0
    quota_remaining: int = -1
    quota_reset_s: float = 0.0
    hold_s: float = 0.0
    spent_per_s: float = 0.0
    fallbacks: int = 0

    @property
    def calls(self) -> int:
        """Calls that were sent and came to an outcome."""
        return self.ok + self.fail + self.slow + self.limited


class Gate:
    """One dependency on one node.

    lock: tried and never waited for.  rand: 0 to 1.  is_alone: the store is lost, so
    this node probes by itself what the fleet opened.  changes: (from, to, why) of the
    local breaker since the last look, 64 at most.  detached: what callers left behind.
    """

    def __init__(
        self,
        name: str,
        settings: DependencySettings,
        lock: Any,
        rand: Callable[[], float],
        now: float,
    ) -> None:
        self.name = name
        self._lock = lock
        self.rand = rand
        self._born = now
        self.retries = RetryBudget()
        self.force: Force | None = None
        self._forced_until = now
        self.is_alone = False
        self.fallbacks = 0
        self.used_at: float | None = None
        self.changes: deque[tuple[str, str, str]] = deque(maxlen=_CHANGES)
        self.detached: set[Any] = set()
        self._latencies: deque[tuple[float, float]] = deque(maxlen=_LATENCIES)
        self._posted: deque[tuple[Any, ...]] = deque(maxlen=_POSTED)
        self._lent: deque[tuple[tuple[int, int], float]] = deque(maxlen=_LATENCIES)
        self._probed: deque[tuple[tuple[int, int], str]] = deque(maxlen=_LATENCIES)
        self._wanted_at: float | None = None
        self.configure(settings, now)

    def configure(self, settings: DependencySettings, now: float) -> None:
        """Take other settings; what was learnt under the old ones is forgotten."""
        self.settings = settings
        self.slow_s = slow_after(settings.timeout_s, settings.slow_s)
        permit_s = max(settings.breaker.step_s, settings.timeout_s or 0.0)
        self.breaker = Breaker(settings.breaker, permit_s, self.rand, now)
        self.quotas = Quotas(settings.quota_reserve)

    # --- one call -----------------------------------------------------------

    def admit(
        self, now: float, *, is_critical: bool = True, credential: int = 0
    ) -> Permit:
        """Return the permit of one call, which `settle` takes back.

        Raises QuotaReserved, BreakerOpen, CallThrottled: then nothing may be sent.
        """
        self.used_at = now
        if len(self.detached) >= _DETACHED_MOST:
            # Not cancelled instead: see `outbound._httpx.send_detachable`.
            self._post("refuse", now)
            why = f"{_DETACHED_MOST} calls that nobody waits for are still under way"
            raise CallThrottled(self.name, why, retry_after_s=1.0)
        force = self.force
        is_own = force is not None and force.is_fleet and self.is_alone
        if force is None or force.state == "probe" or is_own:
            permit = self._admit_local(now, credential, is_critical=is_critical)
        elif force.state == OPEN:
            permit = self._admit_forced(force, now)
        else:
            permit = Breaker.counted(now)
        self.quotas.of(credential).spend(now)
        return permit

    def _admit_local(self, now: float, credential: int, *, is_critical: bool) -> Permit:
        held = self.quotas.refusal(credential, now, is_critical=is_critical)
        if held is not None:
            self._post("refuse", now)
            raise QuotaReserved(self.name, held[0], retry_after_s=held[1])
        breaker = self.breaker
        if breaker.state != CLOSED:
            self._post("tick", now)
        permit = breaker.take(now)
        if permit is None:
            self._post("refuse", now)
            wait_s = breaker.retry_after_s(now)
            raise BreakerOpen(self.name, breaker.why or OPEN, retry_after_s=wait_s)
        share = self.throttled(now) if permit.step < 0 else 0.0
        if share and self.rand() < share:
            self._post("refuse", now)
            why = f"{share:.0%} of calls are held back, as many fail"
            raise CallThrottled(self.name, why, retry_after_s=1.0)
        return permit

    def _admit_forced(self, force: Force, now: float) -> Permit:
        if force.is_fleet:
            self._wanted_at = now
            try:
                key, _ = self._lent.pop()
            except IndexError:
                pass
            else:
                permit = Breaker.counted(now)
                permit.lent = key
                return permit
        self._post("refuse", now)
        wait_s = _PROBE_S if force.is_fleet else max(self._forced_until - now, 1.0)
        raise BreakerOpen(self.name, force.why or "forced open", retry_after_s=wait_s)

    def settle(self, permit: Permit, outcome: str, took_s: float, now: float) -> None:
        """Take a permit back.  took_s: to the answer, or to what ended the call."""
        if outcome != IGNORED:
            self._latencies.append((now, took_s))
        if permit.lent is not None:
            self._probed.append((permit.lent, outcome))
        self._post("settle", permit, outcome, now)

    def broke_off(self, now: float) -> None:
        """Count that the body of an answer did not come to its end."""
        self._post("settle", Breaker.counted(now), FAIL, now)

    def announced(
        self, credential: int, said: Announced, outcome: str, now: float
    ) -> None:
        """Take what an answer says of the quota."""
        quota = self.quotas.of(credential)
        if said.remaining >= 0 or said.limit:
            quota.learn(said, now)
        if outcome == LIMITED:
            quota.limited(said, now)
        elif outcome == OK:
            quota.strikes = 0

    def throttled(self, now: float) -> float:
        """Return the share of calls that is refused now."""
        ring = self.breaker.ring
        if ring.is_clean or self.force is not None or self.breaker.state == HALF_OPEN:
            return 0.0
        sums = ring.read(now)
        return refused_share(sums.sent, sums.ok + sums.slow, self.breaker.good_in_row)

    # --- what comes from elsewhere ------------------------------------------

    def tick(self, now: float) -> None:
        """Move where time alone has come; to be called each second."""
        self._post("tick", now)

    def enforce(self, force: Force | None, now: float, now_ms: float) -> None:
        """Take the record in force for this dependency, None for none."""
        before = self.force
        if force == before:
            return
        self.force = force
        if force is not None and force.until_ms:
            self._forced_until = now + (force.until_ms - now_ms) / 1000
        if force is not None and force.state == "probe":
            if before is None or before.rev != force.rev:
                self._post("probe", now)
        elif force is not None and force.is_fleet:
            if before is not None and before.since_ms == force.since_ms:
                return  # renewed
            # Alone, this node goes on from a breaker of its own that is open.
            self._post("trip", now, force.why)
        elif force is None and before is not None and before.is_fleet:
            self._lent.clear()
            is_due = 0 < before.until_ms <= now_ms
            if not is_due:  # ended by probes that passed
                self._post("reset", now)

    def lend(self, key: tuple[int, int], permits: int, now: float) -> None:
        """Let so many calls through for a probe of the fleet, within 2 s."""
        self._lent.extend([(key, now)] * permits)

    def probed(self, now: float) -> list[Probed]:
        """Return what became of lent permits since the last look; unused go back."""
        found: dict[tuple[int, int], list[int]] = {}
        while self._probed:
            key, outcome = self._probed.popleft()
            words = {FAIL: 1, SLOW: 1, IGNORED: 2}
            found.setdefault(key, [0, 0, 0])[words.get(outcome, 0)] += 1
        while self._lent and now - self._lent[0][1] >= _LENT_S:
            try:
                key, _ = self._lent.popleft()
            except IndexError:  # a call took it just now
                break
            found.setdefault(key, [0, 0, 0])[2] += 1
        return [Probed(key, *counts) for key, counts in found.items()]

    def wants_probes(self, now: float) -> bool:
        """Whether calls met the fleet's open breaker within the last two seconds."""
        return self._wanted_at is not None and now - self._wanted_at < _LENT_S

    def is_active(self, now: float) -> bool:
        """Whether there was a call within a minute, or something is in force."""
        is_used = self.used_at is not None and now - self.used_at < _ACTIVE_S
        return is_used or self.force is not None

    def state(self, now: float) -> DependencyState:
        """Return how it stands; changes nothing."""
        breaker, force = self.breaker, self.force
        sums = breaker.ring.read(now)
        quota = self.quotas.tightest(now)
        last_ok = breaker.last_ok
        p95_ms, p99_ms = self._percentiles(now)
        is_own = force is not None and force.is_fleet and self.is_alone
        is_forced = force is not None and force.state != "probe" and not is_own
        return DependencyState(
            name=self.name,
            state=breaker.state,
            in_force=force.in_force if force and is_forced else breaker.state,
            why=force.why if force and is_forced else breaker.why,
            since_s=now - breaker.since,
            retry_s=breaker.retry_after_s(now) if breaker.state == OPEN else 0.0,
            step=breaker.step,
            openings=breaker.openings,
            vote=breaker.votes(now),
            ok=sums.ok,
            fail=sums.fail,
            slow=sums.slow,
            limited=sums.limited,
            refused=sums.refused,
            throttle=self.throttled(now),
            retries_left=max(self.retries.left, 0.0),
            last_ok_s=-1.0 if last_ok is None else now - last_ok,
            p95_ms=p95_ms,
            p99_ms=p99_ms,
            quota_limit=quota.limit if quota else 0,
            quota_remaining=quota.remaining if quota else -1,
            quota_reset_s=max(quota.reset_at - now, 0.0) if quota else 0.0,
            hold_s=max(quota.hold_until - now, 0.0) if quota else 0.0,
            spent_per_s=self.quotas.spent_per_s(now),
            fallbacks=self.fallbacks,
        )

    def _percentiles(self, now: float) -> tuple[float, float]:
        took = sorted(s for at, s in list(self._latencies) if now - at < _LATENCY_S)
        if not took:
            return 0.0, 0.0
        return tuple(  # type: ignore[return-value]
            took[min(int(len(took) * ratio), len(took) - 1)] * 1000
            for ratio in (0.95, 0.99)
        )

    # --- the one that moves the breaker -------------------------------------

    def _post(self, *event: Any) -> None:
        self._posted.append(event)
        # Whoever posts while another works leaves it to that one, which looks again
        # once it has let go.
        while self._posted and self._lock.acquire(blocking=False):
            try:
                self._work()
            finally:
                self._lock.release()

    def _work(self) -> None:
        breaker = self.breaker
        state = breaker.state
        while self._posted:
            event = self._posted.popleft()
            if event[0] == "settle":  # as nearly all of them
                breaker.settle(event[1], event[2], event[3])
            else:
                getattr(breaker, event[0])(*event[1:])
            if breaker.state != state:
                self.changes.append((state, breaker.state, breaker.why))
                state = breaker.state
