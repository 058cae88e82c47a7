"""A node's event loop in virtual time, around the real stage: shedding without noise.

    python tests/bench/loop_model.py [--times 2.0] [--seconds 600] [--wait-ms 20]

One thread takes what is ready in turns, as asyncio does: each request costs CPU
before it may wait, and each refusal costs some too.  Prints goodput minute by minute.
"""

from __future__ import annotations

import argparse
import heapq
import itertools
import random
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from types import SimpleNamespace
from typing import Any, NamedTuple

sys.path.insert(0, str(Path(__file__).parents[1]))

from failsoft.pipeline import Exchange, Hook, Plan
from failsoft.resilience._stage import InboundStage
from failsoft.routes.table import RouteDef
from failsoft.settings import Settings

CPU_S, TAKE_S, REFUSE_S, BEAT_S = 0.005, 0.0001, 0.00015, 0.01
CAPACITY = 1 / (CPU_S + TAKE_S)
IN_TIME_S = 0.5
# Class -> share of the requests; critical ones are 30 %.
MIX = {
    "critical_plus": 0.1,
    "critical": 0.2,
    "sheddable_plus": 0.4,
    "sheddable": 0.3,
}
CONSUMERS = 97


class Done(NamedTuple):
    """What became of a request.  took_s: None for a refusal."""

    planned_s: float
    criticality: str
    took_s: float | None


@dataclass
class Node:
    """One node.  wait_s: what a request waits after its CPU, without any.

    is_even: arrivals keep a schedule, as an open-loop generator's; else they come by
    chance, in bursts.
    """

    wait_s: Callable[[], float] = lambda: 0.0
    cpu_s: Callable[[], float] = lambda: CPU_S
    seed: int = 7
    is_guarded: bool = True
    is_even: bool = True
    done: list[Done] = field(default_factory=list)
    now_s: float = 1000.0

    def __post_init__(self) -> None:
        self.dice = random.Random(self.seed)
        self.stage = InboundStage(Settings(), dice=self.dice.random)
        self.hooks = {name: self._hooks(name) for name in MIX}
        self.waking: list[tuple[float, int, float, str, Any]] = []
        self.order = itertools.count()
        self.beat_s = self.now_s + BEAT_S
        self.runtime = SimpleNamespace(
            snapshot=None,
            now_ms=lambda: self.now_s * 1000,
            consumers=SimpleNamespace(headers=()),
        )

    def _hooks(self, criticality: str) -> tuple[Plan, tuple[Hook, ...]]:
        plan = Plan(f"GET /{criticality}", criticality, None)
        if self.is_guarded:
            self.stage.dress(RouteDef(plan.key, criticality), plan)
        return plan, plan.admit

    def arrivals(self, rate: float, seconds: float) -> Iterator[tuple[float, str]]:
        at_s, end_s, dice = self.now_s, self.now_s + seconds, self.dice
        names, weights = list(MIX), list(MIX.values())
        spread = [name for name, share in MIX.items() for _ in range(round(share * 10))]
        turn = itertools.cycle([spread[3 * n % 10] for n in range(10)])
        while (at_s := at_s + self._gap_s(rate)) < end_s:
            name = next(turn) if self.is_even else dice.choices(names, weights)[0]
            yield at_s, name

    def _gap_s(self, rate: float) -> float:
        return 1 / rate if self.is_even else self.dice.expovariate(rate)

    def offer(self, rate: float, seconds: float) -> list[Done]:
        """Serve a rate of requests for some seconds; return what became of them."""
        first, end_s = len(self.done), self.now_s + seconds
        coming = self.arrivals(rate, seconds)
        following = next(coming, None)
        while following is not None or self.now_s < end_s:
            self._beat()
            until_s, turn = self.now_s, 0
            while following is not None and following[0] <= until_s:
                self._arrive(*following)
                turn += 1
                following = next(coming, None)
            while self.waking and self.waking[0][0] <= until_s:
                _, _, planned_s, name, exchange = heapq.heappop(self.waking)
                self._finish(planned_s, name, exchange)
                turn += 1
            if not turn:
                nexts = [self.beat_s, end_s, *([following[0]] if following else [])]
                nexts += [self.waking[0][0]] if self.waking else []
                later = [at_s for at_s in nexts if at_s > self.now_s]
                self.now_s = min(later, default=self.now_s + BEAT_S)
        return self.done[first:]

    def _beat(self) -> None:
        if self.now_s >= self.beat_s:
            self.stage.beat(self.now_s, self.now_s - self.beat_s)
            self.beat_s = self.now_s + BEAT_S

    def _arrive(self, planned_s: float, name: str) -> None:
        self.now_s += TAKE_S
        plan, hooks = self.hooks[name]
        key = b"%d" % self.dice.randrange(CONSUMERS)
        scope = {"type": "http", "headers": [(b"x-api-key", key)]}
        exchange = Exchange(scope, self.runtime, 0)
        exchange.plan = plan
        if any(hook(exchange) is not None for hook in hooks):
            self.now_s += REFUSE_S
            self.done.append(Done(planned_s, name, None))
            self._release(exchange)
            return
        self.now_s += self.cpu_s()
        wait_s = self.wait_s()
        if wait_s:
            waking = self.now_s + wait_s, next(self.order), planned_s, name, exchange
            heapq.heappush(self.waking, waking)
        else:
            self._finish(planned_s, name, exchange)

    def _finish(self, planned_s: float, name: str, exchange: Exchange) -> None:
        self._release(exchange)
        self.done.append(Done(planned_s, name, self.now_s - planned_s))

    def _release(self, exchange: Exchange) -> None:
        for inside in exchange.counted:
            inside.pop(exchange, None)


