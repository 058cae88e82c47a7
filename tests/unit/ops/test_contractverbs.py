"""The grammar of versions, brownouts, tolerances and drift."""

from __future__ import annotations

import pytest

from failsoft.errors import Invalid
from failsoft.ops.command import (
    BrownoutStart,
    BrownoutStop,
    Command,
    DriftAck,
    PinClear,
    PinSet,
    SunsetExtend,
    ToleranceAdd,
    ToleranceEnd,
)
from failsoft.ops.verbs import parse_line

HOUR_S = 3600.0


@pytest.mark.parametrize(
    ("line", "command"),
    [
        ("versions pin a 1 --for 1h", PinSet("consumer:a", "1", for_s=HOUR_S)),
        ("version pin consumer:a version:1", PinSet("consumer:a", "1")),
        ("versions unpin pin:a", PinClear("pin:a")),
        ("versions sunset 1 2030-01-31", SunsetExtend("version:1", "2030-01-31")),
        ("brownout start autumn --force", BrownoutStart("brownout:autumn", force=True)),
        (
            "brownout start version:1 --percent 20% --by consumer --only a --only b "
            "--route 'route:GET /x' --exempt c --status 429 --for 1h --name n",
            BrownoutStart(
                "version:1",
                name="n",
                routes=("GET /x",),
                percent=20.0,
                by="consumer",
                only=("a", "b"),
                exempt=("c",),
                status=429,
                for_s=HOUR_S,
            ),
        ),
        ("brownout stop autumn", BrownoutStop("brownout:autumn")),
        (
            "tolerance add t --route 'POST /x' --path /q --kind default --value 3",
            ToleranceAdd(
                "tolerance:t", route="POST /x", path="/q", kind="default", value=3
            ),
        ),
        (
            "tolerance add drift:9 --handling warn",
            ToleranceAdd("drift:9", handling="warn"),
        ),
        ("tolerance end t", ToleranceEnd("tolerance:t")),
        ("drift ack 9 --for 1h", DriftAck("drift:9", for_s=HOUR_S)),
    ],
)
def test_a_line_becomes_its_command(line: str, command: Command) -> None:
    assert parse_line(line).command() == command


@pytest.mark.parametrize(
    ("line", "text"),
    [
        ("brownout strat x", "did you mean brownout start?"),
        ("versions pin a", "version"),
        ("drift list x", "is one word too many"),
        ("brownout start x --percent many", "is no number"),
        (f"tolerance add x --value {'[' * 5000}{']' * 5000}", "nested too deep"),
    ],
)
def test_a_wrong_line_says_what_is_wrong(line: str, text: str) -> None:
    with pytest.raises(Invalid) as caught:
        parse_line(line)

    assert text in str(caught.value)
