"""What an operator reads off the merged picture."""

from __future__ import annotations

from typing import Any

import pytest

from failsoft.controls.records import KillDoc, ModeDoc
from failsoft.ops.controlrows import control_rows
from failsoft.ops.views import FleetView, RouteRow
from failsoft.store.protocols import Entry
from failsoft.telemetry import Definitions, FlagDef, Flight, Frame, RouteTick
from flagdoc import FlagDoc
from unit.ops.merged import EPOCH, T0, Fleet, beat, stored

MODE = ModeDoc("ana", "INC-1")


def row(view: FleetView, key: str) -> RouteRow:
    return next(r for r in view.routes if r.key == key)


def test_rates_and_percentiles_are_those_of_all_nodes_together() -> None:
    fleet = Fleet()
    fleet.nodes = {"n1": beat("n1"), "n2": beat("n2")}

    for _ in range(12):
        view = fleet.second(
            {
                "n1": [RouteTick("POST /pay", 10, errors=1, hist={100: 10})],
                "n2": [RouteTick("POST /pay", 30, errors=3, hist={200: 30})],
            }
        )

    pay = row(view, "POST /pay")
    assert (pay.rps, pay.n, pay.err_rate, pay.few) == (40.0, 400, 0.1, False)
    assert pay.by_node == (("n1", 0.1), ("n2", 0.1))
    assert pay.p50 == pay.p99
    assert (view.totals.rps, view.totals.err_rate) == (40.0, 0.1)
    assert view.totals.p50 == pay.p50


def test_the_ratio_of_the_fleet_is_that_of_rates_where_nodes_saw_unlike_spans() -> None:
    fleet = Fleet()
    fleet.nodes = {"n1": beat("n1"), "n2": beat("n2")}
    good = [RouteTick("POST /pay", 10, hist={100: 10})]
    bad = [RouteTick("POST /pay", 10, errors=10, hist={100: 10})]

    for _ in range(5):
        fleet.second({"n1": good})
    for _ in range(5):
        view = fleet.second({"n1": good, "n2": bad})

    assert (view.totals.rps, view.totals.err_rate) == (20.0, 0.5)


def test_impact_weighs_errors_by_criticality_and_ranks_first() -> None:
    fleet = Fleet()

    view = fleet.run(
        10,
        RouteTick("GET /cheap", 90, errors=5, hist={100: 90}),
        RouteTick("POST /pay", 10, errors=1, hist={100: 10}),
    )

    assert [r.key for r in view.routes] == ["POST /pay", "GET /cheap", "GET /never"]
    assert [r.impact for r in view.routes] == [8.0, 5.0, 0.0]


def test_few_calls_show_no_ratio_and_no_latency() -> None:
    fleet = Fleet()

    view = fleet.run(10, RouteTick("POST /pay", 1, errors=1, hist={100: 1}))

    pay = row(view, "POST /pay")
    assert (pay.few, pay.n, pay.err_rate, pay.p50) == (True, 10, None, None)
    assert pay.err_per_s == 1.0


def test_below_thirty_calls_the_minute_speaks() -> None:
    fleet = Fleet()

    view = fleet.run(40, RouteTick("POST /pay", 1, errors=1, hist={100: 1}))

    pay = row(view, "POST /pay")
    assert (pay.few, pay.n, pay.err_rate, pay.p99) == (True, 40, 1.0, None)
    assert pay.p95 is not None


def test_refused_requests_are_neither_calls_nor_errors() -> None:
    fleet = Fleet()

    view = fleet.run(10, RouteTick("POST /pay", 0, refused={"kill": 20, "shed": 4}))

    pay = row(view, "POST /pay")
    assert (pay.n, pay.rps, pay.refused_per_s) == (0, 0.0, 24.0)
    assert (view.totals.refused_per_s, view.totals.shed_per_s) == (24.0, 4.0)
    assert pay.state_text == "SHEDDING 4.0/s"


def test_the_change_of_the_error_ratio_is_against_a_minute_ago() -> None:
    fleet = Fleet()
    fleet.run(60, RouteTick("POST /pay", 10, hist={100: 10}))

    view = fleet.run(10, RouteTick("POST /pay", 10, errors=5, hist={100: 10}))

    assert row(view, "POST /pay").err_delta == 0.5
    assert row(view, "POST /pay").spark[-5:] == (5.0,) * 5
    assert row(view, "POST /pay").spark[0] == 0.0


def test_a_kill_and_a_mode_give_their_routes_a_state() -> None:
    fleet = Fleet()
    fleet.controls = {
        ("kill", "route:POST /pa*"): stored(1, T0 + 60_000, KillDoc("ana", "x")),
        ("mode", "calm"): stored(2, 0, ModeDoc("bob", "y")),
    }

    view = fleet.run(3, RouteTick("POST /pay", 0, refused={"kill": 6}))

    pay = row(view, "POST /pay")
    assert (pay.state, pay.state_text) == ("K", "KILLED 6.0/s refused")
    assert row(view, "GET /never").state == "?"
    assert [c.target for c in view.controls if c.active] == [
        "route:POST /pa*",
        "mode:calm",
    ]
    assert view.controls[0].rps == 6.0


