"""Flags and groups in a real terminal, at both sizes."""

from __future__ import annotations

import shutil
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tui.test_terminal import Terminal


@pytest.fixture(params=[(120, 40), (80, 24)], ids=["wide", "small"])
def controls(tmp_path: Path, request: pytest.FixtureRequest) -> Iterator[Terminal]:
    """Controls, armed for INC-311, in a terminal of either size."""
    if shutil.which("tmux") is None:
        pytest.skip("needs tmux: apt install tmux")
    state = str(tmp_path / "state")
    opened = Terminal(tmp_path / "tmux", request.param, XDG_STATE_HOME=state)
    opened.eventually("nodes 4/4")
    opened.keys("W")
    opened.eventually("Reason or ticket")
    opened.keys("INC-311 slow", "Enter")
    opened.eventually("ARMED 30m")
    opened.keys("3")
    opened.eventually("flag:new-pricing")
    yield opened
    opened.close()


def only(terminal: Terminal, words: str) -> None:
    terminal.keys("/")
    time.sleep(0.3)
    terminal.keys(words, "Enter")
    terminal.eventually(f"filter: {words}")
    time.sleep(0.3)  # the table has the keys again


def confirm(terminal: Terminal) -> None:
    time.sleep(0.3)  # deaf at first
    dialog = terminal.text()
    if "type " in dialog:
        terminal.keys(dialog.partition("type ")[2][:2])
    terminal.keys("Enter")


def test_a_rollout_a_rule_and_a_group_of_kills(controls: Terminal) -> None:
    only(controls, "new-pricing")
    controls.keys("}")
    step = controls.eventually("off -> 1%")
    confirm(controls)
    controls.eventually("4 of 4 nodes enforce it")
    controls.keys("Escape")
    time.sleep(0.5)  # a key right behind it would be read as alt and the key
    only(controls, "checkout-layout")
    controls.keys("E")
    controls.eventually("EDIT flag:checkout-layout")
    controls.keys("a")
    time.sleep(0.3)
    controls.keys("-l", "tier == new then wide")
    controls.eventually("rule 3 new: if tier == new then wide")
    controls.keys("Enter")
    controls.eventually("p preview")
    controls.keys("p")
    controls.eventually("FLAG-EDIT")
    confirm(controls)
    controls.eventually("applied rev 2")
    controls.keys("K")
    controls.eventually("group         INC-311")
    confirm(controls)
    controls.eventually("group:INC-311")
    only(controls, "group:")
    controls.keys("G")
    controls.eventually("GROUP-LIFT group:INC-311")
    confirm(controls)
    controls.eventually("applied rev 4")

    assert "synthetic ids change variant" in step
