"""The judgement, with its figures worked out beside by the textbook's formula."""

from __future__ import annotations

from fractions import Fraction
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from failsoft.errors import FlagError
from failsoft.flags._guard import Arm, GuardRule, add_arms, judge, read_guard
from failsoft.flags._parse import parse_flag

RULE = GuardRule("off")


def verdict(on: tuple[int, int], off: tuple[int, int] | None, rule: Any = RULE) -> Any:
    arms = {"on": Arm(*on)} | ({"off": Arm(*off)} if off else {})
    (found,) = judge(rule, arms)
    return found


def z_squared(on: tuple[int, int], off: tuple[int, int]) -> Fraction:
    """(p_t - p_c)^2 / (p (1 - p) (1/n_t + 1/n_c)), exact."""
    (n_t, b_t), (n_c, b_c) = on, off
    p = Fraction(b_t + b_c, n_t + n_c)
    gap = Fraction(b_t, n_t) - Fraction(b_c, n_c)
    return gap**2 / (p * (1 - p) * (Fraction(1, n_t) + Fraction(1, n_c)))


def test_a_variant_at_thirty_percent_against_two_trips_with_its_figures() -> None:
    found = verdict((200, 60), (200, 4))

    assert found.state == "trip"
    assert found.z == pytest.approx(float(z_squared((200, 60), (200, 4))) ** 0.5)
    assert found.z == pytest.approx(7.637626158, abs=1e-8)
    assert found.text == ("on: 60 of 200 bad (30.0%), off: 4 of 200 bad (2.0%), z 7.6")


@pytest.mark.parametrize(
    ("on", "off"),
    [
        ((200, 60), (200, 60)),  # equal
        ((200, 4), (200, 60)),  # better
        ((10_000, 250), (10_000, 100)),  # z 8.1 and 2.5 times, but 1.5 points
        ((10_000, 1_500), (10_000, 1_000)),  # z 10.7 and 5 points, but 1.5 times
        ((100, 5), (100, 0)),  # 5 points more than none, but z 2.3
        ((200, 0), (200, 0)),
        ((200, 200), (200, 200)),
    ],
)
def test_no_trip_unless_difference_ratio_and_certainty_all_say_so(
    on: tuple[int, int], off: tuple[int, int]
) -> None:
    assert verdict(on, off).state == "ok"


def test_three_standard_errors_are_the_bar() -> None:
    # z^2 = (1/10)^2 / (1/20 * 19/20 * 2/n): 9 at n = 85.5
    assert z_squared((85, 8), (85, 0)) < 9 < z_squared((100, 10), (100, 0))
    rule = GuardRule("off", least=50)
    below, above = verdict((85, 8), (85, 0), rule), verdict((100, 10), (100, 0))

    assert (below.state, above.state) == ("ok", "trip")
    assert above.z == pytest.approx(float(z_squared((100, 10), (100, 0))) ** 0.5)


@pytest.mark.parametrize(
    ("on", "off", "told"),
    [
        ((12, 12), (500, 0), "no verdict: 12 of 100"),
        ((500, 500), (99, 0), "no verdict: 99 of 100"),
        ((99, 99), None, "no verdict: 99 of 100"),
    ],
)
def test_fewer_requests_than_the_least_give_no_verdict(
    on: tuple[int, int], off: tuple[int, int] | None, told: str
) -> None:
    found = verdict(on, off)

    assert (found.state, found.z, found.text) == ("none", None, told)


def test_without_control_traffic_the_share_alone_decides() -> None:
    at, below = verdict((100, 25), None), verdict((1000, 249), None)

    assert (at.state, below.state) == ("trip", "ok")
    assert at.text == "on: 25 of 100 bad (25.0%), no request with off, limit 25.0%"


def test_each_variant_is_judged_against_the_control() -> None:
    arms = {"a": Arm(200, 0), "b": Arm(200, 100), "off": Arm(200, 2)}

    assert [(v.variant, v.state) for v in judge(RULE, arms)] == [
        ("a", "ok"),
        ("b", "trip"),
    ]


def test_buckets_of_all_nodes_add_up() -> None:
    buckets = [{"on": (5, 1), "off": (2, 0)}, {}, {"on": (7, 3)}]

    assert add_arms(buckets) == {"on": Arm(12, 4), "off": Arm(2, 0)}


arms = st.integers(1, 5000).flatmap(lambda n: st.tuples(st.just(n), st.integers(0, n)))


@given(arms, arms)
def test_a_trip_holds_all_conditions_in_exact_arithmetic(
    on: tuple[int, int], off: tuple[int, int]
) -> None:
    found = verdict(on, off)

    p_t, p_c = Fraction(on[1], on[0]), Fraction(off[1], off[0])
    if min(on[0], off[0]) < 100:
        assert found.state == "none"
    elif found.state == "trip":
        assert p_t - p_c >= Fraction("0.0199999")
        assert p_t >= Fraction("1.9999999") * p_c
        assert z_squared(on, off) >= Fraction("8.999999")
    elif p_t - p_c > Fraction("0.0200001") and p_t > Fraction("2.000001") * p_c:
        assert z_squared(on, off) <= Fraction("9.000001")


def flag(**guard: Any) -> bytes:
    metadata = {f"x.guard.{name}": value for name, value in guard.items()}
    variants = {"on": True, "off": False}
    doc = {"state": "ENABLED", "variants": variants, "metadata": metadata}
    return msgspec.json.encode(doc)


def test_a_guard_is_read_with_its_flag() -> None:
    parsed = parse_flag("k", flag(control="off", min=20, window=30, slow_ms=250.5))

    assert parsed.guard == GuardRule("off", least=20, window_s=30, slow_ms=250.5)
    assert parse_flag("k", flag()).guard is None


@pytest.mark.parametrize(
    ("guard", "told"),
    [
        ({"control": "maybe"}, "x.guard.control: 'maybe' is no variant; name one of"),
        ({"min": 20}, "x.guard.control: is missing"),
        ({"control": "off", "min": 0}, "x.guard.min: 0 must be a number from 1 to"),
        ({"control": "off", "diff": True}, "x.guard.diff: True must be a number"),
        ({"control": "off", "window": 600}, "must be a number from 5 to 540"),
        ({"control": "off", "ratios": 2}, "did you mean x.guard.ratio?"),
    ],
)
def test_a_guard_that_could_not_work_is_refused_with_its_place(
    guard: dict[str, Any], told: str
) -> None:
    with pytest.raises(FlagError) as refused:
        parse_flag("k", flag(**guard))

    assert told in str(refused.value)


def test_settings_of_a_guard_are_no_metadata_of_another() -> None:
    assert read_guard({"x.owner": "pay"}, ("on",), "here") is None
