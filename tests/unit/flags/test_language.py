"""What rules give, operator by operator, and how a result becomes a value."""

from __future__ import annotations

from itertools import pairwise
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from failsoft.controls.records import KillDoc, Record
from failsoft.flags import (
    FlagDetails,
    FlagState,
    check_flags,
    compile_flags,
    evaluate,
)
from failsoft.flags._compile import compile_rule
from failsoft.flags._hash import value_hash
from failsoft.flags._parse import parse_flag
from failsoft.flags._semver import parse_version

BOOLEAN = {"on": True, "off": False, "true": True, "false": False}


def record(kind: str, name: str, content: Any) -> Record:
    return Record(kind, name, 1, 0, 0, msgspec.json.encode(content))


def flag(targeting: Any = None, key: str = "f", **fields: Any) -> Record:
    made = {"state": "ENABLED", "variants": BOOLEAN, "defaultVariant": "off"}
    return record("flag", key, {**made, "targeting": targeting, **fields})


def state_of(*records: Record, before: FlagState | None = None) -> FlagState:
    return compile_flags(7, {(r.kind, r.name): r for r in records}, {}, (), before)


def asked(state: FlagState, default: Any = False, **context: Any) -> FlagDetails:
    return evaluate(
        state, "f", default, "user-1", lambda: dict(context), lambda: 12_900.0
    )


CONTEXT = {
    "country": "de",
    "age": 20,
    "none": None,
    "empty": "",
    "list": [1, 2, 3],
    "user": {"tier": "gold", "tags": ["a", "b"]},
    "version": "v1.4",
}

TRUE: list[Any] = [
    {"==": [{"var": "country"}, "de"]},
    {"==": [{"var": "age"}, "20"]},
    {"==": [{"var": "nobody"}, None]},
    {"!=": [{"var": "nobody"}, 0]},
    {"!=": [{"var": "none"}, False]},
    {"===": [{"var": "age"}, 20]},
    {"!==": [{"var": "age"}, "20"]},
    {"!==": [1, True]},
    {"<": [18, {"var": "age"}, 30]},
    {"<=": [20, {"var": "age"}, 20]},
    {"!": {"<": [1, {"var": "age"}, {"var": "nobody"}]}},
    {">": [{"var": "age"}, 18]},
    {">=": ["b", "a"]},
    {"!": {"<": [{"var": "nobody"}, "m"]}},
    {"!": [[]]},
    {"!!": {"var": "list"}},
    {"and": [1, {"var": "country"}]},
    {"or": [0, "", {"var": "country"}]},
    {"in": [{"var": "country"}, ["de", "at"]]},
    {"!": {"in": [{"var": "nobody"}, ["de", "at"]]}},
    {"!": {"in": [True, [1, 2]]}},
    {"in": ["e", {"var": "country"}]},
    {"in": [2, {"var": "list"}]},
    {"==": [{"var": "user.tier"}, "gold"]},
    {"==": [{"var": "user.tags.1"}, "b"]},
    {"==": [{"var": ["nobody", 5]}, 5]},
    {"==": [{"var": "list.length"}, 3]},
    {"==": [{"missing": ["country", "nobody", "empty"]}, "nobody,empty"]},
    {"!": {"missing_some": [1, ["country", "nobody"]]}},
    {"==": [{"missing_some": [2, ["country", "nobody"]]}, "nobody"]},
    {"==": [{"+": [1, "2", 3]}, 6]},
    {"==": [{"-": [{"var": "age"}, {"var": "nobody"}]}, 20]},
    {"==": [{"-": 5}, -5]},
    {"==": [{"*": [2, 3]}, 6]},
    {"==": [{"/": [5, 2]}, 2.5]},
    {"==": [{"%": [-5, 3]}, -2]},
    {"==": [{"min": [3, 1, 2]}, 1]},
    {"==": [{"max": [1, "3", 2]}, 3]},
    {"==": [{"map": [{"map": [{"map": [{"var": "list"}, 1]}, 2]}, 3]}, "3,3,3"]},
    {"==": [{"cat": [{"var": "country"}, 1, True, 1.0]}, "de1true1"]},
    {"==": [{"substr": ["failsoft", -4]}, "soft"]},
    {"==": [{"substr": ["failsoft", 0, -4]}, "fail"]},
    {"==": [{"merge": [1, [2, 3]]}, "1,2,3"]},
    {"==": [{"map": [{"var": "list"}, {"*": [{"var": ""}, 2]}]}, "2,4,6"]},
    {"==": [{"filter": [{"var": "list"}, {">": [{"var": ""}, 1]}]}, "2,3"]},
    {"all": [{"var": "list"}, {">": [{"var": ""}, 0]}]},
    {"!": {"all": [[], True]}},
    {"some": [{"var": "list"}, {"==": [{"var": ""}, 3]}]},
    {"none": [{"var": "nobody"}, True]},
    {"sem_ver": [{"var": "version"}, "=", "1.4.0"]},
    {"sem_ver": [{"var": "version"}, "^", "1.0.0"]},
    {"sem_ver": [{"var": "version"}, "~", "v1.4.9"]},
    {"sem_ver": ["1.0.0-rc.2", "<", "1.0.0-rc.10"]},
    {"!": {"sem_ver": ["soup", "=", "1.0.0"]}},
    {"starts_with": [{"var": "user.tier"}, "go"]},
    {"ends_with": [{"var": "user.tier"}, "ld"]},
    {"!": {"ends_with": [5, "5"]}},
    {"==": [{"var": "$flagd.flagKey"}, "f"]},
    {"==": [{"var": "$flagd.timestamp"}, 12]},
    {"==": [{"var": "targetingKey"}, "user-1"]},
    {
        "==": [
            {
                "reduce": [
                    {"var": "list"},
                    {"+": [{"var": "accumulator"}, {"var": "current"}]},
                    4,
                ]
            },
            10,
        ]
    },
]


