"""The fake fleet's versions and drift, merged into a view without any store."""

from __future__ import annotations

from collections.abc import Mapping

import msgspec

from failsoft.controls.records import encode_doc
from failsoft.ops.merge import FleetMerge
from failsoft.ops.sources.fake import START_MS, FakeFleet, FakeSource
from failsoft.ops.views import FleetView
from failsoft.telemetry import Definitions

DAY_MS = 86_400_000
Records = Mapping[tuple[str, str], bytes]


async def _no_pace() -> None:
    """Nobody waits for the next second."""


def stored(doc: msgspec.Struct, rev: int = 7, until_ms: int = 0) -> bytes:
    """Return a record as the store keeps it."""
    return b"%d %d %d " % (rev, START_MS, until_ms) + encode_doc(doc)


def look(
    records: Records | None = None, seconds: int = 12, *, ledgers: bool = True
) -> tuple[FleetView, Definitions]:
    """Return the view after some seconds of traffic, and what releases declare."""
    source = FakeSource(FakeFleet(), _no_pace, records=dict(records or {}))
    if ledgers:
        source.want(("versions", "drift"))
    merge = FleetMerge()
    for seq in range(seconds):
        batch = source.next_batch()
        merge.begin(batch)
        for tick_id, blob in batch.observed.ticks if batch.observed else ():
            merge.take_tick(tick_id, blob)
        merge.settle()
        view = merge.view(seq + 1, batch.link, 1.0)
    return view, merge.definitions
