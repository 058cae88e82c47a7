from collections import Counter
from math import ceil

import pytest
from hypothesis import given
from hypothesis import strategies as st

from failsoft.telemetry._histogram import (
    bucket_of,
    bucket_value_us,
    merge_into,
    percentile_us,
)

durations_us = st.integers(1, 4_000_000_000)
many_durations = st.lists(durations_us, min_size=1, max_size=200)
quantiles = st.floats(0.01, 1.0)


def histogram(durations: list[int]) -> dict[int, int]:
    return dict(Counter(map(bucket_of, durations)))


def merged(*parts: dict[int, int]) -> dict[int, int]:
    target: dict[int, int] = {}
    merge_into(target, parts)
    return target


@given(durations_us)
def test_a_bucket_stands_for_its_durations_within_a_32nd(duration: int) -> None:
    value = bucket_value_us(bucket_of(duration))

    assert abs(value - duration) <= duration / 32


@given(durations_us, durations_us)
def test_longer_durations_never_fall_into_lower_buckets(one: int, other: int) -> None:
    low, high = sorted((one, other))

    assert bucket_of(low) <= bucket_of(high)


@given(many_durations, many_durations)
def test_merging_is_commutative(one: list[int], other: list[int]) -> None:
    a, b = histogram(one), histogram(other)

    assert merged(a, b) == merged(b, a) == histogram(one + other)


@given(many_durations, many_durations, many_durations)
def test_merging_is_associative(x: list[int], y: list[int], z: list[int]) -> None:
    a, b, c = histogram(x), histogram(y), histogram(z)

    assert merged(merged(a, b), c) == merged(a, merged(b, c))


@given(st.lists(many_durations, min_size=1, max_size=5), quantiles)
def test_a_percentile_of_the_fleet_is_that_of_all_its_requests(
    nodes: list[list[int]], q: float
) -> None:
    everything = sorted(duration for node in nodes for duration in node)
    exact = everything[ceil(q * len(everything)) - 1]

    value = percentile_us(merged(*map(histogram, nodes)), q)

    assert value is not None
    assert abs(value - exact) <= 0.032 * exact


def test_nothing_observed_has_no_percentile() -> None:
    assert percentile_us({}, 0.95) is None


@pytest.mark.parametrize(("duration", "same_as"), [(-5, 0), (2**40, 2**32 - 1)])
def test_durations_out_of_range_are_clamped(duration: int, same_as: int) -> None:
    assert bucket_of(duration) == bucket_of(same_as)
