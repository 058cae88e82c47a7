"""What a mode would do with an operator's parameters, told before it is written."""

from __future__ import annotations

from typing import Any

import pytest

from failsoft.controls.records import ModeDoc
from failsoft.errors import Invalid
from failsoft.modes import outlined, summary_of
from failsoft.ops.command import ModeEnter
from failsoft.ops.controlrows import control_rows
from failsoft.ops.modeparams import told_params
from failsoft.ops.preview import preview
from failsoft.ops.views import Preview
from failsoft.settings import ModeDefinition, Shed, StaticAnswer
from failsoft.telemetry import Definitions, ModeDef, RouteTick, encode
from unit.ops.merged import DEFINITIONS, T0, Fleet, stored

SHED = ModeDefinition("Less", actions=(("shed", Shed(1.0, "sheddable")),))
STATIC = ModeDefinition(
    "Calm", "major", actions=(("static", StaticAnswer(b"later", status=202)),)
)


def described(name: str, mode: ModeDefinition) -> ModeDef:
    return ModeDef(
        name,
        mode.title,
        mode.routes,
        summary_of(mode),
        severity=mode.severity,
        actions=outlined(mode),
    )


def shown(name: str, mode: ModeDefinition, params: dict[str, Any]) -> Preview:
    definitions = Definitions(DEFINITIONS.routes, modes=(described(name, mode),))
    made = Fleet()
    view = made.run(9, RouteTick("GET /cheap", 90), RouteTick("POST /pay", 10))
    return preview(ModeEnter(f"mode:{name}", params=params), view, definitions, 1.0)


def test_a_preview_says_what_the_parameters_make_of_the_mode() -> None:
    plain = shown("less", SHED, {})
    tuned = shown("less", SHED, {"share": 0.25, "class": "sheddable_plus"})

    assert plain.answer == "503 for 100% of sheddable requests and below"
    assert tuned.answer == "503 for 25% of sheddable_plus requests and below"


def test_a_preview_covers_the_routes_that_the_parameters_name() -> None:
    everywhere = shown("calm", STATIC, {})
    one = shown("calm", STATIC, {"routes": ["POST /pa*"]})

    assert everywhere.routes == ("GET /cheap", "POST /pay", "GET /never")
    assert (one.routes, round(one.share or 0, 2)) == (("POST /pay",), 0.1)
    assert one.answer == "a static 202 answer"


@pytest.mark.parametrize(
    ("params", "text"),
    [
        ({"share": 0.5}, "mode calm makes no use of share: it has no action shed"),
        ({"text": "soon"}, "it has no action maintenance or banner, but static"),
        ({"scale": 0.5}, "it has no action timeout_scale or rate_limit_scale"),
        ({"stale": "5m"}, "mode calm makes no use of stale"),
        ({"shaer": 0.5}, "parameter shaer is not known; use routes, share"),
    ],
)
def test_a_parameter_that_changes_nothing_is_refused(
    params: dict[str, Any], text: str
) -> None:
    with pytest.raises(Invalid) as caught:
        shown("calm", STATIC, params)

    assert text in str(caught.value)


def test_what_may_be_given_on_entering_is_told_with_its_range() -> None:
    actions = (
        ("rate_limit_scale", 0.5),
        ("timeout_scale", 0.5),
        ("timeout", 0.3),
        ("mute", ("slo:*", "redis-lost")),
        ("concurrency", None),
    )
    mode = ModeDefinition("All", actions=(*actions, ("shed", Shed(0.5))))

    told = dict(told_params(described("all", mode)))

    assert told == {
        "share": "0 to 1; 0.5 unless given",
        "class": "critical_plus | critical | sheddable_plus | sheddable; "
        "all unless given",
        "scale": "0.25 to 2; 0.5 unless given",
        "max": "1 to 100000; must be given",
        "timeout": "5ms to 1h; 0.3s unless given",
        "alerts": "names or globs, a comma between; slo:*,redis-lost unless given",
    }


def test_parameters_are_told_whatever_another_release_says_of_them() -> None:
    odd = ModeDef("odd", "Odd", ("*",), actions=(("shed", 7), ("mute", {"a": [None]})))

    assert [name for name, _ in told_params(odd)] == ["share", "class", "alerts"]


def test_a_mode_of_an_older_release_is_judged_as_far_as_it_says() -> None:
    old = ModeDef("calm", "Calm", ("POST /pay",), "cached answers")
    definitions = Definitions(DEFINITIONS.routes, modes=(old,))
    view = Fleet().second()

    dry = preview(ModeEnter("mode:calm", params={"share": 0.5}), view, definitions, 1.0)

    assert (dry.answer, dry.routes) == ("cached answers", ("POST /pay",))


def test_no_body_of_a_static_answer_leaves_the_node() -> None:
    assert b"later" not in encode(described("calm", STATIC))


def test_modes_tell_their_severity_on_and_off() -> None:
    definitions = Definitions(modes=(described("calm", STATIC), described("s", SHED)))
    on = {("mode", "calm"): stored(1, 0, ModeDoc("ana", "x"))}

    rows = control_rows(on, (), definitions, T0)

    assert [(row.target, row.severity) for row in rows] == [
        ("mode:calm", "major"),
        ("mode:s", "minor"),
    ]