@pytest.mark.parametrize("rule", TRUE, ids=str)
def test_the_rule_holds(rule: Any) -> None:
    details = asked(state_of(flag({"if": [rule, "on"]})), **CONTEXT)

    assert (details.variant, details.error) == ("on", "")


@pytest.mark.parametrize(
    ("rule", "expected"),
    [
        ({"if": [True, "on"]}, (True, "on", "TARGETING_MATCH", "")),
        ({"==": [1, 1]}, (True, "true", "TARGETING_MATCH", "")),
        ({"==": [1, 2]}, (False, "false", "TARGETING_MATCH", "")),
        ({"if": [False, "on"]}, (False, "off", "DEFAULT", "")),
        ({"cat": ["may", "be"]}, (False, None, "ERROR", "GENERAL")),
        ({"merge": [1]}, (False, None, "ERROR", "GENERAL")),
        ({"/": [1, 0]}, (False, None, "ERROR", "GENERAL")),
        ({"$ref": "nobody"}, (False, None, "ERROR", "PARSE_ERROR")),
        (None, (False, "off", "STATIC", "")),
    ],
)
def test_a_result_becomes_a_variant_and_a_reason(rule: Any, expected: Any) -> None:
    found = asked(state_of(flag(rule)))

    assert (found.value, found.variant, found.reason, found.error) == expected


def test_evaluations_that_fail_are_counted_and_told_once(
    caplog: pytest.LogCaptureFixture,
) -> None:
    state = state_of(flag({"/": [1, {"var": "zero"}]}))

    asked(state, zero=0)
    asked(state, zero=0)

    assert state.kept.faults == {"f": 2}
    assert [record.getMessage() for record in caplog.records] == [
        "flag f: its rule fails (ZeroDivisionError), the coded default is "
        "served; `failsoft flags explain` shows where"
    ]


