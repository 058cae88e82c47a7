"""Per-second windows, mergeable histograms, error groups: what the fleet reports."""

from __future__ import annotations

from failsoft.telemetry._histogram import (
    bucket_of,
    bucket_value_us,
    merge_into,
    percentile_us,
)
from failsoft.telemetry._window import RouteCell, Window
from failsoft.telemetry._wire import (
    BrownoutDef,
    Definitions,
    FlagDef,
    Flight,
    Frame,
    GuardDef,
    Heartbeat,
    ModeDef,
    ReadRoute,
    ReadTick,
    RouteTick,
    SloDef,
    Tick,
    ToleranceDef,
    VersionDef,
    decode_definitions,
    decode_flight,
    decode_heartbeat,
    decode_hist,
    encode,
    read_tick,
)

__all__ = [
    "BrownoutDef",
    "Definitions",
    "FlagDef",
    "Flight",
    "Frame",
    "GuardDef",
    "Heartbeat",
    "ModeDef",
    "ReadRoute",
    "ReadTick",
    "RouteCell",
    "RouteTick",
    "SloDef",
    "Tick",
    "ToleranceDef",
    "VersionDef",
    "Window",
    "bucket_of",
    "bucket_value_us",
    "decode_definitions",
    "decode_flight",
    "decode_heartbeat",
    "decode_hist",
    "encode",
    "merge_into",
    "percentile_us",
    "read_tick",
]
