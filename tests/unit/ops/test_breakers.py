"""Breakers as operators meet them: rows, plans, verbs, proposals."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import msgspec
import pytest

from failsoft.cli._breaker import dependency_table
from failsoft.controls.lead import Proposal as Proposed
from failsoft.controls.records import BreakerDoc, encode_doc
from failsoft.errors import Invalid, TargetGone
from failsoft.ops.breakerrows import dependency_view
from failsoft.ops.command import (
    NEVER,
    BreakerAuto,
    BreakerSet,
    Command,
    Extend,
    GroupLift,
    GuardApply,
    Kill,
    Unkill,
)
from failsoft.ops.controlrows import log_row
from failsoft.ops.guard import proposal_rows
from failsoft.ops.plans import Plan, plan_of
from failsoft.ops.preview import preview
from failsoft.ops.sources.source import Batch
from failsoft.ops.undo import plan_undo
from failsoft.ops.verbs import parse_line
from failsoft.ops.views import FleetView, Link
from failsoft.outbound._fleet import probe_instant_ms
from failsoft.store.flagcounts import Proposed as Stored
from failsoft.store.fleet import DependencyRow, FleetRead, NodeRow, encode_row
from failsoft.store.protocols import Entry
from unit.ops.merged import DEFINITIONS, T0, Fleet, stored

HOUR_MS = 3_600_000
NOW = T0 + 1000
DECLARED = msgspec.structs.replace(DEFINITIONS, dependencies=("pay", "mail"))
CALLED = DependencyRow("pay", calls=150, fail=3, p99_ms=80.0, quota_limit=100)
OPEN = DependencyRow(
    *("pay", 40, 40, 0, "open", "open", True, "40 calls in a row failed"),
    retry_ms=NOW + 4_000,
    refused=30,
)


def read(*rows: DependencyRow) -> FleetRead:
    nodes = {
        f"n{i}": encode_row(NodeRow(at_ms=NOW, dependencies=(row,)))
        for i, row in enumerate(rows)
    }
    return FleetRead(NOW, leader="n0", term=1, rows=nodes)


def view_of(*rows: DependencyRow, record: BreakerDoc | None = None) -> FleetView:
    made = Fleet()
    if record is not None:
        raw = stored(4, T0 + HOUR_MS, record)
        made.controls = {("breaker", "pay"): raw}
    made.merge.begin(Batch(Link("up"), False, fleet=read(*rows)))
    return made.second()


def plan(command: Command, view: FleetView) -> Plan:
    return plan_of(command, view, DECLARED)


# --- rows ------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("rows", "doc", "state", "letter"),
    [
        ([CALLED] * 8, None, "closed", "."),
        ([OPEN, *[CALLED] * 7], None, "OPEN 1/8", "O"),
        ([DependencyRow("pay", state="half_open")], None, "HALF OPEN 1/1", "H"),
        ([DependencyRow("pay", throttle=0.3)] * 2, None, "THROTTLED 2/2", "T"),
        ([CALLED], BreakerDoc("ana", "x", "open"), "FORCED OPEN", "F"),
        ([OPEN], BreakerDoc("ana", "x", "closed"), "FORCED CLOSED", "F"),
        ([OPEN], BreakerDoc("ana", "x", "metrics_only"), "METRICS ONLY", "M"),
        ([OPEN], BreakerDoc("ana", "x", "probe"), "OPEN 1/1", "O"),
        ([], BreakerDoc("ana", "x", "probe"), "PROBING", "H"),
        ([OPEN], BreakerDoc("a", "x", "open", via="auto"), "FLEET OPEN", "O"),
        ([CALLED], BreakerDoc("ana", "x", "of a newer release"), "?", "?"),
    ],
)
def test_a_row_says_what_calls_meet_and_on_how_many_nodes(
    rows: list[DependencyRow], doc: BreakerDoc | None, state: str, letter: str
) -> None:
    view = view_of(*rows, record=doc)

    assert view.dependencies is not None
    (row,) = view.dependencies.rows
    assert (row.name, row.state, row.letter) == ("pay", state, letter)
    assert len(row.nodes) == len(rows)


def test_retries_are_told_of_the_node_that_has_the_fewest_left() -> None:
    few, many = (DependencyRow("pay", retries_left=left) for left in (1.4, 10.0))

    view = view_of(many, few)

    assert view.dependencies is not None
    assert [row.retries_left for row in view.dependencies.rows] == [1.4]


def test_declared_ones_are_listed_before_anybody_calls_them() -> None:
    view = dependency_view(read(), (), ("pay",), str)

    assert [(row.name, row.state, row.err) for row in view.rows] == [
        ("pay", "not called", None)
    ]


def test_rates_need_calls_and_nodes_that_are_gone_do_not_count() -> None:
    old = NodeRow(at_ms=NOW - 15_001, dependencies=(OPEN,))
    few = DependencyRow("mail", calls=29, fail=29)
    nodes = {"a": encode_row(old), "b": b"\xff", **read(CALLED, few).rows}

    view = dependency_view(FleetRead(NOW, rows=nodes), (), (), str)

    mail, pay = view.rows
    assert (mail.err, pay.err, pay.calls_per_s) == (None, 0.02, 5.0)
    assert (pay.open_nodes, pay.quota_remaining) == (0, None)


def test_the_next_probe_is_that_of_the_fleet_where_it_opened() -> None:
    fleet = BreakerDoc("(automation)", "x", "open", via="auto", since_ms=T0)

    forced = view_of(OPEN, record=fleet).dependencies
    local = view_of(OPEN).dependencies

    assert forced is not None
    assert local is not None
    assert forced.rows[0].probe_ms == probe_instant_ms("pay", T0, 0)
    assert local.rows[0].probe_ms == NOW + 4_000


# --- plans -----------------------------------------------------------------------


def test_opening_puts_a_record_that_ends_and_tells_what_callers_get() -> None:
    made = plan(BreakerSet("dependency:pay", "open"), view_of(CALLED))

    doc = msgspec.json.decode(made.change("ana", "why").json, type=BreakerDoc)
    assert (made.kind, made.name, made.op, made.if_rev) == ("breaker", "pay", "put", 0)
    assert (made.before, made.after, made.until_s) == ("closed", "FORCED OPEN", 3600.0)
    assert (doc.state, doc.via, doc.who, doc.since_ms) == (
        "open",
        "operator",
        "ana",
        NOW,
    )
    assert made.warnings == ("5.0 calls/s from 1 nodes, 2% of them failed",)


def test_a_share_of_traffic_that_nobody_knows_asks_for_more_than_enter() -> None:
    view = view_of(CALLED)

    opens = preview(BreakerSet("dependency:pay", "open"), view, DECLARED, 1.0)
    probes = preview(BreakerSet("dependency:pay", "probe"), view, DECLARED, 1.0)

    assert opens.tier_why == "share of traffic unknown"
    assert (opens.tier, opens.until_s, probes.until_s) == (2, 3600.0, 60.0)


@pytest.mark.parametrize(
    ("command", "text"),
    [
        (BreakerSet("dependency:pay", "shut"), "must be one of open, closed"),
        (BreakerSet("dependency:pay", "open", for_s=NEVER), "needs an end"),
        (BreakerSet("dependency:pay", "open", for_s=31 * 86_400), "10 s to 30 d"),
        (BreakerSet("route:GET /x", "open"), "must be one of dependency"),
        (Kill("dependency:pay", variant="on"), "is for routes and flags"),
        (Kill("dependency:pay", public="sorry"), "is for routes and flags"),
        (Kill("dependency:pay", for_s=NEVER), "needs an end"),
        (Extend("dependency:pay", NEVER), "needs an end"),
        (GuardApply("dependency:pay"), "nothing is proposed for it"),
    ],
)
def test_what_no_node_could_use_is_refused(command: Command, text: str) -> None:
    view = view_of(CALLED, record=BreakerDoc("ana", "x", "open"))

    with pytest.raises(Invalid, match=text):
        plan(command, view)


def test_an_unknown_name_is_refused_with_the_nearest_unless_forced() -> None:
    view = view_of(CALLED)

    with pytest.raises(TargetGone) as caught:
        plan(BreakerSet("dependency:pya", "open"), view)

    assert caught.value.nearest == ("dependency:pay",)
    forced = plan(BreakerSet("dependency:pya", "open", force=True), view)
    assert forced.warnings[0].startswith("nobody declares or calls it now")


def test_a_kill_of_a_dependency_opens_its_breaker_and_unkill_hands_it_back() -> None:
    opened = plan(Kill("dependency:pay", group="INC-1"), view_of(CALLED))
    held = view_of(CALLED, record=BreakerDoc("ana", "x", "open", group="INC-1"))

    lifted = plan(Unkill("dependency:pay"), held)
    compared = plan(Unkill("dependency:pay", if_rev=3), held)
    group = plan(GroupLift("group:INC-1"), held)

    assert opened.doc == BreakerDoc("", "", "open", since_ms=NOW, group="INC-1")
    assert (lifted.kind, lifted.op, lifted.if_rev, lifted.lifts) == (
        *("breaker", "del", 4),
        "ana",
    )
    assert compared.if_rev == 3
    assert (group.kind, group.name, group.op) == ("breaker", "pay", "del")


def test_an_end_moves_and_what_the_fleet_opened_may_open_again() -> None:
    view = view_of(OPEN, record=BreakerDoc("(automation)", "x", "open", via="auto"))

    moved = plan(Extend("dependency:pay", 7200.0), view)
    handed = plan(BreakerAuto("dependency:pay"), view)
    replaced = plan(BreakerSet("dependency:pay", "closed"), view)

    assert (moved.kind, moved.name, moved.until_s) == ("breaker", "pay", 7200.0)
    assert handed.warnings == (
        "the fleet opens it again while a quorum finds it broken",
    )
    assert replaced.conflict.startswith("FLEET OPEN by (automation)")
    assert replaced.if_rev == 4


def test_undo_takes_an_override_back_and_the_log_names_it() -> None:
    value = stored(5, T0 + HOUR_MS, BreakerDoc("ana", "x", "closed"))
    put = Entry(
        *(f"{T0}-1", 5, "e", "breaker", "pay", "put", value, None),
        *("ana", "x", "", "op-1"),
    )

    undone = plan_undo([put], "op-1", NOW)
    row = log_row(put)
    ended = log_row(replace(put, op="expire", value=None, was=value))

    assert (undone.target, undone.op, undone.if_rev) == ("dependency:pay", "del", 5)
    assert (row.action, row.before, row.after) == (
        *("breaker-set", "auto"),
        "FORCED CLOSED",
    )
    assert (ended.action, ended.before, ended.after) == (
        *("expire", "FORCED CLOSED"),
        "auto",
    )


# --- verbs -----------------------------------------------------------------------


@pytest.mark.parametrize(
    ("line", "command"),
    [
        ("breaker open pay --for 5m", BreakerSet("dependency:pay", "open", 300.0)),
        ("breaker close pay", BreakerSet("dependency:pay", "closed")),
        (
            "breaker metrics-only dependency:pay --group INC-1",
            BreakerSet("dependency:pay", "metrics_only", group="INC-1"),
        ),
        (
            "breaker probe pay --force",
            BreakerSet("dependency:pay", "probe", force=True),
        ),
        ("breaker auto pay", BreakerAuto("dependency:pay")),
        ("kill dependency:pay", Kill("dependency:pay")),
        ("guard apply dependency:pay", GuardApply("dependency:pay")),
    ],
)
def test_the_verbs_of_breakers_have_one_grammar(line: str, command: Command) -> None:
    assert parse_line(line).command() == command


def test_the_table_says_what_is_not_known_and_keeps_strings_harmless() -> None:
    view = view_of(OPEN, DependencyRow("evil\x1b[2J", calls=3))

    assert view.dependencies is not None
    text = dependency_table(view.dependencies.rows, view)

    assert "OPEN 1/1" in text
    assert "n<30" in text
    assert "no end" not in text  # of what: there is no override
    assert "\x1b" not in text


# --- proposals -------------------------------------------------------------------


def proposed(**changed: Any) -> dict[str, Stored]:
    doc = BreakerDoc("(automation)", "2 of 2", "open", via="auto", since_ms=T0)
    said = Proposed("breaker", "pay", encode_doc(doc).decode(), 1800.0, "2 of 2", "n1")
    json = msgspec.json.encode(msgspec.structs.replace(said, **changed))
    return {"breaker:pay": Stored("breaker:pay", T0, json)}


def test_what_automation_may_not_write_is_shown_and_applied_by_an_operator() -> None:
    view = view_of(OPEN)
    rows = proposal_rows(proposed(), ())
    view = msgspec.structs.replace(view, proposals=rows)

    made = plan(GuardApply("dependency:pay"), view)

    doc = msgspec.json.decode(made.change("ana", "yes").json, type=BreakerDoc)
    assert (doc.state, doc.via, doc.who) == ("open", "auto", "ana")
    assert (made.until_s, made.if_rev, made.reason) == (1800.0, 0, "2 of 2")


def test_a_proposal_is_gone_once_it_is_done() -> None:
    held = view_of(OPEN, record=BreakerDoc("ana", "x", "open"))

    assert proposal_rows(proposed(), held.controls) == ()
    assert proposal_rows(proposed(doc=""), ()) == ()  # nothing is there to delete
    assert len(proposal_rows(proposed(doc=""), held.controls)) == 1
    assert proposal_rows(proposed(kind="flag"), ()) == ()
