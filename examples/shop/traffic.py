"""Open-loop traffic for the shop: `python -m shop.traffic --url http://127.0.0.1:8000`.

Arrivals follow their own seeded schedule and never wait for answers, as real
shoppers do; times count from the planned arrival.  Loopback only, an hour at most.
"""

from __future__ import annotations

import argparse
import asyncio
import itertools
import json
import signal
import sys
import time
from dataclasses import dataclass, field
from random import Random

import httpx

from shop.loopback import is_loopback
from shop.shoppers import Consumer, Shoppers, Wish
from shop.summary import Summary

MAX_SECONDS = 3600.0
MAX_RATE = 500.0
MAX_OUTSTANDING = 500
SHOPPERS = 997
# An answer that is fine for the server, and not what the client was written for.
UNREADABLE = "unreadable"


@dataclass(frozen=True)
class Plan:
    """Where to send, how fast (requests/s), how long, with which dice."""

    urls: tuple[str, ...]
    rate: float = 40.0
    seconds: float = 60.0
    seed: int = 7
    timeout_s: float = 5.0

    def faults(self) -> list[str]:
        """Name everything that must not be run."""
        bad = [url for url in self.urls if not is_loopback(url)]
        found = [f"--url {url}: traffic goes to this machine only" for url in bad]
        if not 0 < self.rate <= MAX_RATE:
            found.append(f"--rate {self.rate}: must be above 0, {MAX_RATE:.0f} at most")
        if not 0 < self.seconds <= MAX_SECONDS:
            found.append(
                f"--seconds {self.seconds}: must be above 0, {MAX_SECONDS:.0f} at most"
            )
        return found


@dataclass
class Run:
    """One run: its plan, its shoppers, and the figures so far."""

    plan: Plan
    summary: Summary = field(default_factory=Summary)

    def __post_init__(self) -> None:
        self._dice = Random(self.plan.seed)
        self._shoppers = Shoppers(self._dice)
        self._visits = itertools.cycle(f"shopper-{n}" for n in range(SHOPPERS))
        self._outstanding: set[asyncio.Task[None]] = set()

    async def go(self) -> None:
        """Send until the plan's time is over, then wait for the last answers."""
        # uvicorn drops idle connections after 5 s: give ours up earlier, or the two
        # race and a request is lost.
        limits = httpx.Limits(max_connections=MAX_OUTSTANDING, keepalive_expiry=2.0)
        async with httpx.AsyncClient(
            limits=limits, timeout=self.plan.timeout_s, trust_env=False
        ) as client:
            try:
                await self._arrive(client)
            finally:
                await asyncio.gather(*self._outstanding, return_exceptions=True)

    async def _arrive(self, client: httpx.AsyncClient) -> None:
        start = time.monotonic()
        due = self._dice.expovariate(self.plan.rate)
        while due < self.plan.seconds:
            await asyncio.sleep(max(0.0, start + due - time.monotonic()))
            self._launch(client, start + due)
            due += self._dice.expovariate(self.plan.rate)

    def _launch(self, client: httpx.AsyncClient, planned: float) -> None:
        if len(self._outstanding) >= MAX_OUTSTANDING:
            self.summary.dropped += 1
            return
        consumer = self._shoppers.consumer()
        wish = self._shoppers.next_wish(consumer)
        self.summary.sent += 1
        url = self.plan.urls[self.summary.sent % len(self.plan.urls)] + wish.path
        task = asyncio.create_task(self._send(client, url, wish, consumer, planned))
        self._outstanding.add(task)
        task.add_done_callback(self._outstanding.discard)

    async def _send(
        self,
        client: httpx.AsyncClient,
        url: str,
        wish: Wish,
        consumer: Consumer,
        planned: float,
    ) -> None:
        status = await self._ask(client, url, wish, consumer)
        took_ms = (time.monotonic() - planned) * 1000
        self.summary.add(wish.route, consumer.name, status, took_ms)

    async def _ask(
        self, client: httpx.AsyncClient, url: str, wish: Wish, consumer: Consumer
    ) -> str:
        try:
            reply = await client.request(
                wish.method,
                url,
                json=wish.body,
                headers=consumer.headers() | {"x-shopper": next(self._visits)},
            )
        except httpx.TimeoutException:
            return "timeout"
        except httpx.HTTPError:
            return "broken"
        is_json = reply.headers.get("content-type") == "application/json"
        body = reply.json() if is_json else {}
        if reply.is_success and not consumer.reads(wish.route, reply.headers, body):
            return UNREADABLE
        self._shoppers.learn(wish, reply.status_code, body)
        return str(reply.status_code)


async def run_until_signal(run: Run) -> float:
    """Run; SIGINT and SIGTERM end it early with its summary.  Returns seconds."""
    start = time.monotonic()
    task = asyncio.ensure_future(run.go())
    loop = asyncio.get_running_loop()
    for signum in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(signum, task.cancel)
    await asyncio.gather(task, return_exceptions=True)
    if not task.cancelled() and (failure := task.exception()):
        raise failure
    return time.monotonic() - start


def main() -> int:
    """Run the traffic of the command line and print its summary as JSON."""
    parser = argparse.ArgumentParser(prog="python -m shop.traffic")
    parser.add_argument("--url", action="append", required=True, dest="urls")
    parser.add_argument("--rate", type=float, default=40.0, help="requests per second")
    parser.add_argument("--seconds", type=float, default=60.0)
    parser.add_argument("--seed", type=int, default=7)
    given = parser.parse_args()
    urls = tuple(url.rstrip("/") for url in given.urls)
    plan = Plan(urls, given.rate, given.seconds, given.seed)
    if faults := plan.faults():
        parser.error("; ".join(faults))
    run = Run(plan)
    seconds = asyncio.run(run_until_signal(run))
    json.dump(run.summary.figures(seconds), sys.stdout, indent=2)
    print()
    return 0


if __name__ == "__main__":
    sys.exit(main())
