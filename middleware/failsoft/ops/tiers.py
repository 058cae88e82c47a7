"""How strong a confirmation a change needs.  Pure.

0 one line and ENTER, 1 ENTER, 2 two digits, 3 the environment's name and an own
reason.  What cannot be known counts as more dangerous, never as less.
"""

from __future__ import annotations

import msgspec

__all__ = ["OLD_DATA_S", "OWN_CHANGE", "Facts", "tier_of"]

OLD_DATA_S = 3.0
OWN_CHANGE = "takes back an own change"
_MANY_ROUTES = 5
_SMALL_SHARE = 0.10
_LARGE_SHARE = 0.50


class Facts(msgspec.Struct, frozen=True):
    """What the tier is decided on.

    share: ratio of the fleet's requests, None when unknown.
    harmless: why nobody need confirm: undo of an own young write, an earlier end, an
    ack; "" = it is not.
    needs_end: no end makes it tier 3 (all but flag edits and lifting).
    """

    share: float | None
    routes: int = 0
    critical_plus: bool = False
    bare_star: bool = False
    ends: bool = True
    needs_end: bool = True
    harmless: str = ""
    lifts_other: str = ""  # who set what is being lifted, if somebody else
    data_age: float = 0.0
    silent: int = 0
    cannot: int = 0


def tier_of(facts: Facts) -> tuple[int, str]:
    """Return (tier, why) of a change."""
    tier, why = _base(facts)
    for raised in _raises(facts):
        if tier < 3 and not facts.harmless:
            tier += 1
            why = f"{why}; {raised}"
            break
    return tier, why


def _base(facts: Facts) -> tuple[int, str]:
    if facts.harmless:
        return 0, facts.harmless
    if facts.bare_star:
        return 3, "covers everything"
    if facts.needs_end and not facts.ends:
        return 3, "has no end"
    if facts.share is not None and facts.share > _LARGE_SHARE:
        return 3, f"{facts.share:.0%} of traffic"
    if facts.lifts_other:
        return 2, f"lifts a control of {facts.lifts_other}"
    if facts.share is None:
        return 2, "share of traffic unknown"
    if facts.critical_plus:
        return 2, "covers a critical_plus route"
    if facts.routes > _MANY_ROUTES:
        return 2, f"covers {facts.routes} routes"
    if facts.share >= _SMALL_SHARE:
        return 2, f"{facts.share:.0%} of traffic"
    return 1, f"{facts.share:.1%} of traffic, reversible"


def _raises(facts: Facts) -> list[str]:
    raised = []
    if facts.data_age > OLD_DATA_S:
        raised.append(f"data {facts.data_age:.0f} s old")
    if facts.silent:
        raised.append(f"{facts.silent} of the nodes silent")
    if facts.cannot:
        raised.append(f"{facts.cannot} of the nodes cannot enforce it")
    return raised
