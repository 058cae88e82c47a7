"""Open-loop load over raw HTTP/1.1, with exact figures: the tests' own witness.

It shares no code with failsoft or the examples.  Arrivals keep their schedule
whatever the servers do.  `took_ms` counts from the planned arrival (no coordinated
omission), `service_ms` from the write of the request.

    python tests/load/openloop.py --url http://127.0.0.1:8000 --url ...:8001 \
        --request 'GET /v1/products' --rate 200 --seconds 60 --json
"""

from __future__ import annotations

import argparse
import asyncio
import itertools
import json
import math
import sys
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple
from urllib.parse import urlsplit

MAX_RATE = 5000.0
MAX_SECONDS = 3600.0
MAX_OUTSTANDING = 2000
TIMEOUT_S = 10.0
IDLE_S = 3.0  # servers hang up after 5: amid a stall of ours nobody sees it
LOOPBACK = ("127.0.0.1", "::1", "localhost")
TIMED_OUT, BROKEN, DROPPED = 0, -1, -2
WORDS = {TIMED_OUT: "timeout", BROKEN: "broken", DROPPED: "dropped"}


class Request(NamedTuple):
    """One kind of request; `weight` of them are sent in turn."""

    line: str  # "GET /v1/products"
    body: bytes = b""
    headers: tuple[tuple[str, str], ...] = ()
    weight: int = 1

    def encoded(self) -> bytes:
        head = [f"{self.line} HTTP/1.1", "host: test"]
        head += [f"{name}: {value}" for name, value in self.headers]
        if self.body:
            head += ["content-type: application/json"]
        if self.body or not self.line.startswith(("GET ", "HEAD ")):
            head += [f"content-length: {len(self.body)}"]
        return "\r\n".join([*head, "", ""]).encode() + self.body


class Sample(NamedTuple):
    """One answer.  at: Unix seconds when it was complete; status: HTTP or WORDS."""

    at: float
    port: int
    line: str
    status: int
    took_ms: float
    service_ms: float


Connection = tuple[asyncio.StreamReader, asyncio.StreamWriter]


class Node:
    """One server's idle connections, newest first."""

    def __init__(self, url: str) -> None:
        parts = urlsplit(url)
        if parts.hostname not in LOOPBACK or parts.port is None:
            raise ValueError(f"{url}: load goes to a port of this machine only")
        self.host, self.port = parts.hostname, parts.port
        self._idle: list[tuple[Connection, float]] = []

    async def ask(self, request: bytes, *, is_head: bool = False) -> int:
        """Send on an idle or new connection; return the status."""
        reader, writer = await self._connection()
        try:
            writer.write(request)
            status, reusable = await _read_answer(reader, is_head=is_head)
        except BaseException:
            writer.close()
            raise
        if reusable:
            self._idle.append(((reader, writer), time.monotonic()))
        else:
            writer.close()
        return status

    async def _connection(self) -> Connection:
        while self._idle:
            (reader, writer), since = self._idle.pop()
            # A server that has shut this idle connection down must not cost a request.
            is_old = time.monotonic() - since > IDLE_S
            if not is_old and not reader.at_eof() and not writer.is_closing():
                return reader, writer
            writer.close()
        return await asyncio.open_connection(self.host, self.port)

    async def close(self) -> None:
        while self._idle:
            (_, writer), _ = self._idle.pop()
            writer.close()
            await asyncio.gather(writer.wait_closed(), return_exceptions=True)


async def _read_answer(
    reader: asyncio.StreamReader, *, is_head: bool
) -> tuple[int, bool]:
    """Return the status and whether the connection can be used again."""
    head = (await reader.readuntil(b"\r\n\r\n")).lower()
    status = int(head[9:12])
    if is_head or status in (204, 304):
        pass
    elif (length := _header(head, b"content-length")) is not None:
        await reader.readexactly(int(length))
    elif _header(head, b"transfer-encoding") == b"chunked":
        await _read_chunks(reader)
    else:
        await reader.read()
        return status, False
    return status, _header(head, b"connection") != b"close"


