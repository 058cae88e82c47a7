from __future__ import annotations

from time import perf_counter
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from failsoft.errors import FlagError
from failsoft.flags._model import Flag
from failsoft.flags._parse import MAX_NODES, OPERATORS, parse_flag

BOOLEAN = {"on": True, "off": False}


def doc(targeting: Any = None, **fields: Any) -> bytes:
    flag = {"state": "ENABLED", "variants": BOOLEAN, "targeting": targeting}
    return msgspec.json.encode({**flag, **fields})


def fault(raw: bytes, **evaluators: Any) -> str:
    named = {name: msgspec.json.encode(rule) for name, rule in evaluators.items()}
    with pytest.raises(FlagError) as caught:
        parse_flag("f", raw, named)
    return str(caught.value)


def test_an_unknown_operator_is_named_with_path_and_nearest() -> None:
    raw = doc({"if": [{"start_with": [{"var": "a"}, "b"]}, "on"]})

    assert fault(raw) == (
        "flag:f targeting.if[0].start_with: operator 'start_with' is not known; "
        "did you mean starts_with?"
    )


@pytest.mark.parametrize(
    ("fields", "text"),
    [
        ({"variants": {}}, "has no variants"),
        ({"variants": {"a": 1, "b": "x"}}, "number and string"),
        ({"variants": {"a": True, "b": 1}}, "boolean and number"),
        ({"variants": {"a": [1]}}, "null or array"),
        ({"state": "on"}, "ENABLED or DISABLED"),
        ({"defaultVariant": "maybe"}, "not one of on, off"),
        ({"targetting": {}}, "did you mean targeting?"),
        ({"metadata": {"a": {}}}, "metadata.a"),
        ({"metadata": {"x.hash": 1}}, "1 is no hash version; use 3"),
        ({"metadata": {"x.hash": True}}, "True is no hash version"),
        ({"metadata": {"x.kill": "maybe"}}, "x.kill"),
        ({"metadata": {"x.fail": "closed"}}, "last_known"),
        ({"metadata": {"x.max_stale": -1}}, "seconds > 0"),
        ({"targeting": {"if": [], "and": []}}, "must be one operator"),
    ],
)
def test_a_faulty_document_is_told_where(fields: dict[str, Any], text: str) -> None:
    assert text in fault(doc(**fields))


@pytest.mark.parametrize("raw", [b"", b"[]", b"{", b'"\\ud800"', b"\xff", b"null"])
def test_bytes_that_are_no_flag_are_refused(raw: bytes) -> None:
    assert fault(raw).startswith("flag:f")


@pytest.mark.parametrize("depth", [70, 900, 2_000, 100_000])
def test_a_deep_rule_is_refused_at_once(depth: int) -> None:
    nested = b'{"!":' * depth + b"1" + b"}" * depth
    raw = b'{"state":"ENABLED","variants":{"on":true},"targeting":' + nested + b"}"
    begin = perf_counter()

    message = fault(raw)

    assert "nested" in message
    assert perf_counter() - begin < 0.5


def test_a_wide_rule_is_refused() -> None:
    assert f"more than {MAX_NODES} nodes" in fault(doc({"in": ["a", ["b"] * 2_000]}))


def test_an_evaluator_takes_the_place_of_its_name() -> None:
    test = {"==": [{"var": "tier"}, "gold"]}

    flag = parse_flag(
        "f",
        doc({"if": [{"$ref": "is_gold"}, "on"]}),
        {"is_gold": msgspec.json.encode(test)},
    )

    assert (set(flag.refs), set(flag.reads)) == ({"is_gold"}, {"tier"})


def test_evaluators_that_name_each_other_are_refused() -> None:
    message = fault(doc({"$ref": "a"}), a={"!": {"$ref": "b"}}, b={"$ref": "a"})

    assert message.endswith("evaluators refer to themselves: a -> b -> a")


def test_evaluators_that_double_each_other_are_refused() -> None:
    rules = {f"e{n}": {"and": [{"$ref": f"e{n + 1}"}] * 2} for n in range(20)}

    assert "nodes" in fault(doc({"$ref": "e0"}), **rules, e20=True)


@pytest.mark.parametrize("arms", [[], [["on", 0]], [["on", -1]], [["on", 1 << 31]]])
def test_weights_that_can_only_give_null_are_refused(arms: Any) -> None:
    assert "weights add up to" in fault(doc({"fractional": arms}))


def test_a_prerequisite_inside_an_array_operator_is_refused() -> None:
    rule = {"some": [{"var": "list"}, {"$flag": ["other", "on"]}]}

    assert "inside an array operator" in fault(doc(rule))


def test_three_array_operators_inside_each_other_are_refused() -> None:
    inner = {"map": [{"var": ""}, {"map": [{"var": ""}, 1]}]}

    assert "nested too deep" in fault(doc({"map": [{"var": "x"}, inner]}))


plain = st.none() | st.booleans() | st.integers() | st.floats() | st.text()
names = st.sampled_from(sorted(OPERATORS)) | st.text(max_size=5)
rules = st.recursive(
    plain,
    lambda below: (
        st.lists(below, max_size=4) | st.dictionaries(names, below, max_size=2)
    ),
    max_leaves=30,
)
FIELDS = ["state", "variants", "defaultVariant", "targeting", "metadata", "x"]
documents = rules | st.dictionaries(st.sampled_from(FIELDS), rules)


def outcome(raw: bytes, evaluators: dict[str, bytes]) -> Flag | FlagError:
    try:
        return parse_flag("f", raw, evaluators)
    except FlagError as error:
        return error


def json_of(value: Any) -> bytes:
    try:
        return msgspec.json.encode(value)
    except (msgspec.MsgspecError, UnicodeError):
        return b"null"


@given(documents, rules)
def test_any_document_gives_a_flag_or_a_flag_error(found: Any, rule: Any) -> None:
    evaluators = {"a": json_of(rule)}

    assert isinstance(outcome(json_of(found), evaluators), Flag | FlagError)
    assert isinstance(outcome(doc(json_of(rule).decode()), evaluators), FlagError)


@given(st.binary(max_size=200))
def test_any_bytes_give_a_flag_or_a_flag_error(raw: bytes) -> None:
    assert isinstance(outcome(raw, {}), Flag | FlagError)
