"""What may be declared of modes: actions, triggers, timing; and what is refused."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from failsoft.errors import DefinitionError
from failsoft.settings import ModeDefinition, ModeTiming, Trigger, load_settings

READ = {"title": "t", "actions": [{"read_only": True}]}


def mode(**more: Any) -> ModeDefinition:
    given = {"mode": {"m": READ | more}, "dependency": {"elastic": {}}}
    return load_settings(given, {}, Path("/nowhere")).modes["m"]


def finding(**more: Any) -> str:
    with pytest.raises(DefinitionError) as caught:
        mode(**more)
    return str(caught.value)


def test_every_action_has_a_checked_value() -> None:
    actions = [
        {"stale": "5m", "timeout": "300ms", "timeout_scale": 0.5},
        {"rate_limit_scale": 2.0, "concurrency": 5, "reroute": "calm"},
        {"no_retries": True, "no_shed": True, "quiet": True, "mute": ["slo:*"]},
    ]

    assert dict(mode(actions=actions).actions) == {
        **{"stale": 300.0, "timeout": 0.3, "timeout_scale": 0.5},
        **{"rate_limit_scale": 2.0, "concurrency": 5, "reroute": "calm"},
        **{"no_retries": True, "no_shed": True, "quiet": True, "mute": ("slo:*",)},
    }


def test_triggers_nest() -> None:
    said = {
        "any": [
            {"burn": "all"},
            {
                "all": [
                    {"breaker": "elastic", "open_for": "30s"},
                    {"shedding": {"nodes": 0.5, "for": "10s"}},
                    {"quota": {"dependency": "elastic", "below": 0.1}},
                    {"health": {"check": "db", "level": "warn"}},
                ]
            },
        ]
    }

    assert mode(enter=said).enter == Trigger(
        "any",
        parts=(
            Trigger("burn", "all"),
            Trigger(
                "all",
                parts=(
                    Trigger("breaker", "elastic", for_s=30.0),
                    Trigger("shedding", level=0.5, for_s=10.0),
                    Trigger("quota", "elastic", 0.1),
                    Trigger("health", "db", word="warn"),
                ),
            ),
        ),
    )


@pytest.mark.parametrize(
    ("said", "window", "is_weekly"),
    [
        ({"weekly": "Fri 06:00-08:00"}, (4 * 86_400 + 21_600, 7_200), True),
        ({"weekly": "Sun 22:00-02:00"}, (6 * 86_400 + 79_200, 14_400), True),
        (
            {"from": "2026-09-21T00:00Z", "until": "2026-09-21T01:00Z"},
            (1_789_948_800, 1_789_952_400),
            False,
        ),
    ],
)
def test_a_schedule_is_a_window_once_or_each_week(
    said: dict[str, str], window: tuple[int, int], is_weekly: bool
) -> None:
    found = mode(enter={"schedule": said}).enter

    assert found == Trigger("schedule", window=window, is_weekly=is_weekly)


def test_timing_scope_and_the_rest_are_as_declared_or_as_the_page_says() -> None:
    made = mode(timing={"exit_hold": "1m"}, criticality_at_most="sheddable")

    assert made.timing == ModeTiming(5.0, 60.0, 60.0)
    assert (made.recover, made.probe, made.priority) == ((10, 25, 50, 100), 0.05, 50)
    assert (made.criticality_at_most, made.drill_every_s) == ("sheddable", 2_592_000.0)


@pytest.mark.parametrize(
    ("more", "text"),
    [
        ({"enter": {"bern": "all"}}, "names no trigger; did you mean burn?"),
        ({"enter": {"burn": "serch"}}, "burn = 'serch' is not declared; known: all"),
        ({"enter": {"breaker": "elastik"}}, "did you mean elastic?"),
        ({"enter": {"burn": "all", "health": {}}}, "join them with any or all"),
        ({"enter": {"any": []}}, "has no list for any"),
        ({"enter": {"quota": {"dependency": "elastic"}}}, "has no below"),
        ({"enter": {"schedule": {"weekly": "Fry 6-8"}}}, "is no window of a week"),
        ({"enter": {"schedule": {"from": "2026-09-21T00:00Z"}}}, "from and until"),
        ({"enter": {"burn": "all"}, "probe": 0}, "has a trigger without exit"),
        ({"recover": [50, 10]}, "must rise to 100"),
        ({"actions": [{"timeout_scale": 9}]}, "from 0.25 to 2"),
        ({"actions": [{"concurrency": 0}]}, "whole number 1 to 100000"),
        ({"actions": [{"no_shed": False}]}, "does nothing"),
        ({"methods": ["post"]}, "which is no method"),
        ({"timing": {"hodl": "5s"}}, "did you mean hold?"),
    ],
)
def test_what_cannot_be_used_is_refused_with_what_to_write(
    more: dict[str, Any], text: str
) -> None:
    assert text in finding(**more)
