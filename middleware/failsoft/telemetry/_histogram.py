"""Log-linear latency histogram: 16 sub-buckets per power of two, mergeable.

A bucket is an int made of the bit length and the next four bits of a duration in
whole microseconds; relative error <= 1/32, range 1 us to about 1 h, sparse dicts.
Merging adds counts, so percentiles of a fleet are those of all its requests;
percentiles are never averaged.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping

__all__ = [
    "bucket_of",
    "bucket_value_us",
    "count_into",
    "merge_into",
    "percentile_us",
]

_MAX_US = (1 << 32) - 1  # about 71 min


def bucket_of(duration_us: int) -> int:
    """Return the bucket of a duration in microseconds (clamped to 0..71 min)."""
    if duration_us < 32:
        return duration_us if duration_us > 0 else 0
    if duration_us > _MAX_US:
        duration_us = _MAX_US
    shift = duration_us.bit_length() - 5
    return (shift << 4) + (duration_us >> shift)


def bucket_value_us(bucket: int) -> float:
    """Return the middle of a bucket in microseconds."""
    if bucket < 32:
        return float(bucket)
    shift = (bucket >> 4) - 1
    return ((bucket - (shift << 4)) + 0.5) * (1 << shift)


def count_into(target: dict[int, int], durations_us: Iterable[int]) -> None:
    """Add durations in microseconds to `target`."""
    for bucket in map(bucket_of, durations_us):
        target[bucket] = target.get(bucket, 0) + 1


def merge_into(target: dict[int, int], parts: Iterable[Mapping[int, int]]) -> None:
    """Add the counts of every part to `target`."""
    for part in parts:
        for bucket, count in part.items():
            target[bucket] = target.get(bucket, 0) + count


def percentile_us(hist: Mapping[int, int], q: float) -> float | None:
    """Return the q-quantile (0 < q <= 1) in microseconds, None when empty."""
    total = sum(hist.values())
    if not total:
        return None
    rank = q * total
    seen = 0
    for bucket in sorted(hist):
        seen += hist[bucket]
        if seen >= rank:
            return bucket_value_us(bucket)
    raise AssertionError("counts do not add up")
