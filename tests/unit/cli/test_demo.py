"""The line a second that a demo without a terminal prints."""

from __future__ import annotations

from failsoft.cli._demo import status_line
from failsoft.ops.fleetrows import DependencyRow, DependencyView, ModeRow
from failsoft.ops.views import FleetView, Link


def test_it_names_what_is_not_as_usual_and_nothing_else() -> None:
    calls = (
        DependencyRow("payments", "FLEET OPEN", "O"),
        DependencyRow("mail", "closed"),
        DependencyRow("geo", "no node tells", "?"),
    )
    modes = (
        ModeRow("charge-later", "Later", "minor", "recovering", "RECOVERING 100%"),
        ModeRow("closed", "Closed", "major", "off", "off"),
        ModeRow("evil\x1b[2J", "x", "minor", "on", "ON"),
    )
    view = FleetView(
        *(1, "demo", Link("up"), 0.0, 0),
        modes=modes,
        dependencies=DependencyView(0, calls),
    )

    line = status_line(view)

    assert line.endswith(
        "controls 0  payments FLEET OPEN  mode charge-later RECOVERING 100%"
        "  mode evil\u241b[2J ON"
    )


def test_it_says_no_more_while_all_is_well() -> None:
    view = FleetView(1, "demo", Link("up"), 0.0, 0)

    assert status_line(view).endswith("nodes 0/0  controls 0")
