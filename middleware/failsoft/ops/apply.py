"""The one way to write: checks, the store's call, the audit.

Refused attempts and armings go to the attempts stream, and as one JSON line to logger
`failsoft.audit`, where the store tells the writes: so an audit outlives the kept log.
"""

from __future__ import annotations

import json
import logging
import secrets
from collections.abc import Mapping
from contextlib import suppress

from failsoft.errors import (
    FailsoftError,
    NeedsConfirm,
    StoreConflict,
    StoreError,
)
from failsoft.ops.controlrows import record_of, state_text
from failsoft.ops.flagforms import diff_words
from failsoft.ops.plan import Plan
from failsoft.ops.sources.store import FleetStore
from failsoft.ops.stale import left
from failsoft.ops.views import Applied, Identity, Preview
from failsoft.store.protocols import Call, Change

__all__ = ["Writer", "check_confirm", "new_code", "new_op_id"]

_audit = logging.getLogger("failsoft.audit")


def new_op_id() -> str:
    """Return a fresh id that makes a write repeatable."""
    return secrets.token_hex(8)


def new_code() -> str:
    """Return two digits for a tier 2 dialog, new for each dialog."""
    return f"{secrets.randbelow(100):02d}"


def check_confirm(now: Preview, confirm: str | None, env: str) -> None:
    """Raise NeedsConfirm unless the change, as it stands now, was confirmed.

    The environment's name confirms every tier.  A tier that rose since the operator
    looked asks for more than was typed.
    """
    if now.tier >= 2 and confirm not in (now.code, env):
        what = f"type {now.code or env} ({now.tier_why})"
        raise NeedsConfirm(now.tier, what)


class Writer:
    """Writes as one identity; knows no view and no tier."""

    def __init__(self, store: FleetStore, identity: Identity) -> None:
        self._store = store
        self._identity = identity

    @property
    def actor(self) -> str:
        """Return the name that stands in the log; `?` marks what is not proven."""
        who = self._identity
        return who.user if who.verified else f"{who.user}?"

    async def write(self, plan: Plan, reason: str, op_id: str) -> Applied:
        """Write one plan; StoreConflict says who was first and what is there now."""
        changes = plan.changes(self.actor, reason)
        targets = plan.covers or (plan.target,)
        try:
            return await self.call(op_id, changes, reason, targets)
        except StoreConflict as conflict:
            raise _explained(conflict, plan) from conflict

    async def call(
        self,
        op_id: str,
        changes: tuple[Change, ...],
        reason: str,
        targets: tuple[str, ...],
        epoch: str = "",
    ) -> Applied:
        """Write all changes or none; StoreRewound when the epoch is another."""
        via = self._identity.os_label
        call = Call(op_id, self.actor, reason, changes, via=via, epoch=epoch)
        answer = await self._store.apply(call)
        return Applied(
            revision=answer.revision,
            epoch=answer.epoch,
            op_id=op_id,
            at_ms=answer.now_ms,
            duplicate=answer.duplicate,
            targets=targets,
            until_ms=_until_ms(changes[0], answer.now_ms),
        )

    async def attempted(
        self, action: str, target: str, why: str, error: FailsoftError | None = None
    ) -> None:
        """Record a refused write or an arming; a viewer may not, then Redis knows."""
        refused = {"refused": error.code} if error is not None else {}
        fields: Mapping[str, str] = {
            "who": self.actor,
            "via": self._identity.os_label,
            "action": action,
            "target": target[:200],
            "why": why[:500],
            **refused,
        }
        _audit.info("%s", json.dumps({"env": self._store.env, **fields}))
        with suppress(StoreError):
            await self._store.attempt(fields)


def _until_ms(change: Change, now_ms: int) -> int:
    # As the script reckons it, on the same reading of the store's clock.
    if change.op == "del":
        return 0
    return int(change.until) + (now_ms if change.until.startswith("+") else 0)


def _explained(conflict: StoreConflict, plan: Plan) -> StoreConflict:
    if plan.also:
        return conflict  # it names the one record that moved
    current = record_of(plan.kind, plan.name, conflict.current)
    now = state_text(plan.kind, current)[0]
    if current is not None and plan.kind != "flag":
        # The store's clock at the refusal: the newest write and its age.
        ends = left(current.until_ms, current.at_ms + (conflict.age_ms or 0))
        now = ends if plan.before.endswith(("left", "no end")) else f"{now}, {ends}"
    diff = f"you saw {plan.before}, now {now}, you wanted {plan.after}"
    if plan.was:
        words = diff_words(plan.was, current.json if current else b"")
        if words:
            diff = f"{'; '.join(words[:5])}; you wanted {plan.after}"
    return StoreConflict(
        plan.target,
        current=conflict.current,
        revision=conflict.revision,
        expected=conflict.expected,
        actor=conflict.actor,
        age_ms=conflict.age_ms,
        diff=diff,
    )
