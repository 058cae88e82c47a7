"""What a full read of the controls costs, and how a lost history comes back.

    python tests/bench/rewind.py [--flags 10000] [--resyncs 83] [--only stall]

stall: the longest time a node's loop stood still during full reloads.  edits: full
reads while another process edits and deletes, each compared with Redis byte for byte.
cases: five ways to lose history, with what `failsoft store rewound` says of each.
"""

from __future__ import annotations

import argparse
import asyncio
import gc
import logging
import sys
import tempfile
from collections.abc import Awaitable, Callable
from pathlib import Path
from time import perf_counter, thread_time
from typing import Any

sys.path.insert(0, str(Path(__file__).parents[1]))

from chaos.rewindfleet import (
    ENV,
    Fleet,
    call,
    documents,
    flag,
    fleet,
    kill,
    until,
    write,
)
from failsoft.controls.held import hold
from failsoft.controls.resync import Gap, read_controls
from failsoft.routes.table import build_table
from failsoft.runtime import Runtime
from failsoft.settings import Settings, StoreSettings
from failsoft.store.protocols import Change
from failsoft.store.redis.store import RedisStore
from failsoft.testing import FaultProxy, RedisServer, redis_server

PAUSE = "bench:pause"
WRITER = """
import asyncio, sys, time
sys.path.insert(0, sys.argv[3])
from chaos.rewindfleet import call, flag
from failsoft.store.protocols import Change
from failsoft.store.redis.store import RedisStore

async def main(url, count):
    store, n, due = RedisStore(url, "shop"), 0, time.monotonic()
    while True:
        # 5,000 a second: the log keeps 10,000, so a read may take two seconds.
        due = max(due + 0.004, time.monotonic() - 0.02)
        await asyncio.sleep(max(0.0, due - time.monotonic()))
        state = await store.server.ask("asking", "GET", "bench:pause")
        if state == b"end":
            return
        if state == b"asked":
            await store.server.ask("saying", "SET", "bench:pause", "paused")
        if state in (b"asked", b"paused"):
            await asyncio.sleep(0.001)
            continue
        batch = {}
        for _ in range(20):
            n += 1
            name = f"f{n * 7919 % count}"
            batch[name] = Change("flag", name, "del") if n % 4 == 0 else flag(name, n)
        await store.apply(call(*batch.values()))

asyncio.run(main(sys.argv[1], int(sys.argv[2])))
"""


async def tick(gaps: list[tuple[float, float]]) -> None:
    """Note between two turns of a 1 ms timer: seconds beyond it, seconds of CPU."""
    while True:
        wall, cpu = perf_counter(), thread_time()
        await asyncio.sleep(0.001)
        gaps.append((perf_counter() - wall - 0.001, thread_time() - cpu))


def watcher_of(node: Runtime) -> Any:
    return node._running.watcher  # type: ignore[union-attr]


async def stall(server: RedisServer, flags: int) -> None:
    """Measure a node alone, without an operator's reader in its process."""
    store = RedisStore(server.url, ENV)
    await write(store, [flag(f"f{n}", n) for n in range(flags)])
    with tempfile.TemporaryDirectory() as folder:
        own = StoreSettings(url=server.url, env=ENV, state_dir=folder)
        node = Runtime(Settings(store=own), build_table((), {}))
        await node.ensure()
        await until(lambda: len(node.flags.records) == flags)
        await asyncio.sleep(6)  # the file is written, new flags are checked
        rounds = [await reload(watcher_of(node)) for _ in range(15)]
        await node.stop()
    await store.aclose()
    calm = [times for times, is_calm in rounds if is_calm]
    for part, what in (([t for t, _ in rounds], "all"), (calm, "calm")):
        tell_stall(part, what, flags)


def tell_stall(rounds: list[tuple[float, float, float]], what: str, flags: int) -> None:
    """Print the figures; calm: no collection of the process's whole heap fell in."""
    wall, cpu, took = (sorted(column) for column in zip(*rounds, strict=True))
    half = len(rounds) // 2
    print(
        f"full reload of {flags:,} flags, {what} {len(rounds)}: longest stall of the "
        f"loop median {wall[half] * 1e3:.1f} ms, worst {wall[-1] * 1e3:.1f} ms; in CPU "
        f"time median {cpu[half] * 1e3:.1f} ms, worst {cpu[-1] * 1e3:.1f} ms (bar "
        f"10 ms); a reload takes {took[half] * 1e3:.0f} ms"
    )