def test_a_kill_ends_on_the_stores_clock_without_any_entry() -> None:
    fleet = Fleet()
    fleet.controls = {
        ("kill", "route:POST /pay"): stored(1, T0 + 3000, KillDoc("ana", "x"))
    }
    assert row(fleet.run(2, RouteTick("POST /pay", 1)), "POST /pay").state == "K"

    view = fleet.run(1, RouteTick("POST /pay", 1))

    assert row(view, "POST /pay").state == "."
    kill = next(c for c in view.controls if c.kind == "kill")
    assert (kill.now, kill.active) == ("ended", False)
    assert view.totals.controls_active == 0


def test_a_silent_node_leaves_the_totals_and_is_told() -> None:
    fleet = Fleet()
    fleet.nodes = {"n1": beat("n1"), "n2": beat("n2")}
    calls = [RouteTick("POST /pay", 10, hist={100: 10})]
    for _ in range(10):
        fleet.second({"n1": calls, "n2": calls})
    fleet.seen = {"n2": fleet.at_ms}

    for _ in range(4):
        view = fleet.second({"n1": calls})

    assert [(n.short, n.state) for n in view.nodes] == [
        ("w1", "LIVE"),
        ("w2", "SILENT"),
    ]
    assert (view.totals.nodes_live, view.totals.nodes_known) == (1, 2)
    assert view.totals.rps == 10.0
    assert view.notices[0].text == "w2 SILENT 4.0s: left out of totals"


def test_a_node_that_left_is_gone_and_then_forgotten() -> None:
    fleet = Fleet()
    fleet.second()
    fleet.nodes = {}

    assert [n.state for n in fleet.second().nodes] == ["GONE"]
    assert fleet.second().totals.nodes_known == 0
    fleet.at_ms += 60_000

    assert fleet.second().nodes == ()


def test_a_heartbeat_of_a_newer_schema_is_counted_as_old() -> None:
    fleet = Fleet()
    fleet.nodes = {"n1": beat("n1", v=2), "n2": b"\xc1"}

    view = fleet.second()

    assert [n.state for n in view.nodes] == ["OLD", "OLD"]


@pytest.mark.parametrize(
    ("rev", "epoch", "state"),
    [
        (7, EPOCH, "known"),
        (0, "", "missing"),
        (1, "f" * 32, "rewound"),
        (3, EPOCH, "rewound"),
    ],
)
def test_the_stores_history_is_compared_with_what_nodes_enforce(
    rev: int, epoch: str, state: str
) -> None:
    fleet = Fleet()
    fleet.rev, fleet.epoch = rev, epoch

    assert fleet.second().controls_state == state


def test_controls_stay_listed_while_nodes_enforce_a_lost_history() -> None:
    fleet = Fleet()
    fleet.controls = {
        ("kill", "route:POST /pay"): stored(1, T0 + 60_000, KillDoc("ana", "x"))
    }
    fleet.second()

    fleet.rev, fleet.epoch, fleet.controls = 0, "", {}
    empty = fleet.second()
    fleet.nodes = {"n1": beat("n1", rev=0, epoch="")}
    agreed = fleet.second()

    assert (empty.controls_state, empty.totals.controls_active) == ("missing", 1)
    assert (agreed.controls_state, agreed.totals.controls_active) == ("known", 0)


def test_a_store_whose_clock_jumps_back_starts_the_windows_anew() -> None:
    fleet = Fleet()
    fleet.run(5, RouteTick("POST /pay", 9))

    fleet.at_ms -= 3_600_000
    fleet.run(1)
    view = fleet.run(10, RouteTick("POST /pay", 3))

    assert row(view, "POST /pay").n == 30


def test_an_unreadable_tick_is_counted_not_fatal() -> None:
    fleet = Fleet()
    fleet.merge.take_tick("1-1", b"\xc1")

    assert "1 ticks could not be read: newer nodes?" in [
        n.text for n in fleet.second().notices
    ]


def test_a_group_is_as_young_as_its_newest_error_not_as_its_newest_example() -> None:
    fleet = Fleet()

    fleet.run(20, RouteTick("POST /pay", 9, errors=9, groups={"g1": 9}))
    view = fleet.run(3, RouteTick("POST /pay", 9))

    (group,) = view.groups
    assert 2_000 <= view.server_ms - group.last_ms <= 4_000
    assert view.server_ms - group.first_ms > 20_000


def test_groups_count_exactly_and_show_the_newest_stack() -> None:
    fleet = Fleet()
    frames = (
        Frame("lib/http.py", 10, "send", in_app=False),
        Frame("shop/pay.py", 88, "charge"),
    )
    fleet.flights = tuple(
        Flight(
            id=f"f{i}",
            group="g1",
            route="POST /pay",
            node="n1",
            at_ms=T0 + i,
            status=500,
            duration_us=9,
            exception="PayError",
            frames=frames,
        )
        for i in range(3)
    )

    view = fleet.run(5, RouteTick("POST /pay", 9, errors=9, groups={"g1": 9, "g2": 1}))

    first, second = view.groups
    assert (first.group, first.count, first.exception) == ("g1", 45, "PayError")
    assert (first.frame, first.flights[0]) == ("shop/pay.py:88 charge", "f2")
    assert (second.group, second.count, second.route) == ("g2", 5, "POST /pay")
    assert [f.id for f in view.flights] == ["f2", "f1", "f0"]


