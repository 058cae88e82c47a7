"""Who is read how: precedence, controls, ends."""

from __future__ import annotations

import msgspec
import pytest

from failsoft.controls.records import Record, ToleranceDoc
from failsoft.routes.table import RouteDef
from failsoft.settings import HandlingRule, ToleranceDefinition, ToleranceSettings
from failsoft.tolerance._policy import Policy, compile_policy

ORDERS = RouteDef("POST /orders")
DAY_MS = 86_400_000


def control(
    name: str, *, rev: int = 1, until_ms: int = 10 * DAY_MS, **doc: object
) -> Record:
    json = msgspec.json.encode(ToleranceDoc("ana", "a test", **doc))  # type: ignore[arg-type]
    return Record("tolerance", name, rev, 0, until_ms, json)


def declared(**fields: str) -> ToleranceDefinition:
    said = {"name": "t", "path": "/a", "kind": "wrap_array", "until": "1970-01-11"}
    return ToleranceDefinition(**{**said, "reason": "r", "owner": "o", **fields})


def handling(policy: Policy, consumer: str, route: RouteDef = ORDERS) -> str:
    return policy.of(route).for_(consumer).handling


def test_the_more_is_named_the_more_it_counts() -> None:
    rules = (
        HandlingRule("warn", consumer="ios-3"),
        HandlingRule("tolerate", "POST /orders"),
        HandlingRule("strict", "POST /orders", "ios-3"),
    )
    steps = [
        compile_policy(ToleranceSettings("off", rules[:count])) for count in range(4)
    ]

    assert [handling(policy, "ios-3") for policy in steps] == [
        *("off", "warn", "tolerate", "strict")
    ]
    assert handling(steps[3], "web") == "tolerate"
    assert handling(steps[3], "ios-3", RouteDef("GET /x")) == "warn"


def test_a_control_wins_over_all_that_is_declared() -> None:
    rules = (HandlingRule("strict", "POST /orders", "ios-3"),)
    everywhere = control("a", handling="off")
    here = control("b", route="POST /*", handling="warn")

    policy = compile_policy(ToleranceSettings("observe", rules), [here, everywhere])

    assert handling(policy, "ios-3") == "warn"
    assert handling(policy, "ios-3", RouteDef("GET /x")) == "off"


def test_of_two_alike_controls_the_newer_counts() -> None:
    records = [
        control("a", rev=2, handling="off"),
        control("b", rev=1, handling="warn"),
    ]

    assert handling(compile_policy(ToleranceSettings(), records), "x") == "off"


def test_what_a_route_says_of_itself_counts_as_its_rule() -> None:
    route = RouteDef("POST /orders", handling="warn")
    rules = (HandlingRule("strict", "POST *"), HandlingRule("off", "POST *", "ios-3"))

    policy = compile_policy(ToleranceSettings("observe", rules))

    assert handling(policy, "web", route) == "warn"
    assert handling(policy, "ios-3", route) == "off"


def test_who_calls_matters_only_where_somebody_is_named() -> None:
    rules = (HandlingRule("warn", "POST /orders", "ios-*"),)
    policy = compile_policy(ToleranceSettings("observe", rules))

    assert policy.of(ORDERS).asks_consumer
    assert not policy.of(RouteDef("GET /x")).asks_consumer
    assert policy.of(ORDERS).handlings == {"warn", "observe"}
    assert policy.of(RouteDef("GET /x")).handlings == {"observe"}


@pytest.mark.parametrize(
    ("handling", "may"),
    [
        ("off", False),
        ("observe", True),
        ("warn", True),
        ("tolerate", True),
        ("strict", False),
    ],
)
def test_off_and_strict_repair_nothing(handling: str, may: bool) -> None:
    policy = compile_policy(ToleranceSettings(handling, allow=(declared(),)))

    assert policy.of(ORDERS).for_("x").may_repair is may


def test_a_declared_tolerance_is_over_at_its_midnight_in_utc() -> None:
    (one,) = compile_policy(ToleranceSettings(allow=(declared(),))).tolerances

    assert not one.is_over(10 * DAY_MS - 1)
    assert one.is_over(10 * DAY_MS)


def test_controls_add_replace_and_end_tolerances() -> None:
    settings = ToleranceSettings(allow=(declared(), declared(name="u")))
    records = [
        control("t", until_ms=20 * DAY_MS, path="/a", kind="wrap_array"),
        control("u", rev=2, stop=True),
        control("v", rev=3, path="/b", kind="alias", value={"from": "c"}),
    ]

    found = {one.name: one for one in compile_policy(settings, records).tolerances}

    assert found.keys() == {"t", "v"}
    assert (found["t"].until_ms, found["t"].is_control) == (20 * DAY_MS, True)
    assert found["v"].allowed.value == "c"


def test_a_control_nobody_understands_is_listed_and_harms_no_other() -> None:
    broken = Record("tolerance", "json", 4, 0, 1, b"{")
    records = [
        broken,
        control("kind", path="/a", kind="guess"),
        control("handling", rev=2, handling="lenient"),
        control("alias", rev=3, path="/a", kind="alias"),
        control("endless", until_ms=0, path="/a", kind="wrap_array"),
        control("root", path="zip", kind="drop_unknown"),
        control("fine", rev=5, path="/a", kind="wrap_array"),
    ]

    policy = compile_policy(ToleranceSettings(), records)

    assert [one.name for one in policy.tolerances] == ["fine"]
    assert sorted(policy.bad) == [
        f"tolerance:{name}"
        for name in ("alias", "endless", "handling", "json", "kind", "root")
    ]


def test_an_operators_tolerance_that_ended_is_counted_on() -> None:
    settings = ToleranceSettings()
    standing = [control("t", until_ms=5, path="/a", kind="wrap_array")]
    before = compile_policy(settings, standing)

    ended = compile_policy(settings, [], before=before, now_ms=6)
    later = compile_policy(settings, [], before=ended, now_ms=7)
    taken_back = compile_policy(settings, [], before=before, now_ms=4)

    assert [one.name for one in later.ended] == ["t"]
    assert later.of(ORDERS).for_("x").tolerances[0].is_over(7)
    assert taken_back.ended == ()


def test_consumers_are_remembered_up_to_a_bound() -> None:
    rules = (HandlingRule("warn", consumer="ios-*"),)
    reading = compile_policy(ToleranceSettings("observe", rules)).of(ORDERS)

    handlings = {reading.for_(f"ios-{number}").handling for number in range(1_000)}

    assert handlings == {"warn"}
