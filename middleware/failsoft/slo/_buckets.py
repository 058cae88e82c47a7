"""What was counted of each SLO, as sums over the last minutes, hours or days.

The oldest bucket of a window counts by the part that lies in it, as if its requests
were spread evenly: without that an hour of minutes would be up to a minute too long.
"""

from __future__ import annotations

from typing import NamedTuple

from failsoft.store.slo import BUCKETS, Counts, SloRead, is_bucket_kept

__all__ = ["SloHistory", "Sums"]

_NONE: Counts = (0, 0, 0)


class Sums(NamedTuple):
    """Requests of a window, bad ones, and those that we refused (among `t`).

    has_data: whether any node reported in the window.
    """

    t: float = 0.0
    b: float = 0.0
    r: float = 0.0
    has_data: bool = False


class SloHistory:
    """The buckets of all SLOs; filled by reads of the store, asked for windows."""

    def __init__(self) -> None:
        self._slos: dict[str, dict[int, dict[int, Counts]]] = {}

    def take(self, read: SloRead) -> None:
        """Take a read of all buckets, or of those since the last one."""
        now_s = read.now_ms // 1000
        for name, widths in read.slos.items():
            held = self._slos.setdefault(name, {width_s: {} for width_s in BUCKETS})
            for width_s, buckets in widths.items():
                held[width_s].update(buckets)
                _drop_old(held[width_s], width_s, now_s)

    def sums(self, name: str, window_s: int, now_s: float) -> Sums:
        """Return the sums of the `window_s` before now; at most 31 days."""
        width_s = _width_for(window_s)
        buckets = self._slos.get(name, {}).get(width_s)
        if not buckets:
            return Sums()
        since_s = now_s - window_s
        oldest = int(since_s // width_s) * width_s
        t = b = r = 0.0
        has_data = False
        for start in range(oldest, int(now_s) + 1, width_s):
            counts = buckets.get(start)
            if counts is None:
                continue
            share = (start + width_s - since_s) / width_s if start == oldest else 1.0
            has_data = has_data or share > 0
            t, b, r = (
                t + share * counts[0],
                b + share * counts[1],
                r + share * counts[2],
            )
        return Sums(t, b, r, has_data)

    def last_ms(self, name: str) -> int:
        """Return the start of the newest bucket in ms, 0 for none."""
        widths = self._slos.get(name, {})
        return max((max(held) for held in widths.values() if held), default=0) * 1000


def _width_for(window_s: int) -> int:
    for width_s, count in BUCKETS.items():
        if window_s <= width_s * count:
            return width_s
    return max(BUCKETS)


def _drop_old(buckets: dict[int, Counts], width_s: int, now_s: int) -> None:
    if len(buckets) > BUCKETS[width_s] + 2:
        for start in [s for s in buckets if not is_bucket_kept(width_s, s, now_s)]:
            del buckets[start]
