"""The whole spine on real parts: four uvicorn nodes, redis-server, load, an operator.

    python tests/bench/spine.py agreement|flips|keys|outage [--seconds 60] [--trials 20]

agreement: what operators are shown against what the load generator measured.
flips: from the operator's write to the first refusal on each node, with the push
channel and with its connection swallowed.  keys: the same from the key press in the
terminal UI under tmux, then the end of a kill with the UI closed.  outage: Redis is
killed for 30 s.
Prints one JSON object.  Loopback only, bounded in count and time.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import shlex
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parents[1]))

from failsoft.ops import connect
from failsoft.ops.command import Kill, Unkill
from failsoft.testing import FaultProxy, RedisServer, redis_server
from load.openloop import Load, Node, Report, Request
from load.servers import EXAMPLES, served

ENV = "shop"
MIX = [Request("GET /v1/products", weight=2), Request("GET /v1/products/mug")]
KNOWN = [Request("GET /quick/1", weight=5), Request("GET /slow/1", weight=4)]
KNOWN += [Request("GET /flaky")]


@dataclass
class Fleet:
    """Four nodes of the shop behind one proxy to one redis-server."""

    urls: list[str]
    redis: RedisServer
    proxy: FaultProxy


@contextmanager
def fleet(app: str = "shop.api:app", nodes: int = 4) -> Iterator[Fleet]:
    with ExitStack() as stack:
        folder = EXAMPLES if app.startswith("shop.") else Path(__file__).parent
        home = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        redis = stack.enter_context(redis_server())
        proxy = stack.enter_context(FaultProxy(redis.url))
        env = {
            "FAILSOFT_REDIS_URL": proxy.url,
            "FAILSOFT_ENV": ENV,
            "FAILSOFT_CONFIG": str(EXAMPLES / "shop" / "failsoft.toml"),
            "SHOP_DB": str(home / "shop.db"),
        }
        urls = [
            stack.enter_context(served(app, home=home, env=env, folder=folder))
            for _ in range(nodes)
        ]
        yield Fleet(urls, redis, proxy)


async def until(check: Any, within_s: float = 10.0) -> None:
    deadline = time.monotonic() + within_s
    while not check():
        if time.monotonic() > deadline:
            raise AssertionError(f"not within {within_s} s")
        await asyncio.sleep(0.01)


# --- agreement ----------------------------------------------------------------


async def agreement(shop: Fleet, seconds: float) -> dict[str, Any]:
    """Compare each full 10 s window of the view with the same 10 s of the load."""
    operator = await connect(shop.redis.url, ENV, read_only=True)
    load = Load(shop.urls, 200.0, seconds, KNOWN)
    run = asyncio.create_task(load.run())
    shown = []
    for _ in range(int((seconds - 5) // 10)):
        await asyncio.sleep(10.0)
        view = operator.view()
        shown.append((view.server_ms / 1000, view.totals))
    report = await run
    await operator.aclose()
    rows = [_compared(report, at, totals) for at, totals in shown]
    return {"windows": rows, "sent": report.sent, "by_status": report.by_status()}


def _compared(report: Report, at: float, totals: Any) -> dict[str, Any]:
    # A tick holds the second before it was written.
    part = report.between(at - 11.0, at - 1.0)
    return {
        "rps": [round(totals.rps, 2), len(part.samples) / 10],
        "err": [round(totals.err_rate or 0.0, 4), round(part.error_ratio(), 4)],
        "p95_ms": [totals.p95, part.percentile_ms(0.95, service=True)],
        "p50_ms": [totals.p50, part.percentile_ms(0.50, service=True)],
    }


# --- flips --------------------------------------------------------------------


async def first_refusal(
    url: str, line: str, *, every_s: float = 0.002, within_s: float = 5.0
) -> float:
    """Ask one node again and again; return when (perf_counter) it first refused."""
    node, request = Node(url), Request(line).encoded()
    deadline = time.perf_counter() + within_s
    while time.perf_counter() < deadline:
        if await node.ask(request) == 503:
            now = time.perf_counter()
            await node.close()
            return now
        await asyncio.sleep(every_s)
    await node.close()
    return float("inf")


async def flips(shop: Fleet, trials: int) -> dict[str, Any]:
    """Kill and lift one route; spread over all nodes and trials, in ms."""
    operator = await connect(shop.redis.url, ENV, needs_arming=False)
    await until(lambda: len(operator.view().nodes) == len(shop.urls))
    load = Load(shop.urls, 200.0, 600.0, MIX)
    run = asyncio.create_task(load.run())
    await asyncio.sleep(2.0)
    found = {"push": await _trials(operator, shop, trials)}
    shop.proxy.swallow(b"XREAD")
    found["push swallowed"] = await _trials(operator, shop, trials)
    shop.proxy.heal()
    load.stop()
    await run
    await operator.aclose()
    return found


async def _trials(operator: Any, shop: Fleet, trials: int) -> dict[str, float]:
    target, line = "route:GET /v1/products/{sku}", "GET /v1/products/mug"
    took_ms = []
    for _ in range(trials):
        asking = [asyncio.create_task(first_refusal(u, line)) for u in shop.urls]
        await asyncio.sleep(0.1)
        begun = time.perf_counter()
        await operator.apply(Kill(target, for_s=60), reason="bench", confirm=ENV)
        took_ms += [(at - begun) * 1000 for at in await asyncio.gather(*asking)]
        await operator.apply(Unkill(target), reason="bench", confirm=ENV)
        await asyncio.sleep(1.2)
    return _spread(took_ms)


def _spread(took_ms: list[float]) -> dict[str, float]:
    took_ms.sort()
    return {
        "n": len(took_ms),
        "p50_ms": round(statistics.median(took_ms), 1),
        "p95_ms": round(took_ms[int(len(took_ms) * 0.95) - 1], 1),
        "max_ms": round(took_ms[-1], 1),
    }


# --- keys ---------------------------------------------------------------------


class Screen:
    """`failsoft top` in a real terminal."""

    def __init__(self, url: str) -> None:
        self.name = f"spine-{os.getpid()}"
        top = [str(Path(sys.executable).parent / "failsoft"), "top"]
        command = shlex.join([*top, "--redis", url, "--env", ENV])
        self._tmux("new-session", "-d", "-x", "120", "-y", "40", command)

    def _tmux(self, *words: str) -> str:
        command = ["tmux", *words[:1]]
        command += ["-s" if words[0] == "new-session" else "-t", self.name, *words[1:]]
        return subprocess.run(command, capture_output=True, text=True).stdout

    def press(self, *keys: str) -> None:
        self._tmux("send-keys", *keys)

    def text(self) -> str:
        return self._tmux("capture-pane", "-p")

    async def shows(self, wanted: str, within_s: float = 15.0) -> None:
        deadline = time.monotonic() + within_s
        while wanted not in self.text():
            if time.monotonic() > deadline:
                raise AssertionError(f"no {wanted!r} on:\n{self.text()}")
            await asyncio.sleep(0.05)

    def close(self) -> None:
        self._tmux("kill-session")


RARE = [Request("GET /v1/products", weight=99), Request("GET /v1/products/mug")]


async def keys(shop: Fleet, trials: int) -> dict[str, Any]:
    """Kill by K, ENTER and undo by u, ENTER; in ms from ENTER, all nodes."""
    load = Load(shop.urls, 200.0, 900.0, RARE)
    run = asyncio.create_task(load.run())
    screen = Screen(shop.redis.url)
    await screen.shows("LIVE")
    await asyncio.sleep(12.0)  # a full window, so that the share is known
    screen.press("W")
    await asyncio.sleep(0.5)
    screen.press("INC-311 bench", "Enter")
    await screen.shows("ARMED")
    screen.press("/")
    await asyncio.sleep(0.5)
    screen.press("{sku}", "Enter")
    await asyncio.sleep(1.0)
    try:
        found: dict[str, Any] = {"push": await _pressed(screen, shop, trials, 0.006)}
        shop.proxy.swallow(b"XREAD")
        found["push swallowed"] = await _pressed(screen, shop, trials, 0.06)
        shop.proxy.heal()
        found["ends by itself"] = await _ending(screen, shop)
    finally:
        screen.close()
    load.stop()
    await run
    return found


async def _pressed(
    screen: Screen, shop: Fleet, trials: int, every_s: float
) -> dict[str, Any]:
    line = "GET /v1/products/mug"
    took_ms, shown_ms = [], []
    for _ in range(trials):
        screen.press("K")
        await screen.shows("ENTER apply")
        await asyncio.sleep(0.25)
        # Seldom enough to leave the route's share of traffic below a tenth.
        asking = [
            asyncio.create_task(first_refusal(url, line, every_s=every_s))
            for url in shop.urls
        ]
        await asyncio.sleep(0.01)
        begun = time.perf_counter()
        screen.press("Enter")
        took_ms += [(at - begun) * 1000 for at in await asyncio.gather(*asking)]
        await screen.shows(f"{len(shop.urls)} of {len(shop.urls)} nodes enforce it")
        shown_ms.append((time.perf_counter() - begun) * 1000)
        screen.press("u")
        await screen.shows("ENTER apply")
        await asyncio.sleep(0.25)
        screen.press("Enter")
        await asyncio.sleep(1.5)
    return {**_spread(took_ms), "all nodes on screen, max_ms": round(max(shown_ms))}


async def _ending(screen: Screen, shop: Fleet) -> dict[str, Any]:
    """Set a kill of 20 s, close the UI, and time its end on every node."""
    operator = await connect(shop.redis.url, ENV, needs_arming=False)
    await until(lambda: operator.view().nodes)
    target = "route:GET /v1/products/{sku}"
    screen.close()
    applied = await operator.apply(Kill(target, for_s=20), reason="bench", confirm=ENV)
    log = (await operator.log(1))[0]
    await operator.aclose()
    node, request = Node(shop.urls[0]), Request("GET /v1/products/mug").encoded()
    begun = time.monotonic()
    await asyncio.sleep(1.0)
    for _ in range(2000):
        if await node.ask(request) != 503:
            break
        await asyncio.sleep(0.02)
    ended_s = time.monotonic() - begun
    await node.close()
    return {
        "asked_s": 20,
        "ended_after_s": round(ended_s, 2),
        "revision": applied.revision,
        "log": [log.who, log.action, log.target, log.before, log.after, log.why],
    }


# --- outage -------------------------------------------------------------------


async def outage(shop: Fleet, down_s: float) -> dict[str, Any]:
    """Kill Redis under load with a kill in force; compare before, during, after."""
    operator = await connect(shop.redis.url, ENV, needs_arming=False)
    await until(lambda: len(operator.view().nodes) == len(shop.urls))
    target = "route:GET /v1/products/{sku}"
    await operator.apply(Kill(target, for_s=600), reason="bench", confirm=ENV)
    load = Load(shop.urls, 200.0, down_s + 45.0, MIX)
    run = asyncio.create_task(load.run())
    await asyncio.sleep(20.0)
    died = time.time()
    shop.redis.kill()
    words = await _words(operator, down_s)
    shop.redis.start()
    back = time.time()
    await until(lambda: operator.view().link.state == "up", 10.0)
    recovered_s = time.time() - back
    report = await run
    await operator.aclose()
    before = report.between(report.started_at + 2, died)
    during = report.between(died, back)
    return {
        "before": _quality(before),
        "during": _quality(during),
        "p99_ratio": _p99(during) / _p99(before),
        "view": words,
        "link up after s": round(recovered_s, 2),
    }


async def _words(operator: Any, down_s: float) -> list[str]:
    from failsoft.ops.stale import link_word

    words: list[str] = []
    end = time.monotonic() + down_s
    begun = time.monotonic()
    while time.monotonic() < end:
        await asyncio.sleep(0.5)
        word = link_word(operator.view(), _now())[0]
        if not words or words[-1].split(" @")[0] != word:
            words.append(f"{word} @{time.monotonic() - begun:.1f}s")
    return words


def _now() -> float:
    from failsoft import clock

    return clock.elapsed()


def _p99(part: Report) -> float:
    return part.of("GET /v1/products").percentile_ms(0.99) or float("nan")


def _quality(part: Report) -> dict[str, Any]:
    killed = part.of("GET /v1/products/mug")
    return {
        "answers": len(part.samples),
        "by_status": part.by_status(),
        "killed route": killed.by_status(),
        "p99_ms": round(_p99(part), 2),
    }


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("what", choices=["agreement", "flips", "keys", "outage"])
    parser.add_argument("--seconds", type=float, default=60.0)
    parser.add_argument("--trials", type=int, default=20)
    args = parser.parse_args()
    app = "measured:app" if args.what == "agreement" else "shop.api:app"
    with fleet(app) as shop:
        if args.what == "agreement":
            found = asyncio.run(agreement(shop, args.seconds))
        elif args.what == "flips":
            found = asyncio.run(flips(shop, args.trials))
        elif args.what == "keys":
            found = asyncio.run(keys(shop, args.trials))
        else:
            found = asyncio.run(outage(shop, min(args.seconds, 30.0)))
    print(json.dumps(found, indent=1))
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
