"""When a trigger is true, and when it is gone."""

from __future__ import annotations

from typing import Any

import pytest

from failsoft.controls.lead import DependencyFacts, FleetFacts
from failsoft.modes._triggers import Sight, Watch
from failsoft.settings import Trigger
from failsoft.store.fleet import NodeRow

MONDAY_MS = 1_789_948_800_000  # 2026-09-21T00:00Z


def fleet(at_s: int = 0, **more: Any) -> FleetFacts:
    return FleetFacts(MONDAY_MS + 1000 * at_s, **more)


def nodes(armed: int, of: int = 4) -> dict[str, NodeRow]:
    return {f"n{i}": NodeRow(shed_limit=9.0 * (i < armed)) for i in range(of)}


def test_shedding_counts_nodes_for_a_while() -> None:
    watch = Watch(Trigger("shedding", level=0.5, for_s=10.0))

    read = [watch.read(Sight(fleet(at, nodes=nodes(2)))).enters for at in (0, 9, 10)]
    eased = [watch.read(Sight(fleet(11, nodes=nodes(n)))).persists for n in (1, 0)]

    assert (read, eased) == ([False, False, True], [True, False])


@pytest.mark.parametrize(
    ("left", "enters", "persists"),
    [
        (0.05, True, True),
        (0.15, False, True),
        (0.2, False, False),
        (None, False, False),
    ],
)
def test_a_quota_must_be_twice_as_large_to_be_gone(
    left: float | None, enters: bool, persists: bool
) -> None:
    watch = Watch(Trigger("quota", "stripe", level=0.1))
    known = {"stripe": DependencyFacts("stripe", quota_left=left)}

    read = watch.read(Sight(fleet(dependencies=known)))

    assert (read.enters, read.persists) == (enters, persists)


def test_all_waits_for_all_and_any_for_one() -> None:
    leaves = (Trigger("health", "db", word="bad"), Trigger("health", "io", word="bad"))
    sight = Sight(fleet(), health={"db": "bad"})

    read = [Watch(Trigger(kind, parts=leaves)).read(sight).enters for kind in
            ("all", "any")]  # fmt: skip

    assert read == [False, True]


@pytest.mark.parametrize(
    ("at_s", "ends_s"),
    [(0, 0), (4 * 86_400 + 6 * 3600, 4 * 86_400 + 8 * 3600), (4 * 86_400 + 28_800, 0)],
)
def test_a_weekly_window_opens_each_week(at_s: int, ends_s: int) -> None:
    friday = Trigger("schedule", window=(4 * 86_400 + 21_600, 7_200), is_weekly=True)

    read = Watch(friday).read(Sight(fleet(at_s)))

    assert read.window_ms == (MONDAY_MS + 1000 * ends_s if ends_s else 0)


def test_a_window_may_reach_into_the_next_week() -> None:
    sunday = Trigger("schedule", window=(6 * 86_400 + 79_200, 14_400), is_weekly=True)

    assert Watch(sunday).read(Sight(fleet(3600))).window_ms == MONDAY_MS + 7_200_000
