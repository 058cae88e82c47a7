"""What single ticks hold of a route, added up only for rows that somebody reads.

Percentiles, error ratios by node and requests in flight are wanted for the fifty
rows on a screen, not for all; adding up histograms of all routes of all nodes cost
a reader more than everything else together (measured).  Pure.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterable, Mapping, Sequence
from itertools import accumulate

import msgspec

from failsoft.ops.views import Late
from failsoft.telemetry import bucket_value_us, decode_hist

__all__ = [
    "FEW_CALLS",
    "Part",
    "Span",
    "merged_hist",
    "percentiles_ms",
    "shown_percentiles",
]

FEW_CALLS = 30
P99_CALLS = 100

_VALUES_MS = [bucket_value_us(bucket) / 1000 for bucket in range(512)]
_Percentiles = tuple[float | None, float | None, float | None]
_NONE: _Percentiles = (None, None, None)


class Part(msgspec.Struct, frozen=True):
    """One tick by route: `places` says at which index of the columns it stands.

    Shared by all rows that were made while it was in a window, so never changed.
    """

    node: str
    places: dict[str, int]
    n: list[int]
    inflight: list[int]
    hists: list[msgspec.Raw]
    errors: dict[str, int]  # of the routes that had some


class Span:
    """The ticks behind the rows of one view; see `Late` for what it answers.

    latest: ticks of the newest second and of the one before.  A route that is asked
    for view after view is not added up anew: `earlier`, the span of the view before,
    hands its histogram on.
    """

    def __init__(
        self,
        now: Sequence[Part] = (),
        minute: Sequence[Part] = (),
        latest: Sequence[Sequence[Part]] = (),
        earlier: Span | None = None,
    ) -> None:
        self.now = now
        self.minute = minute
        self._latest = latest
        self._known: dict[str, Late] = {}
        self._hists: dict[str, dict[int, int]] = {}
        before = earlier.now if earlier is not None else ()
        self._earlier = earlier._hists if earlier is not None else {}
        ids, ids_before = set(map(id, now)), set(map(id, before))
        self._entered = [part for part in now if id(part) not in ids_before]
        self._left = [part for part in before if id(part) not in ids]

    def __eq__(self, other: object) -> bool:
        """Whether both answer the same, as views of one history do."""
        if not isinstance(other, Span):
            return NotImplemented
        mine = (self.now, self.minute, self._latest)
        return mine == (other.now, other.minute, other._latest)

    __hash__ = None  # type: ignore[assignment]

    def of(self, key: str, *, few: bool) -> Late:
        """Return the figures of a route; O(ticks of the window) the first time."""
        late = self._known.get(key)
        if late is None:
            hist = merged_hist(self.minute, key) if few else self._hist(key)
            late = self._known[key] = Late(
                *shown_percentiles(hist),
                inflight=max((_inflight(p, key) for p in self._latest), default=0),
                by_node=_by_node(self.now, key),
            )
        return late

    def _hist(self, key: str) -> dict[int, int]:
        hist = self._earlier.pop(key, None)
        if hist is None:
            hist = merged_hist(self.now, key)
        else:
            _add(hist, self._entered, key, 1)
            _add(hist, self._left, key, -1)
            hist = {bucket: count for bucket, count in hist.items() if count}
        self._hists[key] = hist
        return hist


def _add(hist: dict[int, int], parts: Iterable[Part], key: str, sign: int) -> None:
    get = hist.get
    for part in parts:
        place = part.places.get(key)
        if place is not None:
            for bucket, count in decode_hist(part.hists[place]).items():
                hist[bucket] = get(bucket, 0) + sign * count


def merged_hist(parts: Iterable[Part], key: str) -> dict[int, int]:
    """Return the histogram of a route over some ticks."""
    hist: dict[int, int] = {}
    _add(hist, parts, key, 1)
    return hist


def _inflight(parts: Iterable[Part], key: str) -> int:
    places = ((part, part.places.get(key)) for part in parts)
    return sum(part.inflight[at] for part, at in places if at is not None)


def _by_node(parts: Sequence[Part], key: str) -> tuple[tuple[str, float | None], ...]:
    errors: dict[str, int] = {}
    for part in parts:
        if key in part.errors:
            errors[part.node] = errors.get(part.node, 0) + part.errors[key]
    if not errors:
        return ()
    calls: dict[str, int] = {}
    for part in parts:
        place = part.places.get(key)
        if place is not None and (part.n[place] or key in part.errors):
            calls[part.node] = calls.get(part.node, 0) + part.n[place]
    return tuple(
        (node, errors.get(node, 0) / n if n else None)
        for node, n in sorted(calls.items())
    )


def shown_percentiles(hist: Mapping[int, int]) -> _Percentiles:
    """Return p50, p95, p99; None where too few calls were timed to say one."""
    n = sum(hist.values())
    if n < FEW_CALLS:
        return _NONE
    p50, p95, p99 = percentiles_ms(hist)
    return p50, p95, p99 if n >= P99_CALLS else None


def percentiles_ms(hist: Mapping[int, int]) -> tuple[float, float, float]:
    """Return p50, p95, p99 in milliseconds; zeros when nothing was timed."""
    buckets = sorted(hist)
    if not buckets:
        return (0.0, 0.0, 0.0)
    sums = list(accumulate(map(hist.__getitem__, buckets)))
    total = sums[-1]
    return (
        _VALUES_MS[buckets[bisect_left(sums, 0.5 * total)]],
        _VALUES_MS[buckets[bisect_left(sums, 0.95 * total)]],
        _VALUES_MS[buckets[bisect_left(sums, 0.99 * total)]],
    )
