"""How fast an error budget is spent, and which rules that breaks.

Rules after the Google SRE Workbook, ch. 5: two windows each, so that an alert begins
when it matters and ends soon after.  A total outage at 99.9 % reaches `fast` only
after 52 s and its two minutes, so modes have a rule of their own.
"""

from __future__ import annotations

from typing import NamedTuple

from failsoft.controls.burns import Burn
from failsoft.settings import FASTEST_BURN
from failsoft.slo._buckets import SloHistory, Sums

__all__ = [
    "BUDGET_S",
    "RULES",
    "Budget",
    "Reading",
    "Rule",
    "auto_burn",
    "budget_of",
    "burn_rate",
    "read_rule",
]

BUDGET_S = 30 * 86_400
_LEAST_BAD = 10
_AUTO_BURN = 100.0
_AUTO_MOST = 0.5
_AUTO_LONG_S, _AUTO_SHORT_S = 60, 10


class Rule(NamedTuple):
    """An alert rule: both windows must burn so fast, for `hold_s`."""

    name: str
    long_s: int
    short_s: int
    burn: float
    hold_s: int
    severity: str


RULES = (
    Rule("fast", 3_600, 300, FASTEST_BURN, 120, "page"),
    Rule("slow", 21_600, 1_800, 6.0, 900, "page"),
    Rule("day", 86_400, 7_200, 3.0, 3_600, "ticket"),
    Rule("trend", 259_200, 21_600, 1.0, 10_800, "ticket"),
)


class Reading(NamedTuple):
    """What a rule reads now.

    is_over: None while no node reported in the short window.  long, short: burn in
    both.  bad: requests of the long window that spent budget, of `total`.
    """

    is_over: bool | None
    long: float
    short: float
    bad: float
    total: float


class Budget(NamedTuple):
    """The budget of 30 days.

    left: share that is left, below 0 when overspent; None without any request.
    ends_s: until it is spent at the burn of the last hour, None = it is not.
    """

    total: float
    bad: float
    left: float | None
    ends_s: float | None


def burn_rate(bad: float, total: float, objective: float) -> float:
    """Return how many times faster than allowed the error budget is being spent.

    bad, total: requests of one window, 0 <= bad <= total.  objective: ratio in (0, 1).
    1.0 lasts exactly the period; no traffic burns nothing (0.0).
    Raises ValueError when objective is outside (0, 1).
    Source: Google SRE Workbook, ch. 5.
    """
    if not 0 < objective < 1:
        raise ValueError(f"objective = {objective} must be between 0 and 1")
    # Rounded, as 1 - 0.999 is a little more than 0.001: a limit that is met is met.
    return round(bad / total / (1 - objective), 9) if total > 0 else 0.0


def read_rule(
    rule: Rule, history: SloHistory, name: str, objective: float, now_s: float
) -> Reading:
    """Return what a rule reads of an SLO: users saw failures and refusals alike."""
    long = history.sums(name, rule.long_s, now_s)
    short = history.sums(name, rule.short_s, now_s)
    bad = long.b + long.r
    burns = [burn_rate(s.b + s.r, s.t, objective) for s in (long, short)]
    is_over: bool | None = None
    if short.has_data:
        # Ten, to a rounding of the oldest bucket's share.
        is_over = min(burns) >= rule.burn and bad > _LEAST_BAD - 1e-6
    return Reading(is_over, burns[0], burns[1], bad, long.t)


def auto_burn(history: SloHistory, name: str, objective: float, now_s: float) -> Burn:
    """Return the rule for automatic modes: fast, and only of the application."""
    long = history.sums(name, _AUTO_LONG_S, now_s)
    short = history.sums(name, _AUTO_SHORT_S, now_s)
    return Burn(
        slo=name,
        limit=round(min(_AUTO_BURN * (1 - objective), _AUTO_MOST), 9),
        events=long.t,
        ratio_long=_ratio(long),
        ratio_short=_ratio(short),
        has_data=short.has_data,
    )


def _ratio(sums: Sums) -> float:
    """Return what the application failed at: refusals of ours are not its doing."""
    answered = sums.t - sums.r
    return sums.b / answered if answered > 0 else 0.0


def budget_of(history: SloHistory, name: str, objective: float, now_s: float) -> Budget:
    """Return what is left of the budget of 30 days."""
    sums = history.sums(name, BUDGET_S, now_s)
    hour = history.sums(name, 3_600, now_s)
    bad = sums.b + sums.r
    if sums.t <= 0:
        return Budget(0.0, 0.0, None, None)
    left = 1 - burn_rate(bad, sums.t, objective)
    burn = burn_rate(hour.b + hour.r, hour.t, objective)
    # At the traffic of the 30 days; a burn of 1 spends the whole budget in them.
    ends_s = max(0.0, left) * BUDGET_S / burn if burn > 0 else None
    return Budget(sums.t, bad, left, ends_s)
