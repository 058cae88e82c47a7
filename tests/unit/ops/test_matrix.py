"""Which routes call whom, and what protects them: gaps first."""

from __future__ import annotations

from failsoft.ops.fleetrows import DependencyRow, DependencyView
from failsoft.ops.matrix import call_rows, matrix_rows, with_calls
from failsoft.store.callmap import SHOWN_MS, Seen
from failsoft.telemetry import Definitions, GuardDef

NOW_MS = 10 * SHOWN_MS
DEFINED = Definitions(
    routes=(
        ("POST /pay", "critical_plus", ()),
        ("GET /cart", "critical", ()),
        ("GET /ads", "sheddable", ()),
    ),
    guards=(
        GuardDef("POST /pay", 0.8, "queue"),
        GuardDef("GET /cart", None, "", 300.0),
    ),
)
CALLS = {
    Seen("POST /pay", "stripe"): NOW_MS,
    Seen("GET /cart", "stripe"): NOW_MS - 1_000,
    Seen("GET /ads", "stripe"): NOW_MS,
    Seen("GET /old", "stripe"): NOW_MS - SHOWN_MS - 1,
    Seen("GET /cart", "geo"): NOW_MS,
    Seen("queue"): NOW_MS - 5 * SHOWN_MS,
}


def seen() -> DependencyView:
    view = DependencyView(NOW_MS, (DependencyRow("stripe", "OPEN 1/2", "O"),))
    return with_calls(view, call_rows(CALLS, DEFINED, NOW_MS), NOW_MS)


def test_what_a_critical_route_lacks_comes_first() -> None:
    rows = matrix_rows(seen().rows)

    assert [(r.route, r.dependency, r.gaps) for r in rows] == [
        ("GET /cart", "geo", ("no timeout",)),
        ("GET /cart", "stripe", ("no timeout",)),
        ("POST /pay", "stripe", ()),
        ("GET /ads", "stripe", ()),
    ]


def test_a_pair_says_how_it_degrades_and_when_that_was_tried() -> None:
    (pay,) = (r for r in matrix_rows(seen().rows) if r.route == "POST /pay")

    assert (pay.timeout_s, pay.fallback, pay.breaker) == (0.8, "queue", "OPEN 1/2")
    assert pay.drilled_ms == NOW_MS - 5 * SHOWN_MS


def test_who_no_node_tells_of_is_listed_by_its_calls() -> None:
    (geo,) = (row for row in seen().rows if row.name == "geo")

    assert (geo.letter, [call.route for call in geo.routes]) == ("?", ["GET /cart"])
