"""The leader's duty for breakers: open a dependency for all, and close it again."""

from __future__ import annotations

from collections.abc import Callable

from failsoft.controls.lead import DependencyFacts, FleetFacts, Lead
from failsoft.controls.records import BreakerDoc
from failsoft.outbound._fleet import FleetRule, why_open

__all__ = ["QuorumDuty"]

HELD_MS = 30 * 60_000  # renewed at half time while calls are wanted


class QuorumDuty:
    """Writes the records `breaker/<name>` of the fleet itself.

    rule_of: when calls of a dependency are bad enough.  has_passed: whether the
    probes of one that is open found it back.
    """

    is_urgent = True  # it stands between a dead peer and all that call it

    def __init__(
        self,
        rule_of: Callable[[str], FleetRule],
        has_passed: Callable[[str], bool],
    ) -> None:
        self._rule_of = rule_of
        self._has_passed = has_passed
        self._changed: dict[str, int] = {}  # revision of our last change

    async def each_second(self, facts: FleetFacts, lead: Lead) -> None:
        """Open what a quorum holds for broken, close what the probes found back."""
        for name, dependency in facts.dependencies.items():
            if not dependency.state:
                await self._judge(dependency, facts, lead)
            elif (dependency.state, dependency.via) == ("open", "auto"):
                await self._tend(name, dependency, facts, lead)

    async def _judge(
        self, dependency: DependencyFacts, facts: FleetFacts, lead: Lead
    ) -> None:
        # Rows from before our last change tell of calls that it has answered already.
        since = self._changed.get(dependency.name, 0)
        rows = [
            r for node, r in dependency.rows.items() if facts.nodes[node].rev >= since
        ]
        why = why_open(rows, self._rule_of(dependency.name))
        if why:
            doc = BreakerDoc("", "", "open", via="auto", since_ms=facts.now_ms)
            await self._write(dependency.name, doc, facts, lead, why)

    async def _tend(
        self, name: str, dependency: DependencyFacts, facts: FleetFacts, lead: Lead
    ) -> None:
        record = facts.records["breaker", name]
        if self._has_passed(name):
            await self._write(name, None, facts, lead, "the probes ended well")
        elif dependency.refused and record.until_ms - facts.now_ms < HELD_MS / 2:
            doc: BreakerDoc = record.doc()
            await self._write(name, doc, facts, lead, doc.why)

    async def _write(
        self,
        name: str,
        doc: BreakerDoc | None,
        facts: FleetFacts,
        lead: Lead,
        why: str,
    ) -> None:
        until_ms = facts.now_ms + HELD_MS if doc is not None else 0
        write = await lead.write("breaker", name, doc, until_ms, why)
        if write.is_done:
            self._changed[name] = write.rev
