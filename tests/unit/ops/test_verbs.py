"""The grammar that the command line and the `:` line share."""

from __future__ import annotations

import pytest

from failsoft.errors import Invalid
from failsoft.ops.command import (
    Command,
    Extend,
    FlagEdit,
    FlagRevert,
    Kill,
    ModeEnter,
    ModeLeave,
    Unkill,
)
from failsoft.ops.verbs import VERBS, parse_line


@pytest.mark.parametrize(
    ("line", "command"),
    [
        ("kill 'route:POST /x' --for 15m", Kill("route:POST /x", for_s=900.0)),
        ("kill flag:a --variant off --until-cleared", Kill("flag:a", 0.0, "off")),
        (
            "kill tag:pay --status 429 --retry-after 5 --public paused --force",
            Kill("tag:pay", status=429, retry_after=5, public="paused", force=True),
        ),
        ("unkill tag:pay", Unkill("tag:pay")),
        (
            "mode enter fs.shed --param percent=20 --param 'why=x y'",
            ModeEnter("mode:fs.shed", params={"percent": 20, "why": "x y"}),
        ),
        ("mode leave mode:fs.shed", ModeLeave("mode:fs.shed")),
        ("flags on a", FlagEdit("flag:a", enabled=True)),
        ("flag off flag:a", FlagEdit("flag:a", enabled=False)),
        ("flags rollout a 12.5%", FlagEdit("flag:a", rollout=12.5)),
        ("flags revert a --force", None),
        ("flags revert a", FlagRevert("flag:a")),
        ("extend tag:pay 1h", Extend("tag:pay", 3600.0)),
    ],
)
def test_a_line_becomes_its_command(line: str, command: Command | None) -> None:
    if command is None:
        with pytest.raises(Invalid, match="is not known"):
            parse_line(line)
        return
    assert parse_line(line).command() == command


@pytest.mark.parametrize(
    ("line", "text"),
    [
        ("", "'' is not known"),
        ("kil tag:x", "did you mean kill?"),
        ("mode", "must be one of list, show, preview, enter, leave, auto, drill"),
        ("mode entre x", "did you mean mode enter?"),
        ("kill", "target"),
        ("kill tag:x --fro 1m", "--fro: is not known; did you mean --for?"),
        ("kill tag:x --for 1x", "'1x' is no span"),
        ("kill tag:x --for 1m --until-cleared", "exclude each other"),
        ("kill tag:x extra", "is one word too many"),
        ("kill 'tag:x", "No closing quotation"),
        ("flags rollout a lots", "percent: 'lots' is no number; write it like 12.5"),
        ("kill tag:x --status abc", "--status: 'abc' is no whole number"),
        ("mode", "mode: what follows must be one of"),
        ("mode enter x --param oops", "must be KEY=VALUE"),
        ("status", "is no command"),
    ],
)
def test_a_bad_line_says_what_is_wrong(line: str, text: str) -> None:
    with pytest.raises(Invalid) as caught:
        parse_line(line).command()

    assert text in str(caught.value)


def test_every_verb_that_writes_says_so() -> None:
    writes = {verb.name for verb in VERBS if verb.make or verb.name == "undo"}

    assert writes == {verb.name for verb in VERBS if verb.role == "operator"}
