"""When brownouts are open, and whom they hit."""

from __future__ import annotations

import itertools
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from failsoft.controls.records import BrownoutDoc
from failsoft.versions import Contract, Version, brownout
from failsoft.versions._brownout import Open, compile_brownouts, rule_of
from failsoft.versions._model import Brownout
from failsoft.versions._windows import Schedule, compile_windows, date_s, span_s

START_S = date_s("2026-10-01") + 14 * 3600
WINDOW = "2026-10-01T14:00Z/PT2H"
WEEK_S = 7 * 86_400


def test_a_window_is_open_from_its_start_to_just_before_its_end() -> None:
    schedule = Schedule(compile_windows([WINDOW]))

    seen = [schedule.at(at)[0] for at in (START_S - 1, START_S, START_S + 7199.9)]

    assert seen == [False, True, True]
    assert schedule.at(START_S + 7200) == (False, float("inf"))


def test_a_window_repeats_as_often_as_it_says() -> None:
    windows = compile_windows([WINDOW], every="P7D", times=4)

    assert [start for start, _ in windows] == [START_S + n * WEEK_S for n in range(4)]
    assert Schedule(windows).at(START_S + 1) == (True, START_S + 7200)


def test_windows_that_touch_are_one() -> None:
    later = "2026-10-01T16:00Z/2026-10-01T17:30:30Z"

    assert compile_windows([later, WINDOW]) == ((START_S, START_S + 12_630),)


@pytest.mark.parametrize(
    ("windows", "every", "times", "fault"),
    [
        (["2026-10-01T14:00Z"], "", 1, "has no length"),
        (["2026-10-01 14:00/PT1H"], "", 1, "is no instant"),
        (["2026-13-01T14:00Z/PT1H"], "", 1, "no date of the calendar"),
        (["2026-10-01T24:00Z/PT1H"], "", 1, "no time of a day"),
        (["2026-10-01T14:00Z/P1M"], "", 1, "is no span"),
        (["2026-10-01T14:00Z/2026-10-01T13:00Z"], "", 1, "ends before it starts"),
        ([WINDOW], "", 3, "needs every"),
        ([WINDOW], "P7D", 0, "needs every"),
        ([WINDOW], "PT1H", 2, "is longer than every"),
        ([WINDOW], "P7D", 101, "101 windows are too many"),
    ],
)
def test_a_bad_window_is_told(
    windows: list[str], every: str, times: int, fault: str
) -> None:
    with pytest.raises(ValueError, match=fault):
        compile_windows(windows, every, times)


@pytest.mark.parametrize(
    ("text", "seconds"),
    [("PT2H", 7200), ("P7D", WEEK_S), ("P1W", WEEK_S), ("P1DT1M5S", 86_465)],
)
def test_spans_are_read_as_iso_8601_writes_them(text: str, seconds: int) -> None:
    assert span_s(text) == seconds


@given(
    st.lists(st.tuples(st.integers(0, 500), st.integers(1, 40)), max_size=8),
    st.lists(st.integers(-5, 600), min_size=1, max_size=30),
)
def test_asked_in_any_order_it_is_open_just_within_some_window(
    windows: list[tuple[int, int]], instants: list[int]
) -> None:
    spans = [(start, start + length) for start, length in windows]
    joined = compile_joined(spans)
    asked = Open([replace(rule_of(Brownout("b")), schedule=Schedule(joined))])

    for now_s in instants:
        inside = any(start <= now_s < end for start, end in spans)
        assert bool(asked.at(now_s)) == inside


def compile_joined(spans: list[tuple[int, int]]) -> list[tuple[int, int]]:
    """Join overlapping spans the slow way."""
    points = {at for start, end in spans for at in range(start, end)}
    runs = itertools.groupby(enumerate(sorted(points)), lambda pair: pair[1] - pair[0])
    held = [[at for _, at in run] for _, run in runs]
    return [(run[0], run[-1] + 1) for run in held]


def test_a_share_by_consumer_hits_the_same_ones_each_time() -> None:
    rule = rule_of(Brownout("b", percent=30, by="consumer"))
    consumers = [f"app-{n}" for n in range(2000)]

    hit = [name for name in consumers if rule.hits(name, lambda: 0.0)]

    assert hit == [name for name in consumers if rule.hits(name, lambda: 0.99)]
    assert 0.25 < len(hit) / 2000 < 0.35


def test_a_share_by_request_is_thrown_with_dice() -> None:
    rule = rule_of(Brownout("b", percent=30))

    assert rule.hits("", lambda: 0.29)
    assert not rule.hits("", lambda: 0.3)
    assert not rule.asks_caller


def test_only_and_exempt_consumers_are_told_apart() -> None:
    only = rule_of(Brownout("b", only=("ios-3",)))
    exempt = rule_of(Brownout("b", exempt=("acct_42",)))

    assert [only.hits(name, float) for name in ("ios-3", "web")] == [True, False]
    assert [exempt.hits(name, float) for name in ("acct_42", "web")] == [False, True]


@given(st.text())
def test_any_name_of_a_consumer_can_be_hashed(name: str) -> None:
    assert rule_of(Brownout("b", percent=50, by="consumer")).hits(name, float) in (0, 1)


def contract() -> Contract:
    one = Version("2025-01-15", brownout("old", WINDOW, every="P7D", times=2))
    other = Brownout("all", windows=(WINDOW,))
    return Contract([one, Version("2025-06-01")], brownouts=[other])


def test_a_brownout_of_a_version_is_for_that_version() -> None:
    rules = {rule.name: rule.versions for rule in compile_brownouts(contract(), ())}

    assert rules == {"old": {"2025-01-15"}, "all": frozenset()}


def test_operators_stop_a_declared_one_and_start_others() -> None:
    stop = BrownoutDoc("ana", "enough", stop=True)
    start = BrownoutDoc("ana", "try", routes=("GET /a*",), status=429)

    rules = compile_brownouts(
        contract(), [("old", stop, 10.0, 0.0), ("mine", start, 10.0, 20.0)]
    )

    mine = rules[-1]
    assert [rule.name for rule in rules] == ["all", "mine"]
    assert [mine.schedule.at(at)[0] for at in (9, 10, 19.9, 20)] == [0, 1, 1, 0]
    assert (mine.covers("GET /ab"), mine.covers("GET /b")) == (True, False)
    assert mine.status == 429