async def reload(watcher: Any) -> tuple[tuple[float, float, float], bool]:
    """Read all again; return the longest stall, wall and CPU, and the time it took.

    And whether no full collection fell in: that walks the heap of the whole process,
    of which the controls, left out of collection, are no part.
    """
    whole = gc.get_stats()[2]["collections"]
    gaps: list[tuple[float, float]] = []
    kept = watcher.kept()
    ticking = asyncio.create_task(tick(gaps))
    await asyncio.sleep(0.05)
    gaps.clear()
    began = perf_counter()
    await watcher.begin_with(kept)
    took = perf_counter() - began
    await asyncio.sleep(0.05)
    ticking.cancel()
    times = max(wall for wall, _ in gaps), max(cpu for _, cpu in gaps), took
    return times, gc.get_stats()[2]["collections"] == whole


async def edits(server: RedisServer, flags: int, resyncs: int) -> None:
    store = RedisStore(server.url, ENV)
    await write(store, [flag(f"f{n}", n) for n in range(flags)])
    tests = str(Path(__file__).parents[1])
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-c", WRITER, server.url, str(flags), tests
    )
    await store.server.ask("starting", "SET", PAUSE, "run")
    first, began, paused_s = (await store.survey("0-0")).rev, perf_counter(), 0.0
    equal = gaps = again = 0
    for _ in range(resyncs):
        await store.server.ask("going on", "SET", PAUSE, "run")
        await asyncio.sleep(0.05)
        while True:
            try:
                held = (await read_controls(store, None)).held
                break
            except Gap:
                again += 1
        paused = perf_counter()
        await store.server.ask("pausing", "SET", PAUSE, "asked")
        while await store.server.ask("asking", "GET", PAUSE) != b"paused":
            pass
        while (outcome := held.fold(await store.after(held.last_id))) == "changed":
            pass
        gaps += outcome == "gap"
        whole = hold(await store.load())
        equal += held.records == whole.records and held.digest == whole.digest
        paused_s += perf_counter() - paused
    rate = ((await store.survey("0-0")).rev - first) / (
        perf_counter() - began - paused_s
    )
    await store.server.ask("ending", "SET", PAUSE, "end")
    await process.wait()
    await store.aclose()
    print(
        f"{resyncs} full reads of some {flags:,} flags under {rate:,.0f} edits and "
        f"deletions a second: {again} begun again, {gaps} gaps, {equal} of {resyncs} "
        "byte-equal to Redis"
    )


async def failsoft(url: str, *words: str) -> tuple[int, str]:
    """Run the command line; return its status and what it printed."""
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "failsoft", *words, "--redis", url, "--env", ENV),
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
    )
    out, _ = await process.communicate()
    return await process.wait(), out.decode().rstrip()


def show(text: str) -> None:
    print("\n".join(f"    {line}" for line in text.splitlines()))


def restart(server: RedisServer) -> None:
    server.kill()
    server.start()


async def lose_all(nodes: Fleet, server: RedisServer) -> None:
    restart(server)


async def old_dump(nodes: Fleet, server: RedisServer) -> None:
    server.ask("SAVE")
    await nodes.writer.apply(
        call(flag("f1", 77), flag("young"), kill("route:POST /pay"))
    )
    await nodes.writer.apply(call(Change("flag", "f2", "del")))
    await until(lambda: all(len(held) == nodes.count + 1 for held in nodes.values()))  # type: ignore[attr-defined]
    nodes.before = await documents(nodes.writer)  # type: ignore[attr-defined]
    restart(server)


async def bad_flag(nodes: Fleet, server: RedisServer) -> None:
    await nodes.writer.apply(call(Change("flag", "broken", "put", json=b'{"state": ')))
    node = nodes.nodes[0]
    await until(lambda: "broken" in node.flags.bad, 20)
    print(f"  bad on {node.node.split(':')[0]}: {node.flags.bad}, the others apply")
    nodes.before = await documents(nodes.writer)  # type: ignore[attr-defined]
    await until(nodes.hold_just(nodes.before))  # type: ignore[attr-defined]
    restart(server)


