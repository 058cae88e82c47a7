"""The calls a surface makes; `connect` returns the one real implementation."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterable
from typing import Protocol

from failsoft.ops.command import Command
from failsoft.ops.flaglife import FlagLife
from failsoft.ops.guard import GuardRow
from failsoft.ops.history import ChangeRow
from failsoft.ops.sources.ledgers import Section
from failsoft.ops.views import AckState, Applied, FleetView, Identity, LogRow, Preview
from failsoft.telemetry import Definitions, Flight

__all__ = ["Operator"]


class Operator(Protocol):
    """One operator's session on one environment.

    Permission is checked here, never in key bindings.  Errors: `OpsError` and
    `StoreError` of the tree in `errors`.
    """

    identity: Identity
    role: str  # viewer | operator | none

    @property
    def armed_until(self) -> float | None:
        """The `clock.elapsed` second the arming ends, None when disarmed."""
        ...

    @property
    def armed_reason(self) -> str:
        """The reason that rides on every write, "" when disarmed."""
        ...

    def view(self) -> FleetView:
        """Return the newest view; before the first reply an empty one."""
        ...

    def watch(self) -> AsyncIterator[FleetView]:
        """Yield the newest view after each change; skips, never queues."""
        ...

    def want(self, sections: Iterable[Section]) -> None:
        """Read `versions` or `drift` too, at once and each 5 s; nothing else then.

        `FleetView.versions` and `.drift` are None until they were read, and stay as
        read last when they are not wanted any more; their `read_ms` tells.
        """
        ...

    def preview(self, command: Command) -> Preview:
        """Dry-run a command on the newest view (pure, no I/O)."""
        ...

    async def apply(
        self,
        command: Command,
        *,
        reason: str = "",
        preview: Preview | None = None,
        confirm: str | None = None,
        op_id: str | None = None,
    ) -> Applied:
        """Write once the store confirms; acks start empty, follow them by `acks`.

        reason: empty takes the arming reason; blank altogether is `Invalid`.
        confirm: what the preview's tier asks for (`Preview.code`, or the env).
        """
        ...

    def acks(
        self, applied: Applied, *, wait_s: float = 10.0
    ) -> AsyncIterator[tuple[AckState, ...]]:
        """Yield the nodes' states until all live ones enforce, or `wait_s`."""
        ...

    async def find_write(self, op_id: str | None = None) -> str:
        """Return the id of a write to undo (None: this actor's last), read whole."""
        ...

    def preview_undo(self, op_id: str) -> Preview:
        """Dry-run the inverse of a write that `find_write` has found."""
        ...

    async def undo(
        self,
        op_id: str | None = None,
        *,
        reason: str = "",
        confirm: str | None = None,
    ) -> Applied:
        """Write the inverse, compared with that write's revision."""
        ...

    async def arm(self, reason: str, *, minutes: float = 30.0) -> None:
        """Allow writes of this session for `minutes`; logged."""
        ...

    async def disarm(self) -> None:
        """Stop writes of this session."""
        ...

    async def log(self, count: int = 200) -> tuple[LogRow, ...]:
        """Return the audit, newest first, refused attempts merged in."""
        ...

    @property
    def definitions(self) -> Definitions:
        """What the live releases declare."""
        ...

    async def history(self, target: str, count: int = 50) -> tuple[ChangeRow, ...]:
        """Return the changes of one control in the kept log, newest first."""
        ...

    async def flag_lives(self) -> tuple[FlagLife, ...]:
        """Return how flags are used, stale ones first; one read."""
        ...

    async def guards(self) -> tuple[GuardRow, ...]:
        """Return the guarded flags, those that tripped first; a read for each."""
        ...

    async def flight(self, flight_id: str) -> Flight | None:
        """Return one kept example, None when it is not kept any more."""
        ...

    async def aclose(self) -> None:
        """Stop the reader and close connections; idempotent."""
        ...
