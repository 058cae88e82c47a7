"""Writes and acknowledgements of a session, over memory and real servers."""

from __future__ import annotations

import asyncio
import json
import logging
import re
from collections.abc import AsyncIterator, Callable

import pytest

from failsoft.errors import (
    Invalid,
    NeedsConfirm,
    NotArmed,
    ReadOnly,
    StoreConflict,
    TargetGone,
    Throttled,
)
from failsoft.ops.command import (
    Extend,
    FlagEdit,
    GroupLift,
    Kill,
    ModeEnter,
    ModeLeave,
    Unkill,
)
from failsoft.ops.connect import open_session
from failsoft.ops.session import Session
from failsoft.ops.sources.store import FleetStore
from failsoft.ops.views import AckState, Applied, FleetView, Identity
from failsoft.store.protocols import Call, Change
from unit.ops.fake_node import DEFINITIONS, FakeNode

pytestmark = pytest.mark.anyio

ANA = Identity("ana", True, "ana@desk")
BOB = Identity("bob", True, "bob@desk")


async def view_with(
    session: Session, ready: Callable[[FleetView], bool], within_s: float = 5.0
) -> FleetView:
    async with asyncio.timeout(within_s):
        async for view in session.watch():
            if ready(view):
                return view
    raise AssertionError("the reader ended")


@pytest.fixture
async def node(store: FleetStore) -> FakeNode:
    node = FakeNode(store)
    await node.declare()
    await node.beat()
    await node.tick()
    await node.tick()
    return node


@pytest.fixture
async def session(store: FleetStore, node: FakeNode) -> AsyncIterator[Session]:
    opened = await open_session(store, identity=ANA, needs_arming=False)
    await view_with(opened, lambda v: v.totals.n > 0 and bool(v.controls))
    yield opened
    await opened.reader.aclose()


async def last_acks(session: Session, applied: Applied) -> tuple[AckState, ...]:
    return [states async for states in session.acks(applied, wait_s=0.3)][-1]


async def test_a_kill_is_written_acknowledged_and_logged(
    session: Session, node: FakeNode, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO, "failsoft.audit")

    applied = await session.apply(Kill("route:POST /checkout"), reason="INC-1 fraud")
    await node.beat()
    acks = await last_acks(session, applied)

    assert applied.revision == 1
    assert [(a.short, a.state) for a in acks] == [("w1", "enforces")]
    view = await view_with(session, lambda v: v.totals.controls_active == 1)
    row = view.controls[0]
    assert (row.target, row.now, row.by, row.why, row.active) == (
        "route:POST /checkout",
        "KILLED",
        "ana",
        "INC-1 fraud",
        True,
    )
    assert 3_590_000 < row.until_ms - row.at_ms <= 3_600_000
    entry = (await session.log())[0]
    assert (entry.action, entry.who, entry.before, entry.after) == (
        "kill",
        "ana",
        "on",
        "KILLED",
    )
    line = json.loads(caplog.records[-1].message)
    assert (line["who"], line["kind"], line["op"]) == ("ana", "kill", "put")
    assert (line["name"], line["rev"]) == ("route:POST /checkout", 1)


async def test_a_route_under_a_kill_says_so(session: Session) -> None:
    await session.apply(Kill("route:POST /check*"), reason="INC-1")

    view = await view_with(session, lambda v: v.totals.controls_active == 1)

    states = {row.key: row.state for row in view.routes}
    assert states["POST /checkout"] == "K"
    assert states["GET /catalogue"] == "."


async def test_a_node_that_lags_is_named_and_not_counted(
    session: Session, store: FleetStore, node: FakeNode
) -> None:
    late = FakeNode(store, "n2", held=0)
    await late.beat()
    await view_with(session, lambda v: len(v.nodes) == 2)

    applied = await session.apply(Kill("route:POST /checkout"), reason="INC-1")
    await node.beat()
    await late.beat()
    acks = await last_acks(session, applied)

    assert [(a.short, a.state) for a in acks] == [("w1", "enforces"), ("w2", "waiting")]


async def test_a_node_that_cannot_enforce_the_target_rejects_it(
    session: Session, node: FakeNode
) -> None:
    applied = await session.apply(Kill("route:POST /checkout"), reason="INC-1")
    node.bad = ("route:POST /checkout",)
    await node.beat()

    acks = await last_acks(session, applied)

    assert [a.state for a in acks] == ["rejected"]


async def test_another_history_does_not_count_as_enforcement(
    session: Session, node: FakeNode
) -> None:
    applied = await session.apply(Kill("route:POST /checkout"), reason="INC-1")
    await node.beat(rev=99, epoch="0" * 32)

    acks = await last_acks(session, applied)

    assert [a.state for a in acks] == ["waiting"]


