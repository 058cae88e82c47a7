"""Controls that automation may not write itself, as operators meet them.  Pure."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from contextlib import suppress

import msgspec

from failsoft.controls.lead import Proposal as Proposed
from failsoft.controls.records import DOCS
from failsoft.controls.targets import nearest
from failsoft.errors import Invalid
from failsoft.ops.command import GuardApply
from failsoft.ops.plan import Plan, row_in_force, row_of, stored_rev
from failsoft.ops.views import FleetView, Proposal
from failsoft.store.flagcounts import Proposed as Stored

__all__ = ["PROPOSED_KINDS", "automatic_rows", "plan_proposal"]

_TARGETS = {"breaker": "dependency", "mode": "mode"}
PROPOSED_KINDS = ("flag", *_TARGETS.values())


def automatic_rows(
    proposed: Mapping[str, Stored], done: Collection[str]
) -> Iterator[Proposal]:
    """Yield what automation proposes and nobody has done.

    done: targets of controls in force.
    """
    for found in proposed.values():
        with suppress(msgspec.DecodeError):  # a guard's, or of a newer release
            said = msgspec.json.decode(found.json, type=Proposed)
            if said.kind not in _TARGETS:
                continue
            target = f"{_TARGETS[said.kind]}:{said.name}"
            if (target in done) == bool(said.doc):
                continue
            yield Proposal(
                target=target,
                at_ms=found.at_ms,
                variant="",
                why=said.why,
                ttl_s=said.ttl_s or None,
                node=said.node,
                kind=said.kind,
                doc=said.doc,
            )


def plan_proposal(command: GuardApply, view: FleetView) -> Plan:
    """Return what automation proposes; Invalid where it proposes nothing."""
    rows = [one for one in view.proposals if one.target == command.target]
    if not rows:
        close = nearest(command.target, [one.target for one in view.proposals], 1)
        message = "nothing is proposed for it"
        raise Invalid(command.target, message, nearest=close[0] if close else "")
    one = rows[0]
    active = row_in_force(view, one.kind, one.target)
    shown = row_of(view, one.kind, one.target)
    doc: msgspec.Struct | bytes = b""
    if one.doc:
        try:
            doc = msgspec.json.decode(one.doc, type=DOCS[one.kind])
        except (msgspec.DecodeError, UnicodeError, RecursionError) as error:
            raise Invalid(command.target, f"cannot be read: {error}") from None
    return Plan(
        target=one.target,
        action="guard-apply",
        kind=one.kind,
        name=one.target.partition(":")[2],
        op="put" if one.doc else "del",
        before=shown.now if shown is not None else "auto",
        after="as proposed",
        doc=doc,
        if_rev=stored_rev(active),
        until=f"+{int(one.ttl_s * 1000)}" if one.ttl_s else "0",
        until_s=one.ttl_s,
        needs_end=False,
        warnings=(f"automation: {one.why}",),
        reason=one.why[:500],
    )
