"""Processes that call a peer: one loses its route, all do, and operators decide."""

from __future__ import annotations

import asyncio
import time
from pathlib import Path

from chaos.calling import Caller, callers, until
from failsoft.cli._session import with_ledgers
from failsoft.controls.records import BreakerDoc, encode_doc
from failsoft.ops import connect
from failsoft.ops.fleetrows import DependencyRow
from failsoft.store.protocols import Call, Change, Entry
from failsoft.store.redis.store import RedisStore
from failsoft.testing import redis_server

# The defaults need two seconds without a good call; the benchmark waits for them.
QUICK = (
    '[dependency.pay]\nbreaker = { in_row = 10, silent = "0s" }\n[dependency.mail]\n'
)


def is_in_force(nodes: list[Caller], name: str, word: str) -> bool:
    return all(node.last(name)["in_force"] == word for node in nodes)


def dependency(url: str, name: str) -> DependencyRow:
    """Return what an operator sees of a dependency."""

    async def look() -> DependencyRow:
        session = await connect(url, "shop", needs_arming=False)
        try:
            await session.ready()
            view = await with_ledgers(session, ("dependencies",))
            assert view.dependencies is not None
            return next(row for row in view.dependencies.rows if row.name == name)
        finally:
            await session.aclose()

    return asyncio.run(look())


def set_breaker(url: str, name: str, state: str, for_s: float) -> float:
    """Set an operator's record; return when it ends, as `time.time()`."""

    async def write() -> float:
        store = RedisStore(url, "shop")
        doc = encode_doc(BreakerDoc("ana", "a test", state))
        until_ms = (await store.load()).now_ms + int(for_s * 1000)
        change = Change("breaker", name, "put", until=str(until_ms), json=doc)
        await store.apply(Call("a-test", "ana", "a test", (change,)))
        await store.aclose()
        return until_ms / 1000

    return asyncio.run(write())


def log_of(url: str, name: str) -> list[Entry]:
    async def read() -> list[Entry]:
        store = RedisStore(url, "shop")
        entries = [e for e in await store.log() if e.name == name]
        await store.aclose()
        return entries

    return asyncio.run(read())


def test_one_node_without_its_route_opens_alone_and_all_without_it_as_a_fleet(
    redis_url: str, tmp_path: Path
) -> None:
    with callers(redis_url, 3, tmp_path, rate=40, toml=QUICK) as nodes:
        until(lambda: is_in_force(nodes, "pay", "closed"))
        time.sleep(0.5)  # calls that went well: who never had one is no majority
        nodes[0].tell("lost pay")
        until(lambda: nodes[0].last("pay")["in_force"] == "open")
        until(lambda: dependency(redis_url, "pay").state == "OPEN 1/3")
        others = [one["state"] for node in nodes[1:] for one in node.seen]

        for node in nodes:
            node.tell("lost pay")
        until(lambda: is_in_force(nodes, "pay", "fleet_open"))
        seen = dependency(redis_url, "pay")

    assert set(others) == {"closed"}
    assert (seen.state, seen.via, seen.by) == ("FLEET OPEN", "auto", "(automation)")
    assert seen.why.startswith("3 of 3 nodes hold it for broken")


def test_an_override_holds_through_kill_9_an_outage_and_a_restart_and_ends_on_time(
    tmp_path: Path,
) -> None:
    with (
        redis_server(persist=True) as server,
        callers(server.url, 2, tmp_path, rate=40, toml=QUICK) as nodes,
    ):
        until(lambda: is_in_force(nodes, "mail", "closed"))
        ends = set_breaker(server.url, "mail", "open", 6.0)
        seen_at = until(lambda: is_in_force(nodes, "mail", "forced_open"))
        nodes[1].tell("poll")
        _wait_for_file(tmp_path / "0")
        server.kill()
        nodes[0].kill()
        nodes[0].start()
        until(lambda: is_in_force(nodes, "mail", "forced_open"))
        server.start()
        until(lambda: bool(nodes[1].last("poll")["state"]))
        ended_at = until(lambda: is_in_force(nodes, "mail", "closed"))
        until(lambda: len(log_of(server.url, "mail")) == 2)
        entries = log_of(server.url, "mail")

    assert seen_at < ends - 3.0
    assert -0.5 < ended_at - ends < 3.0  # of a quiet machine: see the benchmark
    assert [entry.op for entry in entries] == ["expire", "put"]


def _wait_for_file(folder: Path) -> None:
    """Wait until a node has kept the record for a start without the store."""

    def kept() -> bool:
        files = [path for path in folder.rglob("*") if path.suffix != ".toml"]
        return any(b"mail" in path.read_bytes() for path in files if path.is_file())

    until(kept)
