"""When a brownout is open: texts of ISO 8601 into windows, windows into edges."""

from __future__ import annotations

import re
from bisect import bisect_right
from calendar import monthrange, timegm
from collections.abc import Iterable, Sequence

__all__ = ["MAX_WINDOWS", "Schedule", "compile_windows", "date_s", "span_s"]

MAX_WINDOWS = 100
FOREVER_S = float("inf")

_DATE = r"(\d{4})-(\d{2})-(\d{2})"
_INSTANT = re.compile(_DATE + r"T(\d{2}):(\d{2})(?::(\d{2}))?Z", re.ASCII)
_ONLY_DATE = re.compile(_DATE, re.ASCII)
_SPAN = re.compile(
    r"P(?:(\d{1,4})W|(?:(\d{1,5})D)?(?:T(?:(\d{1,5})H)?(?:(\d{1,6})M)?(?:(\d{1,8})S)?)?)",
    re.ASCII,
)
_UNITS_S = (604_800, 86_400, 3_600, 60, 1)


def date_s(text: str) -> int:
    """Return the Unix second at which a date `2026-11-01` begins in UTC.

    Raises ValueError on what is no date.
    """
    found = _ONLY_DATE.fullmatch(text)
    if found is None:
        raise ValueError(f"{text!r} is no date; write it like 2026-11-01")
    year, month, day = map(int, found.groups())
    if year < 1 or not 1 <= month <= 12 or not 1 <= day <= monthrange(year, month)[1]:
        raise ValueError(f"{text!r} is no date of the calendar")
    return timegm((year, month, day, 0, 0, 0))


def _instant_s(text: str) -> int:
    found = _INSTANT.fullmatch(text)
    if found is None:
        raise ValueError(
            f"{text!r} is no instant; write it like 2026-10-01T14:00Z/PT2H"
        )
    hour, minute, second = (int(part or 0) for part in found.groups()[3:])
    if hour > 23 or minute > 59 or second > 59:
        raise ValueError(f"{text!r} is no time of a day")
    return date_s(text[:10]) + hour * 3600 + minute * 60 + second


def span_s(text: str) -> int:
    """Return the seconds of a span `P7D`, `PT2H`, `P1DT30M`; ValueError on others.

    Months and years are refused: they have no length.  Source: ISO 8601, 5.5.2.
    """
    found = _SPAN.fullmatch(text)
    parts = [int(part or 0) for part in found.groups()] if found else []
    seconds = sum(n * unit for n, unit in zip(parts, _UNITS_S, strict=False))
    if not seconds:
        raise ValueError(f"{text!r} is no span; write it like PT2H or P7D")
    return seconds


def compile_windows(
    windows: Iterable[str], every: str = "", times: int = 1
) -> tuple[tuple[int, int], ...]:
    """Return (start, end) in Unix seconds, earliest first, none overlapping another.

    windows: `2026-10-01T14:00Z/PT2H`, or an end in place of the span.  every: span
    from one start to the next, "" for once.  times: how often in all.
    Raises ValueError on text it cannot read, an end before its start, repeats that
    overlap, and more than 100 windows.
    """
    texts = list(windows)
    _check_repeats(len(texts), every, times)
    step_s = span_s(every) if every else 0
    found = []
    for text in texts:
        start_s, end_s = _window(text)
        if every and end_s - start_s > step_s:
            raise ValueError(f"{text!r} is longer than every = {every!r}")
        found += [(start_s + n * step_s, end_s + n * step_s) for n in range(times)]
    return _joined(sorted(found))


def _check_repeats(count: int, every: str, times: int) -> None:
    if times < 1 or (times > 1 and not every):
        raise ValueError(f"times = {times} needs every, such as P7D, and at least 1")
    if count * times > MAX_WINDOWS:
        raise ValueError(f"{count * times} windows are too many; at most {MAX_WINDOWS}")


def _window(text: str) -> tuple[int, int]:
    start, slash, end = text.partition("/")
    if not slash:
        raise ValueError(
            f"{text!r} has no length; write it like 2026-10-01T14:00Z/PT2H"
        )
    start_s = _instant_s(start)
    end_s = start_s + span_s(end) if end.startswith("P") else _instant_s(end)
    if end_s <= start_s:
        raise ValueError(f"{text!r} ends before it starts")
    return start_s, end_s


def _joined(windows: Sequence[tuple[int, int]]) -> tuple[tuple[int, int], ...]:
    found: list[tuple[int, int]] = []
    for start_s, end_s in windows:
        if found and start_s <= found[-1][1]:
            found[-1] = found[-1][0], max(end_s, found[-1][1])
        else:
            found.append((start_s, end_s))
    return tuple(found)


class Schedule:
    """Windows as sorted edges: what is open now, and until when that holds.

    open iff start <= now < end.
    """

    __slots__ = ("_edges",)

    def __init__(self, windows: Sequence[tuple[float, float]]) -> None:
        self._edges = [edge for window in windows for edge in window]

    def at(self, now_s: float) -> tuple[bool, float]:
        """Return (is open, the next edge in Unix seconds; infinite after the last)."""
        passed = bisect_right(self._edges, now_s)
        due_s = self._edges[passed] if passed < len(self._edges) else FOREVER_S
        return passed % 2 == 1, due_s