async def test_setting_a_kill_never_compares_and_says_whom_it_replaces(
    session: Session, store: FleetStore
) -> None:
    bob = await open_session(store, identity=BOB, needs_arming=False)
    await view_with(bob, lambda v: v.totals.n > 0 and bool(v.controls))
    await bob.apply(Kill("route:POST /checkout"), reason="bob was first")
    await view_with(session, lambda v: v.totals.controls_active == 1)

    shown = session.preview(Kill("route:POST /checkout"))
    await session.apply(Kill("route:POST /checkout"), reason="mine", preview=shown)

    assert shown.conflict.startswith("killed by bob")
    assert "this replaces it" in shown.conflict
    await bob.reader.aclose()


async def test_of_two_edits_of_one_flag_one_wins_and_the_other_hears_who(
    session: Session, store: FleetStore
) -> None:
    bob = await open_session(store, identity=BOB, needs_arming=False)
    await view_with(bob, lambda v: v.totals.n > 0 and bool(v.controls))
    edit = FlagEdit("flag:checkout.new-pricing", rollout=25)
    seen = session.preview(edit)
    await bob.apply(FlagEdit("flag:checkout.new-pricing", enabled=True), reason="bob")
    await view_with(session, lambda v: any(r.now == "on" for r in v.controls))

    with pytest.raises(StoreConflict) as caught:
        await session.apply(edit, reason="mine", preview=seen, confirm="test")

    assert (caught.value.actor, caught.value.revision) == ("bob", 1)
    assert "default off -> on; you wanted 25%" in str(caught.value)
    refused = next(row for row in await session.log() if row.refused)
    assert (refused.who, refused.after) == ("ana", "store-conflict")
    await bob.reader.aclose()


async def test_undo_brings_back_what_was_and_undo_of_undo_redoes(
    session: Session,
) -> None:
    await session.apply(
        FlagEdit("flag:checkout.new-pricing", enabled=True), reason="INC-1"
    )
    await view_with(session, lambda v: v.revision == 1 and len(v.log) == 1)

    shown = session.preview_undo(await session.find_write())
    await session.undo()
    view = await view_with(session, lambda v: len(v.log) == 2)

    assert (shown.tier, shown.before, shown.after) == (0, "on", "-")
    flag = next(r for r in view.controls if r.target == "flag:checkout.new-pricing")
    assert (flag.now, flag.rev) == ("off", 0)
    await session.undo()
    view = await view_with(session, lambda v: len(v.log) == 3)
    flag = next(r for r in view.controls if r.target == "flag:checkout.new-pricing")
    assert flag.now == "on"


async def test_a_write_larger_than_a_view_is_undone_whole(
    session: Session, store: FleetStore
) -> None:
    document = b'{"state":"ENABLED","variants":{"on":true},"defaultVariant":"on"}'
    changes = [Change("flag", f"f{i}", "put", 0, json=document) for i in range(600)]
    await store.apply(Call("bulk", session.actor, "INC-1", tuple(changes)))
    await view_with(session, lambda v: v.revision == 600)

    found = await session.find_write()
    shown = session.preview_undo(found)
    undone = await session.undo(found, confirm=shown.code)

    assert (found, len(shown.covers), undone.revision) == ("bulk", 600, 1200)
    assert not (await store.load()).records


async def test_undo_is_refused_when_somebody_wrote_since(
    session: Session, store: FleetStore
) -> None:
    bob = await open_session(store, identity=BOB, needs_arming=False)
    await view_with(bob, lambda v: v.totals.n > 0 and bool(v.controls))
    edit = FlagEdit("flag:checkout.new-pricing", enabled=True)
    mine = await session.apply(edit, reason="mine")
    await view_with(bob, lambda v: len(v.log) == 1)
    edit = FlagEdit("flag:checkout.new-pricing", rollout=5)
    await bob.apply(edit, reason="bob", confirm="test")
    await view_with(session, lambda v: len(v.log) == 2)

    with pytest.raises(StoreConflict, match=r"changed by bob .*yours on, now 5%"):
        await session.undo(mine.op_id)
    await bob.reader.aclose()


async def test_a_conflict_over_an_end_alone_shows_both_ends(
    session: Session, store: FleetStore
) -> None:
    await session.apply(Kill("route:POST /checkout", for_s=600), reason="INC-1")
    await view_with(session, lambda v: v.totals.controls_active == 1)
    seen = session.preview(Unkill("route:POST /checkout"))
    first = await session.apply(Extend("route:POST /checkout", 60), reason="shorter")
    await view_with(session, lambda v: v.revision == first.revision)

    with pytest.raises(StoreConflict) as caught:
        await session.apply(Unkill("route:POST /checkout"), reason="over", preview=seen)
    with pytest.raises(StoreConflict) as late:
        await session.undo(session.reader.merge.entries[0].op_id, reason="over")

    assert re.search(
        "you saw KILLED, now KILLED, (5\\d|1m00).*s left", str(caught.value)
    )
    undone = str(late.value)
    assert re.search("yours KILLED, (9m[45]|10m0).*, now KILLED, (5\\d|1m0)", undone)


