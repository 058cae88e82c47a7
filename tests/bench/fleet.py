"""How fast a fleet sees a dead peer, and how long an override holds.

    python tests/bench/fleet.py [--nodes 8] [--rate 20] [--only quorum|override|leader]

quorum: one node loses its route, then all, then all have it back; defaults of
`[dependency]`.  override: an operator opens a breaker for 25 s; meanwhile a node is
killed by -9, the server is away for 6 s and the node starts during that.  leader:
the node that leads is killed by -9, and another one leads; then it ends cleanly.
"""

from __future__ import annotations

import argparse
import asyncio
import signal
import sys
import tempfile
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))

from chaos.calling import Caller, callers, until
from chaos.test_fleet import dependency, is_in_force, log_of, set_breaker
from failsoft.store.redis.store import RedisStore
from failsoft.testing import redis_server

TOML = "[dependency.pay]\n[dependency.mail]\n"


def tell(nodes: list[Caller], line: str) -> float:
    for node in nodes:
        node.tell(line)
    return time.time()


def quorum(count: int, rate: float) -> None:
    with (
        redis_server(own=True) as server,
        tempfile.TemporaryDirectory() as folder,
        callers(server.url, count, Path(folder), rate=rate, toml=TOML) as nodes,
    ):
        until(lambda: is_in_force(nodes, "pay", "closed"), within_s=60)
        time.sleep(10)  # the rings are full of good calls: the hard case
        began = tell(nodes[:1], "lost pay")
        opened = until(lambda: nodes[0].last("pay")["in_force"] == "open")
        time.sleep(1.2)
        row = dependency(server.url, "pay")
        time.sleep(6)
        others = {one["state"] for n in nodes[1:] for one in n.seen}
        print(f"1 of {count} loses its route: open there after {opened - began:.2f} s")
        print(f"  operators see {row.state}; the others were only {sorted(others)}")

        began = tell(nodes, "lost pay")
        until(lambda: is_in_force(nodes, "pay", "fleet_open"), within_s=30)
        each = sorted(n.last("pay")["at"] - began for n in nodes)
        print(
            f"all {count} lose it: fleet open there after "
            f"{each[0]:.2f} to {each[-1]:.2f} s"
        )
        row = dependency(server.url, "pay")
        print(f"  operators see {row.state}: {row.why}")

        began = tell(nodes, "back pay")
        until(lambda: is_in_force(nodes, "pay", "closed"), within_s=120)
        each = sorted(n.last("pay")["at"] - began for n in nodes)
        ops = [(e.op, e.who) for e in reversed(log_of(server.url, "pay"))]
        print(f"back again: closed everywhere {each[0]:.2f} to {each[-1]:.2f} s later")
        print(f"  change log: {ops}")


def override(count: int, rate: float, for_s: float = 25.0) -> None:
    with (
        redis_server(persist=True) as server,
        tempfile.TemporaryDirectory() as folder,
        callers(server.url, count, Path(folder), rate=rate, toml=TOML) as nodes,
    ):
        until(lambda: is_in_force(nodes, "mail", "closed"), within_s=60)
        began = time.time()
        ends = set_breaker(server.url, "mail", "open", for_s)
        until(lambda: is_in_force(nodes, "mail", "forced_open"))
        each = sorted(n.last("mail")["at"] - began for n in nodes)
        print(f"override seen by {count} nodes {each[0]:.2f} to {each[-1]:.2f} s later")
        lines = [len(node.seen) for node in nodes[1:]]
        tell(nodes[1:], "poll")
        time.sleep(3)
        nodes[0].kill()
        server.kill()
        nodes[0].start()
        began = time.time()
        until(lambda: is_in_force(nodes[:1], "mail", "forced_open"))
        print(
            f"killed by -9, started without Redis: in force {time.time() - began:.2f} s"
        )
        time.sleep(max(0.0, began + 6 - time.time()))
        held = is_in_force(nodes, "mail", "forced_open")
        server.start()
        print(f"6 s without Redis: held on all {count}: {held}")
        until(lambda: is_in_force(nodes, "mail", "closed"), within_s=60)
        each = sorted(n.last("mail")["at"] - ends for n in nodes)
        print(f"ended {each[0]:+.2f} to {each[-1]:+.2f} s from its end")
        changes = [
            len([one for one in node.seen if one["name"] != "poll"]) - before
            for node, before in zip(nodes[1:], lines, strict=True)
        ]
        print(f"  changes of state besides its end: {[n - 1 for n in changes]}")
        until(lambda: len(log_of(server.url, "mail")) > 1)
        time.sleep(2)
        ops = [(e.op, e.who) for e in reversed(log_of(server.url, "mail"))]
        print(f"  change log: {ops}")


def lease(url: str) -> tuple[str, int]:
    """Return who leads, and its term."""

    async def read() -> tuple[str, int]:
        store = RedisStore(url, "shop")
        found = await store.fleet_read()
        await store.aclose()
        return found.leader, found.term

    return asyncio.run(read())


def leader(count: int, rate: float) -> None:
    with (
        redis_server(own=True) as server,
        tempfile.TemporaryDirectory() as folder,
        callers(server.url, count, Path(folder), rate=rate, toml=TOML) as nodes,
    ):
        until(lambda: is_in_force(nodes, "mail", "closed"), within_s=60)
        until(lambda: lease(server.url)[0] != "")
        for how in (signal.SIGKILL, signal.SIGINT):
            led, term = lease(server.url)
            pid = int(led.split(":")[1])
            one = next(node for node in nodes if node.process.pid == pid)
            began = time.time()
            one.process.send_signal(how)
            one.process.wait()
            until(lambda led=led: lease(server.url)[0] not in ("", led))  # type: ignore[misc]
            took_s = time.time() - began
            after = lease(server.url)[1]
            print(f"leader ended by {how.name}: another after {took_s:.2f} s, ", end="")
            print(f"term {term} -> {after}")
            nodes.remove(one)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--nodes", type=int, default=8)
    parser.add_argument("--rate", type=float, default=20.0)
    parser.add_argument("--only", choices=["quorum", "override", "leader"])
    asked = parser.parse_args()
    for name, measure in (
        ("quorum", quorum),
        ("override", override),
        ("leader", leader),
    ):
        if asked.only in (None, name):
            measure(asked.nodes, asked.rate)