async def edit_meanwhile(nodes: Fleet, server: RedisServer) -> None:
    restart(server)
    await until(nodes.all_are("rewound"))
    reload = asyncio.create_task(watcher_of(nodes.nodes[0]).begin_with(None))
    await nodes.writer.apply(call(kill("route:GET /while-reading")))
    await reload
    await until(nodes.hold(("kill", "route:GET /while-reading")))
    print("  a kill written during the full read holds on every node")


Lose = Callable[[Fleet, RedisServer], Awaitable[None]]


async def case(title: str, lose: Lose, flags: int) -> None:
    print(f"\n{title}")
    with redis_server(own=True) as server, tempfile.TemporaryDirectory() as folder:
        async with fleet(server.url, Path(folder)) as nodes:
            await nodes.session.aclose()  # operators look from processes of their own
            await write(nodes.writer, [flag(f"f{n}", n) for n in range(flags)])
            await until(lambda: all(len(held) == flags for held in nodes.values()))
            nodes.count, nodes.before = flags, await documents(nodes.writer)  # type: ignore[attr-defined]
            await lose(nodes, server)
            took = await until(nodes.all_are("rewound"), 20)
            held = [len(values) for values in nodes.values()]
            print(f"  nodes: {' '.join(nodes.states)} after {took:.1f} s, hold {held}")
            digest = await nodes.offer()
            show((await failsoft(server.url, "store", "rewound"))[1])
            words = ("--from", digest[:8], "-m", "bring it back", "--confirm", ENV)
            began = perf_counter()
            status, said = await failsoft(server.url, "store", "restore", *words)
            print(f"  $ failsoft store restore --from {digest[:8]} -m 'bring it back'")
            show(said)
            await until(nodes.all_are("live"))
            after = await documents(nodes.writer)
            before = nodes.before  # type: ignore[attr-defined]
            equal = sum(after.get(key) == json for key, json in before.items())
            agree = all(held == after for held in nodes.values())
            print(
                f"  exit {status}, {perf_counter() - began:.1f} s: {equal:,} of "
                f"{len(before):,} documents byte-equal, nodes "
                f"{'hold' if agree else 'DO NOT HOLD'} what Redis holds: "
                f"{' '.join(nodes.states)}"
            )


async def trimmed(flags: int) -> None:
    print("\nlog trimmed while a node is away")
    with (
        redis_server(own=True) as server,
        FaultProxy(server.url) as proxy,
        tempfile.TemporaryDirectory() as folder,
    ):
        async with fleet(server.url, Path(folder), nodes=1) as nodes:
            nodes.url = proxy.url
            await nodes.add()
            await write(nodes.writer, [flag(f"f{n}", n) for n in range(flags)])
            await until(lambda: all(len(held) == flags for held in nodes.values()))
            proxy.refuse()
            await write(nodes.writer, [flag("f0", 9), Change("flag", "f1", "del")])
            server.ask("XTRIM", f"fs:{{{ENV}}}:ctl:1:log", "MAXLEN", "1")
            proxy.accept()
            expected = await documents(nodes.writer)
            took = await until(nodes.hold_just(expected))
            print(
                f"  nodes: {' '.join(nodes.states)}, equal to Redis {took:.1f} s after"
            )
            show((await failsoft(server.url, "store", "rewound"))[1])


async def main(only: str, flags: int, resyncs: int) -> None:
    if only in ("", "stall"):
        with redis_server(own=True) as server:
            await stall(server, flags)
    if only in ("", "edits"):
        with redis_server(own=True) as server:
            await edits(server, flags, resyncs)
    if only in ("", "cases"):
        await case("Redis restarted empty", lose_all, flags)
        await case("Redis restored from an old dump", old_dump, flags)
        await trimmed(flags)
        await case("an edit during a full read", edit_meanwhile, flags)
        await case(f"one bad flag among {flags:,}", bad_flag, flags)


if __name__ == "__main__":
    words = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    words.add_argument("--flags", type=int, default=10_000)
    words.add_argument("--resyncs", type=int, default=83)
    words.add_argument("--only", default="", choices=["", "stall", "edits", "cases"])
    said = words.parse_args()
    logging.disable(logging.WARNING)
    asyncio.run(main(said.only, said.flags, said.resyncs))
