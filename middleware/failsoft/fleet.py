"""What a node does each second for its fleet: its row, the lease, the duties.

Duties and facts are named in `failsoft.controls.lead`, rows in `failsoft.store.fleet`.
"""

from __future__ import annotations

from failsoft.controls.lead import DependencyFacts, Duty, FleetFacts, Lead, Write

__all__ = ["DependencyFacts", "Duty", "FleetFacts", "Lead", "Write"]
