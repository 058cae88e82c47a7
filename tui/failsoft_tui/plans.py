"""What a preview dialog is about: a command, or the undo of a write."""

from __future__ import annotations

import uuid
from collections.abc import Callable
from typing import Protocol

import msgspec

from failsoft.ops.command import (
    BreakerSet,
    BrownoutStart,
    BrownoutStop,
    Command,
    DriftAck,
    Extend,
    FlagEdit,
    Kill,
    ModeDrill,
    ModeEnter,
    PinSet,
    ToleranceAdd,
)
from failsoft.ops.flagforms import next_step
from failsoft.ops.operator import Operator
from failsoft.ops.views import Applied, Preview
from failsoft_tui.groups import ticket_of

__all__ = ["DAYS", "ENDS", "CommandPlan", "Plan", "UndoPlan", "in_group", "mover"]

Ends = tuple[tuple[str, float], ...]  # name, seconds

ENDS: Ends = (("5m", 300.0), ("15m", 900.0), ("1h", 3600.0), ("4h", 14_400.0))
DAYS: Ends = (("1d", 86_400.0), ("7d", 604_800.0), ("30d", 2_592_000.0))
_LASTING = ("pin", "drift", "tolerance")  # what is set for days


_ENDING = (
    *(Kill, ModeEnter, BreakerSet, Extend, BrownoutStart, BrownoutStop),
    *(PinSet, ToleranceAdd, DriftAck, ModeDrill),
)

_GROUPED = Kill | ModeEnter | BreakerSet


def in_group(command: Command, reason: str) -> Command:
    """Return a kill, mode or breaker in the group of the reason's ticket, if any."""
    if not isinstance(command, _GROUPED) or command.group is not None:
        return command
    return msgspec.structs.replace(command, group=ticket_of(reason))


def mover(by: str) -> Callable[[float], float]:
    """Return what moves a rollout: `up` or `down` to the next step, or points."""
    if by in ("up", "down"):
        return lambda rollout: next_step(rollout, 1 if by == "up" else -1)
    return lambda rollout: rollout + float(by)


class Plan(Protocol):
    """Something to preview and then apply."""

    def preview(self) -> Preview:
        """Dry-run it on the newest view."""
        ...

    async def apply(self, reason: str, preview: Preview, confirm: str) -> Applied:
        """Write it."""
        ...

    @property
    def ends(self) -> Ends:
        """The ends to choose from, empty when it has none."""
        ...

    def with_end(self, for_s: float) -> Plan | None:
        """Return the same with another end, None when it has none to choose."""
        ...

    def rolled(self, move: Callable[[float], float]) -> Plan | None:
        """Return the same with the rollout moved, None when it has none."""
        ...

    def grouped(self, group: str) -> Plan | None:
        """Return the same in another group ("" = none), None when it has none."""
        ...


class CommandPlan:
    """A command of this operator.

    Its op_id stays the same over repeated tries, so ENTER after an unknown outcome
    is safe; a changed command gets a new one.
    """

    def __init__(self, operator: Operator, command: Command) -> None:
        self._operator = operator
        self._op_id = uuid.uuid4().hex
        self.command = command

    def preview(self) -> Preview:
        """Dry-run the command."""
        return self._operator.preview(self.command)

    async def apply(self, reason: str, preview: Preview, confirm: str) -> Applied:
        """Write the command."""
        return await self._operator.apply(
            self.command,
            reason=reason,
            preview=preview,
            confirm=confirm or None,
            op_id=self._op_id,
        )

    @property
    def ends(self) -> Ends:
        """Minutes and hours, or days of what lasts."""
        command = self.command
        if not isinstance(command, _ENDING):
            return ()
        lasts = isinstance(command, PinSet | ToleranceAdd | DriftAck) or (
            isinstance(command, Extend) and command.target.startswith(_LASTING)
        )
        return DAYS if lasts else ENDS

    def with_end(self, for_s: float) -> Plan | None:
        """Return the command with another end."""
        if not isinstance(self.command, _ENDING):
            return None
        changed = msgspec.structs.replace(self.command, for_s=for_s)
        return CommandPlan(self._operator, changed)

    def rolled(self, move: Callable[[float], float]) -> Plan | None:
        """Return the flag edit with its rollout moved."""
        command = self.command
        if not isinstance(command, FlagEdit) or command.rollout is None:
            return None
        rollout = min(100.0, max(0.0, move(command.rollout)))
        return CommandPlan(
            self._operator, msgspec.structs.replace(command, rollout=rollout)
        )

    def grouped(self, group: str) -> Plan | None:
        """Return the kill, mode or breaker in another group."""
        if not isinstance(self.command, _GROUPED):
            return None
        changed = msgspec.structs.replace(self.command, group=group or None)
        return CommandPlan(self._operator, changed)


class UndoPlan:
    """The inverse of a write."""

    def __init__(self, operator: Operator, op_id: str) -> None:
        self._operator = operator
        self._op_id = op_id

    def preview(self) -> Preview:
        """Dry-run the inverse."""
        return self._operator.preview_undo(self._op_id)

    async def apply(self, reason: str, preview: Preview, confirm: str) -> Applied:
        """Write the inverse."""
        return await self._operator.undo(
            self._op_id, reason=reason, confirm=confirm or None
        )

    @property
    def ends(self) -> Ends:
        """Nothing: an undo restores the end as it was."""
        return ()

    def with_end(self, for_s: float) -> Plan | None:
        """Return None: an undo restores the end as it was."""
        return None

    def rolled(self, move: Callable[[float], float]) -> Plan | None:
        """Return None: an undo has no rollout to move."""
        return None

    def grouped(self, group: str) -> Plan | None:
        """Return None: an undo restores the group as it was."""
        return None
