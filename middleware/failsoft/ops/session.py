"""One operator's session: the `Operator` that CLI and terminal UI use."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterable

import msgspec

from failsoft.errors import FailsoftError, Invalid, StoreRefused, StoreUnavailable
from failsoft.ops.ack import follow
from failsoft.ops.apply import Writer, check_confirm, new_code, new_op_id
from failsoft.ops.arming import ARMED_MINUTES, Arming
from failsoft.ops.command import Command
from failsoft.ops.controlrows import log_row, record_of, target_of
from failsoft.ops.flagimport import FlagImport, calls_of, import_plan
from failsoft.ops.permission import (
    check_fresh,
    check_rate,
    check_reason,
    check_role,
)
from failsoft.ops.plans import Plan, action_of, plan_of
from failsoft.ops.preview import preview_plan
from failsoft.ops.reader import Reader
from failsoft.ops.reads import PAGE, Reads
from failsoft.ops.sources.store import FleetStore, entry_order
from failsoft.ops.stale import age_s
from failsoft.ops.tiers import OWN_CHANGE, Facts, tier_of
from failsoft.ops.undo import (
    YOUNG_S,
    is_whole,
    last_op,
    plan_undo,
    undone_entries,
)
from failsoft.ops.views import (
    AckState,
    Applied,
    FleetView,
    Identity,
    Preview,
)
from failsoft.store.protocols import Entry
from failsoft.telemetry import Definitions

__all__ = ["Session"]


class Session(Reads):
    """The real `Operator`; see its protocol for the calls.

    needs_arming: False for one-shot tools, which bring a reason with each write.
    """

    def __init__(
        self,
        store: FleetStore,
        reader: Reader,
        identity: Identity,
        role: str,
        *,
        read_only: bool = False,
        needs_arming: bool = True,
    ) -> None:
        super().__init__(store, reader)
        self.identity = identity
        self.role = role
        self.read_only = read_only
        self._writer = Writer(store, identity)
        self._arming = Arming(needed=needs_arming)
        self._writes: list[float] = []
        self._log: tuple[Entry, ...] = ()  # of the store, oldest first
        self._codes: dict[str, str] = {}  # target -> digits, new after each write
        self._now = reader.now

    @property
    def armed_until(self) -> float | None:
        """Return the `clock.elapsed` second the arming ends, None when disarmed."""
        self._arming.is_armed(self._now())
        return self._arming.until

    @property
    def armed_reason(self) -> str:
        """Return the reason that rides on writes, "" when disarmed."""
        self._arming.is_armed(self._now())
        return self._arming.reason

    @property
    def actor(self) -> str:
        """Return the name this session writes into the log."""
        return self._writer.actor

    @property
    def definitions(self) -> Definitions:
        """Return what the live releases declare."""
        return self.reader.merge.definitions

    def view(self) -> FleetView:
        """Return the newest view; before the first reply an empty one."""
        return self.reader.view

    async def ready(self, within_s: float = 3.0) -> FleetView:
        """Return the first whole view: observations, definitions and controls.

        Raises StoreUnavailable when there is none in time.
        """
        try:
            async with asyncio.timeout(within_s):
                async for view in self.watch():
                    if view.received and self.reader.merge.has_controls:
                        return view
        except TimeoutError:
            pass
        link = self.view().link
        cause = link.cause or f"no whole reply in {within_s:g} s"
        if link.todo:
            where = f"Redis at {link.address}"
            raise StoreRefused(cause, where=where, todo=link.todo)
        raise StoreUnavailable(cause, where=link.address)

    def watch(self) -> AsyncIterator[FleetView]:
        """Yield the newest view after each change; skips, never queues."""
        return self.reader.watch()

    def preview(self, command: Command) -> Preview:
        """Dry-run a command on the newest view (pure, no I/O)."""
        return self._preview(plan_of(command, self.view(), self.definitions))

    def _preview(self, plan: Plan) -> Preview:
        return preview_plan(
            plan,
            self.view(),
            self.definitions,
            self._now(),
            me=self.actor,
            code=self._codes.setdefault(plan.target, new_code()),
        )

    async def apply(
        self,
        command: Command,
        *,
        reason: str = "",
        preview: Preview | None = None,
        confirm: str | None = None,
        op_id: str | None = None,
    ) -> Applied:
        """Write once the store confirms; acks start empty, follow them by `acks`."""
        try:
            self._check()
            plan = plan_of(command, self.view(), self.definitions)
            if preview is not None and plan.if_rev is not None:
                plan = _as_seen(plan, preview)
            plan = _with_seen(plan, self.reader.merge.entries)
            now = self._preview(plan)
            return await self._write(plan, now, reason, confirm, op_id)
        except FailsoftError as error:
            await self._refused(action_of(command), command.target, reason, error)
            raise

    def _check(self) -> None:
        now = self._now()
        view = self.view()
        check_role(
            self.role, read_only=self.read_only, armed=self._arming.is_armed(now)
        )
        check_fresh(age_s(view, now), link_up=view.link.state == "up")
        check_rate(self._writes, now)

    async def _write(
        self,
        plan: Plan,
        now: Preview,
        reason: str,
        confirm: str | None,
        op_id: str | None,
    ) -> Applied:
        own = reason.strip() or plan.reason
        if now.tier == 3 and not own:
            raise Invalid("reason", "tier 3 needs a reason of its own")
        why = check_reason(own or self._arming.reason)
        check_confirm(now, confirm, self.view().env)
        self._codes.pop(plan.target, None)
        self._writes.append(self._now())
        return await self._writer.write(plan, why, op_id or new_op_id())

    async def _refused(
        self, action: str, target: str, why: str, error: FailsoftError
    ) -> None:
        # A store that does not answer cannot keep the attempt either.
        if error.code != "store-unavailable":
            why = why.strip() or self._arming.reason
            await self._writer.attempted(action, target, why, error)

    def acks(
        self, applied: Applied, *, wait_s: float = 10.0
    ) -> AsyncIterator[tuple[AckState, ...]]:
        """Yield the nodes' states until all live ones enforce, or `wait_s`."""
        return follow(self._store, applied, self.reader.merge.nodes.short, wait_s)

    async def find_write(self, op_id: str | None = None) -> str:
        """Return the id of a write to undo (None: this actor's last), read whole.

        A view holds the newest entries only; a call may have 1,000 changes.
        """
        kept: tuple[Entry, ...] = ()
        while not is_whole(kept, op_id, self.actor):
            page = await self._store.log(PAGE, kept[0].id if kept else "+")
            kept = (*reversed(page), *kept)
            if len(page) < PAGE:
                break
        self._log = kept
        op_id = op_id or last_op(kept, self.actor)
        if kept and kept[0].op_id == op_id and kept[0].rev > 1:
            raise Invalid("undo", f"the first changes of {op_id} left the kept log")
        return op_id

    def preview_undo(self, op_id: str) -> Preview:
        """Dry-run the inverse of a write that `find_write` has found."""
        return self._preview_undo(self._undo_plan(op_id), op_id)

    def _undo_plan(self, op_id: str) -> Plan:
        kept = _joined(self._log, self.reader.merge.entries)
        return plan_undo(kept, op_id, self.view().server_ms)

    def _preview_undo(self, plan: Plan, op_id: str) -> Preview:
        shown = self._preview(plan)
        kept = _joined(self._log, self.reader.merge.entries)
        entry = undone_entries(kept, op_id)[0]
        age = (self.view().server_ms - log_row(entry).at_ms) / 1000
        if entry.who != self.actor or age > YOUNG_S:
            return shown
        tier, why = tier_of(Facts(share=shown.share, harmless=OWN_CHANGE))
        return msgspec.structs.replace(shown, tier=tier, tier_why=why, code="")

    async def undo(
        self,
        op_id: str | None = None,
        *,
        reason: str = "",
        confirm: str | None = None,
    ) -> Applied:
        """Write the inverse, compared with that write's revision."""
        target = op_id or "last write"
        try:
            self._check()
            op_id = await self.find_write(op_id)
            plan = self._undo_plan(op_id)
            target = plan.target
            now = self._preview_undo(plan, op_id)
            why = reason.strip() or self._arming.reason or f"undo {op_id}"
            return await self._write(plan, now, why, confirm, None)
        except FailsoftError as error:
            await self._refused("undo", target, reason, error)
            raise

    async def arm(self, reason: str, *, minutes: float = ARMED_MINUTES) -> None:
        """Allow writes of this session for `minutes`; logged."""
        try:
            check_role(self.role, read_only=self.read_only, armed=True)
            self._arming.arm(reason, minutes, self._now())
        except FailsoftError as error:
            await self._refused("arm", "session", reason, error)
            raise
        await self._writer.attempted("arm", "session", self._arming.reason)

    async def disarm(self) -> None:
        """Stop writes of this session."""
        if self._arming.until is not None:
            reason = self._arming.reason
            self._arming.disarm()
            await self._writer.attempted("disarm", "session", reason)

    def preview_import(self, name: str, found: FlagImport) -> Preview:
        """Dry-run an import; name: how the log and the preview call it."""
        return self._preview(import_plan(name, found))

    async def import_flags(
        self, name: str, found: FlagImport, *, reason: str, confirm: str | None = None
    ) -> AsyncIterator[Applied]:
        """Write an import call by call, yielding each as the store confirms it.

        A conflict, or a store that is lost, ends it; what was yielded is written, and
        running the import again goes on with the rest.
        """
        plan = import_plan(name, found)
        try:
            self._check()
            why = check_reason(reason)
            check_confirm(self._preview(plan), confirm, self.view().env)
            self._codes.pop(plan.target, None)
            self._writes.append(self._now())
            for op_id, changes in calls_of(found):
                targets = tuple(target_of(c.kind, c.name) for c in changes)
                epoch = found.epoch
                yield await self._writer.call(op_id, changes, why, targets, epoch)
        except FailsoftError as error:
            await self._refused(plan.action, plan.target, reason, error)
            raise

    async def aclose(self) -> None:
        """Stop the reader and close connections; idempotent."""
        await self.reader.aclose()
        await self._store.aclose()


def _joined(log: tuple[Entry, ...], heard: Iterable[Entry]) -> tuple[Entry, ...]:
    """Return a log that was read, and what was heard of since."""
    newest = entry_order(log[-1].id) if log else (0, 0)
    return (*log, *(entry for entry in heard if entry_order(entry.id) > newest))


def _with_seen(plan: Plan, entries: Iterable[Entry]) -> Plan:
    """Let a conflict tell what changed since the revision that the operator named."""
    if plan.kind != "flag" or not plan.if_rev:
        return plan
    for entry in entries:
        named = (entry.kind, entry.name, entry.rev) == ("flag", plan.name, plan.if_rev)
        record = record_of(entry.kind, entry.name, entry.value) if named else None
        if record is not None:
            return msgspec.structs.replace(plan, was=record.json)
    return plan


def _as_seen(plan: Plan, shown: Preview) -> Plan:
    """Compare with what the operator saw, not with what is there by now."""
    if plan.covers != shown.covers:
        raise Invalid(plan.target, "has other members than you saw; preview again")
    return msgspec.structs.replace(
        plan, if_rev=shown.if_revision, before=shown.before, was=shown.was
    )