async def test_a_write_says_when_it_ends(session: Session) -> None:
    kill = await session.apply(Kill("route:POST /checkout", for_s=60), reason="INC-1")
    await view_with(session, lambda v: v.totals.controls_active == 1)
    lift = await session.apply(Unkill("route:POST /checkout"), reason="over")

    assert (kill.until_ms - kill.at_ms, lift.until_ms) == (60_000, 0)


async def test_an_undo_is_confirmed_by_its_digits_as_any_write_is(
    session: Session, store: FleetStore
) -> None:
    bob = await open_session(store, identity=BOB, needs_arming=False)
    applied = await session.apply(Kill("route:POST /checkout"), reason="INC-1")
    await view_with(bob, lambda v: v.totals.n > 0 and v.totals.controls_active == 1)

    shown = bob.preview_undo(await bob.find_write(applied.op_id))
    with pytest.raises(NeedsConfirm):
        await bob.undo(applied.op_id, reason="over", confirm="xx")
    undone = await bob.undo(applied.op_id, reason="over", confirm=shown.code)

    assert (shown.tier, len(shown.code), undone.revision) == (2, 2, 2)
    await bob.reader.aclose()


async def test_lifting_what_another_set_needs_a_confirmation(
    session: Session, store: FleetStore
) -> None:
    bob = await open_session(store, identity=BOB, needs_arming=False)
    await view_with(bob, lambda v: v.totals.n > 0 and bool(v.controls))
    await session.apply(Kill("route:POST /checkout"), reason="INC-1")
    await view_with(bob, lambda v: v.totals.controls_active == 1)

    lift = Unkill("route:POST /checkout")
    shown, again = bob.preview(lift), bob.preview(lift)
    for wrong in (None, "", "xx", "TEST"):
        with pytest.raises(NeedsConfirm):
            await bob.apply(lift, reason="over", confirm=wrong)
    await bob.apply(lift, reason="over", preview=shown, confirm=shown.code)

    assert (shown.tier, shown.tier_why) == (2, "lifts a control of ana")
    assert again.code == shown.code  # a dialog that is open keeps its digits
    await bob.reader.aclose()


async def test_a_mode_is_entered_and_left(session: Session) -> None:
    await session.apply(
        ModeEnter("mode:cart.read-only"), reason="INC-1", confirm="test"
    )
    view = await view_with(session, lambda v: v.totals.controls_active == 1)
    assert view.controls[0].now == "ON"

    await session.apply(ModeLeave("mode:cart.read-only"), reason="over", confirm="test")

    view = await view_with(session, lambda v: v.totals.controls_active == 0)
    row = next(r for r in view.controls if r.target == "mode:cart.read-only")
    assert row.now == "ended"


@pytest.mark.parametrize(
    ("command", "reason", "error", "text"),
    [
        (Kill("route:POST /chekout"), "INC-1", TargetGone, "route:POST /checkout"),
        (Kill("route:POST /checkout"), "  ", Invalid, "reason: is empty"),
        (Kill("route:POST /checkout"), "ab", Invalid, "has 2 characters"),
        (Kill("route:POST /checkout", for_s=5), "INC-1", Invalid, "10 s to 30 d"),
        (Kill("rout:POST /checkout"), "INC-1", Invalid, "did you mean route?"),
        (Kill("POST /checkout"), "INC-1", Invalid, "must be kind:name"),
        (Kill("route:* *"), "INC-1", NeedsConfirm, "type test"),
        (Kill("route:POST /checkout", for_s=0), "INC-1", NeedsConfirm, "has no end"),
        (Unkill("route:POST /checkout"), "INC-1", TargetGone, "matches nothing"),
        (FlagEdit("flag:shop.theme", enabled=True), "INC-1", Invalid, "not a boolean"),
        (FlagEdit("flag:checkout.new-prices", enabled=True), "x y", TargetGone, "new-"),
        (ModeEnter("mode:maintenence"), "INC-1", TargetGone, "mode:maintenance"),
    ],
)
async def test_bad_requests_are_refused_before_anything_is_written(
    session: Session,
    command: Kill | Unkill | FlagEdit | ModeEnter,
    reason: str,
    error: type[Exception],
    text: str,
) -> None:
    with pytest.raises(error) as caught:
        await session.apply(command, reason=reason)

    assert text in str(caught.value)
    assert session.view().revision == 0
    attempt = (await session.log())[0]
    assert (attempt.refused, attempt.target) == (True, command.target)


