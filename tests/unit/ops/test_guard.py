"""What operators read of guards, and the command that does what one proposes."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest

from failsoft.cli._guard import picture
from failsoft.controls.records import KillDoc
from failsoft.errors import Invalid
from failsoft.flags._guard import GuardAbout, GuardProposal, GuardRule
from failsoft.ops.command import GuardApply
from failsoft.ops.guard import GuardRow, plan_guard, proposal_rows, read_guards
from failsoft.ops.plans import plan_of
from failsoft.ops.views import ControlRow, FleetView, Link, Proposal
from failsoft.store.flagcounts import Outcomes, Proposed
from failsoft.store.memory import MemoryStore
from failsoft.telemetry import Definitions, FlagDef

pytestmark = pytest.mark.anyio

NOW_MS = 1_800_000_000_000


def document(**guard: Any) -> bytes:
    doc = {
        "state": "ENABLED",
        "variants": {"on": True, "off": False},
        "defaultVariant": "off",
        "metadata": {f"x.guard.{name}": value for name, value in guard.items()},
    }
    return msgspec.json.encode(doc)


def control(kind: str, *, doc: bytes = b"", by: str = "ana", why: str = "") -> Any:
    return ControlRow(
        target="flag:price",
        kind=kind,
        now="",
        default="",
        rollout=None,
        rps=None,
        until_ms=0,
        by=by,
        at_ms=NOW_MS - 4000,
        why=why,
        rev=3,
        active=kind == "kill",
        doc=doc,
    )


def view_of(*controls: ControlRow, proposals: tuple[Proposal, ...] = ()) -> FleetView:
    return FleetView(
        seq=1,
        env="shop",
        link=Link("up"),
        received=1.0,
        server_ms=NOW_MS,
        controls=controls,
        proposals=proposals,
    )


@pytest.fixture
def store() -> MemoryStore:
    return MemoryStore("shop", now=lambda: NOW_MS / 1000)


async def judged(store: MemoryStore, arms: Any, *, fresh_s: int = 0) -> GuardRow:
    fresh = {"price": NOW_MS - fresh_s * 1000} if fresh_s else {}
    await store.add_outcomes(Outcomes(NOW_MS, {"price": arms}, fresh=fresh))
    edit = control("flag", doc=document(control="off"))
    (row,) = await read_guards(store, view_of(edit), Definitions())
    return row


async def test_too_few_requests_are_shown_as_no_verdict(store: MemoryStore) -> None:
    row = await judged(store, {"on": (12, 9), "off": (300, 1)})

    lines = picture((row,), NOW_MS).splitlines()
    assert lines[1].split() == ["price", "watching", "off", "300", "1", "0.3%", "-",
                                "(control)"]  # fmt: skip
    assert lines[2].split()[:4] == ["on", "12", "9", "75.0%"]
    assert lines[2].endswith("no verdict: 12 of 100")


async def test_rates_and_z_are_shown_with_the_verdict(store: MemoryStore) -> None:
    row = await judged(store, {"on": (200, 60), "off": (200, 4)})

    assert [(arm.variant, arm.verdict) for arm in row.arms] == [
        ("off", "control"),
        ("on", "trip"),
    ]
    assert picture((row,), NOW_MS).splitlines()[2].split() == [
        *("on", "200", "60", "30.0%", "7.6", "TRIP")
    ]


async def test_after_a_kill_the_seconds_to_go_are_shown(store: MemoryStore) -> None:
    row = await judged(store, {"on": (200, 60), "off": (200, 4)}, fresh_s=20)

    assert row.arms[1].text == "no verdict: 40 s of a fresh window to go"


@pytest.mark.parametrize(("by", "state"), [("guard", "tripped"), ("ana", "killed")])
async def test_a_kill_is_told_by_who_set_it(
    store: MemoryStore, by: str, state: str
) -> None:
    edit = control("flag", doc=document(control="off"))
    view = view_of(edit, control("kill", by=by, why="on: 3 of 4 bad"))

    (row,) = await read_guards(store, view, Definitions())

    assert (row.state, row.why) == (state, "on: 3 of 4 bad")
    assert "! price " + state in picture((row,), NOW_MS)


async def test_guards_of_files_and_those_only_nodes_know_are_read_too(
    store: MemoryStore,
) -> None:
    in_file = FlagDef("filed", "file", doc=document(control="on").decode())
    about = GuardAbout(GuardRule("blue", window_s=20), 1000)
    told = {"told": msgspec.json.encode(about), "price": msgspec.json.encode(about)}
    await store.add_outcomes(Outcomes(NOW_MS, about=told))
    unguarded = control("flag", doc=document())  # by an edit that took its guard away

    found = await read_guards(
        store, view_of(unguarded), Definitions(flagdefs=(in_file,))
    )

    assert [(row.flag, row.control) for row in found] == [
        ("filed", "on"),
        ("told", "blue"),
    ]


def proposed(**fields: Any) -> dict[str, Proposed]:
    doc = GuardProposal("off", "on: 9 of 9 bad", **fields)
    return {"flag:price": Proposed("flag:price", NOW_MS, msgspec.json.encode(doc))}


def test_a_proposal_is_shown_until_its_flag_is_killed() -> None:
    unreadable = {"flag:x": Proposed("flag:x", NOW_MS, b"{")}

    open_ones = proposal_rows(proposed() | unreadable, ())
    done = proposal_rows(proposed(), [control("kill")])

    assert [(p.target, p.variant, p.why) for p in open_ones] == [
        ("flag:price", "off", "on: 9 of 9 bad")
    ]
    assert done == ()


def test_applying_a_proposal_kills_with_its_variant_and_its_figures() -> None:
    view = view_of(proposals=proposal_rows(proposed(), ()))

    plan = plan_of(GuardApply("flag:price"), view, Definitions())

    assert isinstance(plan.doc, KillDoc)
    assert (plan.target, plan.doc.variant) == ("flag:price", "off")
    assert (plan.until, plan.if_rev, plan.reason) == ("0", 0, "guard: on: 9 of 9 bad")


def test_an_end_that_the_guard_wants_is_kept() -> None:
    view = view_of(proposals=proposal_rows(proposed(ttl_s=600), ()))

    assert plan_guard(GuardApply("flag:price"), view, Definitions()).until == "+600000"


def test_what_nobody_proposes_cannot_be_applied() -> None:
    view = view_of(proposals=proposal_rows(proposed(), ()))

    with pytest.raises(Invalid, match="no guard proposes") as refused:
        plan_guard(GuardApply("flag:prices"), view, Definitions())

    assert refused.value.nearest == "flag:price"
