"""The printed ACL rules do on a real server what the roles are meant to do."""

from __future__ import annotations

import shlex
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import AbstractContextManager

import pytest

from failsoft.controls.resync import read_controls
from failsoft.errors import DefinitionError, StoreRefused
from failsoft.store.drift import Counted, DriftEntry, id_of
from failsoft.store.fleet import FleetSay, ProbeAsk
from failsoft.store.protocols import Call, Change, TickBatch
from failsoft.store.redis.acl import ROLES, Role, acl_line, acl_rules
from failsoft.store.redis.store import RedisStore
from failsoft.store.usage import Called
from failsoft.testing import RedisServer

Login = Callable[[Role], Awaitable[RedisStore]]

pytestmark = pytest.mark.anyio

RESTORED = Change("flag", "f", "restore", json=b"{}")
RESTORE = Call("back", "ana", "a test", (RESTORED,), base=10)
KILL = Call("op", "ana", "a test", (Change("kill", "x", "put", json=b"{}"),))


@pytest.fixture(scope="module")
def guarded(
    own_redis: Callable[[], AbstractContextManager[RedisServer]],
) -> Iterator[RedisServer]:
    """A server with one user a role, named like the role."""
    with own_redis() as server:
        for role in ROLES:
            add_user(server, role, role)
        yield server


def add_user(server: RedisServer, role: Role, user: str) -> None:
    words = shlex.split(acl_line(role, "shop", user).replace("PASSWORD", "secret"))
    assert server.ask(*words) == "OK"


@pytest.fixture
async def login(guarded: RedisServer, anyio_backend: str) -> AsyncIterator[Login]:
    opened = []
    guarded.ask("FLUSHALL")

    async def connect(role: Role) -> RedisStore:
        url = guarded.url.replace("redis://", f"redis://{role}:secret@")
        opened.append(RedisStore(url, "shop"))
        return opened[-1]

    yield connect
    for store in opened:
        await store.aclose()


@pytest.mark.parametrize("role", ["operator", "automation"])
async def test_who_may_write_controls_writes_them(login: Login, role: Role) -> None:
    store = await login(role)

    assert (await store.apply(KILL)).revision == 1
    await store.attempt({"what": "armed"})
    assert len(await store.attempts()) == 1


async def test_a_node_reads_controls_and_may_not_write_them(login: Login) -> None:
    await (await login("operator")).apply(KILL)
    node = await login("app")

    with pytest.raises(StoreRefused, match=r"lacks the right.*failsoft acl"):
        await node.apply(KILL)

    assert (await node.load()).rev == 1
    assert len(await node.wait("0-0", 0.1)) == 1


async def test_a_node_may_not_write_controls_by_hand(login: Login) -> None:
    node = await login("app")

    for words in (
        ("HSET", node.keys.kinds["kill"], "x", "1 1 0 {}"),
        ("DEL", node.keys.meta),
        ("XADD", node.keys.log, "*", "a", "b"),
        ("EVAL", "return redis.call('HSET', 'fs:{shop}:ctl:1:meta', 'a', 'b')", 0),
        ("FLUSHALL",),
        ("KEYS", "*"),
    ):
        with pytest.raises(StoreRefused):
            await node.server.ask("trying", *words)


async def test_a_node_resyncs_and_offers_and_may_not_accept(login: Login) -> None:
    await (await login("operator")).apply(KILL)
    node = await login("app")

    held = (await read_controls(node, None)).held
    await node.offer("abcd", b"a set")
    await node.beat("n1", b"beat")

    assert (held.rev, list(held.records)) == (1, [("kill", "x")])
    assert await node.keep_offer("abcd")
    assert await node.offered("abcd") == b"a set"
    assert dict(await node.peers()) == {"n1": b"beat"}
    for refused in (Call("a", "n1", "a test", (), accept=()), RESTORE):
        with pytest.raises(StoreRefused, match="lacks the right"):
            await node.apply(refused)


async def test_a_viewer_sees_what_nodes_offer_and_offers_nothing(login: Login) -> None:
    await (await login("app")).offer("abcd", b"a set")
    viewer = await login("viewer")

    held = (await read_controls(viewer, None)).held

    assert held.rev == 0
    assert dict(await viewer.offers()) == {"abcd": 5}
    assert await viewer.offered("abcd") == b"a set"
    for attempt in (viewer.offer("ef", b"x"), viewer.apply(RESTORE)):
        with pytest.raises(StoreRefused):
            await attempt


@pytest.mark.parametrize("role", ["operator", "automation"])
async def test_who_may_write_controls_restores_and_accepts(
    login: Login, role: Role
) -> None:
    store = await login(role)

    await store.apply(RESTORE)
    answer = await store.apply(Call("a", "ana", "a test", (), accept=("e1",)))

    assert answer.revision == 12
    assert (await store.survey("0-0")).epoch == answer.epoch


async def test_a_node_reports_what_it_does(login: Login) -> None:
    node = await login("app")

    beat = await node.beat("n1", b"beat")
    await node.write(TickBatch("n1", b"tick", {"pay": (1, 0, 0)}, [b"flight"]))
    await node.publish_definitions("abc", b"defs")
    await node.leave("n2")

    assert beat.rev == 0


