"""The shedder under any order of beats and questions."""

from __future__ import annotations

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from failsoft.resilience._shed import Shedder
from failsoft.settings import CRITICALITIES

TARGET_S, MOST = 0.03, 200


class ShedderMachine(RuleBasedStateMachine):
    def __init__(self) -> None:
        super().__init__()
        self.shedder = Shedder(TARGET_S, 0.1, MOST)
        self.now_s = 0.0
        self.late_since: float | None = None
        self.inflight = 0

    def beat(self, lag_s: float) -> None:
        before = self.shedder.limit
        self.now_s += 0.01 + lag_s
        if lag_s <= TARGET_S:
            self.late_since = None
        elif self.late_since is None:
            self.late_since = self.now_s
        self.shedder.tick(self.now_s, lag_s, self.inflight)
        limit = self.shedder.limit
        if limit is not None and (before is None or limit < before):
            assert self.late_since is not None
            assert self.now_s - self.late_since >= 0.1
        if before is not None and limit is not None and limit > before:
            assert lag_s <= TARGET_S

    @rule(
        lag_s=st.sampled_from((0.0, 0.02, 0.031, 0.07, 2.0)),
        times=st.integers(1, 12),
        inflight=st.integers(0, MOST),
    )
    def beats(self, lag_s: float, times: int, inflight: int) -> None:
        self.inflight = inflight
        for _ in range(times):
            self.beat(lag_s)

    @rule(rank=st.floats(0, 1, exclude_max=True))
    def asks(self, rank: float) -> None:
        said = [
            self.shedder.admits(n, self.inflight, lambda: rank) for n in CRITICALITIES
        ]

        assert said == sorted(said, reverse=True), "a higher class was refused first"
        assert all(said) or self.shedder.limit is not None
        assert all(said) or self.shedder.is_reached
        assert all(said) or self.inflight > 0

    @rule()
    def rests(self) -> None:
        self.inflight = 0
        for _ in range(3200):
            self.beat(0.0)

        assert self.shedder.limit is None

    @invariant()
    def the_limit_keeps_its_bounds(self) -> None:
        limit = self.shedder.limit
        assert limit is None or 4 <= limit <= MOST


TestShedder = ShedderMachine.TestCase
TestShedder.settings = settings(max_examples=30, stateful_step_count=20, deadline=None)
