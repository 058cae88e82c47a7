"""Error groups: exact counts from ticks, stacks from the kept flights.  Pure."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable

import msgspec

from failsoft.ops.rings import FleetRings
from failsoft.ops.views import GroupRow
from failsoft.telemetry import Flight, decode_flight

__all__ = ["GroupBook"]

FLIGHTS_SHOWN = 200
_FLIGHTS_KEPT = 500
_IDS_SHOWN = 20


class GroupBook:
    """Flights newest first, and when each group was seen first."""

    def __init__(self) -> None:
        self._flights: deque[Flight] = deque(maxlen=_FLIGHTS_KEPT)
        self._span: dict[str, tuple[int, int]] = {}  # group -> first, last ms

    def take(self, flights: Iterable[tuple[str, bytes]]) -> None:
        """Take flights as the store keeps them, oldest first; bad ones are left out."""
        for _, blob in flights:
            try:
                flight = decode_flight(blob)
            except msgspec.DecodeError:
                continue
            self._flights.appendleft(flight)
            self._see(flight.group, flight.at_ms)

    def _see(self, group: str, at_ms: int) -> None:
        first, last = self._span.get(group, (at_ms, at_ms))
        self._span[group] = (min(first, at_ms), max(last, at_ms))

    def newest(self) -> tuple[Flight, ...]:
        """Return at most 200 flights, newest first."""
        return tuple(self._flights)[:FLIGHTS_SHOWN]

    def find(self, flight_id: str) -> Flight | None:
        """Return a kept flight by its id."""
        return next((f for f in self._flights if f.id == flight_id), None)

    def rows(self, rings: FleetRings, now_ms: int) -> tuple[GroupRow, ...]:
        """Return groups by their count in the last 60 s, then newest first."""
        counts = rings.group_counts()
        examples: dict[str, list[Flight]] = {}
        for flight in self._flights:
            examples.setdefault(flight.group, []).append(flight)
        # Examples are few; when a group was last seen, the exact counts tell.
        for group, second in rings.group_latest().items():
            self._see(group, min(second * 1000 + 999, now_ms))
        gone = self._span.keys() - counts.keys() - examples.keys()
        for group in gone:
            del self._span[group]
        rows = [
            self._row(group, counts.get(group, 0), examples.get(group, []), rings)
            for group in counts.keys() | examples.keys()
        ]
        return tuple(sorted(rows, key=lambda r: (-r.count, -r.last_ms, r.group)))

    def _row(
        self, group: str, count: int, examples: list[Flight], rings: FleetRings
    ) -> GroupRow:
        first_ms, last_ms = self._span[group]
        newest = examples[0] if examples else None
        return GroupRow(
            group=group,
            route=newest.route if newest else rings.group_routes.get(group, ""),
            exception=_title(newest),
            frame=_top_frame(newest),
            count=count,
            last_ms=last_ms,
            first_ms=first_ms,
            flights=tuple(flight.id for flight in examples[:_IDS_SHOWN]),
        )


def _title(flight: Flight | None) -> str:
    if flight is None:
        return "(no example kept)"
    return flight.exception or f"HTTP {flight.status}"


def _top_frame(flight: Flight | None) -> str:
    frames = flight.frames if flight else ()
    own = [frame for frame in frames if frame.in_app] or list(frames)
    return f"{own[0].file}:{own[0].line} {own[0].function}" if own else ""
