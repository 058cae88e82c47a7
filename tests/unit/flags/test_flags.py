from __future__ import annotations

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from failsoft.controls.records import KillDoc, Record
from failsoft.flags import FlagState, bucket_hash, compile_flags, evaluate
from flagdoc import FlagDoc

# Source: open-feature/flagd, the values its documentation of hash v2 and v3 gives.
GOLDEN = [
    (2, "user-1", 1848852186),
    (3, "user-1", 1639727511),
    (2, "ünï-7", 2564481651),
    (3, "ünï-7", 950599222),
]


def edit(key: str, doc: FlagDoc) -> Record:
    return Record("flag", key, 1, 0, 0, msgspec.json.encode(doc))


def kill(target: str, **fields: object) -> Record:
    doc = KillDoc(who="ana", why="test", **fields)  # type: ignore[arg-type]
    return Record("kill", target, 2, 0, 0, msgspec.json.encode(doc))


def boolean(default: str = "on", **fields: object) -> FlagDoc:
    variants = {"on": True, "off": False}
    return FlagDoc(variants=variants, defaultVariant=default, **fields)  # type: ignore[arg-type]


def rollout(percent: int) -> FlagDoc:
    arms = [["on", percent], ["off", 100 - percent]]
    return boolean("off", targeting={"fractional": arms}, metadata={"x.hash": 3})


def state_of(*records: Record, disabled: tuple[str, ...] = ()) -> FlagState:
    by_key = {(record.kind, record.name): record for record in records}
    return compile_flags(7, by_key, {"declared": "blue"}, disabled)


@pytest.mark.parametrize(("version", "user", "expected"), GOLDEN)
def test_hash_versions_are_frozen(version: int, user: str, expected: int) -> None:
    assert bucket_hash(version, "checkout.new-pricing", user) == expected


def test_a_lone_surrogate_has_no_bucket_and_does_not_crash() -> None:
    assert bucket_hash(3, "f", "\ud800") is None


def test_an_edit_wins_over_the_coded_default() -> None:
    details = evaluate(state_of(edit("f", boolean())), "f", False, None)

    assert (details.value, details.variant, details.reason) == (True, "on", "STATIC")


def test_a_kill_wins_over_an_edit() -> None:
    state = state_of(edit("f", boolean()), kill("flag:f*"))

    details = evaluate(state, "f", False, None)

    assert (details.value, details.reason) == (False, "KILLED")


def test_a_kill_may_name_the_variant_it_serves() -> None:
    state = state_of(edit("f", boolean("off")), kill("flag:f", variant="on"))

    assert evaluate(state, "f", False, None).value is True


def test_a_mode_switches_a_flag_off() -> None:
    state = state_of(edit("f", boolean()), disabled=("f",))

    assert evaluate(state, "f", True, None).value is False


def test_an_unknown_key_gives_the_coded_default() -> None:
    assert evaluate(state_of(), "nobody", 2.5, None).value == 2.5


def test_a_declared_default_wins_over_the_coded_one() -> None:
    assert evaluate(state_of(), "declared", "red", None).value == "blue"


def test_a_value_of_another_type_gives_the_coded_default() -> None:
    details = evaluate(state_of(edit("f", boolean())), "f", "text", None)

    assert (details.value, details.error) == ("text", "TYPE_MISMATCH")


def test_an_edit_that_is_not_understood_leaves_the_layer_below() -> None:
    state = state_of(edit("f", boolean(targeting={"telepathy": []})))

    assert (state.bad, evaluate(state, "f", False, None).value) == (("f",), False)


@pytest.mark.parametrize("arm", [[], ["on", 5, 5], ["on", 2.5], ["on", True], "on"])
def test_an_arm_that_is_no_arm_leaves_the_layer_below(arm: object) -> None:
    state = state_of(edit("f", boolean(targeting={"fractional": [arm]})))

    assert (state.bad, evaluate(state, "f", False, None).value) == (("f",), False)


def test_a_kill_that_cannot_be_read_does_not_hold_up_the_others() -> None:
    broken = Record("kill", "flag:g", 1, 0, 0, b'{"status": "no"}')

    state = state_of(broken, edit("f", boolean()), kill("flag:f"))

    assert evaluate(state, "f", True, None).reason == "KILLED"


def test_without_a_targeting_key_a_rollout_serves_the_default_variant() -> None:
    details = evaluate(state_of(edit("f", rollout(100))), "f", True, None)

    assert (details.value, details.reason) == (False, "DEFAULT")


@pytest.mark.parametrize("arm", [[["on"], 5], [5, 5], ["telepathy"]])
def test_an_arm_that_is_no_variant_is_an_error(arm: list[object]) -> None:
    state = state_of(edit("f", boolean(targeting={"fractional": [arm]})))

    details = evaluate(state, "f", False, "user-1")

    assert (details.value, details.error) == (False, "GENERAL")


@given(st.text(), st.integers(0, 100), st.integers(0, 100))
def test_growing_a_rollout_never_removes_a_user(user: str, one: int, two: int) -> None:
    small, large = sorted((one, two))

    had = evaluate(state_of(edit("f", rollout(small))), "f", False, user).value
    has = evaluate(state_of(edit("f", rollout(large))), "f", False, user).value

    assert has or not had


def test_a_rollout_serves_about_its_share() -> None:
    state = state_of(edit("f", rollout(25)))

    on = sum(evaluate(state, "f", False, f"user-{n}").value for n in range(10_000))

    assert 2350 <= on <= 2650
