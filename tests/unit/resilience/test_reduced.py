from __future__ import annotations

from collections.abc import Callable

import msgspec
import pytest

from failsoft.problem import retry_after
from failsoft.resilience._reduced import CAPACITY, Reduced


def waits(dice: list[float], *, is_long: bool) -> list[bytes]:
    draw: Callable[[], float] = iter(dice).__next__
    prepared = Reduced("shed", "Less important requests are refused", draw)
    answers = [prepared.answer(is_long=is_long) for _ in dice]
    return [dict(answer.headers)[b"retry-after"] for answer in answers]


def test_clients_are_told_different_times_to_wait() -> None:
    dice = [0.0, 0.34, 0.99999]

    assert waits(dice, is_long=False) == [b"1", b"2", b"3"]
    assert waits(dice, is_long=True) == [b"2", b"5", b"10"]


def test_a_refusal_names_the_policy_and_is_no_answer_to_keep() -> None:
    prepared = Reduced("concurrency", "Too many", lambda: 0.0, b"failsoft;desc=shed")

    answer = prepared.answer()

    assert msgspec.json.decode(answer.body + b"}") == {
        "type": CAPACITY,
        "title": "Too many",
        "status": 503,
        "violated-policies": ["concurrency"],
    }
    assert answer.reason == "concurrency"
    assert dict(answer.headers)[b"cache-control"] == b"no-store"
    assert dict(answer.headers)[b"server-timing"] == b"failsoft;desc=shed"


@pytest.mark.parametrize(
    ("seconds", "roll", "header"),
    [
        (0.2, 0.0, b"1"),
        (-5, 0.9, b"1"),
        (10, 0.0, b"10"),
        (10, 1.0, b"13"),
        (10.1, 0.0, b"11"),
        (9e9, 0.5, b"3600"),
    ],
)
def test_a_wait_is_whole_seconds_rounded_up_and_jittered(
    seconds: float, roll: float, header: bytes
) -> None:
    assert retry_after(seconds, lambda: roll) == (b"retry-after", header)
