"""The seam between the reader and what it reads."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass, field
from typing import Protocol

from failsoft.ops.views import Link
from failsoft.store.protocols import Entry, Observed

__all__ = ["Batch", "Source"]


@dataclass(frozen=True, slots=True)
class Batch:
    """One reply, or one link fault.

    proof: a complete reply; only those move `FleetView.received`.
    controls: raw records, None when unchanged since the last batch.
    definitions: encoded `telemetry.Definitions` by digest, new ones only.
    """

    link: Link
    proof: bool
    observed: Observed | None = None
    controls: dict[tuple[str, str], bytes] | None = None
    entries: tuple[Entry, ...] = ()  # new log lines, oldest first
    definitions: Mapping[str, bytes] = field(default_factory=dict)
    epoch: str = ""  # of `controls`


class Source(Protocol):
    """Yields batches for ever; faults are batches with proof=False, never raised."""

    live: bool

    def batches(self) -> AsyncIterator[Batch]:
        """Yield about one batch a second, and one within 50 ms of a log entry."""
        ...

    async def aclose(self) -> None:
        """Release what the source holds."""
        ...
