"""A fleet that does not exist, as encoded heartbeats, ticks and flights.

Seeded and clocked by the caller: the same seed and the same seconds give the same
bytes, so tests exercise the live path from decoding on.  It reads no clock.
"""

from __future__ import annotations

import random
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable
from typing import NamedTuple

from failsoft.ops.sources.fakeledgers import CONTRACT, fake_ledgers
from failsoft.ops.sources.ledgers import Section
from failsoft.ops.sources.source import Batch
from failsoft.ops.views import Link
from failsoft.store.protocols import Entry, Observed
from failsoft.telemetry import (
    Definitions,
    FlagDef,
    Flight,
    Frame,
    Heartbeat,
    ModeDef,
    RouteTick,
    Tick,
    bucket_of,
    encode,
)

__all__ = ["FAILING", "FakeFleet", "FakeSource", "Second"]

START_MS = 1_790_000_000_000
FAILING = "POST /checkout"
_EPOCH = "fake-epoch"
_DEFS = "fake-defs"
_FAULT_AT_S = 5  # the incident starts this many seconds in
_ROUTES = (  # key, criticality, requests per second and node
    ("GET /items", "sheddable", 40),
    ("GET /items/{id}", "critical", 60),
    (FAILING, "critical_plus", 15),
    ("POST /cart", "critical", 20),
    ("GET /orders/{id}", "critical", 25),
    ("POST /reviews", "sheddable_plus", 4),
    ("GET /internal/export", "sheddable", 1),
)
_FRAMES = (
    Frame("shop/pay.py", 88, "charge", "r = await http.post(url, json=body)"),
    Frame("shop/checkout.py", 41, "checkout", "return await pay.charge(cart)"),
    Frame("starlette/routing.py", 73, "app", "response = await f(request)", False),
)
_MODES = (
    ModeDef("maintenance", "Maintenance", ("*",), "503 on every route"),
    ModeDef("read_only", "Read only", ("*",), "writes get 503"),
    ModeDef("checkout.queue", "Queue", ("POST /checkout",), "202, done later",
            severity="minor", enter=("breaker payments open for 30s",)),
    ModeDef("fs.timeouts", "Timeouts are scaled", ("*",), "timeouts times as given",
            severity="minor", actions=(("timeout_scale", None),), public=False),
)  # fmt: skip
_LAYOUT = """{
  "state": "ENABLED",
  "variants": {"classic": "c1", "wide": "w1", "bare": "b1"},
  "defaultVariant": "classic",
  "targeting": {"if": [
    {"in": [{"var": "country"}, ["DE", "AT"]]}, "wide",
    {"and": [{"==": [{"var": "tier"}, "gold"]}, {">=": [{"var": "age_days"}, 30]}]},
    {"fractional": [["wide", 20], ["classic", 80]]},
    "classic"]},
  "metadata": {"x.owner": "web", "x.expires": "2031-01-31", "x.hash": 3}
}"""
_RERANK = """{"state": "ENABLED", "variants": {"on": true, "off": false},
 "defaultVariant": "off",
 "targeting": {"if": [{"or": [{"var": "beta"}, {"==": [{"%": [
 {"var": "shard"}, 4]}, 1]}]}, "on", "off"]}}"""
_FLAGS = (
    FlagDef("new-pricing", "code", "false", owner="pay", expires="2031-01-31"),
    FlagDef("checkout-layout", "file", '"c1"', owner="web", sha8="0f" * 4, doc=_LAYOUT),
    FlagDef("search-rerank", "file", "true", sha8="1e" * 4, doc=_RERANK),
)
_EVALUATIONS = {
    "new-pricing": {"off": 15},
    "checkout-layout": {"classic": 12, "wide": 3},
}


class Second(NamedTuple):
    """What the fleet says in one second: by node, then flights."""

    beats: dict[str, bytes]
    ticks: dict[str, bytes]
    flights: tuple[bytes, ...]


