"""How fast budgets burn, as triggers of modes read it; written by who leads the fleet.

Only failures of the application count here: our own refusals must never cause more
refusing.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

__all__ = ["Burn", "Burns"]


@dataclass(frozen=True, slots=True)
class Burn:
    """The rule for automatic modes on one SLO, this second.

    ratio_long, ratio_short: bad / answered by the application, over 60 s and 10 s.
    limit: both must reach it.  events: requests of 60 s; fewer than 50 are no
    ground.  has_data: a node reported in the last 10 s; without, nothing is over.
    """

    slo: str
    limit: float
    events: float = 0.0
    ratio_long: float = 0.0
    ratio_short: float = 0.0
    has_data: bool = False

    @property
    def is_over(self) -> bool:
        """Whether modes may enter by it."""
        return self._reaches(1.0)

    @property
    def is_half_over(self) -> bool:
        """Whether half of what entering takes is reached: then nothing ends by it."""
        return self._reaches(0.5)

    def _reaches(self, share: float) -> bool:
        limit = self.limit * share
        is_over = self.ratio_long >= limit and self.ratio_short >= limit
        return self.has_data and self.events >= 50 and is_over


# by name of the SLO
Burns = Mapping[str, Burn]
