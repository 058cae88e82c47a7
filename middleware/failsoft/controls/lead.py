"""The seam of duties: what one node does each second for the whole fleet.

`failsoft.fleet` runs duties on the node that holds the leader's lease, and on the
only process where there is no Redis.  A duty is called once a second with facts that
are at most a few seconds old; what it raises is counted and told, the next second
comes all the same.  State a duty keeps starts anew with every change of the leader.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Protocol

import msgspec

from failsoft.controls.records import Record
from failsoft.store.fleet import DependencyRow, NodeRow

__all__ = ["DependencyFacts", "Duty", "FleetFacts", "Lead", "Records", "Write"]

Records = Mapping[tuple[str, str], Record]


@dataclass(frozen=True, slots=True)
class DependencyFacts:
    """One dependency as the fleet sees it.

    calls, fail, slow, refused: summed over `rows`, the rows by node that are at most
    3 s old.  state: the record in force, `open closed metrics_only probe`, "" for
    none (each node decides).  via: of the record, operator or auto.  open_ms: since
    when calls are refused for all, by the fleet or by force; 0 = they are not.
    quota_left: remaining / limit, the least of all nodes; None = no quota is known.
    """

    name: str
    rows: Mapping[str, DependencyRow] = field(default_factory=dict)
    calls: int = 0
    fail: int = 0
    slow: int = 0
    refused: int = 0
    state: str = ""
    via: str = ""
    open_ms: int = 0
    quota_left: float | None = None

    @property
    def open_nodes(self) -> int:
        """On how many nodes the local breaker refuses calls."""
        return sum(row.state == "open" for row in self.rows.values())


@dataclass(frozen=True, slots=True)
class FleetFacts:
    """What the leader knows of the fleet this second.

    now_ms: store time.  nodes: rows at most 3 s old, by node.  dependencies: by name,
    those with rows or a record.  records: every control in force, (kind, name).
    rev: their revision.
    """

    now_ms: int
    rev: int = 0
    nodes: Mapping[str, NodeRow] = field(default_factory=dict)
    dependencies: Mapping[str, DependencyFacts] = field(default_factory=dict)
    records: Records = field(default_factory=dict)

    @property
    def shedding_nodes(self) -> int:
        """How many nodes shed load now."""
        return sum(row.shed_limit > 0 for row in self.nodes.values())

    @property
    def shedding_ratio(self) -> float:
        """Which share of the nodes sheds load now, 0..1."""
        return self.shedding_nodes / len(self.nodes) if self.nodes else 0.0


@dataclass(frozen=True, slots=True)
class Write:
    """What became of a control that automation wanted to write.

    outcome: `written`; `same` (this very write was made before); `kept` (an operator's
    record stands, or somebody wrote meanwhile); `proposed` (no right to write: an
    operator may apply it); `lost` (no answer, or no longer the leader: try again).
    rev: revision of the write.
    """

    outcome: str
    rev: int = 0

    @property
    def is_done(self) -> bool:
        """Whether the control is now as asked."""
        return self.outcome in ("written", "same")


class Lead(Protocol):
    """What a duty may do for the fleet.  term: grows with each change of the leader."""

    term: int

    async def write(
        self, kind: str, name: str, doc: Any, until_ms: int, why: str
    ) -> Write:
        """Put a control (doc: a struct of `controls.records`), or delete it (None).

        until_ms: store time, 0 = no end.  An operator's record of that name is never
        replaced nor deleted; a record that changed since the facts is left alone.
        Never raises for what a store says: see `Write`.
        """
        ...


class Duty(Protocol):
    """Something one node does for all.

    With an attribute `is_urgent` that is true it is called twice a second.
    """

    async def each_second(self, facts: FleetFacts, lead: Lead) -> None:
        """Look at the fleet and act; called on the leader only, never twice at once."""
        ...


class Proposal(msgspec.Struct, frozen=True):
    """A control that automation may not write itself, for an operator to apply.

    doc: the JSON of the record's document, "" = delete it.  ttl_s: how long it would
    hold, 0 = no end.
    """

    kind: str
    name: str
    doc: str
    ttl_s: float
    why: str
    node: str