class FakeFleet:
    """Nodes that pretend.  scenario: `healthy` or `incident` (one route fails).

    more_routes: extra quiet routes, for tests of size.
    """

    def __init__(
        self,
        scenario: str = "healthy",
        *,
        seed: int = 1,
        nodes: int = 4,
        more_routes: int = 0,
    ) -> None:
        if scenario not in ("healthy", "incident"):
            raise ValueError(f"scenario = {scenario!r}: known are healthy, incident")
        self.scenario = scenario
        self.nodes = tuple(f"node-{i}" for i in range(1, nodes + 1))
        self._dice = random.Random(seed)
        extra = ((f"GET /extra/{i}", "sheddable", 1) for i in range(more_routes))
        self.routes = (*_ROUTES, *extra)
        self._seq = 0

    def definitions(self) -> bytes:
        """Return the encoded definitions of the pretended release."""
        return encode(
            Definitions(
                routes=tuple((key, level, ()) for key, level, _ in self.routes),
                flags=tuple((one.key, one.default) for one in _FLAGS),
                modes=_MODES,
                flagdefs=_FLAGS,
                **CONTRACT,
            )
        )

    def second(
        self,
        now_ms: int,
        *,
        rev: int = 0,
        epoch: str = "",
        killed: frozenset[str] = frozenset(),
    ) -> Second:
        """Return one second of the fleet; killed: routes that refuse."""
        self._seq += 1
        flights: list[bytes] = []
        ticks: dict[str, bytes] = {}
        for node in self.nodes:
            routes = tuple(
                self._route_tick(node, now_ms, route, killed, flights)
                for route in self.routes
            )
            tick = Tick(node, self._seq, 1000, routes=routes, flags=_EVALUATIONS)
            ticks[node] = encode(tick)
        beats = {node: self.beat(node, rev, epoch) for node in self.nodes}
        return Second(beats, ticks, tuple(flights))

    def beat(self, node: str, rev: int, epoch: str) -> bytes:
        """Return one node's encoded heartbeat."""
        return encode(
            Heartbeat(
                node=node,
                host="fake",
                pid=int(node.partition("-")[2]),
                epoch=epoch,
                rev=rev,
                state="live",
                app="shop",
                app_version="7f3c2",
                failsoft="0.1.0",
                started_ms=START_MS - 720_000,
                lag_ms=round(self._dice.uniform(0.4, 2.0), 2),
                rss_bytes=90_000_000 + self._dice.randrange(1_000_000),
                inflight=self._dice.randrange(12),
                defs=_DEFS,
            )
        )

    def _route_tick(
        self,
        node: str,
        now_ms: int,
        route: tuple[str, str, int],
        killed: frozenset[str],
        flights: list[bytes],
    ) -> RouteTick:
        key, _, per_s = route
        n = max(0, round(self._dice.gauss(per_s, per_s / 10)))
        if key in killed:
            return RouteTick(key, 0, refused={"kill": n})
        failing = key == FAILING and self._is_failing()
        errors = sum(
            self._dice.random() < (0.4 if failing else 0.002) for _ in range(n)
        )
        hist: dict[int, int] = {}
        for _ in range(n):
            typical_us = 900_000 if failing else 20_000
            bucket = bucket_of(int(self._dice.lognormvariate(0, 0.5) * typical_us))
            hist[bucket] = hist.get(bucket, 0) + 1
        group = f"group-{key}"
        if errors:
            flights.append(self._flight(node, now_ms, key, group))
        groups = {group: errors} if errors else {}
        return RouteTick(key, n, errors, errors, hist=hist, groups=groups)

    def _is_failing(self) -> bool:
        return self.scenario == "incident" and self._seq > _FAULT_AT_S

    def _flight(self, node: str, now_ms: int, key: str, group: str) -> bytes:
        return encode(
            Flight(
                id=f"{self._dice.getrandbits(64):016x}",
                group=group,
                route=key,
                node=node,
                at_ms=now_ms,
                status=504,
                duration_us=2_040_000,
                exception="PaymentTimeout",
                message="no answer in 2000 ms",
                frames=_FRAMES,
                trace_id=f"{self._dice.getrandbits(128):032x}",
                release="7f3c2",
                consumer="ios/5.2",
            )
        )


class FakeSource:
    """A `Source` over a `FakeFleet`.  pace: awaited between two seconds.

    records and entries: raw controls and log lines that are there from the start.
    """

    live = True

    def __init__(
        self,
        fleet: FakeFleet,
        pace: Callable[[], Awaitable[object]],
        *,
        env: str = "shop-prod",
        records: dict[tuple[str, str], bytes] | None = None,
        entries: tuple[Entry, ...] = (),
    ) -> None:
        self._fleet = fleet
        self._pace = pace
        self._env = env
        self._records = records or {}
        self._entries = entries
        self._now_ms = START_MS
        self._first = True
        self._wanted: frozenset[Section] = frozenset()

    def next_batch(self) -> Batch:
        """Return the next second as one complete reply."""
        self._now_ms += 1000
        rev = 8_412
        second = self._fleet.second(self._now_ms, rev=rev, epoch=_EPOCH)
        first, self._first = self._first, False
        at = self._now_ms
        return Batch(
            link=Link("up", "fake"),
            proof=True,
            observed=Observed(
                now_ms=at,
                rev=rev,
                epoch=_EPOCH,
                env=self._env,
                nodes=second.beats,
                seen=dict.fromkeys(second.beats, at),
                ticks=[(f"{at}-{i}", b) for i, b in enumerate(second.ticks.values())],
                flights=[(f"{at}-{i}", b) for i, b in enumerate(second.flights)],
            ),
            controls=self._records if first else None,
            entries=self._entries if first else (),
            definitions={_DEFS: self._fleet.definitions()} if first else {},
            ledgers=fake_ledgers(self._wanted, at, START_MS),
        )

    def want(self, sections: Iterable[Section]) -> None:
        """Tell these ledgers too, with each second."""
        self._wanted = frozenset(sections)

    async def batches(self) -> AsyncIterator[Batch]:
        """Yield second after second, at the caller's pace."""
        while True:
            yield self.next_batch()
            await self._pace()

    async def aclose(self) -> None:
        """Release nothing."""