async def _read_chunks(reader: asyncio.StreamReader) -> None:
    while size := int((await reader.readuntil(b"\r\n")).split(b";")[0], 16):
        await reader.readexactly(size + 2)
    while await reader.readuntil(b"\r\n") != b"\r\n":
        pass


def _header(head: bytes, name: bytes) -> bytes | None:
    start = head.find(b"\r\n" + name + b":")
    if start < 0:
        return None
    start += len(name) + 3
    return head[start : head.index(b"\r\n", start)].strip()


@dataclass
class Load:
    """One run over nodes in turn; `samples` can be read while it goes on.

    urls: node bases.  rate: requests per second over all nodes.  requests: sent in
    turn by weight.
    """

    urls: Sequence[str]
    rate: float
    seconds: float
    requests: Sequence[Request]
    timeout_s: float = TIMEOUT_S
    samples: list[Sample] = field(default_factory=list)
    sent: int = 0
    started_at: float = 0.0

    def __post_init__(self) -> None:
        if not 0 < self.rate <= MAX_RATE:
            raise ValueError(f"rate {self.rate}: must be above 0, {MAX_RATE} at most")
        if not 0 < self.seconds <= MAX_SECONDS:
            raise ValueError(f"seconds {self.seconds}: 0 to {MAX_SECONDS}")
        self._nodes = [Node(url) for url in self.urls]
        self._zero = 0.0
        self._outstanding: set[asyncio.Task[None]] = set()
        self._is_stopped = False

    def stop(self) -> None:
        """Send no more; answers under way are still counted."""
        self._is_stopped = True

    async def run(self) -> Report:
        """Send on schedule, wait for the last answers, return the figures."""
        self._zero, self.started_at = time.perf_counter(), time.time()
        try:
            await self._arrive()
        finally:
            await asyncio.gather(*self._outstanding)
            await asyncio.gather(*(node.close() for node in self._nodes))
        return self.report()

    def report(self) -> Report:
        """Return the figures so far."""
        return Report(self.started_at, self.sent, tuple(self.samples))

    async def _arrive(self) -> None:
        nodes, kinds = itertools.cycle(self._nodes), self._kinds()
        for nth in range(round(self.rate * self.seconds)):
            due = self._zero + nth / self.rate
            if (early_s := due - time.perf_counter()) > 0:
                await asyncio.sleep(early_s)
            if self._is_stopped:
                return
            self._launch(next(nodes), next(kinds), due)

    def _kinds(self) -> Iterator[tuple[str, bytes]]:
        # Spread, not in blocks: two kinds of weights 3 and 1 go a a a b a a a b.
        most = max(request.weight for request in self.requests)
        one_round = [
            (request.line, request.encoded())
            for turn in range(most)
            for request in self.requests
            if turn < request.weight
        ]
        return itertools.cycle(one_round)

    def _launch(self, node: Node, kind: tuple[str, bytes], due: float) -> None:
        self.sent += 1
        if len(self._outstanding) >= MAX_OUTSTANDING:
            self._note(node.port, kind[0], DROPPED, due, due)
            return
        task = asyncio.create_task(self._send(node, kind, due))
        self._outstanding.add(task)
        task.add_done_callback(self._outstanding.discard)

    async def _send(self, node: Node, kind: tuple[str, bytes], due: float) -> None:
        line, request = kind
        begun = time.perf_counter()
        try:
            async with asyncio.timeout(self.timeout_s):
                status = await node.ask(request, is_head=line.startswith("HEAD "))
        except TimeoutError:
            status = TIMED_OUT
        except (OSError, EOFError, ValueError, asyncio.LimitOverrunError):
            status = BROKEN
        self._note(node.port, line, status, due, begun)

    def _note(
        self, port: int, line: str, status: int, due: float, begun: float
    ) -> None:
        now = time.perf_counter()
        at = self.started_at + now - self._zero
        took_ms, service_ms = (now - due) * 1000, (now - begun) * 1000
        self.samples.append(Sample(at, port, line, status, took_ms, service_ms))