async def test_a_kill_that_matches_nothing_can_be_forced(session: Session) -> None:
    shown = session.preview(Kill("route:POST /new", force=True))

    applied = await session.apply(Kill("route:POST /new", force=True), reason="INC-1")

    assert applied.revision == 1
    assert shown.warnings == (
        "matches nothing now; nodes enforce it on what they meet later",
    )


async def test_a_session_that_needs_arming_is_refused_until_armed(
    store: FleetStore, node: FakeNode
) -> None:
    session = await open_session(store, identity=ANA)
    await view_with(session, lambda v: v.totals.n > 0 and bool(v.controls))

    with pytest.raises(NotArmed):
        await session.apply(Kill("route:POST /checkout"), reason="INC-1")
    await session.arm("INC-311 fraud")
    await session.apply(Kill("route:POST /checkout"))

    rows = await session.log()
    assert {row.action for row in rows} == {"kill", "arm"}
    assert next(r.why for r in rows if not r.refused and r.rev) == "INC-311 fraud"
    await session.disarm()
    with pytest.raises(NotArmed):
        await session.apply(Kill("route:POST /checkout"))
    await session.reader.aclose()


async def test_a_read_only_session_cannot_write(
    store: FleetStore, node: FakeNode
) -> None:
    session = await open_session(
        store, identity=ANA, read_only=True, needs_arming=False
    )
    await view_with(session, lambda v: v.totals.n > 0)

    with pytest.raises(ReadOnly):
        await session.apply(Kill("route:POST /checkout"), reason="INC-1")
    await session.reader.aclose()


async def test_the_sixty_first_write_of_a_minute_waits(session: Session) -> None:
    for _ in range(60):
        await session.apply(Kill("route:POST /checkout"), reason="INC-1")

    with pytest.raises(Throttled):
        await session.apply(Kill("route:POST /checkout"), reason="INC-1")


async def test_one_op_id_writes_once(session: Session) -> None:
    first = await session.apply(
        Kill("route:POST /checkout"), reason="INC-1", op_id="fixed"
    )

    again = await session.apply(
        Kill("route:POST /checkout"), reason="INC-1", op_id="fixed"
    )

    assert (first.duplicate, again.duplicate) == (False, True)
    assert again.revision == first.revision


async def test_definitions_reach_the_session(session: Session) -> None:
    assert session.definitions == DEFINITIONS


async def killed(session: Session, target: str, group: str | None) -> None:
    command = Kill(target, group=group)
    await session.apply(command, reason="INC-7", confirm="test")


async def test_a_group_is_lifted_in_one_call_and_undone_in_one(
    session: Session,
) -> None:
    await killed(session, "route:POST /checkout", "INC-7")
    mode = ModeEnter("mode:cart.read-only", group="INC-7")
    await session.apply(mode, reason="INC-7", confirm="test")
    await killed(session, "route:GET /catalogue", None)
    await view_with(session, lambda v: v.totals.controls_active == 3)

    lift = GroupLift("group:INC-7")
    shown = session.preview(lift)
    lifted = await session.apply(lift, reason="over", preview=shown, confirm="test")
    view = await view_with(session, lambda v: v.totals.controls_active == 1)

    assert set(shown.covers) == {"route:POST /checkout", "mode:cart.read-only"}
    assert set(lifted.targets) == set(shown.covers)
    assert [r.target for r in view.controls if r.active] == ["route:GET /catalogue"]
    await session.undo(lifted.op_id, reason="too early", confirm="test")
    await view_with(session, lambda v: v.totals.controls_active == 3)


async def test_a_group_that_grew_since_the_preview_must_be_previewed_again(
    session: Session,
) -> None:
    await killed(session, "route:POST /checkout", "INC-7")
    await view_with(session, lambda v: v.totals.controls_active == 1)
    shown = session.preview(GroupLift("group:INC-7"))
    await killed(session, "route:GET /catalogue", "INC-7")
    await view_with(session, lambda v: v.totals.controls_active == 2)

    with pytest.raises(Invalid, match="preview again"):
        await session.apply(
            GroupLift("group:INC-7"), reason="over", preview=shown, confirm="test"
        )


async def test_a_group_nobody_is_in_names_the_nearest(session: Session) -> None:
    await killed(session, "route:POST /checkout", "INC-7")
    await view_with(session, lambda v: v.totals.controls_active == 1)

    with pytest.raises(TargetGone, match="group:INC-7"):
        session.preview(GroupLift("group:INC-8"))
