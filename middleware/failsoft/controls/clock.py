"""Store time on this node: the one clock that judges when controls end.

It goes on while the store is away, and knows how long that has been.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable

from failsoft import clock

__all__ = ["StoreClock"]

_BEATS = 30
_JUMP_MS = 1000.0


class StoreClock:
    """Store time = local clock + the offset of the quickest of the last 30 beats.

    A quick round trip bounds the error of its offset by half its length.
    elapsed: seconds, never set back.  wall: Unix seconds, used before any beat.
    """

    def __init__(
        self,
        elapsed: Callable[[], float] = clock.elapsed,
        wall: Callable[[], float] = clock.unix,
    ) -> None:
        self._elapsed = elapsed
        self._beats: deque[tuple[float, float]] = deque(maxlen=_BEATS)
        self._wall = wall
        self._offset_ms = (wall() - elapsed()) * 1000
        self._known = False
        self._proven_at: float | None = None

    def observe(self, sent: float, received: float, now_ms: int) -> bool:
        """Take one answer; True if store time jumped by more than a second.

        sent, received: readings of the local clock around the round trip.
        """
        trip_ms = max(received - sent, 0.0) * 1000
        offset_ms = now_ms - (sent + received) * 500
        jumped = self._known and abs(offset_ms - self._offset_ms) > _JUMP_MS + trip_ms
        if jumped:
            # Another server or a clock set by hand: older beats say nothing now.
            self._beats.clear()
        self._beats.append((trip_ms, offset_ms))
        self._offset_ms = min(self._beats)[1]
        self._known = True
        return jumped

    def restore(self, wall_offset_ms: float, age_s: float) -> None:
        """Go on from what another process, or this one before, knew of store time.

        wall_offset_ms: store time minus wall time.  age_s: since its newest proof.
        """
        now = self._elapsed()
        self._offset_ms = (self._wall() - now) * 1000 + wall_offset_ms
        self._proven_at = now - age_s

    @property
    def wall_offset_ms(self) -> float:
        """Store time minus this host's wall time."""
        return self.now_ms() - self._wall() * 1000

    def prove(self) -> None:
        """Note that the controls held here are the store's at this moment."""
        self._proven_at = self._elapsed()

    def age_s(self) -> float:
        """Return seconds since the newest proof; 0 before the first."""
        proven_at = self._proven_at
        return 0.0 if proven_at is None else self._elapsed() - proven_at

    def now_ms(self) -> float:
        """Return store time in ms; wall time before the first beat."""
        return self._elapsed() * 1000 + self._offset_ms
