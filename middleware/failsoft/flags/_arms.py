"""Outcomes of one node's requests, by guarded flag and variant.

One event loop owns them, so there is no lock; a request that saw no flag never
comes here.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from failsoft.controls.targets import covers
from failsoft.flags._guard import GuardRule, Sums
from failsoft.flags._state import FlagState, ready_flag

__all__ = ["GuardArms"]

_GONE = 499
_UNREAD = GuardRule("")  # not looked at in this state


class GuardArms:
    """Counts requests by the variant they saw; `take` hands out and starts anew."""

    __slots__ = ("_counts", "_guarded", "_held", "_rules", "_state")

    def __init__(self) -> None:
        self._state: FlagState | None = None
        self._rules: dict[str, GuardRule | None] = {}
        self._counts: dict[str, dict[str, tuple[int, int]]] = {}
        self._guarded: dict[str, GuardRule] = {}  # as last counted by
        self._held: set[str] = set()  # under a kill at some time since `take`

    def settle(
        self, flags: Mapping[str, str], state: FlagState, status: int, duration_us: int
    ) -> None:
        """Count an answered request for each guarded flag it saw.

        flags: key -> variant.  state: the newest, as what a kill decided by now says
        nothing about a variant.  status: 499 = the client went first.
        """
        if state is not self._state:
            self._state, self._rules = state, {}
        rules = self._rules
        for key, variant in flags.items():
            rule = rules.get(key, _UNREAD)
            if rule is _UNREAD:
                rule = rules[key] = self._rule(state, key)
            if rule is not None:
                self._count(key, variant, rule, status, duration_us)

    def _rule(self, state: FlagState, key: str) -> GuardRule | None:
        """Return what the requests of a flag are counted by, None = they are not."""
        ready = ready_flag(state, key)
        if ready is None or ready.flag.guard is None:
            self._guarded.pop(key, None)
            return None
        self._guarded[key] = ready.flag.guard
        if _is_killed(state, key):
            self._held.add(key)
            return None
        return ready.flag.guard

    def _count(
        self, key: str, variant: str, rule: GuardRule, status: int, duration_us: int
    ) -> None:
        is_slow = rule.slow_ms is not None and duration_us > rule.slow_ms * 1000
        if variant == "(default)" or (status == _GONE and not is_slow):
            return
        arms = self._counts.setdefault(key, {})
        n, bad = arms.get(variant, (0, 0))
        arms[variant] = (n + 1, bad + (status >= 500 or is_slow))

    def look(self, before: FlagState, after: FlagState) -> None:
        """Note which guarded flags a kill holds, or held until this change."""
        if before.kills or after.kills:
            self._held |= {
                key
                for key in self._guarded
                if _is_killed(before, key) or _is_killed(after, key)
            }

    def hold(self, keys: Iterable[str]) -> None:
        """Have the next `take` name these flags as held, too."""
        self._held.update(keys)

    def take(
        self, state: FlagState
    ) -> tuple[dict[str, Sums], dict[str, GuardRule], set[str]]:
        """Return (counts, rules of the counted flags, flags held); start anew."""
        self.look(state, state)
        counts, self._counts = self._counts, {}
        held, self._held = self._held, set()
        rules = {key: self._guarded[key] for key in counts if key in self._guarded}
        return {key: counts[key] for key in rules}, rules, held


def _is_killed(state: FlagState, key: str) -> bool:
    return any(covers(glob, key) for glob, _ in state.kills)
