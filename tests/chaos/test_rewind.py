"""A store that lost history: what nodes do, what operators see, how it comes back."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager
from pathlib import Path

import pytest

from chaos.rewindfleet import ENV, call, documents, flag, fleet, kill, until, write
from failsoft.errors import Invalid, NeedsConfirm, StoreConflict, TargetGone
from failsoft.store.protocols import Change
from failsoft.testing import FaultProxy, RedisServer

pytestmark = pytest.mark.anyio

OwnRedis = Callable[..., AbstractContextManager[RedisServer]]

MANY = [flag(f"f{n}", n) for n in range(1_200)]


def restart(server: RedisServer) -> None:
    """End the server at once; it comes back with what it saved, if anything."""
    server.kill()
    server.start()


async def test_an_emptied_store_gets_every_flag_back_byte_for_byte(
    own_redis: OwnRedis, tmp_path: Path
) -> None:
    with own_redis() as server:
        async with fleet(server.url, tmp_path) as nodes:
            broken = Change("flag", "broken", "put", json=b'{"state": ')
            await write(nodes.writer, [*MANY, broken, kill("route:POST /pay")])
            before = await documents(nodes.writer)
            await until(nodes.hold_just(before))
            await until(lambda: "broken" in nodes.nodes[0].flags.bad)

            restart(server)
            await until(nodes.all_are("rewound"))
            assert nodes.values() == [before, before]
            await nodes.writer.apply(call(kill("route:GET /new")))
            await until(nodes.hold(("kill", "route:GET /new")))
            view = await nodes.seen()
            applied = await nodes.restore()
            await until(nodes.all_are("live"))

            after = await documents(nodes.writer)
    assert view.why == "another history, epoch " + view.store.epoch[:8]
    assert [(o.nodes, o.records, o.diff.missing) for o in view.offers] == [
        (2, 1202, 1202)
    ]
    assert {k: after[k] for k in before} == before
    assert after.keys() - before.keys() == {("kill", "route:GET /new")}
    assert applied.revision > 1202
    assert nodes.values() == [after, after]


async def test_what_was_written_between_two_losses_outlives_the_second(
    own_redis: OwnRedis, tmp_path: Path
) -> None:
    first, second = ("kill", "route:POST /one"), ("kill", "route:POST /two")
    with own_redis() as server:
        async with fleet(server.url, tmp_path) as nodes:
            await write(nodes.writer, [flag("a"), kill(first[1])])
            await until(nodes.hold(first))
            assert server.ask("SAVE") == "OK"
            dump = (server.folder / "dump.rdb").read_bytes()
            server.ask("FLUSHALL")
            await until(nodes.all_are("rewound"))
            await nodes.writer.apply(call(kill(second[1])))
            await until(nodes.hold(second))

            # All that was there before is back, but for the second kill.
            (server.folder / "dump.rdb").write_bytes(dump)
            restart(server)
            await nodes.see_kill("route:GET /3")
            assert all({first, second} <= held.keys() for held in nodes.values())
            server.ask("FLUSHALL")
            await nodes.see_kill("route:GET /4")
            assert all({first, second} <= held.keys() for held in nodes.values())
            await nodes.restore()
            await until(nodes.all_are("live"))
            after = await documents(nodes.writer)

    assert {("flag", "a"), first, second} < after.keys()
    assert nodes.values() == [after, after]


async def test_an_old_dump_is_not_taken_for_news(
    own_redis: OwnRedis, tmp_path: Path
) -> None:
    with own_redis() as server:
        async with fleet(server.url, tmp_path) as nodes:
            await write(
                nodes.writer, [flag("stays", 1), flag("edited", 1), kill("lifted")]
            )
            assert server.ask("SAVE") == "OK"
            gone = Change("kill", "lifted", "del")
            await write(nodes.writer, [flag("edited", 2), gone, flag("new", 3)])
            before = await documents(nodes.writer)
            await until(nodes.hold_just(before))

            restart(server)
            await until(nodes.all_are("rewound"))
            assert nodes.values() == [before, before]
            await nodes.writer.apply(call(kill("later")))
            await until(nodes.hold(("kill", "later")))
            view = await nodes.seen()
            await nodes.restore()
            await until(nodes.all_are("live"))

            after = await documents(nodes.writer)
    assert view.why == "at rev 4, rev 6 was known"
    assert view.offers[0].diff.names == (
        "- flag/new",
        "~ flag/edited",
        "+ kill/lifted",
    )
    assert after == before | {("kill", "later"): b'{"who":"ana","why":"x"}'}


async def test_a_history_that_has_overtaken_ours_is_met_after_the_cut(
    own_redis: OwnRedis, tmp_path: Path
) -> None:
    with own_redis() as server, FaultProxy(server.url) as proxy:
        async with fleet(server.url, tmp_path, nodes=0) as nodes:
            nodes.url = proxy.url
            await write(nodes.writer, [flag("a", 1)])
            assert server.ask("SAVE") == "OK"
            await nodes.add()
            await write(nodes.writer, [flag("ours", 2)])
            await until(lambda: nodes.nodes[0].snapshot.revision == 2)

            proxy.refuse()
            restart(server)
            await write(nodes.writer, [flag("theirs"), flag("other"), flag("more")])
            proxy.accept()
            await until(nodes.all_are("rewound"))

            held = {name for _, name in nodes.values()[0]}
    assert held == {"a", "ours", "theirs", "other", "more"}


async def test_records_taken_by_something_else_are_a_rewind(
    own_redis: OwnRedis, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    with own_redis() as server, FaultProxy(server.url) as proxy:
        async with fleet(server.url, tmp_path, nodes=0) as nodes:
            nodes.url = proxy.url
            await write(nodes.writer, [flag("a"), flag("b"), kill("k")])
            await nodes.add()
            server.ask("DEL", f"fs:{{{ENV}}}:ctl:1:flag")
            proxy.cut()
            await until(nodes.all_are("rewound"))

            assert len(nodes.values()[0]) == 3
            await nodes.accept()
            await until(nodes.all_are("live"))
    assert "0 records of kind flag, 2 were written" in caplog.text
    assert nodes.values() == [{("kill", "k"): b'{"who":"ana","why":"x"}'}]


async def test_accept_makes_nodes_adopt_what_the_store_holds(
    own_redis: OwnRedis, tmp_path: Path
) -> None:
    with own_redis() as server:
        async with fleet(server.url, tmp_path) as nodes:
            await write(nodes.writer, [flag("a"), kill("k")])
            await until(lambda: all(len(held) == 2 for held in nodes.values()))
            old = nodes.nodes[0].snapshot.epoch
            restart(server)
            await until(nodes.all_are("rewound"))

            applied = await nodes.accept()
            await until(nodes.all_are("live"))

            survey = await nodes.writer.survey("0-0")
            log = await nodes.writer.log()
    assert nodes.values() == [{}, {}]
    assert (survey.epoch, survey.rev) == (applied.epoch, applied.revision)
    assert survey.lineage == (old,)
    assert applied.revision > 2
    assert [(e.op, e.rev, e.who) for e in log] == [
        ("accept", applied.revision, nodes.session.actor)
    ]


async def test_a_new_node_begins_with_what_its_peers_offer(
    own_redis: OwnRedis, tmp_path: Path
) -> None:
    with own_redis() as server:
        async with fleet(server.url, tmp_path) as nodes:
            await write(nodes.writer, [flag("a"), kill("k")])
            await until(lambda: all(len(held) == 2 for held in nodes.values()))
            restart(server)
            await until(nodes.all_are("rewound"))

            late = await nodes.add()
            assert late.snapshot.state == "live"  # nobody has offered anything yet
            await until(nodes.all_are("rewound"))

            assert len({len(held) for held in nodes.values()}) == 1

            def from_peers() -> list[str]:
                rows = nodes.session.view().nodes
                return [row.node for row in rows if row.source == "offer"]

            await until(lambda: from_peers() == [late.node])


async def test_what_changed_since_the_preview_is_refused(
    own_redis: OwnRedis, tmp_path: Path
) -> None:
    with own_redis() as server:
        async with fleet(server.url, tmp_path, nodes=1) as nodes:
            await write(nodes.writer, [flag("a")])
            await until(lambda: len(nodes.values()[0]) == 1)
            restart(server)
            desk, digest = nodes.desk, await nodes.offer()
            shown = await desk.plan_restore(digest)
            await write(nodes.writer, [kill("k")])

            with pytest.raises(StoreConflict, match=r"its digest was .* now it is"):
                await desk.carry_out(shown, reason="bring it back", confirm=ENV)
            with pytest.raises(NeedsConfirm):
                await desk.carry_out(shown, reason="bring it back", confirm=None)
            with pytest.raises(Invalid):
                await desk.carry_out(shown, reason="", confirm=ENV)
            with pytest.raises(TargetGone):
                await desk.plan_restore("ffff")
            assert (await documents(nodes.writer)).keys() == {("kill", "k")}


async def test_a_trimmed_log_costs_a_node_that_was_away_one_full_read(
    own_redis: OwnRedis, tmp_path: Path
) -> None:
    with own_redis() as server, FaultProxy(server.url) as proxy:
        async with fleet(server.url, tmp_path, nodes=1) as nodes:
            nodes.url = proxy.url
            await nodes.add()
            await write(nodes.writer, MANY)
            await until(lambda: all(len(held) == 1200 for held in nodes.values()))
            proxy.refuse()
            await write(nodes.writer, [flag("f0", 9), Change("flag", "f1", "del")])
            server.ask("XTRIM", f"fs:{{{ENV}}}:ctl:1:log", "MAXLEN", "1")
            proxy.accept()
            expected = await documents(nodes.writer)
            await until(nodes.hold_just(expected))

            view = await nodes.desk.rewound()
    assert nodes.states == ["live", "live"]
    assert (view.why, view.offers) == ("", ())


async def test_a_store_that_comes_back_whole_is_no_rewind(
    own_redis: OwnRedis, tmp_path: Path
) -> None:
    with own_redis(persist=True) as server:
        async with fleet(server.url, tmp_path, nodes=1) as nodes:
            await write(nodes.writer, [flag("a"), kill("k")])
            await until(lambda: len(nodes.values()[0]) == 2)
            restart(server)
            await write(nodes.writer, [kill("k2")])
            await until(lambda: len(nodes.values()[0]) == 3)

            assert nodes.states == ["live"]
