"""The clocks: spans on the monotonic clock, instants as Unix seconds (UTC).

Pure code takes `now: float`; only edges read a clock, through these names.
"""

from __future__ import annotations

import time

__all__ = ["elapsed", "monotonic", "unix", "utc_date", "utc_text"]

monotonic = time.monotonic
unix = time.time

_BOOTTIME = getattr(time, "CLOCK_BOOTTIME", None)


def elapsed() -> float:
    """Return seconds that go on during laptop sleep (CLOCK_BOOTTIME on Linux).

    CLOCK_MONOTONIC stops in suspend on Linux, so a frozen view would look young.
    """
    return time.monotonic() if _BOOTTIME is None else time.clock_gettime(_BOOTTIME)


def utc_date(at: float) -> str:
    """Return the date of a Unix second as `2026-01-31`."""
    return time.strftime("%Y-%m-%d", time.gmtime(at))


def utc_text(at: float) -> str:
    """Return a Unix second as `2026-01-31T10:00:02Z`."""
    return time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(at))