def test_without_a_default_variant_the_coded_default_is_served() -> None:
    state = state_of(flag({"if": [False, "on"]}, defaultVariant=None))

    found = asked(state, True)

    assert (found.value, found.variant, found.reason) == (True, None, "DEFAULT")


def test_disabled_means_the_coded_default() -> None:
    found = asked(state_of(flag(state="DISABLED", defaultVariant="on")), True)

    assert (found.value, found.variant, found.reason) == (True, None, "DISABLED")


@pytest.mark.parametrize(
    ("stored", "default", "value", "error"),
    [
        (3, 0.5, 3.0, ""),
        (3.0, 1, 1, "TYPE_MISMATCH"),
        (1, False, False, "TYPE_MISMATCH"),
        (True, 1, 1, "TYPE_MISMATCH"),
        ("x", {}, {}, "TYPE_MISMATCH"),
        ({"a": [1]}, {}, {"a": [1]}, ""),
    ],
)
def test_a_value_fits_its_default(
    stored: Any, default: Any, value: Any, error: str
) -> None:
    found = asked(state_of(flag(variants={"a": stored}, defaultVariant="a")), default)

    assert (found.value, type(found.value), found.error) == (value, type(value), error)


def test_objects_are_fresh_copies() -> None:
    state = state_of(flag(variants={"a": {"n": [1]}}, defaultVariant="a"))

    asked(state, {}).value["n"].append(2)

    assert asked(state, {}).value == {"n": [1]}


# --- rollouts ----------------------------------------------------------------

# Source: cbor2 5.9 (canonical) and mmh3 5.3 as openfeature-flagd-core 2.0 uses them.
GOLDEN: list[tuple[int, Any, int | None]] = [
    (2, "user-1", 4171401059),
    (2, "", None),
    (2, 5, None),
    (3, "user-1", 1431628768),
    (3, "", 661569231),
    (3, 5, 1405797717),
    (3, 5.0, 1405797717),
    (3, 0.1, 109103420),
    (3, True, 836216331),
    (3, None, None),
    (3, ["a", 1, {"b": None, "aa": -70000}], 4183246183),
    (3, 2**70, 3420435976),
    (3, "\ud800", None),
    (3, {1: 2}, None),
    (3, object(), None),
]


@pytest.mark.parametrize(("version", "value", "expected"), GOLDEN)
def test_hashes_of_values_are_frozen(version: int, value: Any, expected: Any) -> None:
    assert value_hash(version, value) == expected


def rule_of(targeting: Any, version: int = 3) -> Any:
    made = flag(targeting, metadata={"x.hash": version})
    return compile_rule(parse_flag("f", made.json))


ARMS: list[Any] = [["on", 25], ["off", 75]]


@pytest.mark.parametrize("version", [2, 3])
@pytest.mark.parametrize("user", [None, "", "\ud800", 5])
def test_without_a_usable_targeting_key_nobody_is_chosen(
    version: int, user: Any
) -> None:
    assert rule_of({"fractional": ARMS}, version)({"targetingKey": user}) is None


@pytest.mark.parametrize("version", [2, 3])
def test_a_lone_surrogate_as_bucket_value_gives_the_default(version: int) -> None:
    rule = rule_of({"fractional": [{"var": "email"}, *ARMS]}, version)

    assert rule({"email": "\ud800"}) is None


def test_a_bucket_value_that_is_an_array_means_the_shorthand() -> None:
    explicit = rule_of({"fractional": [{"var": "arm"}, ["off", 75]]})
    shorthand = rule_of({"fractional": ARMS})
    users = [{"targetingKey": f"u{n}", "arm": ["on", 25]} for n in range(200)]

    assert [explicit(u) for u in users] == [shorthand(u) for u in users]