@dataclass(frozen=True)
class Report:
    """Exact figures of a run, or of a part of one.  started_at: Unix seconds."""

    started_at: float
    sent: int
    samples: tuple[Sample, ...]

    def between(self, since: float, until: float) -> Report:
        """Return the part whose answers were complete in [since, until)."""
        part = tuple(s for s in self.samples if since <= s.at < until)
        return Report(since, len(part), part)

    def of(self, line: str) -> Report:
        """Return the part of one request line."""
        part = tuple(s for s in self.samples if s.line == line)
        return Report(self.started_at, len(part), part)

    def by_status(self) -> dict[str, int]:
        return _counts(self.samples)

    def error_ratio(self) -> float:
        """Return 5xx, lost and late answers over all answers."""
        bad = sum(s.status >= 500 or s.status <= 0 for s in self.samples)
        return bad / len(self.samples) if self.samples else 0.0

    def per_second(self) -> list[dict[str, int]]:
        """Return counts by status for each second since the start."""
        buckets: list[list[Sample]] = []
        for sample in self.samples:
            second = max(0, int(sample.at - self.started_at))
            while len(buckets) <= second:
                buckets.append([])
            buckets[second].append(sample)
        return [_counts(bucket) for bucket in buckets]

    def percentile_ms(self, ratio: float, *, service: bool = False) -> float | None:
        """Return the exact nearest-rank percentile of answered requests."""
        ordered = sorted(
            s.service_ms if service else s.took_ms for s in self.samples if s.status > 0
        )
        if not ordered:
            return None
        return ordered[max(math.ceil(ratio * len(ordered)), 1) - 1]

    def first_refusal(
        self, *, after: float = 0.0, status: int = 503
    ) -> dict[int, float]:
        """Return, per node port, when (Unix s) it first answered `status`."""
        found: dict[int, float] = {}
        for sample in self.samples:
            if sample.status == status and sample.at >= after:
                found.setdefault(sample.port, sample.at)
        return found

    def figures(self) -> dict[str, Any]:
        """Return the report as JSON-able numbers; first_refusal in s since start."""
        took = max((s.at for s in self.samples), default=self.started_at)
        seconds = took - self.started_at
        return {
            "sent": self.sent,
            "answered": sum(s.status > 0 for s in self.samples),
            "seconds": round(seconds, 3),
            "per_s": round(len(self.samples) / seconds, 2) if seconds > 0 else 0.0,
            "error_ratio": self.error_ratio(),
            "by_status": self.by_status(),
            "took_ms": self._spread(service=False),
            "service_ms": self._spread(service=True),
            "first_refusal_s": {
                port: round(at - self.started_at, 4)
                for port, at in self.first_refusal().items()
            },
            "per_second": self.per_second(),
        }

    def _spread(self, *, service: bool) -> dict[str, float | None]:
        ratios = {"p50": 0.5, "p95": 0.95, "p99": 0.99, "max": 1.0}
        return {
            name: self.percentile_ms(ratio, service=service)
            for name, ratio in ratios.items()
        }


def _counts(samples: Sequence[Sample]) -> dict[str, int]:
    counted = Counter(s.status for s in samples)
    return {WORDS.get(k, str(k)): counted[k] for k in sorted(counted)}


def main() -> int:
    """Run the load of the command line and print its figures."""
    parser = argparse.ArgumentParser(description="open-loop HTTP load on loopback")
    parser.add_argument("--url", action="append", required=True, help="base of a node")
    parser.add_argument("--request", action="append", help="'GET /path', repeatable")
    parser.add_argument("--body", default="", help="JSON sent with all but GET, HEAD")
    parser.add_argument("--rate", type=float, default=200.0)
    parser.add_argument("--seconds", type=float, default=10.0)
    parser.add_argument("--json", action="store_true", help="one line of JSON")
    given = parser.parse_args()
    requests = [
        Request(
            line, b"" if line.startswith(("GET ", "HEAD ")) else given.body.encode()
        )
        for line in given.request or ["GET /"]
    ]
    try:
        load = Load(given.url, given.rate, given.seconds, requests)
    except ValueError as wrong:
        parser.error(str(wrong))
    report = asyncio.run(load.run())
    print(json.dumps(report.figures(), indent=None if given.json else 2))
    return 0


if __name__ == "__main__":
    sys.exit(main())
