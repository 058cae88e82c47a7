"""A fleet fed second by second into a merge, without any store."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

import msgspec

from failsoft.controls.records import encode_doc
from failsoft.ops.merge import FleetMerge
from failsoft.ops.sources.source import Batch
from failsoft.ops.views import FleetView, Link
from failsoft.store.protocols import Entry, Observed
from failsoft.telemetry import (
    Definitions,
    Flight,
    Heartbeat,
    ModeDef,
    RouteTick,
    Tick,
    encode,
)

T0 = 1_800_000_000_000
EPOCH = "e" * 32
DEFINITIONS = Definitions(
    routes=(
        ("GET /cheap", "sheddable", ()),
        ("POST /pay", "critical_plus", ("money",)),
        ("GET /never", "critical", ()),
    ),
    flags=(("new", "false"),),
    modes=(ModeDef("calm", "Calm", ("tag:money",), "cached answers"),),
)


def beat(node: str, **changed: Any) -> bytes:
    fields: dict[str, Any] = {
        "host": "h",
        "pid": 1,
        "epoch": EPOCH,
        "rev": 7,
        "state": "live",
        "defs": "d1",
        "started_ms": T0 - 60_000,
    }
    return encode(Heartbeat(node=node, **(fields | changed)))


class Fleet:
    """Feeds a merge second by second."""

    def __init__(self) -> None:
        self.merge = FleetMerge()
        self.at_ms = T0
        self.nodes = {"n1": beat("n1")}
        self.seen: dict[str, int] = {}
        self.rev, self.epoch = 7, EPOCH
        self.controls: dict[tuple[str, str], bytes] | None = {}
        self.entries: tuple[Entry, ...] = ()
        self.flights: tuple[Flight, ...] = ()
        self.seq = 0

    def second(
        self, ticks: Mapping[str, Iterable[RouteTick]] | None = None
    ) -> FleetView:
        self.at_ms += 1000
        self.seq += 1
        blobs = [
            (f"{self.at_ms}-{i}", encode(Tick(n, self.seq, 1000, routes=tuple(r))))
            for i, (n, r) in enumerate((ticks or {}).items())
        ]
        observed = Observed(
            self.at_ms,
            self.rev,
            self.epoch,
            "shop-prod",
            nodes=self.nodes,
            seen={node: self.seen.get(node, self.at_ms) for node in self.nodes},
            ticks=blobs,
            flights=[
                (f"{self.at_ms}-{i}", encode(f)) for i, f in enumerate(self.flights)
            ],
        )
        batch = Batch(
            Link("up"),
            True,
            observed,
            self.controls,
            self.entries,
            {"d1": encode(DEFINITIONS)},
            self.epoch,
        )
        self.controls, self.entries, self.flights = None, (), ()
        self.merge.begin(batch)
        for tick_id, blob in blobs:
            self.merge.take_tick(tick_id, blob)
        self.merge.settle()
        return self.merge.view(self.seq, Link("up"), 1.0)

    def run(self, seconds: int, *routes: RouteTick) -> FleetView:
        for _ in range(seconds):
            view = self.second({"n1": routes})
        return view


def stored(rev: int, until_ms: int, doc: msgspec.Struct) -> bytes:
    return b"%d %d %d " % (rev, T0, until_ms) + encode_doc(doc)
