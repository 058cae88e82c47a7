"""Which sections of the view are read: those on screen, drift now and then."""

from __future__ import annotations

from failsoft.ops.operator import Operator
from failsoft.ops.sources.ledgers import Section
from failsoft.ops.views import FleetView
from failsoft_tui.desk import Desk

__all__ = ["PEEK_S", "Wants"]

PEEK_S = 60.0
# Drift asks for usage, too: it tells how much of the traffic a tolerance meets.
_SHOWN: dict[str, frozenset[Section]] = {
    "versions": frozenset({"versions"}),
    "drift": frozenset({"drift", "versions"}),
    "modes": frozenset({"slo"}),
    "deps": frozenset({"dependencies"}),
}
_PEEKED: frozenset[Section] = frozenset({"drift"})
_NOTHING: frozenset[Section] = frozenset()


class Wants:
    """Drift is looked at each minute wherever one is, so that new drift is told."""

    def __init__(self) -> None:
        self._due = float("-inf")
        self._seen = -1  # read_ms when the look began, -1 = none is under way
        self._told: tuple[Operator | None, frozenset[Section]] = (None, _NOTHING)

    def tell(self, desk: Desk, mode: str) -> None:
        """Let the operator read what is wanted now, and nothing else."""
        wanted = self.sections(mode, desk.newest, desk.clock())
        if desk.operator is not None and self._told != (desk.operator, wanted):
            self._told = (desk.operator, wanted)
            desk.operator.want(wanted)

    def sections(self, mode: str, view: FleetView, now: float) -> frozenset[Section]:
        """Return what is to be read.  now: seconds of one clock."""
        shown = _SHOWN.get(mode, _NOTHING)
        read_ms = view.drift.read_ms if view.drift else 0
        if "drift" in shown:
            self._due, self._seen = now + PEEK_S, -1
        elif self._seen < 0 and now >= self._due:
            self._due, self._seen = now + PEEK_S, read_ms
        elif self._seen >= 0 and read_ms != self._seen:
            self._seen = -1
        return shown | _PEEKED if self._seen >= 0 else shown
