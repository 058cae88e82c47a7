"""When calls to a dependency are refused, and how they begin again.

A state machine of one node: closed, open, half_open.  It moves on outcomes and on
ticks; taking a permit never moves it, so threads may take without waiting.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable

from failsoft.outbound._classify import FAIL, IGNORED, LIMITED, SLOW
from failsoft.outbound._ring import REFUSED, Ring, Sums
from failsoft.settings._dependency import BreakerSettings

__all__ = ["CLOSED", "HALF_OPEN", "OPEN", "Breaker", "Permit"]

CLOSED, OPEN, HALF_OPEN = "closed", "open", "half_open"
_RING_S = 30
_VOTING_CALLS = 3
_COUNTED = -1  # the generation of calls that are counted and move nothing


class Permit:
    """Leave for one call.  step: of the half-open breaker, -1 for a closed one.

    lent: of a probe of the whole fleet, as `(since_ms, number)`.
    """

    __slots__ = ("at", "generation", "lent", "step")

    def __init__(self, generation: int, at: float, step: int = -1) -> None:
        self.generation = generation
        self.at = at
        self.step = step
        self.lent: tuple[int, int] | None = None


class Breaker:
    """Opens for a dependency that fails, and closes after probes that end well.

    permit_s: a probe that is out for longer has failed.  rand: 0 to 1.  until: of the
    open state.  openings: in a row.  Source: the table of the design's section 8.
    """

    def __init__(
        self,
        rules: BreakerSettings,
        permit_s: float,
        rand: Callable[[], float],
        now: float,
    ) -> None:
        self.rules = rules
        self.permit_s = permit_s
        self._rand = rand
        self.state = CLOSED
        self.ring = Ring(_RING_S)
        self.generation = 0
        self.openings = 0
        self.since = now
        self.until = 0.0
        self.why = ""
        self.step = 0
        self.last_ok: float | None = None
        self.failures_in_row = 0
        self.good_in_row = 0
        self._slots: deque[tuple[int, int]] = deque()  # (generation, step)
        self._out: dict[Permit, float] = {}
        self._step_at = now
        self._step_ok = 0

    def take(self, now: float) -> Permit | None:
        """Return a permit, None for a refusal.  Safe in any thread."""
        if self.state == CLOSED:
            return Permit(self.generation, now)
        try:
            # What it is of comes with the slot: this thread may have stood still.
            generation, step = self._slots.pop()
        except IndexError:
            return None
        permit = Permit(generation, now, step)
        self._out[permit] = now
        return permit

    @staticmethod
    def counted(now: float) -> Permit:
        """Return a permit whose outcome is counted and moves nothing."""
        return Permit(_COUNTED, now)

    def refuse(self, now: float) -> None:
        """Count a call that was not sent."""
        self.ring.add(REFUSED, now)

    def settle(self, permit: Permit, outcome: str, now: float) -> None:
        """Take a permit back with what the call came to."""
        if self._out:  # a closed one has none
            self._out.pop(permit, None)
        if permit.generation == _COUNTED:
            self._count(outcome, now)
        elif permit.generation != self.generation:
            return  # of a state that is over
        elif self.state == HALF_OPEN:
            self._probed(permit, outcome, now)
        elif self.state == CLOSED:
            self._count(outcome, now)
            self._judge(now)

    def tick(self, now: float) -> None:
        """Move where time alone has come: at least once a second."""
        if self.state == CLOSED:
            self._judge(now)
        elif self.state == OPEN and now >= self.until:
            self.probe(now)
        elif self.state == HALF_OPEN:
            if any(now - at > self.permit_s for at in list(self._out.values())):
                self.trip(now, f"a probe is out for more than {self.permit_s:g} s")
            elif self._step_ok and now - self._step_at >= self.rules.step_s:
                self._next_step(now)

    def trip(self, now: float, why: str) -> None:
        """Open."""
        rules = self.rules
        if self.state == CLOSED and now - self.since >= rules.calm_s:
            self.openings = 0
        span_s = min(rules.open_most_s, rules.open_s * 2 ** min(self.openings, 20))
        self.openings += 1
        self.until = now + span_s * (0.8 + 0.4 * self._rand())
        self.why = why
        self._enter(OPEN, now)

    def probe(self, now: float) -> None:
        """Half open: let a few calls through, and judge by these."""
        self._enter(HALF_OPEN, now)
        self._begin_step(0, now)

    def reset(self, now: float) -> None:
        """Close, with nothing counted."""
        self.ring.clear()
        self.failures_in_row = 0
        self.why = ""
        self._enter(CLOSED, now)

    def retry_after_s(self, now: float) -> float:
        """Return when a refused call is worth a new try."""
        return max(self.until - now, 0.0) if self.state == OPEN else 1.0

    def fault(self, sums: Sums) -> str:
        """Return which thresholds the sums are over, in words; "" for none."""
        if sums.sent and sums.fail >= self.rules.fail_ratio * sums.sent:
            return f"{sums.fail} of {sums.sent} calls failed in {_RING_S} s"
        if sums.sent and sums.slow >= self.rules.slow_ratio * sums.sent:
            return f"{sums.slow} of {sums.sent} calls were slow in {_RING_S} s"
        return ""

    def votes(self, now: float) -> bool:
        """Whether this node would have the fleet open; changes nothing."""
        if self.state == OPEN:
            return True
        sums = self.ring.read(now)
        return sums.sent >= _VOTING_CALLS and bool(self.fault(sums))

    def _count(self, outcome: str, now: float) -> None:
        if outcome == IGNORED:
            return
        self.ring.add(outcome, now)
        self.good_in_row = 0 if outcome in (FAIL, LIMITED) else self.good_in_row + 1
        if outcome == FAIL:
            self.failures_in_row += 1
        else:
            self.failures_in_row, self.last_ok = 0, now

    def _judge(self, now: float) -> None:
        if not self.failures_in_row and self.ring.is_clean:
            return
        rules, sums = self.rules, self.ring.sums(now)
        why = self.fault(sums) if sums.sent >= rules.calls else ""
        # The ring alone needs 15 s to see a sudden death.
        is_dead = self.failures_in_row >= rules.in_row and (
            self.last_ok is None or now - self.last_ok >= rules.silent_s
        )
        if why or is_dead:
            self.trip(now, why or f"{self.failures_in_row} calls in a row failed")

    def _probed(self, permit: Permit, outcome: str, now: float) -> None:
        if outcome == IGNORED:
            if permit.step == self.step:
                self._slots.append((self.generation, self.step))
            return
        self._count(outcome, now)
        if outcome in (FAIL, SLOW):
            word = "failed" if outcome == FAIL else "was slow"
            self.trip(now, f"a probe {word}")
        elif permit.step == self.step:
            self._step_ok += 1
            if self._step_ok >= self.rules.permits[self.step]:
                self._next_step(now)

    def _next_step(self, now: float) -> None:
        if self.step + 1 < len(self.rules.permits):
            self._begin_step(self.step + 1, now)
        else:
            self.reset(now)

    def _begin_step(self, step: int, now: float) -> None:
        # Another deque: a thread amid `take` must not get a slot of the next step.
        self._slots = deque([(self.generation, step)] * self.rules.permits[step])
        self.step, self._step_ok, self._step_at = step, 0, now

    def _enter(self, state: str, now: float) -> None:
        self.generation += 1
        self._slots = deque()
        self._out.clear()
        self.state, self.since = state, now
