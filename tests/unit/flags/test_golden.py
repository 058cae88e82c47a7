"""Frozen hashes at the edges of their encoding, as both peers computed them.

Source: cbor2 5.9 (canonical) and mmh3 5.3, as openfeature-flagd-core 1.0 (v2) and
2.0 (v3) use them.  A value that changes here moves users in production.
"""

from __future__ import annotations

import math
from bisect import bisect_right
from itertools import accumulate
from typing import Any

import msgspec
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from failsoft.controls.records import Record
from failsoft.flags import bucket_hash, compile_flags, evaluate
from failsoft.flags._compile import compile_rule
from failsoft.flags._fractional import limits_of
from failsoft.flags._hash import value_hash
from failsoft.flags._parse import parse_flag

# Heads of CBOR texts change at 24, 256 and 65,536 bytes; (key, user, v2, v3).
USERS = [
    ("f", "u", 401514366, 1257460927),
    ("checkout.new-pricing", "x" * 23, 4240560746, 1545341161),
    ("checkout.new-pricing", "x" * 24, 2498765365, 474118221),
    ("checkout.new-pricing", "x" * 255, 2966661114, 513555337),
    ("checkout.new-pricing", "x" * 256, 4033219291, 1575595294),
    ("k" * 24, "x" * 65_535, 2064129502, 648130379),
    ("k" * 300, "x" * 65_536, 4004058794, 1333237438),
    ("flag", "日本語", 2097953931, 1817794419),
    ("flag", "😀" * 70, 4120843675, 4291880486),
]
VALUES: list[tuple[Any, int]] = [
    (-1, 2129959832),
    (23, 3587710546),
    (24, 1850618976),
    (255, 2102842189),
    (256, 2062483401),
    (65_535, 643183154),
    (65_536, 1844358409),
    (2**32 - 1, 2326533495),
    (2**32, 3131679847),
    (2**53, 1581616925),
    (2.0**53, 1581616925),
    (2**64 - 1, 1908111393),
    (2**64, 1915422737),
    (-(2**63), 345277741),
    (-(2**64), 1086751868),
    (-(2**64) - 1, 598357638),
    (1.5, 346941878),
    (65504.5, 2743390014),
    (3.4e38, 1489153566),
    (1e300, 2973154037),
    (5e-324, 186668877),
    (math.inf, 3281929435),
    (True, 836216331),
    (False, 116478471),
    ([], 267099677),
    ({}, 408952885),
    ({"b": 1, "a": 2, "aa": 3}, 4068987323),
    ([[[]]], 2156395974),
    ("x" * 24, 390042729),
]


@pytest.mark.parametrize(("key", "user", "two", "three"), USERS)
def test_hashes_of_users_are_frozen(key: str, user: str, two: int, three: int) -> None:
    assert (bucket_hash(2, key, user), bucket_hash(3, key, user)) == (two, three)


@pytest.mark.parametrize(("value", "expected"), VALUES)
def test_hashes_of_values_are_frozen(value: Any, expected: int) -> None:
    assert value_hash(3, value) == expected


def test_minus_zero_is_zero() -> None:
    assert value_hash(3, -0.0) == value_hash(3, 0)


@pytest.mark.parametrize("version", [2, 3])
def test_a_user_is_served_by_its_frozen_hash(version: int) -> None:
    """The first arm ends where h * W >> 32 reaches its weight, to the last user."""
    total = 1_000_000
    for key, user, *hashes in USERS:
        bucket = (hashes[version - 2] * total) >> 32
        for weight, variant in ((bucket, "off"), (bucket + 1, "on")):
            arms = [["on", weight], ["off", total - weight]]
            assert served(key, version, arms, user) == variant


def served(key: str, version: int, arms: list[Any], user: str) -> str | None:
    flag = {
        "state": "ENABLED",
        "variants": {"on": True, "off": False},
        "targeting": {"fractional": arms},
        "metadata": {"x.hash": version},
    }
    record = Record("flag", key, 1, 0, 0, msgspec.json.encode(flag))
    state = compile_flags(1, {("flag", key): record}, {}, ())
    return evaluate(state, key, False, user).variant


# --- short forms -------------------------------------------------------------


@given(
    st.lists(st.integers(0, (1 << 31) - 1), min_size=1, max_size=8),
    st.integers(0, (1 << 32) - 1),
    st.booleans(),
)
def test_limits_end_where_buckets_end(
    weights: list[int], any_hash: int, at_an_edge: bool
) -> None:
    sums = tuple(accumulate(weights))
    assume(0 < sums[-1] < 1 << 31)
    limits = limits_of(sums)
    edges = [h for limit in limits for h in (limit - 1, limit) if 0 <= h < 1 << 32]

    for h in edges if at_an_edge else [any_hash]:
        assert bisect_right(limits, h) == bisect_right(sums, (h * sums[-1]) >> 32)


def rule_of(targeting: Any) -> Any:
    flag = {"state": "ENABLED", "variants": {"on": True, "off": False}}
    return compile_rule(
        parse_flag("f", msgspec.json.encode({**flag, "targeting": targeting}))
    )


values: Any = st.recursive(
    st.none() | st.booleans() | st.integers(-9, 99) | st.floats() | st.text(max_size=3),
    lambda below: st.lists(below, max_size=3) | st.dictionaries(st.text(), below),
    max_leaves=4,
)


@given(
    values,
    st.sampled_from(["", "de", "1", "0", "true", "null", "1,2", "[object Object]"]),
)
def test_a_short_form_does_what_the_long_one_does(value: Any, text: str) -> None:
    short = rule_of({"if": [{"==": [{"var": "a"}, text]}, "on", "off"]})
    long = rule_of({"if": [{"==": [text, {"var": ["a", None]}]}, "on", "off"]})
    context = {"a": value}

    assert short(context) == long(context)


@given(st.none() | st.text() | st.integers(), st.integers(0, 100))
def test_a_constant_rollout_does_what_a_computed_one_does(
    user: Any, share: int
) -> None:
    arms = [["on", share], ["off", 101 - share]]
    computed = [["on", {"+": [{"var": "zero"}, share]}], arms[1]]
    context = {"targetingKey": user, "zero": 0}

    assert rule_of({"fractional": arms})(context) == rule_of({"fractional": computed})(
        context
    )
