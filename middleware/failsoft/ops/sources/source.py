"""The seam between the reader and what it reads."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Protocol

from failsoft.ops.sources.ledgers import Ledgers, Section
from failsoft.ops.views import Link
from failsoft.store.fleet import FleetRead
from failsoft.store.protocols import Entry, Observed

__all__ = ["Batch", "Source"]


@dataclass(frozen=True, slots=True)
class Batch:
    """One reply, or one link fault.

    proof: a complete reply; only those move `FleetView.received`.
    controls: raw records, None when unchanged since the last batch.
    definitions: encoded `telemetry.Definitions` by digest, new ones only.
    ledgers: sections that are wanted, each 5 s.
    """

    link: Link
    proof: bool
    observed: Observed | None = None
    controls: dict[tuple[str, str], bytes] | None = None
    entries: tuple[Entry, ...] = ()  # new log lines, oldest first
    definitions: Mapping[str, bytes] = field(default_factory=dict)
    epoch: str = ""  # of `controls`
    ledgers: Ledgers | None = None
    fleet: FleetRead | None = None  # rows of the nodes, while they are wanted

    def is_of_link(self) -> bool:
        """Whether it tells of the link alone."""
        said = (self.observed, self.controls, self.ledgers)
        return not self.entries and said == (None, None, None)


class Source(Protocol):
    """Yields batches for ever; faults are batches with proof=False, never raised."""

    live: bool

    def batches(self) -> AsyncIterator[Batch]:
        """Yield about one batch a second, and one within 50 ms of a log entry."""
        ...

    def want(self, sections: Iterable[Section]) -> None:
        """Read these sections too, at once and then each 5 s, and no others."""
        ...

    async def aclose(self) -> None:
        """Release what the source holds."""
        ...
