"""Pins, brownouts, tolerances and acks through a session."""

from __future__ import annotations

from collections.abc import AsyncIterator

import msgspec
import pytest

from failsoft.errors import Invalid, ReadOnly, StoreConflict
from failsoft.ops.command import (
    BrownoutStart,
    BrownoutStop,
    Command,
    DriftAck,
    Extend,
    PinClear,
    PinSet,
    SunsetExtend,
    ToleranceAdd,
    ToleranceEnd,
)
from failsoft.ops.reader import Reader
from failsoft.ops.session import Session
from failsoft.ops.sources.fake import START_MS
from failsoft.ops.sources.fakeledgers import CONTRACT
from failsoft.ops.sources.store import FleetStore, StoreSource
from failsoft.ops.views import Identity
from failsoft.store.drift import Counted, DriftEntry, id_of
from failsoft.store.memory import MemoryStore
from failsoft.store.protocols import parse_value
from failsoft.store.usage import Called
from unit.ops.fake_node import DEFINITIONS, FakeNode
from unit.ops.test_session import ANA, BOB, last_acks, view_with

pytestmark = pytest.mark.anyio

OLD, MIDDLE = "2025-01-15", "2025-06-01"
DECLARED = msgspec.structs.replace(DEFINITIONS, **CONTRACT)
ENTRY = DriftEntry(
    route="POST /checkout",
    path="/qty",
    kind="type",
    expected="integer",
    got="str:int",
    consumer="ios-3",
)
ID = id_of(ENTRY)
WHY = "INC-1"


class Clock:
    """The store's clock: it goes when it is told to."""

    def __init__(self) -> None:
        self.at = START_MS / 1000

    def __call__(self) -> float:
        return self.at


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
async def store(clock: Clock, anyio_backend: str) -> FleetStore:
    return MemoryStore("test", now=clock)


@pytest.fixture
async def node(store: FleetStore, clock: Clock) -> FakeNode:
    node = FakeNode(store)
    await node.declare(DECLARED)
    for _ in range(3):
        clock.at += 1
        await node.beat()
        await node.tick()
    await store.usage_add({Called(OLD, "POST /checkout", "ios-3"): 40})
    await store.usage_add({Called(MIDDLE, "GET /catalogue", "web"): 960})
    await store.drift_add([Counted(ID, ENTRY, 3)], {})
    return node


def open_quick(store: FleetStore, who: Identity, *, read_only: bool = False) -> Session:
    """Return a session that reads twenty times a second."""
    reader = Reader(StoreSource(store, "memory", period_s=0.02), "test")
    reader.start()
    return Session(
        store, reader, who, "operator", read_only=read_only, needs_arming=False
    )


@pytest.fixture
async def session(store: FleetStore, node: FakeNode) -> AsyncIterator[Session]:
    opened = open_quick(store, ANA)
    opened.want(("versions", "drift"))
    await view_with(
        opened,
        lambda v: bool(v.totals.n and v.controls and v.versions and v.drift),
    )
    yield opened
    await opened.reader.aclose()


async def done(session: Session, command: Command) -> int:
    applied = await session.apply(command, reason=WHY, confirm=session.view().env)
    await view_with(session, lambda v: v.revision >= applied.revision)
    await view_with(session, lambda v: bool(v.log) and v.log[0].rev >= applied.revision)
    return applied.revision


async def test_what_is_wanted_is_read_at_once(
    session: Session,
) -> None:
    view = session.view()

    assert view.versions is not None
    assert view.drift is not None
    assert {use.consumer: use.n for use in view.versions.uses} == {
        "web": 960,
        "ios-3": 40,
    }
    assert [row.id for row in view.drift.rows] == [ID]


