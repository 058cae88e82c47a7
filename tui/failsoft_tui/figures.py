"""Numbers as operators read them (pure): rates, ratios, spans, times, bars.

None is "not known" and is never printed as 0.
"""

from __future__ import annotations

from collections.abc import Sequence

__all__ = [
    "ago",
    "bar",
    "clock_text",
    "delta",
    "millis",
    "percent",
    "rate",
    "span",
    "spark",
]

_BARS = "▁▂▃▄▅▆▇█"


def rate(per_s: float | None) -> str:
    """Return a rate: `0.3`, `61.0`, `1,284`."""
    if per_s is None:
        return "-"
    return f"{per_s:,.0f}" if per_s >= 999.5 else f"{per_s:.1f}"


def percent(ratio: float | None, *, few: bool = False) -> str:
    """Return a ratio as percent without the sign; `few`: too few calls to say."""
    if ratio is None:
        return "n<30" if few else "-"
    value = 100 * ratio
    return f"{value:.0f}" if value >= 99.95 else f"{value:.1f}"


def delta(ratio: float | None, *, few: bool = False) -> str:
    """Return a change of a ratio in points of percent: `+31.0`, `=`."""
    if ratio is None:
        return "?" if few else "-"
    value = 100 * ratio
    return "=" if abs(value) < 0.05 else f"{value:+.1f}"


def millis(ms: float | None, *, few: bool = False) -> str:
    """Return milliseconds: `0.8`, `180`, `2.1k`."""
    if ms is None:
        return "n<30" if few else "-"
    if ms >= 999.5:
        return f"{ms / 1000:.1f}k" if ms < 99_950 else f"{ms / 1000:.0f}k"
    return f"{ms:.0f}" if ms >= 9.95 else f"{ms:.1f}"


def span(seconds: float) -> str:
    """Return a length of time in one or two units: `0.4s`, `42s`, `11m40s`, `2d`."""
    left = max(0.0, seconds)
    if left < 9.95:
        return f"{left:.1f}s"
    if left < 99.5:
        return f"{left:.0f}s"
    if left < 3600:
        minutes, rest = divmod(round(left), 60)
        return f"{minutes}m{rest:02d}s" if minutes < 20 else f"{minutes}m"
    if left < 36 * 3600:
        return f"{left / 3600:.0f}h"
    return f"{left / 86400:.0f}d"


def ago(seconds: float) -> str:
    """Return a short length of time for a narrow column: `31s`, `14m`, `9h`."""
    left = max(0.0, seconds)
    if left < 99.5:
        return f"{left:.0f}s"
    if left < 99 * 60:
        return f"{left / 60:.0f}m"
    return span(max(left, 3600))


def clock_text(at_ms: int) -> str:
    """Return the time of day in UTC: `12:01:07`."""
    day_s = at_ms // 1000 % 86_400
    return f"{day_s // 3600:02d}:{day_s // 60 % 60:02d}:{day_s % 60:02d}"


def spark(values: Sequence[float], width: int, *, full: float = 0.0) -> str:
    """Return `width` bars over the values, oldest first.

    A full bar is the largest value or `full`, whichever is more: two errors in a
    minute must not look like an outage.
    """
    if not values:
        return _BARS[0] * width
    size = len(values)
    cells = [
        max(
            values[
                i * size // width : max(i * size // width + 1, (i + 1) * size // width)
            ]
        )
        for i in range(width)
    ]
    top = max(full, *cells)
    if top <= 0:
        return _BARS[0] * width
    last = len(_BARS) - 1
    return "".join(_BARS[round(last * max(0.0, cell) / top)] for cell in cells)


def bar(ratio: float, width: int) -> str:
    """Return a filled bar of `width` cells."""
    full = round(min(1.0, max(0.0, ratio)) * width)
    return "█" * full + "░" * (width - full)