async def test_a_viewer_sees_everything_and_is_seen_watching(login: Login) -> None:
    node, viewer = await login("app"), await login("viewer")
    await node.beat("n1", b"beat")
    await node.write(TickBatch("n1", b"tick"))

    seen = await viewer.read(ticks_after="", flights_after="")

    assert (dict(seen.nodes), [blob for _, blob in seen.ticks]) == (
        {"n1": b"beat"},
        [b"tick"],
    )
    assert (await node.beat("n1", b"beat")).watched


async def test_a_viewer_writes_nothing_else(login: Login) -> None:
    viewer = await login("viewer")

    for attempt in (
        viewer.apply(KILL),
        viewer.write(TickBatch("n1", b"tick")),
        viewer.attempt({"what": "kill"}),
        viewer.server.ask("trying", "SET", viewer.keys.meta, "1"),
        viewer.server.ask("trying", "DEL", viewer.keys.watch),
    ):
        with pytest.raises(StoreRefused):
            await attempt
    assert "lacks the right" in (await viewer.beat("n1", b"")).refused


@pytest.mark.parametrize(
    ("role", "said"),
    [
        ("app", ("app", "app")),
        ("viewer", ("viewer", "viewer")),
        ("operator", ("operator", "operator")),
        ("automation", ("automation", "operator")),
    ],
)
async def test_each_role_is_recognised_and_proven(
    login: Login, role: Role, said: tuple[str, str]
) -> None:
    assert await (await login(role)).identify() == said


async def test_no_role_reaches_another_environment(
    guarded: RedisServer, login: Login
) -> None:
    url = guarded.url.replace("redis://", "redis://operator:secret@")
    other = RedisStore(url, "other")

    with pytest.raises(StoreRefused):
        await other.load()
    await other.aclose()


async def test_without_acl_everybody_is_an_unproven_operator(redis_url: str) -> None:
    store = RedisStore(redis_url, "shop")

    assert await store.identify() == ("default?", "operator")
    await store.aclose()


@pytest.mark.parametrize("user", ["", "*", "a b", "ana:x", ">x"])
def test_a_user_name_that_is_a_pattern_is_refused(user: str) -> None:
    with pytest.raises(DefinitionError):
        acl_rules("app", "shop", user)


async def test_a_node_counts_drift_and_a_viewer_reads_it(login: Login) -> None:
    entry = DriftEntry(route="POST /a", path="/x", kind="type")
    counted = Counted(id_of(entry), entry, 2)

    await (await login("app")).drift_add([counted], {"skipped:size": 1})
    with pytest.raises(StoreRefused, match="lacks the right"):
        await (await login("viewer")).drift_add([counted], {})

    found = await (await login("viewer")).drift()
    assert [(row.entry, row.count) for row in found.rows] == [(entry, 2)]
    assert found.tallies == {"skipped:size": 1}


async def test_a_viewer_sees_versions_and_drift_and_may_set_no_pin(
    login: Login,
) -> None:
    node, operator, viewer = [
        await login(role) for role in ("app", "operator", "viewer")
    ]
    await node.usage_add({Called("1", "GET /x", "web"): 3})
    await node.peer_notes_add({"pay|*": b"note"})
    pin = Change("pin", "web", "put", json=b'{"who":"a","why":"b","version":"1"}')
    call = Call("pin", "ana", "a test", (pin,))

    for store in (node, viewer):
        with pytest.raises(StoreRefused, match="lacks the right"):
            await store.apply(call)
    with pytest.raises(StoreRefused, match="lacks the right"):
        await viewer.usage_add({Called("1", "GET /x", "web"): 3})
    await operator.apply(call)

    (counts,) = (await viewer.usage(1)).values()
    assert counts == {Called("1", "GET /x", "web"): 3}
    assert await viewer.peer_notes() == {"pay|*": b"note"}
    assert ("pin", "web") in await viewer.small_kinds()


async def test_a_node_keeps_announcements_and_a_viewer_reads_them(login: Login) -> None:
    node, viewer = await login("app"), await login("viewer")

    await node.peer_notes_add({f"n{at}|*": b"1" for at in range(1001)})

    assert await node.peer_first(["mark"]) == [True]
    assert len(await viewer.peer_notes()) == 1000
    with pytest.raises(StoreRefused):
        await viewer.peer_first(["mark"])


async def test_nodes_tell_their_fleet_and_viewers_only_read_it(login: Login) -> None:
    node, viewer = await login("app"), await login("viewer")

    beat = await node.fleet_beat("a", FleetSay(b"row", quotas=b"q", gone=("b",)))
    stand = await node.fleet_probe(ProbeAsk("pay", 5, 0, want=1))

    assert (beat.leader, beat.quotas, stand.granted) == ("a", b"q", 1)
    assert (await viewer.fleet_read()).rows == {"a": b"row"}
    with pytest.raises(StoreRefused, match="lacks the right"):
        await viewer.fleet_beat("v", FleetSay(b"row"))
    await node.fleet_leave("a")
    assert (await viewer.fleet_read()).rows == {}
