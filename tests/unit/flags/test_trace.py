"""What explains an evaluation agrees with the evaluation."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from failsoft.flags._compile import ASK, compile_rule
from failsoft.flags._parse import parse_flag
from failsoft.flags._trace import buckets, trace

RULE = {
    "if": [
        {"in": [{"var": "country"}, ["DE", "AT"]]},
        {"fractional": [["on", 25], ["off", 75]]},
        {"==": [{"var": "user.tier"}, "gold"]},
        "on",
        {"fractional": [{"var": "company"}, ["on", 1], ["off", {"var": "weight"}]]},
    ]
}


def document(rule: Any, version: int = 3) -> bytes:
    return msgspec.json.encode(
        {
            "state": "ENABLED",
            "variants": {"on": True, "off": False},
            "defaultVariant": "off",
            "targeting": rule,
            "metadata": {"x.hash": version},
        }
    )


CONTEXTS = st.fixed_dictionaries(
    {},
    optional={
        "targetingKey": st.text(max_size=4),
        "country": st.sampled_from(["DE", "FR"]),
        "user": st.fixed_dictionaries({"tier": st.sampled_from(["gold", "tin"])}),
        "company": st.text(max_size=3) | st.integers() | st.lists(st.text(max_size=2)),
        "weight": st.integers(-1, 5) | st.just("x"),
    },
)


@given(CONTEXTS, st.sampled_from([2, 3]))
def test_the_variant_is_that_of_the_rule(context: dict[str, Any], version: int) -> None:
    flag = parse_flag("shop.pay", document(RULE, version))
    data: dict[Any, Any] = {**context, ASK: lambda key: None}

    found = trace(flag, data)

    result = compile_rule(flag)(data)
    unknown = result is not None and result not in flag.variants
    assert found.variant == (None if unknown else result)
    assert (found.error == "GENERAL") is unknown


@pytest.mark.parametrize(("version", "h"), [(2, 1848852186), (3, 1639727511)])
def test_the_bucket_has_the_golden_hash(version: int, h: int) -> None:
    rule = {"fractional": [["on", 50], ["off", 50]]}
    flag = parse_flag("checkout.new-pricing", document(rule, version))

    (bucket,) = buckets(flag, {"targetingKey": "user-1"})

    assert (bucket.hashed, bucket.number) == (h, h * 100 >> 32)
    assert bucket.arm == ("on" if bucket.number < 50 else "off")


def test_a_lone_surrogate_has_no_bucket_and_gets_the_default() -> None:
    flag = parse_flag("shop.pay", document({"fractional": [["on", 1]]}))

    found = trace(flag, {"targetingKey": "\ud800"})

    assert (found.variant, found.reason) == (None, "DEFAULT")
    assert "text that UTF-8 cannot hold; the split gives null" in found.lines[0]


def test_a_rule_that_fails_is_told_with_its_error() -> None:
    flag = parse_flag("shop.pay", document({"$ref": "gone"}))

    found = trace(flag, {})

    assert (found.reason, found.error) == ("ERROR", "PARSE_ERROR")
    assert "no evaluator" in found.lines[-1]