async def test_each_write_is_logged_in_its_own_words(
    session: Session, store: FleetStore
) -> None:
    commands: list[Command] = [
        PinSet("consumer:ios-3", MIDDLE),
        PinClear("consumer:ios-3"),
        BrownoutStart(f"version:{OLD}"),
        Extend(f"brownout:{OLD}", 3600.0),
        BrownoutStop(f"brownout:{OLD}"),
        BrownoutStop("brownout:autumn"),
        SunsetExtend(f"version:{OLD}", "2098-12-31"),
        ToleranceAdd(f"drift:{ID}", for_s=80 * 86_400.0),
        ToleranceEnd("tolerance:old-ios-qty"),
        DriftAck(f"drift:{ID}"),
    ]

    for command in commands:
        await done(session, command)

    rows = (await session.log())[::-1]
    assert [(row.action, row.target, row.after) for row in rows] == [
        ("pin-set", "pin:ios-3", MIDDLE),
        ("pin-clear", "pin:ios-3", "-"),
        ("brownout-start", f"brownout:{OLD}", "BROWNOUT 100%"),
        ("extend", f"brownout:{OLD}", "BROWNOUT 100%"),
        ("brownout-stop", f"brownout:{OLD}", "-"),
        ("brownout-stop", "brownout:autumn", "STOPPED"),
        ("sunset-extend", f"version:{OLD}", "sunset 2098-12-31"),
        ("tolerance-add", f"tolerance:string_to_number-{ID[:8]}", "string_to_number"),
        ("tolerance-end", "tolerance:old-ios-qty", "ENDED"),
        ("drift-ack", f"drift:{ID}", "ACKED"),
    ]
    loaded = await store.load()
    json = parse_value(loaded.records["version", OLD])[3]
    assert msgspec.json.decode(json)["who"] == "ana"
    view = await view_with(
        session, lambda v: v.drift is not None and bool(v.drift.rows[0].acked_by)
    )
    assert view.drift is not None
    (row,) = view.drift.rows
    assert (row.tolerance, row.acked_by) == (f"string_to_number-{ID[:8]}", "ana")


async def test_undo_brings_the_pin_before_back(
    session: Session, store: FleetStore
) -> None:
    await done(session, PinSet("consumer:ios-3", OLD))
    await done(session, PinSet("consumer:ios-3", MIDDLE))

    await session.undo(reason="wrong one")

    json = parse_value((await store.load()).records["pin", "ios-3"])[3]
    assert msgspec.json.decode(json)["version"] == OLD


async def test_an_ack_is_taken_back_without_a_dialog(session: Session) -> None:
    await done(session, DriftAck(f"drift:{ID}"))

    op_id = await session.find_write()
    shown = session.preview_undo(op_id)

    assert (shown.tier, shown.before, shown.after) == (0, "ACKED", "-")


async def test_the_later_of_two_pins_is_told_who_was_first(
    session: Session, store: FleetStore
) -> None:
    shown = session.preview(PinSet("consumer:ios-3", MIDDLE))
    other = open_quick(store, BOB)
    await view_with(other, lambda v: v.totals.n > 0 and bool(v.controls))
    await done(other, PinSet("consumer:ios-3", OLD))

    with pytest.raises(StoreConflict, match="bob"):
        await session.apply(
            PinSet("consumer:ios-3", MIDDLE),
            reason=WHY,
            preview=shown,
            confirm=session.view().env,
        )
    await other.reader.aclose()


async def test_a_node_that_cannot_enforce_a_pin_says_so(
    session: Session, node: FakeNode
) -> None:
    node.bad = ("pin:ios-3",)
    applied = await session.apply(
        PinSet("consumer:ios-3", MIDDLE), reason=WHY, confirm=session.view().env
    )
    await node.beat()

    assert [ack.state for ack in await last_acks(session, applied)] == ["rejected"]


async def test_whoever_may_only_look_writes_none_of_it(
    store: FleetStore, node: FakeNode
) -> None:
    viewer = open_quick(store, BOB, read_only=True)
    await view_with(viewer, lambda v: v.totals.n > 0)

    for command in (PinSet("consumer:a", OLD), DriftAck(f"drift:{ID}")):
        with pytest.raises(ReadOnly):
            await viewer.apply(command, reason=WHY)

    assert (await store.load()).rev == 0
    assert [row.refused for row in await viewer.log()] == [True, True]
    await viewer.reader.aclose()


async def test_a_refused_brownout_of_critical_plus_names_the_way(
    store: FleetStore, session: Session, node: FakeNode
) -> None:
    routes = (("POST /checkout", "critical_plus", ()),)
    raised = msgspec.structs.replace(DECLARED, routes=routes)
    session.reader.merge.definitions = raised

    with pytest.raises(Invalid, match="--force: is needed"):
        session.preview(BrownoutStart(f"version:{OLD}"))
