"""When the fleet is so that a mode should hold, or so that it may end."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

from failsoft.controls.burns import Burns
from failsoft.controls.lead import FleetFacts
from failsoft.settings import Trigger

__all__ = ["Reading", "Sight", "Watch"]

_WEEK_S = 7 * 86_400
_MONDAY_S = 4 * 86_400  # the first one of Unix time
_AT_ONCE = ("burn", "schedule")  # which need no hold


@dataclass(frozen=True, slots=True)
class Sight:
    """What triggers see.  health: level by check."""

    fleet: FleetFacts
    burns: Burns = field(default_factory=dict)
    health: Mapping[str, str] = field(default_factory=dict)


class Reading(NamedTuple):
    """What a trigger reads in one second.

    enters: it is true; at_once: also without its conditions that have to hold.
    persists: eased, at half of its thresholds, it is still true.  window_ms: end of
    the window, where a schedule alone makes it true.  why: what is true, in words.
    """

    enters: bool
    at_once: bool
    persists: bool
    window_ms: int = 0
    why: str = ""


class Watch:
    """Reads one trigger second by second; knows since when each condition is true."""

    def __init__(self, trigger: Trigger) -> None:
        self._trigger = trigger
        self._leaves = tuple(trigger.leaves())
        self._since: dict[int, int] = {}

    def read(self, sight: Sight) -> Reading:
        """Return what the trigger reads now."""
        leaves, now_ms = self._leaves, sight.fleet.now_ms
        true = [self._lasts(i, _ENTERS[leaf.kind](leaf, sight), now_ms)
                for i, leaf in enumerate(leaves)]  # fmt: skip
        eased = [_PERSISTS[leaf.kind](leaf, sight) for leaf in leaves]
        pairs = list(zip(leaves, true, strict=True))
        fast = [is_true and leaf.kind in _AT_ONCE for leaf, is_true in pairs]
        timed = [is_true and leaf.kind == "schedule" for leaf, is_true in pairs]
        ends = [_window_ms(leaf, now_ms) for leaf, is_true in pairs if is_true]
        words = [_word(leaf, sight) for leaf, is_true in pairs if is_true]
        return Reading(
            enters=self._holds(true),
            at_once=self._holds(fast),
            persists=self._holds(eased),
            window_ms=max(ends, default=0) if self._holds(timed) else 0,
            why=", ".join(words),
        )

    def _lasts(self, index: int, is_true: bool, now_ms: int) -> bool:
        if not is_true:
            self._since.pop(index, None)
            return False
        since_ms = self._since.setdefault(index, now_ms)
        leaf = self._leaves[index]
        # A breaker's record tells itself since when it is open.
        wait_s = leaf.for_s if leaf.kind == "shedding" else 0.0
        return now_ms - since_ms >= wait_s * 1000

    def _holds(self, values: Sequence[bool]) -> bool:
        return _holds(self._trigger, iter(values))


def _holds(trigger: Trigger, values: Iterator[bool]) -> bool:
    if not trigger.parts:
        return next(values)
    found = [_holds(part, values) for part in trigger.parts]
    return all(found) if trigger.kind == "all" else any(found)


# --- conditions -------------------------------------------------------------


def _burns(leaf: Trigger, sight: Sight) -> bool:
    burn = sight.burns.get(leaf.name)
    return burn is not None and burn.is_over


def _still_burns(leaf: Trigger, sight: Sight) -> bool:
    burn = sight.burns.get(leaf.name)
    # Where no node reports nothing is known to be over.
    return burn is None or not burn.has_data or burn.is_half_over


def _is_open(leaf: Trigger, sight: Sight) -> bool:
    seen = sight.fleet.dependencies.get(leaf.name)
    if seen is None or not seen.open_ms:
        return False
    return sight.fleet.now_ms - seen.open_ms >= leaf.for_s * 1000


def _is_not_closed(leaf: Trigger, sight: Sight) -> bool:
    seen = sight.fleet.dependencies.get(leaf.name)
    return seen is not None and seen.state in ("open", "probe")


def _sheds(leaf: Trigger, sight: Sight) -> bool:
    return sight.fleet.shedding_ratio >= leaf.level


def _still_sheds(leaf: Trigger, sight: Sight) -> bool:
    return sight.fleet.shedding_ratio >= leaf.level / 2


def _left(leaf: Trigger, sight: Sight) -> float:
    seen = sight.fleet.dependencies.get(leaf.name)
    return 1.0 if seen is None or seen.quota_left is None else seen.quota_left


def _is_short(leaf: Trigger, sight: Sight) -> bool:
    return _left(leaf, sight) < leaf.level


def _is_still_short(leaf: Trigger, sight: Sight) -> bool:
    return _left(leaf, sight) < min(1.0, 2 * leaf.level)


def _is_level(leaf: Trigger, sight: Sight) -> bool:
    return sight.health.get(leaf.name) == leaf.word


def _is_time(leaf: Trigger, sight: Sight) -> bool:
    return _window_ms(leaf, sight.fleet.now_ms) > 0


def _window_ms(leaf: Trigger, now_ms: int) -> int:
    """Return when the window that is open now ends, 0 for none."""
    start_s, end_s = leaf.window
    now_s = now_ms / 1000
    if leaf.kind == "schedule" and leaf.is_weekly:
        week_s = (now_s - _MONDAY_S) // _WEEK_S * _WEEK_S + _MONDAY_S
        # One that began last week may reach into this one.
        for begin_s in (week_s - _WEEK_S + start_s, week_s + start_s):
            if begin_s <= now_s < begin_s + end_s:
                return int((begin_s + end_s) * 1000)
        return 0
    return end_s * 1000 if start_s <= now_s < end_s else 0


_Test = Callable[[Trigger, Sight], bool]
_ENTERS: Mapping[str, _Test] = {
    "burn": _burns,
    "breaker": _is_open,
    "shedding": _sheds,
    "quota": _is_short,
    "health": _is_level,
    "schedule": _is_time,
}
# Thresholds halved, states gone, a quota of twice as much.
_PERSISTS: Mapping[str, _Test] = {
    "burn": _still_burns,
    "breaker": _is_not_closed,
    "shedding": _still_sheds,
    "quota": _is_still_short,
    "health": _is_level,
    "schedule": _is_time,
}


# --- words ------------------------------------------------------------------


def _word(leaf: Trigger, sight: Sight) -> str:
    """Return what is true of a condition, with its figures."""
    if leaf.kind == "burn":
        burn = sight.burns[leaf.name]
        ratios = f"{burn.ratio_long:.0%} in 60 s, {burn.ratio_short:.0%} in 10 s"
        return f"SLO {leaf.name} burns: {ratios} of its answers fail"
    if leaf.kind == "shedding":
        fleet = sight.fleet
        return f"{fleet.shedding_nodes} of {len(fleet.nodes)} nodes shed load"
    if leaf.kind == "quota":
        return f"{_left(leaf, sight):.0%} of the quota of {leaf.name} is left"
    return _said(leaf)


def _said(leaf: Trigger) -> str:
    lasting = f" for {leaf.for_s:g} s" if leaf.for_s else ""
    return {
        "burn": f"SLO {leaf.name} burns (rule auto)",
        "breaker": f"dependency {leaf.name} is open{lasting}",
        "shedding": f"{leaf.level:.0%} of the nodes shed load{lasting}",
        "quota": f"under {leaf.level:.0%} of the quota of {leaf.name} is left",
        "health": f"check {leaf.name} is {leaf.word}",
        "schedule": "its window is open",
    }[leaf.kind]
