"""What is known of each node: LIVE, SILENT, OLD or GONE.  Pure.

Ages are differences of the store's clock; a node's own clock is never asked.
"""

from __future__ import annotations

from typing import Literal

import msgspec

from failsoft.ops.stale import SILENT_S
from failsoft.ops.views import NodeRow
from failsoft.store.protocols import Observed
from failsoft.telemetry import Heartbeat, decode_heartbeat

__all__ = ["EXPECTED_S", "NodeBook", "heartbeat_of"]

EXPECTED_S = 15.0
_GONE_SHOWN_S = 60.0
_KNOWN_WIRE = 1


def heartbeat_of(blob: bytes) -> Heartbeat | None:
    """Decode a heartbeat; None when it is of a schema we do not know."""
    try:
        beat = decode_heartbeat(blob)
    except msgspec.DecodeError:
        return None
    return beat if beat.v <= _KNOWN_WIRE else None


class NodeBook:
    """Heartbeats of the newest reply, and nodes that were there before."""

    def __init__(self) -> None:
        self.beats: dict[str, Heartbeat | None] = {}
        self.live: frozenset[str] = frozenset()
        self.known = 0
        self._shorts: dict[str, str] = {}
        self._rows: dict[str, NodeRow] = {}
        self._last_ms: dict[str, int] = {}

    def take(self, observed: Observed) -> None:
        """Take the heartbeats of a complete reply."""
        self.beats = {node: heartbeat_of(b) for node, b in observed.nodes.items()}
        for node in observed.nodes:
            self._last_ms[node] = observed.seen.get(node, observed.now_ms)
        fresh = [node for node in self.beats if node not in self._shorts]
        for node in sorted(fresh, key=self._started):
            self._shorts[node] = f"w{len(self._shorts) + 1}"

    def _started(self, node: str) -> tuple[int, str]:
        beat = self.beats[node]
        return (beat.started_ms if beat else 0, node)

    def short(self, node: str) -> str:
        """Return the short name of a node, its id when it was never seen."""
        return self._shorts.get(node, node)

    def digests(self) -> list[str]:
        """Return digests of definitions, oldest release first."""
        beats = [beat for beat in self.beats.values() if beat and beat.defs]
        return list({b.defs: 1 for b in sorted(beats, key=lambda b: b.started_ms)})

    def inflight(self) -> int:
        """Return requests in flight on live nodes."""
        return sum(b.inflight for n, b in self.beats.items() if b and n in self.live)

    def held_epochs(self) -> frozenset[str]:
        """Return the histories that nodes enforce controls of."""
        held = (beat for beat in self.beats.values() if beat and beat.rev)
        return frozenset(beat.epoch for beat in held)

    def overlaid(self) -> bool:
        """Whether a node lays the store's records over those of a lost history."""
        return any(b.state == "rewound" for b in self.beats.values() if b)

    def controls_state(
        self, observed: Observed
    ) -> Literal["known", "missing", "rewound"]:
        """Compare the store's history with the one that nodes enforce."""
        held = [beat for beat in self.beats.values() if beat and beat.rev]
        if not observed.epoch:
            return "missing" if held else "known"
        if self.overlaid():
            return "rewound"
        elsewhere = any(beat.epoch not in ("", observed.epoch) for beat in held)
        ahead = any(
            beat.rev > observed.rev for beat in held if beat.epoch == observed.epoch
        )
        return "rewound" if elsewhere or ahead else "known"

    def rows(self, observed: Observed) -> tuple[NodeRow, ...]:
        """Return rows in the order of first sight; GONE ones stay for 60 s."""
        now_ms = observed.now_ms
        rows: dict[str, NodeRow] = {}
        for node, last_ms in list(self._last_ms.items()):
            age = max(0.0, (now_ms - last_ms) / 1000)
            if node in self.beats:
                rows[node] = self._row(node, age, now_ms)
            elif age > _GONE_SHOWN_S or node not in self._rows:
                del self._last_ms[node]
            else:
                rows[node] = msgspec.structs.replace(
                    self._rows[node], state="GONE", age=age
                )
        self._rows = rows
        self.live = frozenset(n for n, row in rows.items() if row.state == "LIVE")
        self.known = sum(row.state != "GONE" for row in rows.values())
        order = {node: i for i, node in enumerate(self._shorts)}
        return tuple(sorted(rows.values(), key=lambda row: order[row.node]))

    def _row(self, node: str, age: float, now_ms: int) -> NodeRow:
        beat = self.beats[node]
        state = "SILENT" if age > SILENT_S else "LIVE" if beat else "OLD"
        if beat is None:
            beat = Heartbeat(node, "", 0, "", 0, "?")
        started_ms = beat.started_ms or now_ms
        return NodeRow(
            node=node,
            short=self._shorts[node],
            state=state,
            age=age,
            rev=beat.rev,
            epoch=beat.epoch,
            control_state=beat.state,
            control_age=beat.age_ms / 1000 + age,
            lag_ms=beat.lag_ms,
            rss_bytes=beat.rss_bytes,
            inflight=beat.inflight,
            app=beat.app,
            release=beat.app_version,
            failsoft=beat.failsoft,
            uptime_s=max(0.0, (now_ms - started_ms) / 1000),
            bad=beat.bad,
            own_errors=beat.own_errors,
            bad_headers=tuple(sorted(beat.bad_headers.items())),
            own_error=beat.own_error,
            source=beat.source,
            digest=beat.digest,
            lastgood=beat.lastgood,
        )