def in_time(done: list[Done]) -> list[Done]:
    """Return what was answered within half a second of its planned arrival."""
    return [d for d in done if d.took_s is not None and d.took_s <= IN_TIME_S]


def refused(done: list[Done]) -> float:
    """Return the share that was refused."""
    return sum(d.took_s is None for d in done) / len(done)


def p99_s(done: list[Done]) -> float:
    """Return the 99th percentile of what was accepted."""
    took = sorted(d.took_s for d in done if d.took_s is not None)
    return took[int(0.99 * (len(took) - 1))]


def critical(done: list[Done]) -> list[Done]:
    return [d for d in done if d.criticality.startswith("critical")]


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--times", type=float, default=2.0)
    parser.add_argument("--seconds", type=float, default=120.0)
    parser.add_argument("--wait-ms", type=float, default=0.0)
    parser.add_argument("--bursts", action="store_true", help="arrivals by chance")
    given = parser.parse_args()
    for is_guarded in (False, True):
        node = Node(lambda: given.wait_ms / 1000, is_guarded=is_guarded)
        node.is_even = not given.bursts
        print("with failsoft:" if is_guarded else "without:")
        unloaded = node.offer(0.2 * CAPACITY, 10)
        print(f"  unloaded: p99 {p99_s(unloaded) * 1000:.0f} ms")
        for minute in range(1, 1 + int(given.seconds / 60)):
            done = node.offer(given.times * CAPACITY, 60)
            good, first = in_time(done), critical(done)
            print(
                f"  minute {minute}: in time {len(good) / 60:.1f}/s ="
                f" {len(good) / 60 / CAPACITY:.0%} of capacity, critical"
                f" {len(in_time(first)) / len(first):.1%}, p99 of accepted"
                f" {p99_s(done) * 1000:.0f} ms, refused {refused(done):.0%},"
                f" limit {node.stage.shedder.limit}"
            )
        for second in range(1, 6):
            done = node.offer(0.5 * CAPACITY, 1)
            print(
                f"  half the capacity, second {second}: in time"
                f" {len(in_time(done)) / len(done):.1%}, refused {refused(done):.1%}"
            )
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
