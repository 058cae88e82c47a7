"""What tests of applications do with flags; no Redis, no application needed."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator

import pytest

import failsoft
from failsoft.errors import FlagUnavailable
from failsoft.flags import FlagState
from failsoft.flags._overlay import OVERLAYS
from failsoft.testing import FlagsInTests, flag_matrix, override

NEW = failsoft.Flag("testing.new", default=False)
STRICT = failsoft.Flag("testing.signed", default=False, fail="refuse")


def test_a_block_serves_its_values_and_ends() -> None:
    with override({"testing.new": True, "b": "blue"}):
        inside = (NEW(), failsoft.flag("b", "red"))

    assert inside == (True, "blue")
    assert (NEW(), failsoft.flag("b", "red")) == (False, "red")


def test_blocks_nest_and_the_last_one_wins() -> None:
    with override({"a": "outer", "b": "outer"}):
        with override({"a": "inner"}):
            inside = (failsoft.flag("a", ""), failsoft.flag("b", ""))
        after = failsoft.flag("a", "")

    assert (inside, after) == (("inner", "outer"), "outer")


@override({"testing.new": True})
def test_a_test_may_be_decorated() -> None:
    assert NEW() is True


@pytest.mark.anyio
@override({"testing.new": True})
async def test_an_async_test_may_be_decorated() -> None:
    assert NEW() is True


def test_one_override_may_be_entered_twice() -> None:
    again = override({"testing.new": True})
    with again:
        with again:
            pass
        inside = NEW()

    assert (inside, NEW()) == (True, False)


def test_a_value_may_depend_on_the_context(failsoft_flags: FlagsInTests) -> None:
    failsoft_flags.set("testing.new", lambda context: context["tier"] == "gold")

    assert [NEW(context={"tier": tier}) for tier in ("gold", "free")] == [True, False]


def test_a_variant_is_named(failsoft_flags: FlagsInTests) -> None:
    failsoft_flags.set("testing.new", variant="on")

    details = NEW.details()

    assert (details.value, details.variant, details.reason) == (True, "on", "OVERRIDE")


def test_a_variant_that_is_none_is_told(failsoft_flags: FlagsInTests) -> None:
    failsoft_flags.set("testing.new", variant="onn")

    with pytest.raises(FlagUnavailable, match="'onn' is not one of on, off"):
        NEW()


def test_a_test_kill_beats_a_test_override(failsoft_flags: FlagsInTests) -> None:
    failsoft_flags.set("testing.new", True)
    failsoft_flags.kill("flag:testing.*")

    details = NEW.details()

    assert (details.value, details.reason) == (False, "KILLED")


def test_what_was_asked_is_seen_in_order(failsoft_flags: FlagsInTests) -> None:
    failsoft_flags.set("testing.new", True)

    NEW()
    failsoft.flag("nobody", 7)

    assert failsoft_flags.seen == [("testing.new", "on"), ("nobody", "(default)")]


def test_a_block_may_serve_for_days() -> None:
    served = override({"testing.new": True})
    with served:
        NEW()

        (frame,) = served._entered
        assert frame.seen is None


def test_a_store_that_is_long_silent_shows_in_age_and_reason(
    failsoft_flags: FlagsInTests,
) -> None:
    failsoft_flags.stale(hours=2)

    details = NEW.details()

    assert (details.value, details.reason, details.age) == (False, "STALE", 7200)


def test_a_refusing_flag_raises_unless_a_test_sets_it(
    failsoft_flags: FlagsInTests,
) -> None:
    with pytest.raises(FlagUnavailable, match=r"testing\.signed has no value: never"):
        STRICT()

    failsoft_flags.set("testing.signed", True)

    assert STRICT() is True


def test_a_reset_forgets_everything(failsoft_flags: FlagsInTests) -> None:
    failsoft_flags.set("testing.new", True)
    NEW()

    failsoft_flags.reset()

    assert failsoft_flags.seen == []
    assert NEW() is False


@pytest.mark.parametrize("given", [{}, {"value": True, "variant": "on"}])
def test_a_value_or_a_variant_is_needed(
    given: dict[str, object], failsoft_flags: FlagsInTests
) -> None:
    with pytest.raises(ValueError, match="either a value or variant="):
        failsoft_flags.set("a", **given)  # type: ignore[arg-type]


def test_only_flags_are_killed(failsoft_flags: FlagsInTests) -> None:
    with pytest.raises(ValueError, match="must be flag:KEY"):
        failsoft_flags.kill("route:GET /x")


def test_what_is_no_function_is_not_decorated() -> None:
    class TestMany:
        pass

    def fixture() -> Iterator[None]:
        yield

    async def async_fixture() -> AsyncIterator[None]:
        yield

    for one in (TestMany, fixture, async_fixture):
        with pytest.raises(TypeError, match="use `with override"):
            override({"a": True})(one)


def test_a_callable_that_raises_is_told(failsoft_flags: FlagsInTests) -> None:
    failsoft_flags.set("testing.new", lambda context: context["tier"] == "gold")

    with pytest.raises(FlagUnavailable, match="KeyError"):
        NEW()


def test_what_a_test_sets_while_a_thread_asks_is_not_lost(
    failsoft_flags: FlagsInTests,
) -> None:
    class Age(float):
        def __lt__(self, other: float) -> bool:  # the last step of laying frames over
            failsoft_flags.set("a", "new")
            return False

    overlay, state = OVERLAYS[-1], FlagState(age_s=Age())
    failsoft_flags.set("a", "old")
    overlay.over(state)

    assert overlay.over(state).overrides["a"].value == "new"


def test_a_thread_may_still_ask_when_the_test_ends() -> None:
    with override({"a": True}):
        overlay = OVERLAYS[-1]

    assert overlay.age_s == 0.0


@flag_matrix("a", "b")
def test_a_matrix_runs_all_combinations(request: pytest.FixtureRequest) -> None:
    served = {key: failsoft.flag(key, "no") for key in ("a", "b")}
    words = {"a": failsoft.flag("a", False), "b": failsoft.flag("b", False)}

    name = ",".join(f"{k}={'on' if v else 'off'}" for k, v in words.items())
    assert request.node.name.endswith(f"[{name}]")
    assert set(served.values()) == {"no"}  # another type is the coded default


def test_a_matrix_of_more_than_sixteen_is_refused() -> None:
    with pytest.raises(ValueError, match="32 combinations of a, b, c, d, e; the limit"):
        flag_matrix("a", "b", "c", "d", "e")
