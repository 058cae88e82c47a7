"""Which failures are one group, what an example keeps, and what it never keeps."""

from __future__ import annotations

from typing import Any

import pytest

from failsoft.pipeline import Exchange, Plan
from failsoft.telemetry import Flight, decode_flight, encode
from failsoft.telemetry._groups import FlightDeck, redact, with_sources

NOW_MS = 1_790_000_000_000


class NoRuntime:
    class snapshot:
        revision = 7
        modes = ("fs.read-only",)


def failed(error: BaseException | None, status: int = 0) -> Exchange:
    exchange = Exchange({}, NoRuntime(), 0)
    exchange.plan = Plan("GET /x", "critical", None)
    exchange.exception = error
    exchange.status = status
    exchange.span_id = 0xABCDEF
    return exchange


def raised(work: Any) -> BaseException:
    try:
        work()
    except Exception as error:  # noqa: BLE001 - it is what we want
        return error
    raise AssertionError("it did not raise")


def divides() -> None:
    _ = 1 / 0


def divides_elsewhere() -> None:
    _ = 1 / 0


def keep(error: BaseException | None, status: int = 0) -> Flight:
    deck = FlightDeck("n1", "1.2.3")
    deck.fail(failed(error, status), 1500, NOW_MS)
    (flight,) = deck.take()
    return flight


def test_the_same_exception_in_the_same_function_is_one_group() -> None:
    assert keep(raised(divides)).group == keep(raised(divides)).group


def test_another_function_is_another_group() -> None:
    assert keep(raised(divides)).group != keep(raised(divides_elsewhere)).group


def test_an_answered_5xx_is_grouped_by_its_status() -> None:
    assert keep(None, 502).group == keep(None, 502).group != keep(None, 503).group


def test_frames_come_newest_first_with_their_source_line() -> None:
    frame = with_sources(keep(raised(divides))).frames[0]

    assert (frame.function, frame.source, frame.in_app) == (
        "divides",
        "_ = 1 / 0",
        True,
    )


def test_a_kept_failure_says_under_what_it_happened() -> None:
    flight = keep(raised(divides))

    assert (flight.revision, flight.modes, flight.release) == (
        7,
        ("fs.read-only",),
        "1.2.3",
    )


def test_causes_are_kept_and_a_cycle_of_causes_ends() -> None:
    first, second = ValueError("one"), KeyError("two")
    first.__cause__, second.__cause__ = second, first

    assert keep(first).causes == ("KeyError: 'two'",)


def test_an_exception_that_cannot_say_itself_is_kept_all_the_same() -> None:
    class Mute(Exception):
        def __str__(self) -> str:
            raise RuntimeError("no")

    assert keep(Mute()).message == "(its __str__ raised)"


def test_five_examples_a_group_and_minute_are_kept() -> None:
    deck = FlightDeck("n1")
    error = raised(divides)
    for _ in range(9):
        deck.fail(failed(error), 1500, NOW_MS)
    first_minute = len(deck.take())
    deck.fail(failed(error), 1500, NOW_MS + 60_000)

    assert (first_minute, len(deck.take())) == (5, 1)


def test_a_deep_stack_is_cut_and_says_so() -> None:
    def deep(n: int) -> None:
        if n == 0:
            raise ValueError("deep")
        deep(n - 1)

    flight = keep(raised(lambda: deep(200)))

    assert (len(flight.frames), flight.truncated) == (50, True)


@pytest.mark.parametrize(
    ("text", "kept"),
    [
        ("mail bob@example.org now", "mail (redacted) now"),
        ("Authorization: Bearer abc.def-1", "Authorization: (redacted)"),
        ("redis://user:s3cret@host/0", "redis://(redacted)@host/0"),
        ("token=abc123 given", "(redacted) given"),
        ("sk_live_0123456789", "(redacted)"),
        ("redis://:p:q@host", "redis://(redacted)@host"),
        ("a,b.c+d@x.org", "a,(redacted)"),
        ("-" * 400, "-" * 400),
        ("order 17 not found", "order 17 not found"),
    ],
)
def test_what_looks_like_a_secret_or_a_person_is_redacted(text: str, kept: str) -> None:
    assert redact(text) == kept


def test_a_message_that_utf8_cannot_hold_still_goes_over_the_wire() -> None:
    """A JSON body may say "\\ud800", and an exception may repeat it."""
    flight = keep(ValueError("no \ud800 here"))

    assert decode_flight(encode(flight)).message == "no ? here"


def test_a_group_of_one_is_kept_as_its_member() -> None:
    alone = raised(divides)

    wrapped = keep(BaseExceptionGroup("two", [BaseExceptionGroup("one", [alone])]))

    assert (wrapped.exception, wrapped.group) == (
        "ZeroDivisionError",
        keep(alone).group,
    )


def test_a_group_of_several_names_its_members_as_causes() -> None:
    both = ExceptionGroup("tasks", [KeyError("one"), ValueError("two")])

    assert keep(both).causes == ("KeyError: 'one'", "ValueError: two")


def test_a_long_message_is_cut() -> None:
    assert len(redact("x" * 10_000)) == 512