def test_weights_and_variants_may_be_rules() -> None:
    arms = [[{"var": "name"}, {"var": "share"}], ["off", {"-": [100, 25]}]]
    dynamic = rule_of({"fractional": arms})
    constant = rule_of({"fractional": ARMS})
    users = [{"targetingKey": f"u{n}", "name": "on", "share": 25} for n in range(200)]

    assert [dynamic(u) for u in users] == [constant(u) for u in users]


@pytest.mark.parametrize("share", [2.5, True, "5", None, 1 << 31])
def test_a_weight_that_is_no_whole_number_gives_the_default(share: Any) -> None:
    rule = rule_of({"fractional": [["on", {"var": "share"}], ["off", 5]]})

    assert rule({"targetingKey": "u", "share": share}) is None


shares = st.integers(0, 1_000)


@given(st.text(min_size=1), st.sampled_from((2, 3)), *[shares] * 4)
def test_growing_a_share_never_removes_a_user(
    user: str, version: int, one: int, rest: int, more: int, less: int
) -> None:
    """The share is weight / sum; the sum may change too."""
    small, large = (one, rest), (one + more, max(0, rest - less))
    if not sum(small) or not sum(large):
        return

    had, has = (
        rule_of({"fractional": [["on", on], ["off", off]]}, version)(
            {"targetingKey": user}
        )
        for on, off in (small, large)
    )

    assert has == "on" or had != "on"


# --- versions ----------------------------------------------------------------


def test_versions_stand_in_the_order_of_the_specification() -> None:
    ordered = ["1.0.0-alpha", "1.0.0-alpha.1", "1.0.0-alpha.beta", "1.0.0-beta"]
    ordered += ["1.0.0-beta.2", "1.0.0-beta.11", "1.0.0-rc.1", "1.0.0", "2", "2.1"]

    parsed: list[Any] = [parse_version(text) for text in ordered]

    assert parsed == sorted(parsed)
    assert len(set(parsed)) == len(ordered)


@pytest.mark.parametrize("text", ["", "1.2.3.4", "01.2.3", "1.2.x", "1.0.0-", True])
def test_what_is_no_version_has_none(text: Any) -> None:
    assert parse_version(text) is None


# --- limits while evaluating -------------------------------------------------


@pytest.mark.parametrize(
    "rule",
    [
        {"map": [{"var": "many"}, 1]},
        {"cat": [{"var": "long"}, "x"]},
        {"==": [{"map": [[1, 2], {"cat": ["x" * 4_000]}]}, "x"]},
        {"in": [1, {"var": "many"}]},
        {"var": "round"},
    ],
)
def test_what_is_too_large_gives_the_coded_default(rule: Any) -> None:
    endless: list[Any] = []
    endless.append(endless)
    context = {"many": list(range(1_001)), "long": "x" * 4_096, "round": endless}

    assert asked(state_of(flag(rule)), **context).reason == "ERROR"


def test_numbers_do_not_grow_without_end() -> None:
    square = {"*": [{"var": "accumulator"}, {"var": "accumulator"}]}
    rule = {"reduce": [{"var": "list"}, square, 10]}

    assert asked(state_of(flag(rule)), list=[0] * 1_000).reason == "ERROR"


# --- prerequisites -----------------------------------------------------------

NEEDS_G = {"if": [{"$flag": ["g", "on"]}, "on", "off"]}


def test_a_prerequisite_is_the_variant_of_another_flag() -> None:
    met = state_of(flag(NEEDS_G), flag(key="g", defaultVariant="on"))
    not_met = state_of(flag(NEEDS_G), flag(key="g"))

    assert asked(met).value is True
    assert asked(not_met).value is False


def test_a_killed_prerequisite_is_not_met() -> None:
    kill = record("kill", "flag:g", KillDoc(who="ana", why="test"))
    state = state_of(flag(NEEDS_G), flag(key="g", defaultVariant="on"), kill)

    assert asked(state).value is False


