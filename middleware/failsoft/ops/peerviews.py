"""What third parties announced, as operators read it.  Pure."""

from __future__ import annotations

from collections.abc import Mapping

from failsoft.ops.contractrows import PeerRow

__all__ = ["peer_rows"]


def peer_rows(notes: Mapping[str, bytes], now_ms: int) -> tuple[PeerRow, ...]:
    """Return the notes that can be read, those that end soonest first."""
    return ()
