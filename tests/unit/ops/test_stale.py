"""Words for the age of the picture."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest

from failsoft.ops.stale import link_word, node_age_s, span
from failsoft.ops.views import FleetView, Link, NodeRow

NOW = 1000.0


def view(age: float, **changed: Any) -> FleetView:
    whole = FleetView(
        seq=3, env="shop", link=Link("up"), received=NOW - age, server_ms=5
    )
    return msgspec.structs.replace(whole, **changed)


@pytest.mark.parametrize(
    ("age", "word"),
    [(0.0, "LIVE"), (2.0, "LIVE"), (2.1, "SLOW"), (2.5, "SLOW"), (2.6, "STALE")],
)
def test_the_word_follows_the_age(age: float, word: str) -> None:
    assert link_word(view(age), NOW)[0] == word


def test_the_age_grows_without_any_reply() -> None:
    still = view(0.5)

    assert link_word(still, NOW + 12)[1] == "STALE 12s"


def test_a_link_that_is_down_is_stale_at_once() -> None:
    assert link_word(view(0.1, link=Link("down")), NOW) == ("STALE", "STALE 0.1s")


def test_before_the_first_reply_it_says_why_it_waits() -> None:
    link = Link("connecting", cause="refused", tries=3, since=NOW - 4)
    first = FleetView(seq=1, env="shop", link=link, received=0.0, server_ms=0)

    assert link_word(first, NOW) == ("CONNECTING", "CONNECTING 4.0s try 3: refused")


def test_a_refused_login_says_so() -> None:
    link = Link("auth", cause="wrong password")
    first = FleetView(seq=1, env="shop", link=link, received=0.0, server_ms=0)

    assert link_word(first, NOW) == ("CONNECTING", "REFUSED wrong password")


@pytest.mark.parametrize(
    ("state", "word"), [("missing", "EMPTY"), ("rewound", "REWOUND")]
)
def test_a_lost_history_has_its_own_word(state: str, word: str) -> None:
    assert link_word(view(0.1, controls_state=state), NOW)[0] == word


def test_a_clock_that_jumps_back_gives_no_negative_age() -> None:
    assert link_word(view(-5.0), NOW) == ("LIVE", "LIVE 0.0s")


def test_a_nodes_age_goes_on_while_the_view_stands_still() -> None:
    node = msgspec.convert(
        {field.name: 0 for field in msgspec.structs.fields(NodeRow) if field.required}
        | dict.fromkeys(("node", "short", "state", "epoch", "control_state"), "")
        | dict.fromkeys(("app", "release", "failsoft"), "")
        | {"age": 1.0},
        NodeRow,
    )

    assert node_age_s(node, view(2.0), NOW) == 3.0


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (-1, "0.0s"),
        (0.84, "0.8s"),
        (12.9, "12s"),
        (250, "4m10s"),
        (11_100, "3h05m"),
        (200_000, "2d"),
    ],
)
def test_spans_read_as_people_say_them(seconds: float, text: str) -> None:
    assert span(seconds) == text