def test_a_prerequisite_sees_the_context_and_its_own_key() -> None:
    own = {"==": [{"var": "$flagd.flagKey"}, "g"]}
    gold = {"==": [{"var": "tier"}, "gold"]}
    rule = {"if": [{"and": [own, gold]}, "on", "off"]}
    state = state_of(flag(NEEDS_G), flag(rule, key="g"))

    assert asked(state, tier="gold").value is True
    assert asked(state, tier="tin").value is False


def needs(key: str, other: str) -> Record:
    return flag({"if": [{"$flag": [other, "on"]}, "on", "off"]}, key=key)


def test_prerequisites_that_go_round_are_refused() -> None:
    state = state_of(needs("f", "g"), needs("g", "h"), needs("h", "f"))

    assert set(state.bad) == {"f", "g", "h"}
    assert asked(state, True).value is True


def test_more_than_eight_prerequisites_in_a_row_are_refused() -> None:
    names = ["f", *(f"g{n}" for n in range(9))]
    chain = [needs(one, two) for one, two in pairwise(names)]
    last = flag(key=names[-1], defaultVariant="on")

    assert state_of(*chain, last).bad == ("f",)
    assert asked(state_of(needs("f", names[2]), *chain[1:], last)).value is True


# --- what is kept between revisions ------------------------------------------


def test_a_bad_edit_leaves_the_last_good_one() -> None:
    good = state_of(flag(defaultVariant="on"))

    bad = state_of(flag({"telepathy": []}), before=good)
    worse = state_of(flag({"astrology": []}), before=bad)

    assert (worse.bad, asked(bad).value, asked(worse).value) == (("f",), True, True)


def test_a_repaired_edit_is_no_longer_bad() -> None:
    bad = state_of(flag({"telepathy": []}))

    repaired = state_of(flag(defaultVariant="on"), before=bad)

    assert (repaired.bad, asked(repaired).value) == ((), True)


def test_a_deleted_flag_is_forgotten() -> None:
    bad = state_of(flag({"telepathy": []}), flag(key="g"))

    gone = state_of(flag(key="g"), before=bad)

    assert (gone.bad, asked(gone, True).variant) == ((), None)


def test_changing_an_evaluator_changes_its_users() -> None:
    user = flag({"if": [{"$ref": "who"}, "on", "off"]})
    first = state_of(user, record("evaluator", "who", {"==": [1, 1]}))
    was, good = asked(first).value, first.bad

    second = state_of(user, record("evaluator", "who", {"==": [1, 2]}), before=first)
    third = state_of(user, before=second)

    assert (was, good, asked(second).value) == (True, (), False)
    assert (third.bad, asked(third).error) == (("f",), "PARSE_ERROR")


def test_a_request_keeps_the_flags_of_its_revision() -> None:
    first = state_of(flag(defaultVariant="on"))
    second = state_of(flag(defaultVariant="off"), before=first)

    assert (asked(first).value, asked(second).value) == (True, False)


def test_one_bad_flag_among_many_is_found_in_slices_and_holds_up_none() -> None:
    many = [flag(key=f"g{n}", defaultVariant="on") for n in range(500)]
    state = state_of(flag(defaultVariant="on"), *many, flag({"x": []}, key="poison"))
    at_once = state.bad

    slices = 1
    while check_flags(state, 50):
        slices += 1

    assert (at_once, state.bad, slices) == ((), ("poison",), 10)
    assert asked(state).value is True


plain: Any = st.none() | st.booleans() | st.integers() | st.floats() | st.text()
values: Any = st.recursive(
    plain, lambda below: st.lists(below) | st.dictionaries(st.text(), below)
)


@given(st.sampled_from(TRUE), st.dictionaries(st.sampled_from(list(CONTEXT)), values))
def test_no_context_makes_an_evaluation_raise(rule: Any, context: Any) -> None:
    assert isinstance(asked(state_of(flag(rule)), **context), FlagDetails)
