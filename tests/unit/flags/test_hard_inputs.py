"""Hard inputs to the flag language, and word for word what comes of them."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest

from failsoft.controls.records import Record
from failsoft.errors import FlagError
from failsoft.flags import FlagState, check_flags, compile_flags, evaluate
from failsoft.flags._parse import OPERATORS, parse_flag

VARIANTS = {"on": True, "off": False}


def raw(targeting: Any = None, **fields: Any) -> bytes:
    plain = {"state": "ENABLED", "variants": VARIANTS, "defaultVariant": "off"}
    return msgspec.json.encode({**plain, "targeting": targeting, **fields})


def record(kind: str, name: str, json: bytes) -> tuple[tuple[str, str], Record]:
    return (kind, name), Record(kind, name, 1, 0, 0, json)


def state_of(before: FlagState | None = None, /, **flags: bytes) -> FlagState:
    records = dict(record("flag", name, json) for name, json in flags.items())
    return compile_flags(1, records, {}, (), before)


def asked(state: FlagState, user: str | None = "user-1", **context: Any) -> Any:
    return evaluate(state, "f", True, user, lambda: context, lambda: 1_700_000_000_999)


def served(state: FlagState, user: str | None = "user-1", **context: Any) -> Any:
    found = asked(state, user, **context)
    return found.value, found.variant, found.reason, found.error


def refusal(json: bytes, **evaluators: Any) -> str:
    named = {name: msgspec.json.encode(rule) for name, rule in evaluators.items()}
    with pytest.raises(FlagError) as refused:
        parse_flag("f", json, named)
    return str(refused.value)


def nested(depth: int) -> bytes:
    rule = b'{"!":' * depth + b"1" + b"}" * depth
    return b'{"state":"ENABLED","variants":{"on":true},"targeting":' + rule + b"}"


# --- one among many ----------------------------------------------------------


def test_one_bad_flag_among_ten_thousand_is_named_and_holds_up_none() -> None:
    good = raw(defaultVariant="on")
    many = dict.fromkeys((f"g{n}" for n in range(9_998)), good)
    bad = raw({"if": [{"starts_wiht": [{"var": "email"}, "a"]}, "on"]})
    state = state_of(**many, bad=bad, f=good)

    while check_flags(state, 50):
        pass

    assert state.kept.bad == {
        "bad": "flag:bad targeting.if[0].starts_wiht: operator 'starts_wiht' is not "
        "known; did you mean starts_with?"
    }
    assert evaluate(state, "g9997", False, None).value is True
    assert served(state) == (True, "on", "STATIC", "")


# --- texts that no bytes can hold --------------------------------------------


@pytest.mark.parametrize("version", [2, 3])
@pytest.mark.parametrize("user", ["\ud800", "a\udfffb"])
def test_a_lone_surrogate_as_targeting_key_gets_the_default_variant(
    version: int, user: str
) -> None:
    everybody = {"fractional": [["on", 100], ["off", 0]]}
    state = state_of(f=raw(everybody, metadata={"x.hash": version}))

    assert served(state, user) == (False, "off", "DEFAULT", "")
    assert served(state, "user-1") == (True, "on", "TARGETING_MATCH", "")


# --- sizes -------------------------------------------------------------------


def test_rules_are_sixty_four_levels_deep_at_most() -> None:
    assert parse_flag("f", nested(63)).rule is not None
    assert refusal(nested(64)) == "flag:f targeting: is nested deeper than 64"
    too_deep = "flag:f: is nested too deep; keep rules within 64 levels"
    assert refusal(nested(2_000)) == too_deep
    assert served(state_of(f=nested(2_000))) == (True, None, "ERROR", "PARSE_ERROR")


def test_rules_have_two_thousand_nodes_at_most() -> None:
    # The operator, its two arguments, and their elements.
    assert parse_flag("f", raw({"in": ["a", ["b"] * 1_996]})).rule is not None
    many = "flag:f targeting: has more than 2000 nodes"
    assert refusal(raw({"in": ["a", ["b"] * 1_997]})) == many


@pytest.mark.parametrize(
    "rule",
    [
        {"map": [{"var": "list"}, 1]},
        {"filter": [{"var": "list"}, True]},
        {"reduce": [{"var": "list"}, 1, 0]},
        {"all": [{"var": "list"}, True]},
        {"some": [{"var": "list"}, False]},
        {"none": [{"var": "list"}, False]},
        {"merge": [{"var": "list"}]},
    ],
)
def test_arrays_have_a_thousand_elements_at_most(rule: Any) -> None:
    state = state_of(f=raw({"if": [rule, "on", "off"]}))

    assert served(state, list=[1] * 1_000)[2] == "TARGETING_MATCH"
    assert served(state, list=[1] * 1_001) == (True, None, "ERROR", "GENERAL")


def test_joined_texts_have_4096_characters_at_most() -> None:
    state = state_of(f=raw({"if": [{"cat": [{"var": "text"}, "x"]}, "on", "off"]}))

    assert served(state, text="x" * 4_095)[1] == "on"
    assert served(state, text="x" * 4_096) == (True, None, "ERROR", "GENERAL")


# --- what refers to others ---------------------------------------------------


def test_evaluators_in_a_circle_are_refused() -> None:
    assert refusal(raw({"$ref": "a"}), a={"$ref": "a"}).endswith(
        "evaluators refer to themselves: a -> a"
    )
    assert refusal(
        raw({"$ref": "a"}), a={"!": {"$ref": "b"}}, b={"!": {"$ref": "a"}}
    ).endswith("evaluators refer to themselves: a -> b -> a")


def test_fifty_prerequisites_inside_each_other_are_too_deep() -> None:
    rule: Any = {"$flag": ["g0", "on"]}
    for n in range(1, 50):
        rule = {"and": [rule, {"$flag": [f"g{n}", "on"]}]}

    assert refusal(raw(rule)) == "flag:f targeting: is nested deeper than 64"


def test_fifty_prerequisites_beside_each_other_are_asked_once_each() -> None:
    rule = {"and": [{"$flag": ["g", "on"]} for _ in range(50)]}
    state = state_of(f=raw({"if": [rule, "on"]}), g=raw(defaultVariant="on"))

    assert served(state) == (True, "on", "TARGETING_MATCH", "")


def test_fifty_prerequisites_in_a_row_are_refused_from_the_ninth_on() -> None:
    flags = {
        f"g{n}": raw({"if": [{"$flag": [f"g{n + 1}", "on"]}, "on"]}) for n in range(50)
    }
    state = state_of(**flags, g50=raw(defaultVariant="on"))

    while check_flags(state, 50):
        pass

    assert sorted(state.bad, key=lambda name: int(name[1:])) == [
        f"g{n}" for n in range(42)
    ]
    assert "more than 8 prerequisites: g0 -> g1 -> " in state.kept.bad["g0"]
    assert evaluate(state, "g42", False, None).value is True


# --- words -------------------------------------------------------------------


def test_the_operators_are_those_of_the_language() -> None:
    plain = "var missing missing_some if == === != !== < <= > >= ! !! and or + - * / %"
    more = "min max in cat substr merge map filter reduce all none some"
    ours = "fractional sem_ver starts_with ends_with $ref $flag"

    assert set(f"{plain} {more} {ours}".split()) == OPERATORS


def test_there_is_no_log_operator() -> None:
    assert refusal(raw({"if": [{"log": True}, "on"]})) == (
        "flag:f targeting.if[0].log: operator 'log' is not known; "
        "evaluation writes no logs; put its argument in its place"
    )


@pytest.mark.parametrize("version", [1, 4, 2.5, "3", True, None])
def test_hash_versions_are_two_and_three(version: Any) -> None:
    message = refusal(raw(metadata={"x.hash": version}))

    assert message.startswith("flag:f metadata")
    assert version is None or message.endswith("is no hash version; use 3")


@pytest.mark.parametrize(
    ("arms", "text"),
    [
        ([["on", 0], ["off", -5]], ": weights add up to 0; make the sum 1..2147483647"),
        (
            [["on", 1 << 31]],
            ": weights add up to 2147483648; make the sum 1..2147483647",
        ),
        ([["on", 2.5], ["off", 5]], "[0]: weight 2.5 must be a whole number"),
        ([["off", 5], ["on", True]], "[1]: weight True must be a whole number"),
        ([["off", 5], ["on", None]], "[1]: weight None must be a whole number"),
        ([["on", 5, 6]], "[0]: must be [variant, weight]"),
    ],
)
def test_weights_that_give_nobody_anything_are_refused(arms: Any, text: str) -> None:
    assert refusal(raw({"fractional": arms})) == f"flag:f targeting.fractional{text}"


# --- meanings ----------------------------------------------------------------


def test_disabled_means_the_coded_default_whatever_the_rule_says() -> None:
    state = state_of(f=raw({"if": [True, "off"]}, state="DISABLED"))

    assert served(state) == (True, None, "DISABLED", "")


def test_the_time_of_a_rule_is_whole_seconds_of_store_time() -> None:
    rule = {"===": [{"var": "$flagd.timestamp"}, 1_700_000_000]}
    key = {"===": [{"var": "$flagd.flagKey"}, "f"]}
    state = state_of(f=raw({"if": [{"and": [rule, key]}, "on"]}))

    assert served(state)[1] == "on"


@pytest.mark.parametrize("first", [[], [{"var": "user"}]])
def test_an_empty_arm_beside_a_computed_weight_gives_the_default_variant(
    first: list[Any],
) -> None:
    rollout = [*first, ["on", {"+": [1, {"var": "extra"}]}], []]

    state = state_of(f=raw({"fractional": rollout}))

    assert state.kept.bad == {}
    assert served(state, "u", extra=1) == (False, "off", "DEFAULT", "")