def entry(rev: int, kind: str, name: str, op: str, **values: Any) -> Entry:
    return Entry(
        id=f"{T0 + rev}-0",
        rev=rev,
        epoch=EPOCH,
        kind=kind,
        name=name,
        op=op,
        value=values.get("value"),
        was=values.get("was"),
        who=values.get("who", "ana"),
        why="INC-1",
        via="ana@desk",
        op_id=f"op{rev}",
    )


def test_flags_show_who_edited_them_and_lifted_kills_stay_listed() -> None:
    fleet = Fleet()
    doc = FlagDoc(
        variants={"on": True, "off": False},
        defaultVariant="off",
        targeting={"fractional": [["on", 25], ["off", 75]]},
    )
    value = stored(2, 0, doc)
    killed = stored(1, T0 + 60_000, KillDoc("bob", "x"))
    fleet.controls = {("flag", "new"): value}
    fleet.entries = (
        entry(1, "kill", "route:POST /pay", "del", was=killed, who="bob"),
        entry(2, "flag", "new", "put", value=value),
    )

    view = fleet.second()

    rows = {c.target: c for c in view.controls}
    flag, kill = rows["flag:new"], rows["route:POST /pay"]
    assert (flag.now, flag.default, flag.rollout, flag.by) == (
        "25%",
        "off",
        25.0,
        "ana",
    )
    assert (kill.now, kill.by, kill.active) == ("ended", "bob", False)
    assert [(e.action, e.before, e.after) for e in view.log] == [
        ("flag-edit", "-", "25%"),
        ("unkill", "KILLED", "on"),
    ]


def test_a_control_without_a_log_entry_is_told() -> None:
    fleet = Fleet()
    fleet.controls = {("flag", "new"): stored(2, 0, FlagDoc(defaultVariant="off"))}

    view = fleet.second()

    assert next(c for c in view.controls if c.target == "flag:new").by == "?"
    assert "flag:new was set without a log entry" in [n.text for n in view.notices]


def test_the_environments_name_says_production() -> None:
    assert Fleet().second().production is True


def test_a_rewound_store_says_who_enforces_what_and_what_to_run() -> None:
    fleet = Fleet()
    fleet.controls = {
        ("kill", "route:POST /pay"): stored(1, T0 + 600_000, KillDoc("ana", "x"))
    }
    fleet.second()

    fleet.rev, fleet.epoch, fleet.controls = 1, "f" * 32, {}
    view = fleet.second()

    assert view.notices[0].text == (
        "REWOUND: run failsoft store rewound; Redis is at rev 1, "
        "w1 keep another history; kills and edits work"
    )
    assert [(r.target, r.lost) for r in view.controls if r.active] == [
        ("route:POST /pay", True)
    ]


def test_a_control_that_ends_soon_is_called_expiring() -> None:
    fleet = Fleet()
    fleet.controls = {
        ("kill", "route:POST /pay"): stored(1, T0 + 200_000, KillDoc("ana", "x"))
    }

    texts = [n.text for n in fleet.second().notices]

    assert "EXPIRING in 3m19s: kill route:POST /pay by ana (T extends)" in texts


def test_nodes_on_one_revision_with_different_sets_are_named() -> None:
    fleet = Fleet()
    fleet.nodes = {
        "n1": beat("n1", digest="aa11" * 4),
        "n2": beat("n2", digest="bb22" * 4, started_ms=T0),
        "n3": beat("n3", digest="aa11" * 4, started_ms=T0 + 1),
    }

    view = fleet.second()

    assert view.notices[0].text == (
        "nodes disagree on rev 7: w1 w3 aa11aa11 and w2 bb22bb22; "
        "restart those that differ"
    )


def test_a_flag_of_a_file_shows_what_the_file_serves() -> None:
    doc = '{"state":"ENABLED","variants":{"on":true,"off":false},"defaultVariant":"on"}'
    flag = FlagDef("new", "file", "false", sha8="12345678", doc=doc)
    definitions = Definitions(flags=(("new", "false"),), flagdefs=(flag,))

    (row,) = control_rows({}, (), definitions, T0)

    assert (row.now, row.default, row.rollout) == ("on", "off", 100.0)


@pytest.mark.parametrize("doc", [b'{"who":"\xff"}', b"[" * 100_000, b"\xff", b""])
@pytest.mark.parametrize("kind", ["kill", "mode", "breaker", "brownout", "flag"])
def test_a_record_that_nobody_can_read_is_listed_among_the_others(
    kind: str, doc: bytes
) -> None:
    records = {(kind, "x"): b"1 1 0 " + doc, ("mode", "y"): stored(1, 0, MODE)}

    rows = control_rows(records, (), Definitions(), T0)

    assert {row.kind for row in rows} == {kind, "mode"}
    assert "mode:y" in [row.target for row in rows]
