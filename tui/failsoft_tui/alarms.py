"""What rings the bell, once each: a lost link, a rewound store, a control near its end.

Pure: the app compares what is on with what was on.
"""

from __future__ import annotations

from failsoft.ops.views import FleetView

__all__ = ["alarms"]

_NEAR_MS = 120_000


def alarms(view: FleetView, now_ms: int, *, stale: bool) -> frozenset[str]:
    """Return the alarms that are on; now_ms: the store's time."""
    found = {"STALE"} if stale else set()
    if view.controls_state != "known":
        found.add(view.controls_state.upper())
    for row in view.controls:
        if row.active and 0 < row.until_ms - now_ms <= _NEAR_MS:
            found.add(f"{row.kind} {row.target} {row.until_ms}")
    return frozenset(found)
