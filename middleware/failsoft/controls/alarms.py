"""What the fleet's alert rules say, as every node knows it: for the status of users.

Written by who evaluates or reads them (one swap a second), read from memory.
"""

from __future__ import annotations

from dataclasses import dataclass

__all__ = ["Alarm", "Alarms"]


@dataclass(frozen=True, slots=True)
class Alarm:
    """An SLO that burns.

    routes: globs `METHOD /path*` or `tag:name` that it is about.  pages: an alert of
    severity page fires.  is_failing: the rule for automatic modes is true now.
    since_ms: store time.
    """

    slo: str
    routes: tuple[str, ...]
    pages: bool = False
    is_failing: bool = False
    since_ms: int = 0


@dataclass(frozen=True, slots=True)
class Alarms:
    """All that burn.  at_ms: when it was so, store time."""

    at_ms: int
    alarms: tuple[Alarm, ...] = ()
